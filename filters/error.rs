//! The one error type of a decision: what went wrong, in words for the caller, and the status it becomes.

use std::borrow::Cow;
use std::time::Duration;

/// What kind of refusal or failure this is. Each dialect has its own words for these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request itself is wrong: the caller has to change it.
    Invalid,
    Unauthenticated,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    /// The body is over the limit.
    TooLarge,
    /// The client took too long to send its request.
    SlowClient,
    /// A limit is reached.
    RateLimited,
    /// A budget is used up.
    OutOfBudget,
    /// The provider could not be reached, or broke off.
    BadGateway,
    /// The provider did not answer in time.
    GatewayTimeout,
    /// The gateway cannot serve this now.
    Unavailable,
    Internal,
}

impl Kind {
    pub fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::SlowClient => 408,
            Self::TooLarge => 413,
            Self::RateLimited | Self::OutOfBudget => 429,
            Self::Internal => 500,
            Self::BadGateway => 502,
            Self::Unavailable => 503,
            Self::GatewayTimeout => 504,
        }
    }
}

/// A refusal or failure. `message` goes to the caller and says what to change; it never holds a
/// secret. `param` is the field it is about, `code` a stable word for programs.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub kind: Kind,
    pub message: Cow<'static, str>,
    pub param: Option<Cow<'static, str>>,
    pub code: Option<&'static str>,
    /// The limit, budget or tier of permission that stands in the way.
    pub rule: Option<Cow<'static, str>>,
    pub retry: Retry,
}

/// Whether the same request is worth sending again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Retry {
    /// Nothing is known.
    #[default]
    Unknown,
    After(Duration),
    /// It is not.
    Never,
}

impl Error {
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), param: None, code: None, rule: None, retry: Retry::Unknown }
    }

    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    #[must_use]
    pub fn param(mut self, param: impl Into<Cow<'static, str>>) -> Self {
        self.param = Some(param.into());
        self
    }

    #[must_use]
    pub fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    #[must_use]
    pub fn rule(mut self, rule: impl Into<Cow<'static, str>>) -> Self {
        self.rule = Some(rule.into());
        self
    }

    #[must_use]
    pub fn retry_after(mut self, time: Duration) -> Self {
        self.retry = Retry::After(time);
        self
    }

    #[must_use]
    pub fn never(mut self) -> Self {
        self.retry = Retry::Never;
        self
    }
}
