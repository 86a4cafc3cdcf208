//! A guardrail's rules, compiled: what is looked for in one direction, and what is done about each.

use std::fmt::Write as _;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::conf::{GuardrailConf, RuleConf};
use super::detect::{self, Found};
use super::kind::{Action, Kind, Kinds};

/// How much memory an operator's expression may take when compiled.
const SIZE_LIMIT: usize = 4 << 20;
/// An expression without a bound, or with a higher one, is sure to be found in a stream if it is up to that long, in bytes.
pub const WINDOW: usize = 256;
const LONGEST_NAME: usize = 32;

/// What is wrong with a guardrail, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("guardrail for `{org}`: rule `{rule}`: {why}")]
pub struct RuleError {
    pub org: String,
    pub rule: String,
    pub why: String,
}

/// A kind, or a rule of the operator's.
#[derive(Debug)]
pub struct Label {
    pub name: Arc<str>,
    /// As it stands in a placeholder.
    pub upper: String,
}

/// What is looked for in one direction.
#[derive(Debug, Default)]
pub struct Side {
    pub kinds: Kinds,
    /// By the number of the label.
    actions: Vec<Option<Action>>,
    /// The number of the label, and what is looked for.
    rules: Vec<(usize, Regex)>,
    /// How long a match of a rule may be.
    pub window: usize,
}

/// Something that was found, and what is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    pub start: usize,
    pub end: usize,
    pub label: usize,
    pub action: Action,
}

/// The labels of a guardrail, and what it looks for in requests and in answers.
pub fn compile(conf: &GuardrailConf) -> Result<(Vec<Label>, Side, Side), RuleError> {
    let mut labels: Vec<Label> = Kind::ALL.iter().map(|kind| label(kind.as_str())).collect();
    let (mut input, mut output) = (Side::default(), Side::default());
    for kind in Kind::ALL {
        input.kind(kind, conf.kinds.get(&kind).copied());
        output.kind(kind, conf.output.get(&kind).map(|action| (*action).into()));
    }
    for rule in &conf.rules {
        let fail = |why: String| RuleError { org: conf.org.clone(), rule: rule.name.clone(), why };
        let upper = label(&rule.name);
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let named = (1..=LONGEST_NAME).contains(&rule.name.len()) && rule.name.bytes().all(allowed);
        if !named {
            return Err(fail(format!("a name has up to {LONGEST_NAME} letters, digits, `-` and `_`")));
        }
        if labels.iter().any(|label| label.upper == upper.upper) {
            return Err(fail("there is a kind or another rule of that name".to_owned()));
        }
        if rule.action.is_none() && rule.output.is_none() {
            return Err(fail(
                "it has neither an `action` for requests nor an `output` for answers".to_owned(),
            ));
        }
        let (regex, longest) = expression(rule).map_err(fail)?;
        input.rule(labels.len(), rule.action, &regex, longest);
        output.rule(labels.len(), rule.output.map(Into::into), &regex, longest);
        labels.push(upper);
    }
    Ok((labels, input, output))
}

fn label(name: &str) -> Label {
    Label { name: Arc::from(name), upper: name.to_ascii_uppercase().replace('-', "_") }
}

/// The expression of a rule, and how long its matches are.
fn expression(rule: &RuleConf) -> Result<(Regex, usize), String> {
    let text = match (&rule.regex, rule.words.is_empty()) {
        (Some(regex), true) => regex.clone(),
        (None, false) => words(&rule.words)?,
        _ => return Err("it has either a `regex` or `words`".to_owned()),
    };
    let built = RegexBuilder::new(&text).size_limit(SIZE_LIMIT).dfa_size_limit(SIZE_LIMIT).build();
    // A list of words says nothing more when it is repeated.
    let regex = built.map_err(|e| match &e {
        regex::Error::CompiledTooBig(_) => format!("compiled it takes more than {SIZE_LIMIT} bytes"),
        e => e.to_string(),
    })?;
    let properties = regex_syntax::parse(&text).map_err(|e| e.to_string())?.properties().clone();
    if properties.minimum_len() == Some(0) {
        return Err("it matches where nothing is".to_owned());
    }
    let longest = properties.maximum_len().filter(|longest| *longest <= 2 * WINDOW).unwrap_or(WINDOW);
    Ok((regex, longest))
}

/// Whole words, the longest first.
fn words(words: &[String]) -> Result<String, String> {
    let mut words: Vec<&str> = words.iter().map(|word| word.trim()).collect();
    if words.iter().any(|word| word.is_empty()) {
        return Err("a word is empty".to_owned());
    }
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let mut text = "(?i)(?:".to_owned();
    for (at, word) in words.iter().enumerate() {
        let letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let edge = |is: bool| if is { r"\b" } else { "" };
        let (before, after) = (edge(letter(word.chars().next())), edge(letter(word.chars().next_back())));
        let or = if at > 0 { "|" } else { "" };
        let _ = write!(text, "{or}{before}{}{after}", regex::escape(word));
    }
    Ok(text + ")")
}

impl Side {
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty() && self.rules.is_empty()
    }

    fn kind(&mut self, kind: Kind, action: Option<Action>) {
        if action.is_some() {
            self.kinds.insert(kind);
        }
        self.actions.push(action);
    }

    fn rule(&mut self, label: usize, action: Option<Action>, regex: &Regex, longest: usize) {
        if action.is_some() {
            self.rules.push((label, regex.clone()));
            // What is behind a match may decide about it: a character for `\b`.
            self.window = self.window.max(longest + 4);
        }
        self.actions.push(action);
    }

    /// Everything that begins at `from` or behind it, in order. What overlaps is one, with the stronger action and
    /// the first label.
    pub fn hits(&self, text: &str, from: usize) -> Vec<Hit> {
        let mut hits: Vec<Hit> = Vec::new();
        if self.is_empty() {
            return hits;
        }
        let mut found: Vec<Found> = Vec::new();
        detect::scan(text, from, self.kinds, &mut found);
        for found in found {
            self.push(&mut hits, found.start, found.end, found.kind as usize);
        }
        for (label, regex) in &self.rules {
            let mut at = from;
            while let Some(found) = regex.find_at(text, at) {
                self.push(&mut hits, found.start(), found.end(), *label);
                at = found.end();
            }
        }
        hits.sort_by_key(|hit| (hit.start, std::cmp::Reverse(hit.end), hit.label));
        hits.dedup_by(|next, hit| {
            let overlaps = next.start < hit.end;
            if overlaps {
                hit.end = hit.end.max(next.end);
                hit.action = hit.action.max(next.action);
            }
            overlaps
        });
        hits
    }

    fn push(&self, hits: &mut Vec<Hit>, start: usize, end: usize, label: usize) {
        if let Some(action) = self.actions.get(label).copied().flatten().filter(|_| start < end) {
            hits.push(Hit { start, end, label, action });
        }
    }
}
