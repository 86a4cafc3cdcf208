//! One candidate of a stream, as its pieces come.

use serde_json::Value;
use tollgate_filters::chat::{
    Annotation, At, Content, Delta, Event, Extra, Loss, Opening, Part, Pointer, Reasoning, Seal, ToolCall,
    Why,
};

use crate::dialect::fields::Fields;
use crate::dialect::gemini::grounding::{self, Said, Stretch};
use crate::dialect::gemini::part::read::Reader;
use crate::dialect::gemini::response::saying;
use crate::dialect::gemini::{finish, logprobs};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    Text,
    Thought,
}

#[derive(Debug)]
pub struct Candidate {
    pub index: u32,
    /// How many parts have been opened, and how many they are in Gemini's own count.
    parts: u32,
    own: usize,
    open: Open,
    /// The text of the part that is open: offsets of citations are in its bytes.
    text: String,
    /// How many bytes of text there were before it.
    before: usize,
    /// A signature waits for the part that it signs. One on an empty text at the very end signs what was before, and a
    /// citation may still come for that.
    pending: Option<(Seal, Pointer)>,
    calls: bool,
    finish: Option<String>,
    extra: Extra,
    lost_token_ids: bool,
}

impl Candidate {
    pub fn new(index: u32) -> Self {
        Self {
            index,
            parts: 0,
            own: 0,
            open: Open::Nothing,
            text: String::new(),
            before: 0,
            pending: None,
            calls: false,
            finish: None,
            extra: Extra::new(),
            lost_token_ids: false,
        }
    }

    /// Why it ended, as far as is known.
    pub fn ended(&mut self, word: &str) {
        if self.finish.as_deref() != Some(word) {
            self.finish = Some(word.to_owned());
        }
    }

    pub fn finished(&self) -> bool {
        self.finish.is_some()
    }

    fn at(&self) -> Pointer {
        Pointer::of("/candidates").index(self.index as usize)
    }

    fn place(&self) -> Pointer {
        self.at().key("content").key("parts").index(self.own)
    }

    /// A piece of text.
    pub fn text(&mut self, text: String, events: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        self.begin(Open::Text, || Opening::Text, events);
        self.text.push_str(&text);
        self.delta(Delta::Text(text), events);
    }

    /// A piece of a thought.
    pub fn thought(&mut self, text: String, events: &mut Vec<Event>) {
        let new = self.begin(Open::Thought, || Opening::Reasoning { id: None }, events);
        if new || !text.is_empty() {
            self.delta(Delta::Thought { summary: true, new, text }, events);
        }
    }

    /// A piece of the candidate that is not plain.
    pub fn document(&mut self, mut fields: Fields, events: &mut Vec<Event>) {
        fields.take("index");
        if let Ok(Some(mut content)) = fields.object("content") {
            content.take("role");
            for part in content.list("parts").unwrap_or_default().unwrap_or_default() {
                let mut read = Vec::new();
                // A lenient reader refuses nothing.
                let _ = Reader::lenient().part(part, self.place(), &mut read);
                for part in read {
                    self.part(part, events);
                }
            }
            let rest = saying(content.rest());
            if !rest.is_empty() {
                self.extra.insert("content".to_owned(), Value::Object(rest));
            }
        }
        if let Ok(Some(word)) = fields.string("finishReason") {
            self.finish = Some(word);
        }
        if let Some(result) = fields.take("logprobsResult") {
            self.logprobs(&result, events);
        }
        self.extra.extend(saying(fields.rest()));
    }

    fn logprobs(&mut self, result: &Value, events: &mut Vec<Event>) {
        let at = self.at().key("logprobsResult");
        if logprobs::has_more(result) && !self.lost_token_ids {
            self.lost_token_ids = true;
            events.push(Event::Lost(Loss { at: at.clone(), why: Why::Approximated }));
        }
        if let Some(logprobs) = logprobs::read(result) {
            let part = self.parts.saturating_sub(1);
            events.push(Event::LogProbs { choice: self.index, part, logprobs: At::new(logprobs, at) });
        }
    }

    fn part(&mut self, part: Part, events: &mut Vec<Event>) {
        let Part { content, at, extra, .. } = part;
        let opening = match content {
            Content::Text(text) => {
                self.text(text.text, events);
                extra_of(extra, at, events);
                return;
            }
            Content::Reasoning(reasoning) => return self.reasoning(reasoning, at, events),
            Content::ToolCall(call) => return self.call(call, extra, at, events),
            Content::Media(media) => Opening::Media(Box::new(media)),
            Content::Server(used) => Opening::Server(Box::new(used)),
            Content::Opaque(value) => Opening::Opaque(value),
            Content::Refusal(_) | Content::ToolResult(_) => {
                events.push(Event::Lost(Loss { at, why: Why::Unsupported }));
                return;
            }
        };
        self.whole(opening, None, events);
        extra_of(extra, at, events);
    }

