//! One item of a stream, and the events that tell of it.

use serde_json::{Map, Value};
use tollgate_filters::chat::{Content, Extra, Part, Pointer, ToolCall};

use super::sse::{index, member, send};
use super::thought::thought_done;
use crate::dialect::openai_responses::item::{call_item, output_text, reasoning_item, restore};

/// An item that has been begun.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) id: String,
    /// The pointer of the item in the provider's answer, where that is of this dialect.
    pub(super) place: Option<String>,
    pub(super) kind: Kind,
    /// As the client has seen it, once it is done.
    pub(super) done: Option<Value>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Message {
        members: Extra,
        pieces: Vec<Piece>,
        /// Something else has begun, so no further text goes into it.
        over: bool,
    },
    /// A call or reasoning, with what has been told of it.
    Part(Box<Part>),
    /// An item that came whole.
    Whole,
}

/// A text of a message.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) at: Pointer,
    pub(super) refusal: bool,
    pub(super) open: bool,
    pub(super) text: String,
    pub(super) annotations: Vec<Value>,
    pub(super) logprobs: Vec<Value>,
    pub(super) extra: Extra,
}

impl Piece {
    fn value(&self) -> Value {
        let mut object = if self.refusal {
            Map::from_iter([
                ("type".to_owned(), Value::from("refusal")),
                ("refusal".to_owned(), self.text.clone().into()),
            ])
        } else {
            output_text(&self.text, self.annotations.clone(), self.logprobs.clone())
        };
        restore(&mut object, &self.extra);
        Value::Object(object)
    }
}

/// Where events of one item go.
#[derive(Debug)]
pub(super) struct To<'a> {
    pub(super) sequence: &'a mut u64,
    pub(super) out: &'a mut Vec<u8>,
    pub(super) output_index: usize,
    /// What ids are made of.
    pub(super) id: &'a str,
}

impl To<'_> {
    /// An event of the item `item_id`.
    pub(super) fn send(&mut self, kind: &str, item_id: &str, body: impl FnOnce(&mut Vec<u8>)) {
        let output_index = self.output_index;
        send(self.sequence, self.out, kind, |out| {
            member(out, "item_id", item_id);
            index(out, "output_index", output_index);
            body(out);
        });
    }

    fn item(&mut self, kind: &str, item: &Value) {
        let output_index = self.output_index;
        send(self.sequence, self.out, kind, |out| {
            index(out, "output_index", output_index);
            member(out, "item", item);
        });
    }
}

impl Item {
    /// Begins a message.
    pub(super) fn message(place: Option<String>, members: Extra, to: &mut To<'_>) -> Self {
        let id = members.get("id").and_then(Value::as_str).map(str::to_owned);
        let id = id.unwrap_or_else(|| format!("msg_{}_{}", to.id, to.output_index));
        let kind = Kind::Message { members, pieces: Vec::new(), over: false };
        let item = Self { id, place, kind, done: None };
        to.item("response.output_item.added", &item.value("in_progress", to));
        item
    }

    /// Begins a call or reasoning.
    pub(super) fn part(part: Part, place: Option<String>, to: &mut To<'_>) -> Self {
        let mut item = Self { id: String::new(), place, kind: Kind::Part(Box::new(part)), done: None };
        let value = item.value("in_progress", to);
        value["id"].as_str().unwrap_or_default().clone_into(&mut item.id);
        to.item("response.output_item.added", &value);
        item
    }

    /// An item that came whole.
    pub(super) fn whole(value: Value, place: Option<String>, to: &mut To<'_>) -> Self {
        let word = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (id, kind) = (word("id"), word("type"));
        to.item("response.output_item.added", &value);
        let stages: &[&str] = match kind.as_str() {
            "web_search_call" | "file_search_call" => &["in_progress", "searching", "completed"],
            "code_interpreter_call" => &["in_progress", "interpreting", "completed"],
            "image_generation_call" => &["in_progress", "generating", "completed"],
            "mcp_call" | "mcp_list_tools" => &["in_progress", "completed"],
            _ => &[],
        };
        for stage in stages {
            to.send(&format!("response.{kind}.{stage}"), &id, |_| {});
        }
        to.item("response.output_item.done", &value);
        Self { id, place, kind: Kind::Whole, done: Some(value) }
    }

    /// The item as it stands.
    fn value(&self, status: &str, to: &To<'_>) -> Value {
        let made = Some((to.id, to.output_index));
        let started = status == "in_progress";
        let mut object = match &self.kind {
            Kind::Message { members, pieces, .. } => {
                let mut object = Map::from_iter([
                    ("id".to_owned(), Value::from(self.id.clone())),
                    ("type".to_owned(), "message".into()),
                    ("status".to_owned(), status.into()),
                    ("role".to_owned(), "assistant".into()),
                    ("content".to_owned(), pieces.iter().map(Piece::value).collect::<Vec<_>>().into()),
                ]);
                object.extend(members.clone());
                object
            }
            Kind::Part(part) => match &part.content {
                Content::ToolCall(call) => call_item(call, part, made),
                Content::Reasoning(reasoning) => reasoning_item(reasoning, part, made),
                _ => Map::new(),
            },
            Kind::Whole => return self.done.clone().unwrap_or_default(),
        };
        if started && object.contains_key("status") {
            object.insert("status".to_owned(), status.into());
        }
        Value::Object(object)
    }

