//! An answer on its way to the client, event by event: placeholders are put back, and what an operator does not let out is
//! masked or ends it.

use std::sync::Arc;

use super::edit::Blocked;
use super::kind::Findings;
use super::open_part::{Arguments, Open};
use super::originals::Originals;
use super::ruling::Output;
use super::window::Window;
use super::{Checked, Guardrail, Refusal};
use crate::chat::{Delta, Event, Loss, Opening, Quirks, ReasoningField, Why};
use crate::exchange::Dialect;

/// Whether reasoning that a provider answers in `wire` may carry a seal, which comes behind the text that it signs.
pub fn may_be_sealed(wire: Dialect, quirks: &Quirks) -> bool {
    wire != Dialect::OpenaiChat || quirks.reasoning == ReasoningField::Details
}

/// The guard of one answer.
#[derive(Debug)]
pub struct Guard {
    pub(super) guardrail: Arc<Guardrail>,
    pub(super) originals: Originals,
    pub(super) findings: Findings,
    /// Reasoning may be sealed. It is not changed, only checked for what is to be blocked.
    pub(super) sealed: bool,
    /// Parts that are open: choice, part, and what waits.
    open: Vec<(u32, u32, Open)>,
}

impl Guardrail {
    /// The guard of the answer to a request of which `checked` came. `None` if there is nothing for it to do: the answer
    /// need not be read.
    pub fn guard(self: &Arc<Self>, checked: Checked, sealed: bool) -> Option<Guard> {
        let Checked { findings, originals, .. } = checked;
        if originals.is_empty() && !self.checks_output() {
            return None;
        }
        Some(Guard { guardrail: self.clone(), originals, findings, sealed, open: Vec::new() })
    }
}

impl Guard {
    /// What has been found so far, in the request and in the answer.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// How many bytes wait.
    pub fn waiting(&self) -> usize {
        self.open.iter().map(|(_, _, open)| open.waiting()).sum()
    }

    /// Takes an event and writes what can go on. An error says that the answer has to end.
    pub fn push(&mut self, event: Event, out: &mut Vec<Event>) -> Result<(), Box<Refusal>> {
        match event {
            Event::Open { choice, part, opening, at } => {
                let (opening, open) = self.opening(opening)?;
                if let Some(open) = open {
                    self.open.push((choice, part, open));
                }
                out.push(Event::Open { choice, part, opening, at });
                Ok(())
            }
            Event::Delta { choice, part, delta } => self.delta(choice, part, delta, out),
            Event::Close { choice, part } => {
                self.close(choice, part, out)?;
                out.push(Event::Close { choice, part });
                Ok(())
            }
            Event::LogProbs { logprobs, .. } if self.guardrail.checks_output() => {
                // They spell out the text as it was.
                out.push(Event::Lost(Loss { at: logprobs.at, why: Why::Unsupported }));
                Ok(())
            }
            Event::Extra(mut extra) => {
                for (key, value) in &mut extra.value {
                    self.value(value, key)?;
                }
                out.push(Event::Extra(extra));
                Ok(())
            }
            Event::Finish { choice, mut finish } => {
                if let Some(stop) = &mut finish.stop_sequence {
                    self.text(stop)?;
                }
                out.push(Event::Finish { choice, finish });
                Ok(())
            }
            Event::Error(mut failure) => {
                self.rest(out)?;
                self.text(&mut failure.message)?;
                out.push(Event::Error(failure));
                Ok(())
            }
            Event::End => {
                self.rest(out)?;
                out.push(Event::End);
                Ok(())
            }
            event => {
                out.push(event);
                Ok(())
            }
        }
    }

    fn opening(&mut self, mut opening: Opening) -> Result<(Opening, Option<Open>), Box<Refusal>> {
        let open = match &mut opening {
            Opening::Text | Opening::Refusal => Some(Open::Text(Window::default())),
            Opening::Reasoning { .. } => {
                Some(Open::Thought { window: Window::default(), summary: false, new: false })
            }
            Opening::ToolCall(call) if call.custom => {
                Some(Open::Arguments(Arguments::Text(Window::default())))
            }
            Opening::ToolCall(_) => Some(Open::Arguments(Arguments::Undecided(String::new()))),
            Opening::Server(used) => {
                self.server(used)?;
                None
            }
            Opening::Media(media) => {
                self.media(media)?;
                None
            }
            Opening::Opaque(value) => {
                self.value(value, "")?;
                None
            }
        };
        Ok((opening, open))
    }

    fn delta(
        &mut self,
        choice: u32,
        part: u32,
        delta: Delta,
        out: &mut Vec<Event>,
    ) -> Result<(), Box<Refusal>> {
        let place = self.open.iter().position(|(c, p, _)| (*c, *p) == (choice, part));
        let Some(mut open) = place.map(|place| self.open.swap_remove(place).2) else {
            out.push(Event::Delta { choice, part, delta });
            return Ok(());
        };
        let mut deltas = Vec::new();
        let read = self.piece(&mut open, delta, &mut deltas);
        self.open.push((choice, part, open));
        out.extend(deltas.into_iter().map(|delta| Event::Delta { choice, part, delta }));
        read
    }

    fn close(&mut self, choice: u32, part: u32, out: &mut Vec<Event>) -> Result<(), Box<Refusal>> {
        let Some(place) = self.open.iter().position(|(c, p, _)| (*c, *p) == (choice, part)) else {
            return Ok(());
        };
        let (_, _, mut open) = self.open.swap_remove(place);
        let mut deltas = Vec::new();
        match &mut open {
            Open::Text(window) => deltas.push(Delta::Text(self.through(window, "", true, false)?)),
            Open::Thought { .. } => self.end_thought(&mut open, &mut deltas)?,
            Open::Arguments(arguments) => deltas.push(Delta::Arguments(self.arguments(arguments, "", true)?)),
        }
        deltas
            .retain(|delta| !matches!(delta, Delta::Text(text) | Delta::Arguments(text) if text.is_empty()));
        out.extend(deltas.into_iter().map(|delta| Event::Delta { choice, part, delta }));
        Ok(())
    }

    /// What a provider did not close.
    fn rest(&mut self, out: &mut Vec<Event>) -> Result<(), Box<Refusal>> {
        while let Some((choice, part, _)) = self.open.first() {
            let (choice, part) = (*choice, *part);
            self.close(choice, part, out)?;
        }
        Ok(())
    }

    pub(super) fn ruling(&mut self, sealed: bool) -> Output<'_> {
        Output {
            guardrail: &self.guardrail,
            originals: &self.originals,
            findings: &mut self.findings,
            sealed,
        }
    }

    pub(super) fn passed<T>(&mut self, read: Result<T, Blocked>) -> Result<T, Box<Refusal>> {
        read.map_err(|blocked| self.guardrail.refusal(blocked.0, None, std::mem::take(&mut self.findings)))
    }
}
