//! How a Responses stream ends that reached its limit.

mod item;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tollgate_filters::usage::Usage;

use self::item::{Item, Piece};
use super::{MAX_OPEN, Note, named, positive};

/// How much of an answer is kept, to say it again at the end: the response of the beginning, the items and their texts.
const MAX_KEPT: usize = 1024 * 1024;

#[derive(Debug)]
pub(super) struct Responses {
    head: Option<Box<str>>,
    begun: bool,
    /// The next `sequence_number`.
    sequence: u64,
    items: Vec<Item>,
    /// How many bytes may still be kept.
    left: usize,
    over: bool,
}

impl Default for Responses {
    fn default() -> Self {
        Self { head: None, begun: false, sequence: 0, items: Vec::new(), left: MAX_KEPT, over: false }
    }
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    sequence_number: Option<u64>,
    #[serde(default)]
    output_index: u32,
    #[serde(default)]
    content_index: Option<u32>,
    #[serde(default)]
    summary_index: Option<u32>,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
    #[serde(borrow, default)]
    item: Option<&'a RawValue>,
    #[serde(borrow, default)]
    part: Option<&'a RawValue>,
    #[serde(borrow, default)]
    annotation: Option<&'a RawValue>,
}

impl Responses {
    pub(super) fn read(&mut self, data: &[u8]) {
        let Ok(event) = serde_json::from_slice::<Wire<'_>>(data) else { return };
        self.sequence = event.sequence_number.unwrap_or(self.sequence).saturating_add(1);
        match event.kind.as_ref().strip_prefix("response.").unwrap_or(&event.kind) {
            "created" | "queued" | "in_progress" if event.response.is_some() => {
                self.begun = true;
                if self.head.is_none() {
                    self.head = keep(&mut self.left, event.response);
                }
            }
            "completed" | "incomplete" | "failed" | "cancelled" | "error" => self.over = true,
            "output_item.added" => self.add(&event),
            "output_item.done" => {
                let done = keep(&mut self.left, event.item);
                let full = self.items.len() >= MAX_OPEN;
                match self.items.iter_mut().find(|item| item.index == event.output_index) {
                    Some(item) => item.finish(done, &mut self.left),
                    None if !full => {
                        let mut item = Item::new(event.output_index, None);
                        item.finish(done, &mut self.left);
                        self.items.push(item);
                    }
                    None => {}
                }
            }
            kind => self.within(kind, &event),
        }
    }

    fn add(&mut self, event: &Wire<'_>) {
        let item = Item::new(event.output_index, keep(&mut self.left, event.item));
        let full = self.items.len() >= MAX_OPEN;
        match self.items.iter_mut().find(|known| known.index == item.index) {
            Some(known) => *known = item,
            None if !full => self.items.push(item),
            None => {}
        }
    }

