//! How often a caller may ask, for how many tokens, and how much at a time.

mod rate;
mod text;

pub use rate::{Bucket, Full, MAX_POINTS, Rate, Room};

use serde::Deserialize;

use crate::scope::{Dimension, Match, Scope};
use text::Rates;

/// A `[[limits]]` table as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitConf {
    #[serde(default)]
    name: Option<String>,
    scope: Vec<Dimension>,
    #[serde(default, rename = "match")]
    patterns: Match,
    #[serde(default)]
    requests: Rates,
    #[serde(default)]
    tokens: Rates,
    #[serde(default)]
    input_tokens: Rates,
    #[serde(default)]
    output_tokens: Rates,
    #[serde(default)]
    concurrent: Option<u32>,
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    Requests,
    /// Input and output.
    Tokens,
    InputTokens,
    OutputTokens,
    /// Exchanges under way.
    Concurrent,
}

impl Measure {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InputTokens => "input tokens",
            Self::OutputTokens => "output tokens",
            Self::Concurrent => "concurrent requests",
        }
    }
}

/// How much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cap {
    Rate(Rate),
    Places(u32),
}

/// One limit: one measure of one scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    pub name: String,
    pub scope: Scope,
    pub measure: Measure,
    pub cap: Cap,
}

impl LimitConf {
    /// The limits that this table comes to; an error names what is wrong in it.
    pub fn resolve(self) -> Result<Vec<Limit>, String> {
        let scope = Scope::new(&self.scope, &self.patterns)?;
        let mut limits = Vec::new();
        let mut add = |measure: Measure, cap: Cap, amount: String| {
            let name = self
                .name
                .clone()
                .unwrap_or_else(|| format!("{amount} {} for each {scope}", measure.as_str()));
            limits.push(Limit { name, scope: scope.clone(), measure, cap });
        };
        for (measure, rates) in [
            (Measure::Requests, self.requests),
            (Measure::Tokens, self.tokens),
            (Measure::InputTokens, self.input_tokens),
            (Measure::OutputTokens, self.output_tokens),
        ] {
            for (rate, written) in rates.resolve()? {
                add(measure, Cap::Rate(rate), written);
            }
        }
        match self.concurrent {
            Some(0) => return Err("concurrent must be at least 1".to_owned()),
            Some(places) => add(Measure::Concurrent, Cap::Places(places), places.to_string()),
            None => {}
        }
        if limits.is_empty() {
            return Err(
                "it limits nothing; give it requests, tokens, input_tokens, output_tokens or concurrent"
                    .to_owned(),
            );
        }
        Ok(limits)
    }
}
