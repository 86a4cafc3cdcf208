//! One choice of a stream: its parts as they open, grow and close.

mod thoughts;

use serde_json::Value;
use tollgate_filters::chat::{
    At, Content, Delta, Event, Extra, Finish, Loss, Media, MediaKind, MediaSource, Opening, Part, Pointer,
    ToolCall, Why,
};

use crate::dialect::openai_chat::content::annotation;
use crate::dialect::openai_chat::decode::wire::{self, Whole, Word};
use crate::dialect::openai_chat::response;

/// The most of one spoken answer that is waited for, in bytes of base64.
const MAX_AUDIO: usize = 32 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Choice {
    pub index: u32,
    pub at: Pointer,
    /// How many parts have opened.
    parts: u32,
    open: Option<Open>,
    calls: Vec<Call>,
    audio: Option<Audio>,
    citations: usize,
    pictures: usize,
    finish: Option<Finish>,
}

/// The part that grows; it is the last one.
#[derive(Debug)]
enum Open {
    Text,
    Refusal,
    Reasoning { index: Option<u64>, id: Option<String>, sealed: bool },
    Call,
}

#[derive(Debug)]
struct Call {
    index: Option<u64>,
    id: String,
    part: u32,
}

/// Speech comes in pieces, and a recording is a part that comes whole.
#[derive(Debug, Default)]
struct Audio {
    data: String,
    transcript: String,
    rest: Extra,
}

impl Choice {
    pub fn new(index: u32) -> Self {
        let at = Pointer::of("/choices").index(usize::try_from(index).unwrap_or_default());
        Self {
            index,
            at,
            parts: 0,
            open: None,
            calls: Vec::new(),
            audio: None,
            citations: 0,
            pictures: 0,
            finish: None,
        }
    }

    pub fn finished(&self) -> bool {
        self.finish.is_some()
    }

    /// The reason why it ended; the first one counts.
    pub fn ended(&mut self, finish: Finish) {
        self.finish.get_or_insert(finish);
    }

    pub fn finish(&mut self, events: &mut Vec<Event>) {
        self.close(events);
        if let Some(audio) = self.audio.take() {
            let media = Media {
                kind: MediaKind::Audio,
                source: MediaSource::Base64(audio.data),
                mime: None,
                name: None,
                detail: None,
            };
            let mut rest = audio.rest;
            if !audio.transcript.is_empty() {
                rest.insert("transcript".to_owned(), Value::String(audio.transcript));
            }
            let at = self.message("audio");
            self.whole(Opening::Media(Box::new(media)), at.clone(), events);
            if !rest.is_empty() {
                events.push(Event::Extra(At::new(rest, at)));
            }
        }
        if let Some(finish) = self.finish.take() {
            events.push(Event::Finish { choice: self.index, finish });
        }
    }

    pub fn logprobs(&self, value: Value, events: &mut Vec<Event>) {
        let logprobs = At::new(value, self.at.key("logprobs"));
        events.push(Event::LogProbs { choice: self.index, part: self.parts.saturating_sub(1), logprobs });
    }

    pub fn delta(&mut self, delta: wire::Delta, extras: &mut Vec<At<Extra>>, events: &mut Vec<Event>) {
        self.thoughts(delta.reasoning_content, delta.reasoning, delta.reasoning_details, extras, events);
        match delta.content {
            Word::Text(text) => self.delta_text(text, events),
            Word::Other(Value::Array(list)) => self.list(list, events),
            Word::Absent | Word::Other(_) => {}
        }
        if let Some(text) = delta.refusal.text() {
            if !matches!(self.open, Some(Open::Refusal)) {
                self.begin(Open::Refusal, Opening::Refusal, self.message("refusal"), events);
            }
            self.more(Delta::Text(text), events);
        }
        if let Word::Other(Value::Array(list)) = delta.annotations {
            self.annotations(list, events);
        }
        if let Word::Other(Value::Array(list)) = delta.images {
            self.images(list, events);
        }
        for (place, Whole(call)) in delta.tool_calls.into_iter().enumerate() {
            self.call(call, place, extras, events);
        }
        if let Some(Whole(inner)) = delta.function_call {
            let at = self.message("function_call");
            self.pieces(Some(0), String::new(), inner, false, at, events);
        }
        if let Word::Other(Value::Object(audio)) = delta.audio {
            self.audio(audio);
        }
        if !delta.extra.is_empty() {
            extras.push(At::new(delta.extra, self.at.key("delta")));
        }
    }

    /// A piece of the content.
    pub fn delta_text(&mut self, text: String, events: &mut Vec<Event>) {
        self.text(text, "content", events);
    }

