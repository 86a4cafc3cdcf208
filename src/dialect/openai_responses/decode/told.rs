//! One part of a stream: what has been told of it, and what is left to tell.

use serde_json::{Value, json};
use tollgate_filters::chat::{
    At, Content, Delta, Event, Extra, Loss, Opening, Part, Pointer, Seal, Text, Thought, Why,
};

use crate::dialect::openai_responses::item::read_annotation;

/// What a part may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Refusal,
    Reasoning,
    Call,
    Whole,
}

impl Kind {
    fn takes(self, delta: &Delta) -> bool {
        match delta {
            Delta::Text(_) => matches!(self, Self::Text | Self::Refusal),
            Delta::Annotation(_) => self == Self::Text,
            Delta::Thought { .. } | Delta::Seal(_) => self == Self::Reasoning,
            Delta::Arguments(_) => self == Self::Call,
        }
    }
}

/// A part, and what has been told of it.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) part: u32,
    /// Its place in the content of a message; 0 for other items.
    pub(super) content: usize,
    pub(super) at: Pointer,
    kind: Kind,
    pub(super) open: bool,
    pub(super) bytes: usize,
    annotations: usize,
    pub(super) logprobs: bool,
    seal: Option<Seal>,
    /// Which thought the last piece belonged to.
    thought: Option<(bool, usize)>,
    extra: Extra,
}

impl Told {
    pub(super) fn new(part: u32, content: usize, opening: &Opening, at: Pointer, extra: Extra) -> Self {
        let kind = match opening {
            Opening::Text => Kind::Text,
            Opening::Refusal => Kind::Refusal,
            Opening::Reasoning { .. } => Kind::Reasoning,
            Opening::ToolCall(_) => Kind::Call,
            _ => Kind::Whole,
        };
        Self {
            kind,
            part,
            content,
            at,
            open: true,
            bytes: 0,
            annotations: 0,
            logprobs: false,
            seal: None,
            thought: None,
            extra,
        }
    }

    pub(super) fn delta(&self, delta: Delta, events: &mut Vec<Event>) {
        if !self.kind.takes(&delta) {
            // An item that ends as another than it began.
            return events.push(Event::Lost(Loss { at: self.at.clone(), why: Why::Unsupported }));
        }
        // Whatever a provider sends behind the end of a part is too late.
        if self.open {
            events.push(Event::Delta { choice: 0, part: self.part, delta });
        }
    }

    pub(super) fn text(&mut self, text: &str, events: &mut Vec<Event>) {
        if self.open && !text.is_empty() {
            self.bytes += text.len();
            self.delta(Delta::Text(text.to_owned()), events);
        }
    }

    pub(super) fn logprobs(&mut self, tokens: &[Value], events: &mut Vec<Event>) {
        self.logprobs = true;
        let logprobs = At::new(json!({ "content": tokens }), self.at.key("logprobs"));
        events.push(Event::LogProbs { choice: 0, part: self.part, logprobs });
    }

    pub(super) fn annotation(&mut self, raw: Value, at: Pointer, events: &mut Vec<Event>) {
        self.annotations += 1;
        self.delta(Delta::Annotation(Box::new(read_annotation(raw, at))), events);
    }

    pub(super) fn thought(&mut self, summary: bool, index: usize, text: &str, events: &mut Vec<Event>) {
        if !self.open || text.is_empty() {
            return;
        }
        self.bytes += text.len();
        let new = self.thought != Some((summary, index));
        self.thought = Some((summary, index));
        self.delta(Delta::Thought { summary, new, text: text.to_owned() }, events);
    }

    /// Tells what of the whole part has not been told.
    pub(super) fn rest(&mut self, part: Part, events: &mut Vec<Event>) {
        match part.content {
            Content::Text(Text { text, annotations }) => {
                if self.bytes == 0 {
                    self.text(&text, events);
                }
                for annotation in annotations.into_iter().skip(self.annotations) {
                    self.annotation(annotation.raw, annotation.at, events);
                }
            }
            Content::Refusal(text) if self.bytes == 0 => self.text(&text, events),
            Content::ToolCall(call) if self.bytes == 0 && !call.arguments.is_empty() => {
                self.bytes = call.arguments.len();
                self.delta(Delta::Arguments(call.arguments), events);
            }
            Content::Reasoning(reasoning) => {
                if self.bytes == 0 {
                    self.thoughts(&reasoning.thoughts, events);
                }
                if let Some(seal) = reasoning.seal
                    && self.seal.as_ref() != Some(&seal)
                {
                    self.seal = Some(seal.clone());
                    self.delta(Delta::Seal(seal), events);
                }
            }
            _ => {}
        }
        let mut extra = part.extra;
        extra.retain(|key, value| self.extra.get(key) != Some(value));
        if !extra.is_empty() {
            self.extra.extend(extra.clone());
            events.push(Event::Extra(At::new(extra, self.at.clone())));
        }
    }

    fn thoughts(&mut self, thoughts: &[Thought], events: &mut Vec<Event>) {
        for (index, thought) in thoughts.iter().enumerate() {
            self.thought(thought.summary, index, &thought.text, events);
        }
    }
}
