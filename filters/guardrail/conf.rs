//! What an operator writes about guardrails.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::kind::{Action, Kind, OutputAction};

/// A table `[[guardrails]]`. The first whose `org` fits an organisation is the one that counts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardrailConf {
    /// A pattern, in which `*` stands for any text.
    #[serde(default = "everybody")]
    pub org: String,
    /// What is done about what the gateway can find by itself. What is not named is let through.
    #[serde(default)]
    pub kinds: BTreeMap<Kind, Action>,
    /// The same for answers.
    #[serde(default)]
    pub output: BTreeMap<Kind, OutputAction>,
    #[serde(default)]
    pub rules: Vec<RuleConf>,
}

/// A rule of the operator's: a regular expression, or a list of words.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleConf {
    /// Letters, digits, `-` and `_`. In a placeholder it stands in upper case.
    pub name: String,
    /// In the syntax of the crate `regex`: linear in time, so without look-around and back-references.
    pub regex: Option<String>,
    /// Whole words, in upper or lower case.
    #[serde(default)]
    pub words: Vec<String>,
    /// What is done about it in requests.
    pub action: Option<Action>,
    /// What is done about it in answers.
    pub output: Option<OutputAction>,
}

fn everybody() -> String {
    "*".to_owned()
}
