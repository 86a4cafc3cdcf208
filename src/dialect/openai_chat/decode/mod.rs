//! Chat Completions streams: from documents to events.

mod choice;
mod plain;
mod wire;

use std::collections::HashSet;

use serde_json::Value;
use tollgate_filters::chat::{At, Event, Extra, Failure, Pointer, Start};

use choice::Choice;
use plain::Plain;
use wire::{Chunk, Whole, Word};

use super::{error, response, usage};

/// The state between two documents of a stream.
#[derive(Debug, Default)]
pub struct Decoder {
    started: bool,
    /// `End` or `Error` was told.
    over: bool,
    tier: Option<String>,
    choices: Vec<Choice>,
    /// Pointers of the extra members that were told.
    told: HashSet<String>,
}

impl Decoder {
    /// Reads one document (the data of an SSE event) and tells what it says.
    pub fn document(&mut self, data: &[u8], events: &mut Vec<Event>) {
        if self.over {
            return;
        }
        if data == b"[DONE]" {
            self.flush(events);
            events.push(Event::End);
            self.over = true;
            return;
        }
        // Only the first document says more than its text.
        if self.started
            && let Ok(plain) = serde_json::from_slice::<Plain<'_>>(data)
            && self.repeats(&plain)
        {
            let [plain::Choice { index, delta, .. }] = plain.choices;
            return self.state(index).delta_text(delta.content, events);
        }
        match serde_json::from_slice::<Whole<Chunk>>(data) {
            Ok(Whole(chunk)) => self.chunk(chunk, events),
            Err(why) => {
                let message = format!("An event of the provider's stream cannot be read: {why}");
                self.fail(Failure { status: 502, message, ..Failure::default() }, events);
            }
        }
    }

    /// The bytes are over. Tells what the stream's end implies; `Event::End` only if the stream had ended as it should.
    pub fn finish(&mut self, events: &mut Vec<Event>) {
        if !self.over && !self.choices.is_empty() && self.choices.iter().all(Choice::finished) {
            self.flush(events);
            events.push(Event::End);
            self.over = true;
        }
    }

    fn fail(&mut self, failure: Failure, events: &mut Vec<Event>) {
        self.over = true;
        events.push(Event::Error(failure));
    }

    /// Closes what is open, and says why each choice ended: only now, as vendors send text after the reason.
    fn flush(&mut self, events: &mut Vec<Event>) {
        self.start(Start::default(), events);
        for choice in &mut self.choices {
            choice.finish(events);
        }
    }

    fn start(&mut self, start: Start, events: &mut Vec<Event>) {
        if !self.started {
            self.started = true;
            events.push(Event::Start(start));
        }
    }

    fn chunk(&mut self, chunk: Chunk, events: &mut Vec<Event>) {
        if !self.started && (chunk.error.is_null() || !chunk.choices.is_empty()) {
            let created = match chunk.created {
                Word::Other(number) => number.as_u64(),
                _ => None,
            };
            self.start(Start { id: chunk.id.text(), model: chunk.model.text(), created }, events);
        }
        if let Word::Text(tier) = chunk.service_tier
            && self.tier.as_ref() != Some(&tier)
        {
            events.push(Event::ServiceTier(At::new(tier.clone(), Pointer::of("/service_tier"))));
            self.tier = Some(tier);
        }
        let mut failed = chunk.error;
        for (place, Whole(choice)) in chunk.choices.into_iter().enumerate() {
            if failed.is_null() && !choice.error.is_null() {
                failed = choice.error.clone();
            }
            self.choice(choice, place, events);
        }
        let mut extra = chunk.extra;
        if let Some(mut report) = usage::parse(&chunk.usage, &Pointer::of("/usage")) {
            if self.tier.is_none()
                && let Some(tier) = usage::tier(&mut report)
            {
                self.tier = Some(tier.value.clone());
                events.push(Event::ServiceTier(tier));
            }
            events.push(Event::Usage(report));
        } else if let Some(groq) = extra.get_mut("x_groq").and_then(Value::as_object_mut)
            && let Some(value) = groq.remove("usage")
            && let Some(report) = usage::parse(&value, &Pointer::of("/x_groq/usage"))
        {
            events.push(Event::Usage(report));
        }
        self.extra(&Pointer::ROOT, extra, events);
        if !failed.is_null() {
            self.fail(error::of(0, &failed), events);
        }
    }

    /// Whether all that a document says beside its text has been told.
    fn repeats(&self, plain: &Plain<'_>) -> bool {
        let told = |key: &str| self.told.contains(key);
        plain.service_tier.is_none_or(|tier| self.tier.as_deref() == Some(tier))
            && (plain.system_fingerprint.is_none() || told("/system_fingerprint"))
            && (plain.provider.is_none() || told("/provider"))
    }

    fn state(&mut self, index: u32) -> &mut Choice {
        let known = self.choices.iter().position(|choice| choice.index == index);
        let at = known.unwrap_or_else(|| {
            self.choices.push(Choice::new(index));
            self.choices.len() - 1
        });
        &mut self.choices[at]
    }

    fn choice(&mut self, chunk: wire::Choice, place: usize, events: &mut Vec<Event>) {
        let index = match &chunk.index {
            Word::Other(number) => number.as_u64().and_then(|index| u32::try_from(index).ok()),
            _ => None,
        };
        let index = index.or_else(|| u32::try_from(place).ok()).unwrap_or_default();
        let choice = self.state(index);
        let mut extras = Vec::new();
        choice.delta(chunk.delta.0, &mut extras, events);
        let mut extra = chunk.extra;
        match chunk.logprobs {
            Value::Null => {}
            logprobs @ Value::Object(_) => choice.logprobs(logprobs, events),
            odd => drop(extra.insert("logprobs".to_owned(), odd)),
        }
        if let Some(word) = chunk.finish_reason.text() {
            choice.ended(response::finish(word, choice.at.key("finish_reason")));
        }
        let here = choice.at.clone();
        extras.push(At::new(extra, here));
        for At { value, at } in extras {
            self.extra(&at, value, events);
        }
    }

    /// Tells of extra members, of each once.
    fn extra(&mut self, at: &Pointer, mut extra: Extra, events: &mut Vec<Event>) {
        if extra.is_empty() {
            return;
        }
        extra.retain(|key, _| self.told.insert(at.key(key).as_str().to_owned()));
        if !extra.is_empty() {
            events.push(Event::Extra(At::new(extra, at.clone())));
        }
    }
}

#[cfg(test)]
mod tests;