    /// A place in the message, as an answer that is no stream would have it.
    fn message(&self, key: &str) -> Pointer {
        self.at.key("message").key(key)
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        if self.open.take().is_some() {
            events.push(Event::Close { choice: self.index, part: self.parts - 1 });
        }
    }

    fn begin(&mut self, open: Open, opening: Opening, at: Pointer, events: &mut Vec<Event>) {
        self.close(events);
        events.push(Event::Open { choice: self.index, part: self.parts, opening, at });
        self.parts += 1;
        self.open = Some(open);
    }

    /// A part that does not grow.
    fn whole(&mut self, opening: Opening, at: Pointer, events: &mut Vec<Event>) {
        self.begin(Open::Text, opening, at, events);
        self.close(events);
    }

    /// Lets the open part grow.
    fn more(&self, delta: Delta, events: &mut Vec<Event>) {
        events.push(Event::Delta { choice: self.index, part: self.parts.saturating_sub(1), delta });
    }

    fn text(&mut self, text: String, key: &str, events: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        if !matches!(self.open, Some(Open::Text)) {
            self.begin(Open::Text, Opening::Text, self.message(key), events);
        }
        self.more(Delta::Text(text), events);
    }

    fn annotations(&mut self, list: Vec<Value>, events: &mut Vec<Event>) {
        for raw in list {
            if !matches!(self.open, Some(Open::Text)) {
                self.begin(Open::Text, Opening::Text, self.message("content"), events);
            }
            let at = self.message("annotations").index(self.citations);
            self.citations += 1;
            self.more(Delta::Annotation(Box::new(annotation(raw, at))), events);
        }
    }

    fn images(&mut self, list: Vec<Value>, events: &mut Vec<Event>) {
        for Part { content, .. } in response::images(list, &Pointer::ROOT) {
            let at = self.message("images").index(self.pictures);
            self.pictures += 1;
            let opening = match content {
                Content::Media(media) => Opening::Media(Box::new(media)),
                Content::Opaque(value) => Opening::Opaque(value),
                _ => continue,
            };
            self.whole(opening, at, events);
        }
    }

    fn call(&mut self, call: wire::Call, place: usize, extras: &mut Vec<At<Extra>>, events: &mut Vec<Event>) {
        let index = match &call.index {
            Word::Other(number) => number.as_u64(),
            _ => None,
        };
        let id = call.id.text().unwrap_or_default();
        let number =
            index.and_then(|index| usize::try_from(index).ok()).unwrap_or(self.calls.len().max(place));
        let at = self.message("tool_calls").index(number);
        if !call.extra.is_empty() {
            extras.push(At::new(call.extra, at.clone()));
        }
        let (inner, custom) = match call.custom {
            Some(Whole(inner)) => (inner, true),
            None => (call.function.0, false),
        };
        self.pieces(index, id, inner, custom, at, events);
    }

    /// A piece of a call. A new call begins with a new index; or, from vendors that number none, or all alike, with
    /// a new id.
    fn pieces(
        &mut self,
        index: Option<u64>,
        id: String,
        inner: wire::Inner,
        custom: bool,
        at: Pointer,
        events: &mut Vec<Event>,
    ) {
        let late = at.clone();
        let known = self.calls.iter().rev().find(|call| index.is_none() || call.index == index);
        let known = known.filter(|call| id.is_empty() || id == call.id).map(|call| call.part);
        let part = known.unwrap_or(self.parts);
        if known.is_none() {
            let name = inner.name.text().unwrap_or_default();
            let call = ToolCall { id: id.clone(), name, custom, ..ToolCall::default() };
            self.calls.push(Call { index, id, part });
            self.begin(Open::Call, Opening::ToolCall(call), at, events);
        }
        let text = match inner.arguments {
            Word::Text(text) if !text.is_empty() => text,
            Word::Other(value) => value.to_string(),
            Word::Text(_) | Word::Absent => return,
        };
        // What comes when the next part has begun comes too late.
        if part + 1 != self.parts || !matches!(self.open, Some(Open::Call)) {
            let at = late.key("function").key("arguments");
            return events.push(Event::Lost(Loss { at, why: Why::Approximated }));
        }
        events.push(Event::Delta { choice: self.index, part, delta: Delta::Arguments(text) });
    }

    fn audio(&mut self, object: Extra) {
        let audio = self.audio.get_or_insert_default();
        for (key, value) in object {
            match (key.as_str(), value) {
                ("data", Value::String(more)) if audio.data.len() + more.len() <= MAX_AUDIO => {
                    audio.data.push_str(&more);
                }
                ("transcript", Value::String(more)) if audio.transcript.len() <= MAX_AUDIO => {
                    audio.transcript.push_str(&more);
                }
                (_, Value::Null) => {}
                (_, value) => drop(audio.rest.insert(key, value)),
            }
        }
    }
}
