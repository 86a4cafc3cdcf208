//! What is done about a hit: in a request, values leave and placeholders come; in an answer, placeholders leave and values
//! come back.

use super::edit::{Blocked, Edit, Ruling, What};
use super::kind::{Action, Findings, Kinds};
use super::originals::{Originals, Placeholders};
use super::rules::Hit;
use super::{Guardrail, rules::Label};

/// The ruling for a request.
#[derive(Debug)]
pub struct Input<'a> {
    pub guardrail: &'a Guardrail,
    pub originals: &'a mut Originals,
    /// Counts; `None` when that has been done.
    pub findings: Option<&'a mut Findings>,
    /// Where brackets are not allowed: nothing is put back there.
    pub name: bool,
    /// Nothing can be put there: only what is blocked counts.
    pub fixed: bool,
}

impl Ruling for Input<'_> {
    fn kinds(&self) -> Kinds {
        self.guardrail.input.kinds
    }

    fn window(&self) -> usize {
        self.guardrail.input.window
    }

    fn restores(&self) -> bool {
        false
    }

    fn edits(&self, text: &str, from: usize) -> Vec<Edit> {
        let mut hits = self.guardrail.input.hits(text, from);
        if self.fixed {
            hits.retain(|hit| hit.action == Action::Block);
        }
        hits.into_iter().map(|hit| Edit { start: hit.start, end: hit.end, what: What::Hit(hit) }).collect()
    }

    fn apply(&mut self, edit: &Edit, text: &str, out: &mut String) -> Result<(), Blocked> {
        let What::Hit(hit) = &edit.what else { return Ok(()) };
        let Some(label) = self.guardrail.labels.get(hit.label) else { return Ok(()) };
        if let Some(findings) = &mut self.findings {
            findings.add(&label.name, hit.action, false);
        }
        match hit.action {
            Action::Block => return Err(Blocked(hit.label)),
            _ if self.name => out.push_str(&label.upper),
            Action::Mask => mask(label, out),
            Action::Replace => match self.originals.placeholder(hit.label, &label.upper, text) {
                Some(placeholder) => out.push_str(&placeholder),
                None => mask(label, out),
            },
        }
        Ok(())
    }
}

fn mask(label: &Label, out: &mut String) {
    out.push('[');
    out.push_str(&label.upper);
    out.push(']');
}

/// The ruling for an answer.
#[derive(Debug)]
pub struct Output<'a> {
    pub guardrail: &'a Guardrail,
    pub originals: &'a Originals,
    pub findings: &'a mut Findings,
    /// Reasoning that may be sealed: only what is blocked counts.
    pub sealed: bool,
}

impl Ruling for Output<'_> {
    fn kinds(&self) -> Kinds {
        self.guardrail.output.kinds
    }

    fn window(&self) -> usize {
        self.guardrail.output.window
    }

    fn restores(&self) -> bool {
        !self.sealed && !self.originals.is_empty()
    }

    fn edits(&self, text: &str, from: usize) -> Vec<Edit> {
        let counts = |hit: &Hit| !self.sealed || hit.action == Action::Block;
        let hits = self.guardrail.output.hits(text, from).into_iter().filter(counts);
        let mut edits: Vec<Edit> =
            hits.map(|hit| Edit { start: hit.start, end: hit.end, what: What::Hit(hit) }).collect();
        if !self.restores() {
            return edits;
        }
        let known = Placeholders::new(text, from)
            .filter(|(start, end)| self.originals.value(&text[*start..*end]).is_some());
        let found = edits.len();
        edits.extend(known.map(|(start, end)| Edit { start, end, what: What::Placeholder }));
        if found > 0 {
            edits.sort_by_key(|edit| (edit.start, std::cmp::Reverse(edit.end)));
            edits.dedup_by(|next, edit| {
                let overlaps = next.start < edit.end;
                if overlaps {
                    edit.end = edit.end.max(next.end);
                    // What a rule is about goes before what is put back.
                    if edit.what == What::Placeholder {
                        edit.what = next.what.clone();
                    }
                }
                overlaps
            });
        }
        edits
    }

    fn apply(&mut self, edit: &Edit, text: &str, out: &mut String) -> Result<(), Blocked> {
        let hit = match &edit.what {
            What::Hit(hit) => hit,
            What::Placeholder => {
                out.push_str(self.originals.value(text).unwrap_or(text));
                return Ok(());
            }
        };
        let Some(label) = self.guardrail.labels.get(hit.label) else { return Ok(()) };
        self.findings.add(&label.name, hit.action, true);
        if hit.action == Action::Block {
            return Err(Blocked(hit.label));
        }
        mask(label, out);
        Ok(())
    }
}
