//! Gemini streams: from documents to events.

mod candidate;
mod document;
#[cfg(test)]
mod tests;

use serde_json::Value;
use tollgate_filters::chat::{At, Event, Extra, Pointer, Start};

use self::candidate::Candidate;
use self::document::Plain;
use super::response::{saying, seconds};
use super::{error, finish, tokens};
use crate::dialect::fields::Fields;

/// The state between two documents of a stream.
///
/// Every document is a whole answer of its own, a piece of each candidate. Older models say `finishReason` in each of
/// them, and there is no last document, so what ends the answer is told when the bytes are over.
#[derive(Debug, Default)]
pub struct Decoder {
    started: bool,
    failed: bool,
    candidates: Vec<Candidate>,
    /// The last usage block, as it came, and the last that was told.
    usage: Vec<u8>,
    told: Option<Vec<u8>>,
    extra: Extra,
}

impl Decoder {
    /// Reads one document (the data of an SSE event) and tells what it says.
    pub fn document(&mut self, data: &[u8], events: &mut Vec<Event>) {
        if self.failed {
            return;
        }
        if let Some(plain) = Plain::read(data) {
            self.plain(plain, events);
        } else if let Ok(value) = serde_json::from_slice::<Value>(data) {
            self.whole(value, events);
        }
    }

    /// The bytes are over. Tells what the stream's end implies; `Event::End` only if the stream had ended as it should.
    pub fn finish(&mut self, events: &mut Vec<Event>) {
        let reason = self.extra.get("promptFeedback").and_then(|feedback| feedback.get("blockReason"));
        let blocked = reason.filter(|_| self.candidates.is_empty());
        let blocked = blocked.map(|reason| finish::blocked(reason.as_str().unwrap_or_default()));
        if self.failed || (blocked.is_none() && !self.candidates.iter().any(Candidate::finished)) {
            return;
        }
        for candidate in &mut self.candidates {
            candidate.finish(events);
        }
        events.extend(blocked.map(|finish| Event::Finish { choice: 0, finish }));
        let extra = saying(std::mem::take(&mut self.extra));
        if !extra.is_empty() {
            events.push(Event::Extra(At::new(extra, Pointer::ROOT)));
        }
        self.tell_usage(events);
        self.failed = true;
        events.push(Event::End);
    }

    /// A document that holds a piece of text or of a thought and nothing else.
    fn plain(&mut self, document: Plain<'_>, events: &mut Vec<Event>) {
        let Plain { candidate, usage, model, id, time } = document;
        self.start(events, || Start {
            id: id.map(Into::into),
            model: model.map(Into::into),
            created: time.and_then(seconds),
        });
        if let Some(usage) = usage {
            self.usage.clear();
            self.usage.extend_from_slice(usage);
            if self.told.is_none() {
                self.tell_usage(events);
            }
        }
        let [part] = candidate.content.parts;
        let state = self.candidate(candidate.index.unwrap_or_default());
        if part.thought == Some(true) {
            state.thought(part.text.into_owned(), events);
        } else {
            state.text(part.text.into_owned(), events);
        }
        if let Some(word) = candidate.finish {
            state.ended(&word);
        }
    }

    fn whole(&mut self, value: Value, events: &mut Vec<Event>) {
        if value.get("error").is_some_and(|error| !error.is_null()) {
            self.failed = true;
            events.push(Event::Error(error::read(0, &value)));
            return;
        }
        let Ok(mut fields) = Fields::new(value, Pointer::ROOT) else { return };
        let created = fields.word("createTime").and_then(seconds);
        if created.is_some() {
            fields.take("createTime");
        }
        let id = fields.string("responseId").unwrap_or_default();
        let model = fields.string("modelVersion").unwrap_or_default();
        self.start(events, || Start { id, model, created });
        if let Some(usage) = fields.take("usageMetadata") {
            self.usage = usage.to_string().into_bytes();
            if self.told.is_none() {
                self.tell_usage(events);
            }
        }
        let candidates = fields.list("candidates").unwrap_or_default().unwrap_or_default();
        for (i, candidate) in candidates.into_iter().enumerate() {
            let Some(members) = candidate.as_object() else { continue };
            let index = members.get("index").and_then(Value::as_u64);
            let index = index.unwrap_or(i as u64).try_into().unwrap_or_default();
            let at = Pointer::of("/candidates").index(index as usize);
            if let Ok(fields) = Fields::new(candidate, at) {
                self.candidate(index).document(fields, events);
            }
        }
        self.extra.extend(fields.rest());
    }

    fn start(&mut self, events: &mut Vec<Event>, start: impl FnOnce() -> Start) {
        if !self.started {
            self.started = true;
            events.push(Event::Start(start()));
        }
    }

    fn candidate(&mut self, index: u32) -> &mut Candidate {
        let known = self.candidates.iter().position(|candidate| candidate.index == index);
        let at = known.unwrap_or_else(|| {
            self.candidates.push(Candidate::new(index));
            self.candidates.len() - 1
        });
        &mut self.candidates[at]
    }

    /// Tells the usage as it stands: once as soon as it is known, and once at the end.
    fn tell_usage(&mut self, events: &mut Vec<Event>) {
        if self.usage.is_empty() || self.told.as_ref() == Some(&self.usage) {
            return;
        }
        let first = self.told.is_none();
        self.told = Some(self.usage.clone());
        let Ok(block) = serde_json::from_slice(&self.usage) else { return };
        if let Some((usage, tier)) = tokens::read(block, Pointer::of("/usageMetadata")) {
            events.extend(tier.filter(|_| first).map(Event::ServiceTier));
            events.push(Event::Usage(usage));
        }
    }
}
