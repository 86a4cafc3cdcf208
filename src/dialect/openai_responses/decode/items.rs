//! The items of a stream: which parts they have opened, and what of them has been told.

use serde_json::{Value, json};
use tollgate_filters::chat::{At, Content, Delta, Event, Extra, Opening, Pointer};

use super::told::Told;
use super::wire::Document;
use super::{is_call, parts};
use crate::dialect::openai_responses::item::item_key;

/// The items so far, in the order of their first events.
#[derive(Debug, Default)]
pub(super) struct Items {
    list: Vec<Item>,
    next_part: u32,
    /// A tool is to be run.
    pub(super) calls: bool,
}

#[derive(Debug, Default)]
struct Item {
    index: usize,
    done: bool,
    /// Members of a message that its first part is to tell of.
    members: Extra,
    parts: Vec<Told>,
}

fn place(index: usize) -> Pointer {
    Pointer::of("/output").index(index)
}

impl Items {
    fn item(&mut self, index: usize) -> usize {
        if let Some(at) = self.list.iter().rposition(|item| item.index == index) {
            return at;
        }
        self.list.push(Item { index, ..Item::default() });
        self.list.len() - 1
    }

    /// The part at `content` of the item, which is opened where nothing had opened it.
    fn told(
        &mut self,
        index: usize,
        content: usize,
        opening: impl FnOnce() -> Opening,
        events: &mut Vec<Event>,
    ) -> &mut Told {
        let item = self.item(index);
        let known = self.list[item].parts.iter().rposition(|told| told.content == content);
        let known = known.unwrap_or_else(|| {
            let opening = opening();
            let message = matches!(opening, Opening::Text | Opening::Refusal);
            let at = place(index);
            let at = if message { at.key("content").index(content) } else { at };
            let members = std::mem::take(&mut self.list[item].members);
            let extra = match members {
                members if members.is_empty() => Extra::new(),
                members if message => Extra::from_iter([(item_key(&place(index)), Value::Object(members))]),
                members => members,
            };
            self.open(item, content, opening, at, extra, events);
            self.list[item].parts.len() - 1
        });
        &mut self.list[item].parts[known]
    }

    fn open(
        &mut self,
        item: usize,
        content: usize,
        opening: Opening,
        at: Pointer,
        extra: Extra,
        events: &mut Vec<Event>,
    ) {
        let part = self.next_part;
        self.next_part += 1;
        if !extra.is_empty() {
            events.push(Event::Extra(At::new(extra.clone(), at.clone())));
        }
        let told = Told::new(part, content, &opening, at.clone(), extra);
        events.push(Event::Open { choice: 0, part, opening, at });
        self.list[item].parts.push(told);
    }

    pub(super) fn text(&mut self, document: &Document<'_>, refusal: bool, events: &mut Vec<Event>) {
        let opening = || if refusal { Opening::Refusal } else { Opening::Text };
        let told = self.told(document.output_index, document.content_index, opening, events);
        if let Some(text) = &document.delta {
            told.text(text, events);
        }
        if let Some(tokens) = document.logprobs() {
            told.logprobs(&tokens, events);
        }
    }

    pub(super) fn arguments(&mut self, document: &Document<'_>, events: &mut Vec<Event>) {
        let item = self.item(document.output_index);
        // Without its item nobody knows what is called; the whole call comes with the item's end.
        if let (Some(told), Some(piece)) = (self.list[item].parts.first_mut(), &document.delta)
            && told.open
            && !piece.is_empty()
        {
            told.bytes += piece.len();
            told.delta(Delta::Arguments(piece.clone()), events);
        }
    }

    pub(super) fn thought(&mut self, document: &Document<'_>, summary: bool, events: &mut Vec<Event>) {
        let index = if summary { document.summary_index } else { document.content_index };
        let told = self.told(document.output_index, 0, || Opening::Reasoning { id: None }, events);
        if let Some(text) = &document.delta {
            told.thought(summary, index, text, events);
        }
    }

    /// An item begins. What is told bit by bit is opened; other items are told when they are done.
    pub(super) fn added(&mut self, document: &Document<'_>, events: &mut Vec<Event>) {
        let Some(mut value) = document.item() else { return };
        let index = document.output_index;
        if let Some(object) = value.as_object_mut() {
            object.shift_remove("status");
            object.shift_remove("encrypted_content");
        }
        let message = value.get("type").and_then(Value::as_str) == Some("message");
        if message {
            // A part without text shows what a message says beside its content.
            value["content"] = json!([{"type": "output_text", "text": ""}]);
        }
        let Some(part) = parts(value, index).into_iter().next() else { return };
        let item = self.item(index);
        if !self.list[item].parts.is_empty() {
            return;
        }
        match part.content {
            Content::Text(_) if message => {
                let members = part.extra.into_iter().find(|(key, _)| key.starts_with("~/"));
                if let Some((_, Value::Object(members))) = members {
                    self.list[item].members = members;
                }
            }
            Content::ToolCall(mut call) => {
                self.calls = true;
                call.arguments.clear();
                self.open(item, 0, Opening::ToolCall(call), part.at, part.extra, events);
            }
            Content::Reasoning(reasoning) => {
                let opening = Opening::Reasoning { id: reasoning.id };
                self.open(item, 0, opening, part.at, part.extra, events);
            }
            _ => {}
        }
    }

