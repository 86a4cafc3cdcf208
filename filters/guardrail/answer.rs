//! Whole answers, and those pieces of a stream that come whole.

use serde_json::Value;

use super::Refusal;
use super::edit::{Ruling as _, edit_as};
use super::guard::Guard;
use super::json_body::{Strings, decoded, splice};
use super::walk::{Form, form, is_blob, is_kept, is_sealed};
use super::window::Window;
use crate::chat::{Content, Failure, Losses, Media, MediaSource, Part, Response, ServerUse};

type Walked = Result<(), Box<Refusal>>;

impl Guard {
    /// Edits a whole answer.
    pub fn response(&mut self, response: &mut Response, losses: &mut Losses) -> Walked {
        let checks = self.guardrail.checks_output();
        for choice in &mut response.choices {
            choice.parts.iter_mut().try_for_each(|part| self.part(part))?;
            for (key, value) in &mut choice.extra {
                self.value(value, key)?;
            }
            if let Some(stop) = choice.finish.as_mut().and_then(|finish| finish.stop_sequence.as_mut()) {
                self.text(stop)?;
            }
            // They spell out the text as it was.
            if let Some(logprobs) = choice.logprobs.take_if(|_| checks) {
                losses.unsupported(&logprobs.at);
            }
        }
        response.extra.iter_mut().try_for_each(|(key, value)| self.value(value, key))
    }

    /// Edits what a provider says of a failure: it may repeat what it was asked.
    pub fn failure(&mut self, failure: &mut Failure) -> Walked {
        self.text(&mut failure.message)
    }

    /// Edits an answer that is no conversation. `None` where nothing changes.
    pub fn json(&mut self, body: &[u8]) -> Result<Option<Vec<u8>>, Box<Refusal>> {
        let mut splices = Vec::new();
        for string in Strings::new(body).filter(|string| !string.is_key && !is_kept(&string.key)) {
            let text = decoded(&body[string.span.clone()]);
            if let Some(edited) = self.changed(&text, form(&string.key), &string.key)? {
                splices.push((string.span, edited));
            }
        }
        Ok((!splices.is_empty()).then(|| splice(body, &splices)))
    }

    fn part(&mut self, part: &mut Part) -> Walked {
        match &mut part.content {
            Content::Text(text) => {
                let mut window = Window::default();
                let mut out = String::new();
                let read = window.push(&text.text, true, &mut self.ruling(false), &mut out);
                self.passed(read)?;
                text.text = out;
                for annotation in &mut text.annotations {
                    self.annotation(annotation, |at| window.moved(at))?;
                }
            }
            Content::Refusal(text) => self.text(text)?,
            Content::Media(media) => self.media(media)?,
            Content::Reasoning(reasoning) => {
                let sealed = self.sealed || reasoning.seal.is_some();
                for thought in &mut reasoning.thoughts {
                    let mut ruling = self.ruling(sealed);
                    let edited = edit_as(Form::Text, &thought.text, "", &mut ruling);
                    if let Some(edited) = self.passed(edited)? {
                        thought.text = edited;
                    }
                }
                if sealed {
                    return Ok(());
                }
            }
            Content::ToolCall(call) => {
                let form = if call.custom { Form::Text } else { Form::Json };
                if let Some(edited) = self.changed(&call.arguments, form, "")? {
                    call.arguments = edited;
                }
            }
            Content::ToolResult(result) => result.parts.iter_mut().try_for_each(|part| self.part(part))?,
            Content::Server(used) => self.server(used)?,
            Content::Opaque(value) => self.value(value, "")?,
        }
        part.extra.iter_mut().try_for_each(|(key, value)| self.value(value, key))
    }

    pub(super) fn server(&mut self, used: &mut ServerUse) -> Walked {
        if let Some(edited) = self.changed(&used.input, Form::Json, "")? {
            used.input = edited;
        }
        if let Some(output) = &mut used.output {
            self.text(output)?;
        }
        self.value(&mut used.raw, "")
    }

    pub(super) fn media(&mut self, media: &mut Media) -> Walked {
        match &mut media.source {
            MediaSource::Text(text) => self.text(text),
            _ => Ok(()),
        }
    }

    pub(super) fn text(&mut self, text: &mut String) -> Walked {
        if let Some(edited) = self.changed(text, Form::Text, "")? {
            *text = edited;
        }
        Ok(())
    }

    pub(super) fn value(&mut self, value: &mut Value, key: &str) -> Walked {
        match value {
            Value::String(text) if !is_kept(key) => {
                if let Some(edited) = self.changed(text, form(key), key)? {
                    *text = edited;
                }
                Ok(())
            }
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.value(item, key)),
            Value::Object(members) if !is_sealed(members) => {
                members.iter_mut().try_for_each(|(key, value)| self.value(value, key))
            }
            _ => Ok(()),
        }
    }

    fn changed(&mut self, text: &str, form: Form, context: &str) -> Result<Option<String>, Box<Refusal>> {
        let mut ruling = self.ruling(false);
        // Looking for placeholders alone is a search for one byte.
        if text.is_empty()
            || is_blob(text)
            || ruling.kinds().is_empty() && ruling.window() == 0 && !text.contains('<') && form != Form::Json
        {
            return Ok(None);
        }
        let edited = edit_as(form, text, context, &mut ruling);
        self.passed(edited)
    }
}

/// Moves the indices into the text that a citation as its dialect wrote it holds.
pub fn move_indices(raw: &mut Value, moved: &impl Fn(u64) -> u64) {
    let Value::Object(members) = raw else { return };
    for (key, value) in members {
        match value {
            Value::Number(at) if matches!(key.as_str(), "start_index" | "end_index") => {
                if let Some(at) = at.as_u64() {
                    *value = moved(at).into();
                }
            }
            Value::Object(_) => move_indices(value, moved),
            _ => {}
        }
    }
}
