//! What can be found in a text, what is done about it, and the report of it: counts by kind, never a value.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What the gateway knows how to find by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Email,
    /// The number of a payment card: issuer, length and Luhn's check digit are right.
    Card,
    /// Length and check digits are right for its country.
    Iban,
    /// A number that a state gave a person, for tax, health or insurance.
    NationalId,
    Phone,
    /// IPv4 or IPv6, private ones too.
    Ip,
    Mac,
    /// A credential: a provider's key, a token, a private key.
    Secret,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::Email,
        Self::Card,
        Self::Iban,
        Self::NationalId,
        Self::Phone,
        Self::Ip,
        Self::Mac,
        Self::Secret,
    ];

    /// As it is written in a configuration and in a report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Card => "card",
            Self::Iban => "iban",
            Self::NationalId => "national_id",
            Self::Phone => "phone",
            Self::Ip => "ip",
            Self::Mac => "mac",
            Self::Secret => "secret",
        }
    }
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    pub fn insert(&mut self, kind: Kind) {
        self.0 |= 1 << kind as u8;
    }

    pub fn contains(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What is done about something that was found in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A placeholder stands in its place, and is put back in the answer: `<EMAIL_1>`.
    Replace,
    /// The name of its kind stands in its place: `[EMAIL]`.
    Mask,
    /// The exchange is refused.
    Block,
}

/// What is done about something that was found in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputAction {
    Mask,
    /// The answer ends there, with an error.
    Block,
}

impl From<OutputAction> for Action {
    fn from(action: OutputAction) -> Self {
        match action {
            OutputAction::Mask => Self::Mask,
            OutputAction::Block => Self::Block,
        }
    }
}

/// How often one kind, or one rule of the operator's, was found, and what was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The kind, or the rule's name.
    pub what: Arc<str>,
    pub action: Action,
    /// It was found in the answer.
    pub output: bool,
    pub count: u64,
}

impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Mask => "mask",
            Self::Block => "block",
        }
    }
}

/// What was found in one exchange.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn add(&mut self, what: &Arc<str>, action: Action, output: bool) {
        let same = |f: &&mut Finding| f.what == *what && f.action == action && f.output == output;
        match self.0.iter_mut().find(same) {
            Some(finding) => finding.count += 1,
            None => self.0.push(Finding { what: what.clone(), action, output, count: 1 }),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How often anything was found.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|finding| finding.count).sum()
    }
}