    /// Events of an item that is open.
    fn within(&mut self, kind: &str, event: &Wire<'_>) {
        // The item that is being written is the last one, but for calls that are written at the same time.
        let open = self.items.iter_mut().rev().find(|item| item.index == event.output_index);
        let Some(item) = open.filter(|item| item.is_open()) else { return };
        let place = || Piece::place(event.summary_index, event.content_index);
        match kind {
            "output_text.delta"
            | "refusal.delta"
            | "reasoning_text.delta"
            | "reasoning_summary_text.delta" => {
                if let Some(piece) = item.piece(place(), kind) {
                    add_text(&mut self.left, &mut piece.text, event.delta);
                }
            }
            "function_call_arguments.delta"
            | "custom_tool_call_input.delta"
            | "mcp_call_arguments.delta"
            | "code_interpreter_call_code.delta" => add_text(&mut self.left, &mut item.said, event.delta),
            "content_part.added" | "reasoning_summary_part.added" => {
                let part = keep(&mut self.left, event.part);
                item.add_piece(place(), part);
            }
            "content_part.done" | "reasoning_summary_part.done" => {
                let done = keep(&mut self.left, event.part);
                if let Some(piece) = item.known_piece(place()) {
                    piece.finish(done, &mut self.left);
                }
            }
            "output_text.done" | "refusal.done" | "reasoning_text.done" | "reasoning_summary_text.done" => {
                if let Some(piece) = item.known_piece(place()) {
                    piece.text_done = true;
                }
            }
            "output_text.annotation.added" => {
                if let Some(piece) = item.known_piece(place()) {
                    piece.annotations.extend(keep(&mut self.left, event.annotation));
                }
            }
            "function_call_arguments.done"
            | "custom_tool_call_input.done"
            | "mcp_call_arguments.done"
            | "code_interpreter_call_code.done" => item.said_done = true,
            _ => {}
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.over
    }

    /// Name and members of an event that says nothing. The first one of a stream begins it: the SDKs insist on that.
    pub(super) fn neutral(&mut self) -> (&'static str, String) {
        let number = self.sequence;
        self.sequence = number.saturating_add(1);
        if self.begun {
            return ("keepalive", format!(r#""type":"keepalive","sequence_number":{number}"#));
        }
        self.begun = true;
        let response = Value::Object(skeleton()).to_string();
        let event = format!(r#""type":"response.created","sequence_number":{number},"response":{response}"#);
        self.head = Some(response.into());
        ("response.created", event)
    }

    pub(super) fn write(&mut self, usage: &Usage, note: &Note<'_>, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let head = self.head.take().and_then(|head| serde_json::from_str(&head).ok());
        let mut response: Map<String, Value> = head.unwrap_or_else(skeleton);
        if !self.begun {
            response.insert("status".to_owned(), "in_progress".into());
            for kind in ["response.created", "response.in_progress"] {
                send(&mut self.sequence, out, kind, json!({ "response": response }));
            }
        }
        self.items.sort_by_key(|item| item.index);
        let mut output = Vec::new();
        for item in std::mem::take(&mut self.items) {
            output.extend(item.close(|kind, body| send(&mut self.sequence, out, kind, body)));
        }
        let mut usage = counts(usage);
        usage[super::NOTE] = note.value();
        for (key, value) in [
            ("status", "incomplete".into()),
            ("incomplete_details", json!({"reason": "max_output_tokens"})),
            ("output", Value::Array(output)),
            ("usage", usage),
        ] {
            response.insert(key.to_owned(), value);
        }
        send(&mut self.sequence, out, "response.incomplete", json!({ "response": response }));
    }
}

/// Keeps a copy while there is room.
fn keep(left: &mut usize, raw: Option<&RawValue>) -> Option<Box<str>> {
    let raw = raw?.get();
    *left = left.checked_sub(raw.len())?;
    Some(raw.into())
}

/// Adds what there is room for.
fn add_text(left: &mut usize, text: &mut String, delta: Option<&RawValue>) {
    let delta = delta.and_then(|raw| serde_json::from_str::<Text<'_>>(raw.get()).ok());
    let Some(Text(delta)) = delta else { return };
    let mut end = delta.len().min(*left);
    while !delta.is_char_boundary(end) {
        end -= 1;
    }
    if end < delta.len() {
        *left = end;
    }
    text.push_str(&delta[..end]);
    *left -= end;
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// One event. `body` is what stands behind `type` and `sequence_number`.
fn send(sequence: &mut u64, out: &mut Vec<u8>, kind: &str, body: Value) {
    let mut event = Map::new();
    event.insert("type".to_owned(), kind.into());
    event.insert("sequence_number".to_owned(), (*sequence).into());
    if let Value::Object(body) = body {
        event.extend(body);
    }
    *sequence = sequence.saturating_add(1);
    named(out, kind, &Value::Object(event));
}

/// A response of which nothing is known.
fn skeleton() -> Map<String, Value> {
    let skeleton = json!({
        "id": "resp_stopped", "object": "response", "created_at": 0, "status": "in_progress", "error": null,
        "incomplete_details": null, "instructions": null, "model": "", "output": [],
        "parallel_tool_calls": true, "tool_choice": "auto", "tools": [], "temperature": null, "top_p": null,
        "metadata": {},
    });
    if let Value::Object(skeleton) = skeleton { skeleton } else { Map::new() }
}

fn counts(usage: &Usage) -> Value {
    let written = usage.cache_write_5m_tokens.saturating_add(usage.cache_write_1h_tokens);
    let input = positive(
        &["cached_tokens", "cache_write_tokens"],
        [
            ("cached_tokens", usage.cached_input_tokens),
            ("cache_write_tokens", written),
            ("audio_tokens", usage.audio_input_tokens),
            ("image_tokens", usage.image_input_tokens),
        ],
    );
    let output = positive(
        &["reasoning_tokens"],
        [
            ("reasoning_tokens", usage.reasoning_tokens),
            ("audio_tokens", usage.audio_output_tokens),
            ("image_tokens", usage.image_output_tokens),
        ],
    );
    json!({
        "input_tokens": usage.input_tokens,
        "input_tokens_details": input,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": output,
        "total_tokens": usage.input_tokens.saturating_add(usage.output_tokens),
    })
}
