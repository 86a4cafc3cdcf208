//! Judges one exchange that went from one dialect to another and back.

use serde_json::Value;
use tollgate_filters::chat::{Loss, Losses, Pointer};
use tollgate_filters::exchange::Dialect;

use super::allowed::is_allowed;
use super::corpus::Recording;
use super::diff::{Difference, accounts, compare};
use super::form::Form;

/// What becomes of one recording in one target dialect.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub id: String,
    pub provider: String,
    pub from: Dialect,
    pub to: Dialect,
    /// The target, as the table calls it.
    pub target: &'static str,
    pub losses: Vec<Loss>,
    /// Losses that were reported although nothing differs.
    pub idle: Vec<Pointer>,
    /// What was wrong: first in general, for counting, then in particular.
    pub failures: Vec<(String, String)>,
    /// The rendering, for the schema check.
    pub rendered: Vec<String>,
}

impl Outcome {
    pub fn new(recording: &Recording, to: Dialect, target: &'static str) -> Self {
        Self {
            id: recording.id.clone(),
            provider: recording.provider.clone(),
            from: recording.dialect,
            to,
            target,
            losses: Vec::new(),
            idle: Vec::new(),
            failures: Vec::new(),
            rendered: Vec::new(),
        }
    }
}

impl Outcome {
    /// A loss leads to something in the document that was read.
    pub fn check_pointers(&mut self, document: &Value) {
        for loss in &self.losses {
            if document.pointer(loss.at.as_str()).is_none() {
                self.failures
                    .push((format!("a loss of what is not there: {}", loss.at), loss.at.to_string()));
            }
        }
    }
}

/// The three conversations and the two reports.
pub struct Trip<'a> {
    pub from: Dialect,
    pub to: Dialect,
    pub source: &'a Form,
    /// As it is read from the target's dialect.
    pub there: &'a Form,
    /// As it is read when it has come back.
    pub home: &'a Form,
    pub losses: &'a Losses,
    pub losses_back: &'a Losses,
}

/// As many losses as a report holds: what is behind them is not told one by one.
const FULL: usize = 256;

impl Trip<'_> {
    /// What differs and is not told, and what is told although it does not differ.
    pub fn judge(&self) -> (Vec<(String, String)>, Vec<Pointer>) {
        let there = compare(self.source, self.there, false);
        let back = compare(self.there, self.home, false);
        let whole = compare(self.source, self.home, true);
        let mut failures = Vec::new();
        let mut fail = |leg: &str, d: &Difference| failures.push((format!("{leg}: {}", d.what), detail(d)));
        for d in &there {
            if !is_allowed(d, self.to) && !told(d, self.losses) {
                fail("there", d);
            }
        }
        for d in &back {
            if !is_allowed(d, self.from) && !told(d, self.losses_back) {
                fail("back", d);
            }
        }
        for d in whole.iter().filter(|d| d.own) {
            if !told(d, self.losses) && !self.told_on_the_way_back(d) {
                fail("own", d);
            }
        }
        for loss in self.losses.iter().filter(|loss| loss.at == Pointer::ROOT) {
            failures.push(("a loss of the whole document".to_owned(), format!("{loss:?}")));
        }
        let differs = |loss: &&Loss| {
            // Whether thoughts are shown unasked is the provider's affair: where they are not, telling is right.
            let counts = |d: &&Difference| !is_allowed(d, self.to) || d.what == "lost thinking summary";
            let mut all = there.iter().chain(&whole).filter(counts);
            // How much to think is one thing: that it is to think at all is lost with how much.
            let thinking = |d: &Difference| {
                d.what.contains("thinking ") && d.at.as_ref().is_some_and(|at| parent(at) == parent(&loss.at))
            };
            all.any(|d| {
                thinking(d) || d.at.iter().chain(&d.replaces).any(|at| accounts(&loss.at, at, d.words))
            })
        };
        let idle = self.losses.iter().filter(|loss| !differs(loss)).map(|loss| loss.at.clone()).collect();
        (failures, idle)
    }

    /// The thing that it is part of was carried, and its dialect could not take all of it back.
    fn told_on_the_way_back(&self, difference: &Difference) -> bool {
        let Some(at) = &difference.at else { return false };
        for ((_, ours), (_, theirs)) in self.source.lists.iter().zip(&self.there.lists) {
            let Some(item) = ours.iter().find(|item| accounts(at, &item.at, &[])) else { continue };
            let alike = theirs.iter().filter(|other| other.kind == item.kind && other.role == item.role);
            return alike.into_iter().any(|other| {
                self.losses_back.iter().any(|loss| accounts(&loss.at, &other.at, difference.words))
            });
        }
        false
    }
}

fn parent(at: &Pointer) -> &str {
    at.as_str().rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn told(difference: &Difference, losses: &Losses) -> bool {
    difference.is_told(losses) || losses.len() >= FULL
}

fn detail(d: &Difference) -> String {
    let short = |value: &Value| {
        let text = value.to_string();
        if text.len() > 300 { format!("{}…", text.chars().take(300).collect::<String>()) } else { text }
    };
    let at = d.at.as_ref().map_or("", Pointer::as_str);
    format!("{} at `{at}`: {} -> {}", d.what, short(&d.values.0), short(&d.values.1))
}

/// Runs `work`; a panic is a failure like any other.
pub fn guarded<T>(work: impl FnOnce() -> Result<T, (String, String)>) -> Result<T, (String, String)> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
        Err(("panic".to_owned(), text.unwrap_or_default()))
    })
}
