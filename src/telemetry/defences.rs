//! What happened to the gateway's defences, in numbers.

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use super::metrics::register;
use crate::jwks;

#[derive(Debug)]
pub(super) struct Defences {
    pub(super) security: IntCounterVec,
    pub(super) found: IntCounterVec,
    issuer_failing: IntGaugeVec,
    issuer_last_success: IntGaugeVec,
}

impl Defences {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| Opts::new(format!("tollgate_{name}"), help);
        let counters = |name: &str, help: &str, labels: &[&str]| {
            register(registry, IntCounterVec::new(opts(name, help), labels)?)
        };
        let gauges =
            |name: &str, help: &str| register(registry, IntGaugeVec::new(opts(name, help), &["issuer"])?);
        Ok(Self {
            security: counters(
                "security_events_total",
                "What happened to the gateway's defences, as in the log lines of the target tollgate::security.",
                &["event"],
            )?,
            found: counters(
                "guardrail_findings_total",
                "What guardrails found, by kind or the rule's name, and what became of it.",
                &["what", "action", "side"],
            )?,
            issuer_failing: gauges("jwks_failing", "1 while an issuer's keys cannot be fetched.")?,
            issuer_last_success: gauges(
                "jwks_last_success_seconds",
                "When an issuer's keys were last had, in seconds since 1970.",
            )?,
        })
    }

    pub(super) fn issuers(&self, issuers: Vec<jwks::Stats>) {
        for issuer in issuers {
            let last = i64::try_from(issuer.last_success.unwrap_or_default()).unwrap_or(i64::MAX);
            self.issuer_failing.with_label_values(&[&*issuer.issuer]).set(i64::from(issuer.failing));
            self.issuer_last_success.with_label_values(&[&*issuer.issuer]).set(last);
        }
    }
}