    fn reasoning(&mut self, reasoning: Reasoning, at: Pointer, events: &mut Vec<Event>) {
        if reasoning.thoughts.is_empty() {
            if let Some(seal) = reasoning.seal {
                self.sign(events);
                self.pending = Some((seal, at));
            }
            return;
        }
        for thought in reasoning.thoughts {
            self.thought(thought.text, events);
        }
        if let Some(seal) = reasoning.seal {
            self.delta(Delta::Seal(seal), events);
            self.close(events);
        }
    }

    fn call(&mut self, mut call: ToolCall, extra: Extra, at: Pointer, events: &mut Vec<Event>) {
        self.calls = true;
        let arguments = std::mem::take(&mut call.arguments);
        self.whole(Opening::ToolCall(call), Some(Delta::Arguments(arguments)), events);
        extra_of(extra, at, events);
    }

    /// A part that comes whole.
    fn whole(&mut self, opening: Opening, delta: Option<Delta>, events: &mut Vec<Event>) {
        self.close(events);
        self.sign(events);
        self.open(opening, events);
        self.own += 1;
        if let Some(delta) = delta {
            self.delta(delta, events);
        }
        events.push(Event::Close { choice: self.index, part: self.parts - 1 });
    }

    /// Sees to it that a part of this kind is open. Says whether it is a new one.
    fn begin(&mut self, kind: Open, opening: impl FnOnce() -> Opening, events: &mut Vec<Event>) -> bool {
        if self.open == kind && self.pending.is_none() {
            return false;
        }
        self.close(events);
        self.sign(events);
        self.open(opening(), events);
        self.own += 1;
        self.open = kind;
        true
    }

    fn open(&mut self, opening: Opening, events: &mut Vec<Event>) {
        let at = self.place();
        events.push(Event::Open { choice: self.index, part: self.parts, opening, at });
        self.parts += 1;
    }

    fn delta(&self, delta: Delta, events: &mut Vec<Event>) {
        let part = self.parts.saturating_sub(1);
        events.push(Event::Delta { choice: self.index, part, delta });
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        if self.open != Open::Nothing {
            self.open = Open::Nothing;
            self.before += self.text.len();
            self.text.clear();
            events.push(Event::Close { choice: self.index, part: self.parts - 1 });
        }
    }

    /// Tells the signature that waits, as a part of its own. What is open is closed.
    fn sign(&mut self, events: &mut Vec<Event>) {
        let Some((seal, at)) = self.pending.take() else { return };
        self.close(events);
        let part = self.parts;
        self.parts += 1;
        events.push(Event::Open { choice: self.index, part, opening: Opening::Reasoning { id: None }, at });
        self.delta(Delta::Seal(seal), events);
        events.push(Event::Close { choice: self.index, part });
    }

    /// The bytes are over.
    pub fn finish(&mut self, events: &mut Vec<Event>) {
        let at = self.at();
        if self.open == Open::Text
            && let Some(metadata) = self.extra.get("groundingMetadata")
        {
            let texts = [Stretch { own: self.own.saturating_sub(1) as u64, text: &self.text }];
            let found = grounding::read(metadata, &at.key("groundingMetadata"), &texts);
            let found: Vec<Annotation> = found.into_iter().map(|(_, annotation)| annotation).collect();
            let said = Said { text: &self.text, part: 0, before: self.before, annotations: &found };
            grounding::keep(&mut self.extra, &at, &[said]);
            for annotation in found {
                self.delta(Delta::Annotation(Box::new(annotation)), events);
            }
        }
        self.close(events);
        self.sign(events);
        let mut extra = std::mem::take(&mut self.extra);
        finish::keep_message(&mut extra);
        if !extra.is_empty() {
            events.push(Event::Extra(At::new(extra, at.clone())));
        }
        if let Some(word) = &self.finish {
            let finish = finish::read(word, self.calls, at.key("finishReason"));
            events.push(Event::Finish { choice: self.index, finish });
        }
    }
}

/// What of a part has no place in it.
fn extra_of(extra: Extra, at: Pointer, events: &mut Vec<Event>) {
    if !extra.is_empty() {
        events.push(Event::Extra(At::new(extra, at)));
    }
}
