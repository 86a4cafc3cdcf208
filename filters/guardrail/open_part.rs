//! A part of an answer that comes in pieces: what of it can go on, and what waits.

use super::Refusal;
use super::guard::Guard;
use super::json_text::{JsonText, is_document};
use super::window::Window;
use crate::chat::{Annotation, Delta};

/// A part that is open.
#[derive(Debug)]
pub(super) enum Open {
    Text(Window),
    Thought {
        window: Window,
        summary: bool,
        /// A new thought has begun of which nothing has gone out.
        new: bool,
    },
    Arguments(Arguments),
}

/// The arguments of a call.
#[derive(Debug)]
pub(super) enum Arguments {
    /// Nothing but white space has come.
    Undecided(String),
    Json(JsonText),
    Text(Window),
}

impl Open {
    pub(super) fn waiting(&self) -> usize {
        match self {
            Self::Text(window) | Self::Thought { window, .. } | Self::Arguments(Arguments::Text(window)) => {
                window.waiting()
            }
            Self::Arguments(Arguments::Json(json)) => json.waiting(),
            Self::Arguments(Arguments::Undecided(text)) => text.len(),
        }
    }
}

impl Guard {
    /// A piece of an open part.
    pub(super) fn piece(
        &mut self,
        open: &mut Open,
        delta: Delta,
        out: &mut Vec<Delta>,
    ) -> Result<(), Box<Refusal>> {
        match (open, delta) {
            (Open::Text(window), Delta::Text(text)) => {
                let text = self.through(window, &text, false, false)?;
                out.extend(Some(text).filter(|text| !text.is_empty()).map(Delta::Text));
            }
            (Open::Text(window), Delta::Annotation(mut annotation)) => {
                self.annotation(&mut annotation, |at| window.moved(at))?;
                out.push(Delta::Annotation(annotation));
            }
            (open @ Open::Thought { .. }, Delta::Thought { summary, new, text }) => {
                let Open::Thought { summary: last, .. } = open else { return Ok(()) };
                if new || *last != summary {
                    self.end_thought(open, out)?;
                }
                let Open::Thought { window, summary: last, new: begun } = open else { return Ok(()) };
                *last = summary;
                *begun |= new;
                let text = self.through(window, &text, false, self.sealed)?;
                if !text.is_empty() {
                    out.push(Delta::Thought { summary, new: std::mem::take(begun), text });
                }
            }
            (open @ Open::Thought { .. }, seal @ Delta::Seal(_)) => {
                self.end_thought(open, out)?;
                out.push(seal);
            }
            (Open::Arguments(arguments), Delta::Arguments(text)) => {
                let text = self.arguments(arguments, &text, false)?;
                out.extend(Some(text).filter(|text| !text.is_empty()).map(Delta::Arguments));
            }
            (_, delta) => out.push(delta),
        }
        Ok(())
    }

    /// What waits of a thought goes out.
    pub(super) fn end_thought(&mut self, open: &mut Open, out: &mut Vec<Delta>) -> Result<(), Box<Refusal>> {
        let Open::Thought { window, summary, new } = open else { return Ok(()) };
        let text = self.through(window, "", true, self.sealed)?;
        let new = std::mem::take(new);
        if !text.is_empty() || new {
            out.push(Delta::Thought { summary: *summary, new, text });
        }
        *window = Window::default();
        Ok(())
    }

    pub(super) fn arguments(
        &mut self,
        arguments: &mut Arguments,
        text: &str,
        last: bool,
    ) -> Result<String, Box<Refusal>> {
        if let Arguments::Undecided(begun) = arguments {
            // White space alone says nothing; a long stretch of it is no JSON that anybody writes.
            begun.push_str(text);
            if begun.trim().is_empty() && begun.len() < 64 && !last {
                return Ok(String::new());
            }
            let begun = std::mem::take(begun);
            *arguments = if is_document(&begun) {
                Arguments::Json(JsonText::default())
            } else {
                Arguments::Text(Window::default())
            };
            return self.arguments(arguments, &begun, last);
        }
        match arguments {
            Arguments::Text(window) => self.through(window, text, last, false),
            Arguments::Json(json) => {
                let mut out = String::new();
                let read = json.push(text, last, &mut self.ruling(false), &mut out);
                self.passed(read)?;
                Ok(out)
            }
            Arguments::Undecided(_) => Ok(String::new()),
        }
    }

    pub(super) fn through(
        &mut self,
        window: &mut Window,
        text: &str,
        last: bool,
        sealed: bool,
    ) -> Result<String, Box<Refusal>> {
        if sealed && !self.guardrail.checks_output() {
            return Ok(text.to_owned());
        }
        let mut out = String::new();
        let read = window.push(text, last, &mut self.ruling(sealed), &mut out);
        self.passed(read)?;
        Ok(out)
    }

    /// A citation, with the characters that it is about.
    pub(super) fn annotation(
        &mut self,
        annotation: &mut Annotation,
        moved: impl Fn(u64) -> u64,
    ) -> Result<(), Box<Refusal>> {
        for at in [&mut annotation.start, &mut annotation.end].into_iter().flatten() {
            *at = moved(*at);
        }
        for text in [&mut annotation.title, &mut annotation.cited, &mut annotation.url].into_iter().flatten()
        {
            self.text(text)?;
        }
        super::answer::move_indices(&mut annotation.raw, &moved);
        self.value(&mut annotation.raw, "")
    }
}