    /// Opens a text in a message, and gives its place there.
    pub(super) fn piece(&mut self, at: Pointer, refusal: bool, extra: Extra, to: &mut To<'_>) -> usize {
        let Kind::Message { pieces, .. } = &mut self.kind else { return 0 };
        let content = pieces.len();
        let piece = Piece {
            at,
            refusal,
            open: true,
            text: String::new(),
            annotations: Vec::new(),
            logprobs: Vec::new(),
            extra,
        };
        let value = piece.value();
        pieces.push(piece);
        to.send("response.content_part.added", &self.id, |out| {
            index(out, "content_index", content);
            member(out, "part", &value);
        });
        content
    }

    pub(super) fn text(&mut self, content: usize, text: &str, to: &mut To<'_>) {
        let Kind::Message { pieces, .. } = &mut self.kind else { return };
        let Some(piece) = pieces.get_mut(content) else { return };
        piece.text.push_str(text);
        let kind = if piece.refusal { "response.refusal.delta" } else { "response.output_text.delta" };
        let refusal = piece.refusal;
        to.send(kind, &self.id, |out| {
            index(out, "content_index", content);
            member(out, "delta", text);
            if !refusal {
                out.extend_from_slice(b",\"logprobs\":[]");
            }
        });
    }

    /// Log-probabilities come behind the text that they are of; an empty delta takes them along.
    pub(super) fn logprobs(&mut self, content: usize, tokens: &[Value], to: &mut To<'_>) -> bool {
        let Kind::Message { pieces, .. } = &mut self.kind else { return false };
        let Some(piece) = pieces.get_mut(content).filter(|piece| !piece.refusal) else { return false };
        piece.logprobs.extend_from_slice(tokens);
        to.send("response.output_text.delta", &self.id, |out| {
            index(out, "content_index", content);
            member(out, "delta", "");
            member(out, "logprobs", tokens);
        });
        true
    }

    pub(super) fn annotation(&mut self, content: usize, annotation: Value, to: &mut To<'_>) {
        let Kind::Message { pieces, .. } = &mut self.kind else { return };
        let Some(piece) = pieces.get_mut(content) else { return };
        let number = piece.annotations.len();
        to.send("response.output_text.annotation.added", &self.id, |out| {
            index(out, "content_index", content);
            index(out, "annotation_index", number);
            member(out, "annotation", &annotation);
        });
        piece.annotations.push(annotation);
    }

    pub(super) fn arguments(&mut self, more: &str, to: &mut To<'_>) {
        let Kind::Part(part) = &mut self.kind else { return };
        let Content::ToolCall(call) = &mut part.content else { return };
        call.arguments.push_str(more);
        let kind = if call.custom {
            "response.custom_tool_call_input.delta"
        } else {
            "response.function_call_arguments.delta"
        };
        to.send(kind, &self.id, |out| member(out, "delta", more));
    }

    /// Ends a text of a message.
    pub(super) fn close_piece(&mut self, content: usize, to: &mut To<'_>) {
        let Kind::Message { pieces, .. } = &mut self.kind else { return };
        let Some(piece) = pieces.get_mut(content).filter(|piece| piece.open) else { return };
        piece.open = false;
        let (kind, name) = if piece.refusal {
            ("response.refusal.done", "refusal")
        } else {
            ("response.output_text.done", "text")
        };
        to.send(kind, &self.id, |out| {
            index(out, "content_index", content);
            member(out, name, &piece.text);
            if !piece.refusal {
                member(out, "logprobs", &piece.logprobs);
            }
        });
        let value = piece.value();
        to.send("response.content_part.done", &self.id, |out| {
            index(out, "content_index", content);
            member(out, "part", &value);
        });
    }

    /// Whether nothing of it is open.
    pub(super) fn quiet(&self) -> bool {
        match &self.kind {
            Kind::Message { pieces, .. } => pieces.iter().all(|piece| !piece.open),
            Kind::Part(_) | Kind::Whole => true,
        }
    }

    /// Ends the item.
    pub(super) fn close(&mut self, status: &str, to: &mut To<'_>) {
        if self.done.is_some() {
            return;
        }
        let pieces = if let Kind::Message { pieces, .. } = &self.kind { pieces.len() } else { 0 };
        for content in 0..pieces {
            self.close_piece(content, to);
        }
        if let Kind::Part(part) = &self.kind {
            match &part.content {
                Content::ToolCall(call) => call_done(call, &self.id, to),
                Content::Reasoning(reasoning) => thought_done(&reasoning.thoughts, &self.id, to),
                _ => {}
            }
        }
        let value = self.value(status, to);
        to.item("response.output_item.done", &value);
        self.done = Some(value);
    }
}

fn call_done(call: &ToolCall, id: &str, to: &mut To<'_>) {
    if call.custom {
        to.send("response.custom_tool_call_input.done", id, |out| member(out, "input", &call.arguments));
    } else {
        to.send("response.function_call_arguments.done", id, |out| {
            member(out, "name", &call.name);
            member(out, "arguments", &call.arguments);
        });
    }
}