    pub(super) fn content_added(&mut self, document: &Document<'_>, events: &mut Vec<Event>) {
        let part = document.part().unwrap_or_default();
        let opening = match part.get("type").and_then(Value::as_str) {
            Some("output_text") => Opening::Text,
            Some("refusal") => Opening::Refusal,
            _ => return,
        };
        self.told(document.output_index, document.content_index, || opening, events);
    }

    /// A part of a message is done, but the item may still say more of it.
    pub(super) fn content_done(&mut self, document: &Document<'_>, events: &mut Vec<Event>) {
        let item = self.item(document.output_index);
        let parts = &mut self.list[item].parts;
        let told = parts.iter_mut().find(|told| told.content == document.content_index);
        let Some(value) = document.part() else { return };
        let text = value.get("text").or_else(|| value.get("refusal")).and_then(Value::as_str);
        let message = matches!(value.get("type").and_then(Value::as_str), Some("output_text" | "refusal"));
        if let (Some(told), Some(text), true) = (told, text, message)
            && told.bytes == 0
        {
            told.text(text, events);
        }
    }

    pub(super) fn annotation(&mut self, document: &Document<'_>, events: &mut Vec<Event>) {
        let Some(raw) = document.annotation() else { return };
        let told = self.told(document.output_index, document.content_index, || Opening::Text, events);
        let at = told.at.key("annotations").index(document.annotation_index);
        told.annotation(raw, at, events);
    }

    /// An item is done, and here whole: what of it has not been told is told now.
    pub(super) fn done(&mut self, document: &Document<'_>, events: &mut Vec<Event>) {
        if let Some(value) = document.item() {
            self.whole(document.output_index, value, events);
        }
    }

    /// An item of the final output, which is told where no event had told of it.
    pub(super) fn left_over(&mut self, index: usize, value: Value, events: &mut Vec<Event>) {
        let item = self.item(index);
        if !self.list[item].done {
            self.whole(index, value, events);
        }
    }

    fn whole(&mut self, index: usize, value: Value, events: &mut Vec<Event>) {
        let item = self.item(index);
        if self.list[item].done {
            return;
        }
        self.list[item].done = true;
        for (i, mut part) in parts(value, index).into_iter().enumerate() {
            self.calls |= is_call(&part);
            let tokens = part.extra.shift_remove("logprobs");
            let known = self.list[item].parts.iter().position(|told| told.content == i);
            let known = known.unwrap_or_else(|| {
                let extra = std::mem::take(&mut part.extra);
                let opening = opening(&part.content);
                self.open(item, i, opening, part.at.clone(), extra.clone(), events);
                part.extra = extra;
                self.list[item].parts.len() - 1
            });
            let told = &mut self.list[item].parts[known];
            if let (Some(Value::Array(tokens)), false) = (tokens, told.logprobs) {
                told.logprobs(&tokens, events);
            }
            told.rest(part, events);
        }
        self.close(item, events);
    }

    fn close(&mut self, item: usize, events: &mut Vec<Event>) {
        for told in self.list[item].parts.iter_mut().filter(|told| told.open) {
            told.open = false;
            events.push(Event::Close { choice: 0, part: told.part });
        }
    }

    pub(super) fn close_all(&mut self, events: &mut Vec<Event>) {
        for item in 0..self.list.len() {
            self.close(item, events);
        }
    }
}

/// How a part that came whole is opened.
fn opening(content: &Content) -> Opening {
    match content {
        Content::Text(_) => Opening::Text,
        Content::Refusal(_) => Opening::Refusal,
        Content::Reasoning(reasoning) => Opening::Reasoning { id: reasoning.id.clone() },
        Content::ToolCall(call) => {
            let mut call = call.clone();
            call.arguments.clear();
            Opening::ToolCall(call)
        }
        Content::Server(used) => Opening::Server(Box::new(used.clone())),
        Content::Media(media) => Opening::Media(Box::new(media.clone())),
        Content::Opaque(raw) => Opening::Opaque(raw.clone()),
        // An answer has no results of tools.
        Content::ToolResult(_) => Opening::Opaque(Value::Null),
    }
}
