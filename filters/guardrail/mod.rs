//! What must not leave the house, or come into it: personal data, secrets and an operator's own words, found in what is
//! asked and answered, and blocked, masked, or replaced by placeholders that the answer gets back.
//!
//! A request is checked once ([`Guardrail::check_request`], [`Guardrail::check_json`]) and edited in place. What was
//! replaced is in [`Checked`], from which the [`Guard`] of the answer is made, if there is anything for it to do.
//!
//! Left as it is: what declares tools and schemas, which is the developer's and full of examples; reasoning that is sealed,
//! because its maker refuses it when a letter of it has changed (the provider knows it anyway: it holds placeholders
//! only); media in base64; ids. Names of participants and files get a word without brackets, and links to media are only
//! checked for what is to be blocked.

mod answer;
mod conf;
mod detect;
mod edit;
mod guard;
mod json_body;
mod json_text;
mod kind;
mod open_part;
mod originals;
mod request;
mod rules;
mod ruling;
#[cfg(test)]
mod tests;
mod walk;
mod window;

use std::fmt;
use std::sync::Arc;

pub use conf::{GuardrailConf, RuleConf};
pub use guard::{Guard, may_be_sealed};
pub use kind::{Action, Finding, Findings, Kind, OutputAction};
pub use originals::Originals;
pub use rules::RuleError;

use crate::error::{Error, Kind as ErrorKind};
use crate::route::pattern_matches;
use rules::{Label, Side};

/// How many bytes of one part of an answer may wait for what decides about them.
pub const MAX_HOLD: usize = window::MAX_HOLD + json_text::MAX_HOLD;

/// The word for an exchange that was refused because of something in it.
pub const BLOCKED: &str = "blocked_by_guardrail";

/// Every organisation's guardrail.
#[derive(Debug, Default)]
pub struct Guardrails(Vec<Arc<Guardrail>>);

impl Guardrails {
    pub fn new(conf: &[GuardrailConf]) -> Result<Self, RuleError> {
        conf.iter().map(|conf| Guardrail::new(conf).map(Arc::new)).collect::<Result<_, _>>().map(Self)
    }

    /// There is nothing to be looked for, for nobody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first whose pattern fits; `None` if that looks for nothing.
    pub fn for_org(&self, org: &str) -> Option<&Arc<Guardrail>> {
        let first = self.0.iter().find(|guardrail| pattern_matches(&guardrail.org, org))?;
        Some(first).filter(|guardrail| guardrail.checks_input() || guardrail.checks_output())
    }
}

/// What is looked for in an organisation's exchanges.
pub struct Guardrail {
    org: String,
    labels: Vec<Label>,
    input: Side,
    output: Side,
}

impl fmt::Debug for Guardrail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guardrail").field("org", &self.org).finish_non_exhaustive()
    }
}

/// What came of checking a request.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// Something of the request was changed.
    pub edited: bool,
    pub findings: Findings,
    pub originals: Originals,
}

/// A request or an answer that is not let through, and what had been found by then.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{error}")]
pub struct Refusal {
    pub error: Error,
    pub findings: Findings,
}

impl From<Box<Refusal>> for Error {
    fn from(refusal: Box<Refusal>) -> Self {
        refusal.error
    }
}

impl Guardrail {
    pub fn new(conf: &GuardrailConf) -> Result<Self, RuleError> {
        let (labels, input, output) = rules::compile(conf)?;
        Ok(Self { org: conf.org.clone(), labels, input, output })
    }

    /// Requests are checked.
    pub fn checks_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// Answers are checked, whatever was in the request.
    pub fn checks_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Checks one text, such as a query that is not part of a body.
    pub fn check_text(&self, text: &mut String) -> Result<Checked, Box<Refusal>> {
        self.survey_and_edit(|visitor| {
            let mut edited = std::mem::take(text);
            let read = visitor.text(&mut edited, walk::Form::Text, "", &"the text");
            *text = edited;
            read
        })
    }

    fn refusal(&self, label: usize, place: Option<&str>, findings: Findings) -> Box<Refusal> {
        let name = self.labels.get(label).map_or("", |label| &*label.name);
        let (holder, advice) = match place {
            Some(_) => ("The request", "Take it out and send the request again."),
            None => ("The answer", "It ends here."),
        };
        let at = place.map(|place| format!(" at `{place}`")).unwrap_or_default();
        let why = format!(
            "{holder} holds something of the kind `{name}`{at}, which this gateway does not let through. {advice}"
        );
        let error = Error::new(ErrorKind::Forbidden, why).code(BLOCKED);
        let error = match place {
            Some(place) => error.param(place.to_owned()),
            None => error,
        };
        Box::new(Refusal { error, findings })
    }
}
