//! What happens to the gateway's defences, as structured log lines of their own target and as metrics.

use std::net::IpAddr;

use tollgate_filters::exchange::Caller;

/// The target of these lines: `RUST_LOG=off,tollgate::security=info` leaves nothing else.
const TARGET: &str = "tollgate::security";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// A credential was missing, unknown or wrong.
    AuthenticationFailed,
    RevokedKeyUsed,
    ExpiredKeyUsed,
    PermissionDenied,
    LimitHit,
    /// A request was refused, or a stream ended, because a budget is used up.
    BudgetExhausted,
    /// A budget has come to one of its thresholds.
    BudgetThreshold,
    /// An address did too much of something in a second.
    Flood,
    /// A guardrail stopped something.
    Guardrail,
    /// A key came from a network that it had not come from before.
    NewNetwork,
    /// An organisation asks far more than it usually does.
    UnusualRate,
}

impl Security {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuthenticationFailed => "authentication_failed",
            Self::RevokedKeyUsed => "revoked_key_used",
            Self::ExpiredKeyUsed => "expired_key_used",
            Self::PermissionDenied => "permission_denied",
            Self::LimitHit => "limit_hit",
            Self::BudgetExhausted => "budget_exhausted",
            Self::BudgetThreshold => "budget_threshold",
            Self::Flood => "flood",
            Self::Guardrail => "guardrail",
            Self::NewNetwork => "new_network",
            Self::UnusualRate => "unusual_rate",
        }
    }
}

/// One event. Nothing in it is secret: names, addresses and sentences that the caller was told as well.
#[derive(Debug, Default)]
pub struct Event<'a> {
    pub request_id: &'a str,
    pub client: Option<IpAddr>,
    pub org: &'a str,
    pub user: &'a str,
    pub key: &'a str,
    /// The limit, budget or tier.
    pub rule: &'a str,
    pub detail: &'a str,
}

impl<'a> Event<'a> {
    pub fn of(mut self, caller: Option<&'a Caller>) -> Self {
        if let Some(caller) = caller {
            self.org = &caller.org;
            self.user = caller.user.as_deref().unwrap_or_default();
            self.key = caller.key().map_or("", |key| &**key);
        }
        self
    }
}

pub(super) fn log(what: Security, event: &Event<'_>) {
    let Event { request_id, client, org, user, key, rule, detail } = event;
    let client = client.map(tracing::field::display);
    tracing::warn!(target: TARGET, event = what.as_str(), request_id, client, org, user, key, rule, detail);
}
