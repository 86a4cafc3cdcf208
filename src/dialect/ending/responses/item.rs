//! The items of a Responses stream, as far as they are known, and how one of them is ended early.

use serde_json::{Map, Value, json};

use crate::dialect::ending::MAX_OPEN;

#[derive(Debug)]
pub(super) struct Item {
    pub(super) index: u32,
    /// As it began.
    added: Option<Box<str>>,
    pieces: Vec<Piece>,
    /// A call's arguments, its input or its code.
    pub(super) said: String,
    pub(super) said_done: bool,
    done: Done,
}

/// How an item or a part of one ended.
#[derive(Debug)]
enum Done {
    Open,
    Kept(Box<str>),
    /// That was too long to keep.
    Lost,
}

/// A text of an item.
#[derive(Debug)]
pub(super) struct Piece {
    place: (bool, u32),
    /// As it began; `None` where no event said so, and so none says that it ended.
    added: Option<Box<str>>,
    kind: Kind,
    pub(super) text: String,
    pub(super) text_done: bool,
    pub(super) annotations: Vec<Box<str>>,
    done: Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Refusal,
    Reasoning,
    Summary,
    Other,
}

impl Done {
    fn of(kept: Option<Box<str>>) -> Self {
        kept.map_or(Self::Lost, Self::Kept)
    }

    fn is_done(&self) -> bool {
        !matches!(self, Self::Open)
    }

    fn kept(&self) -> Option<&str> {
        if let Self::Kept(kept) = self { Some(kept) } else { None }
    }
}

impl Piece {
    /// Where in its item a piece stands: in the summary, and its index there.
    pub(super) fn place(summary: Option<u32>, content: Option<u32>) -> (bool, u32) {
        (summary.is_some(), summary.or(content).unwrap_or_default())
    }

    /// The piece is whole, and what was kept of it before is not needed.
    pub(super) fn finish(&mut self, done: Option<Box<str>>, left: &mut usize) {
        if done.is_some() {
            *left += self.text.len();
            self.text = String::new();
        }
        self.text_done = true;
        self.done = Done::of(done);
    }

    fn kept(&self) -> usize {
        let parts = [self.added.as_deref(), self.done.kept()]
            .into_iter()
            .flatten()
            .chain(self.annotations.iter().map(|raw| &**raw));
        self.text.len() + parts.map(str::len).sum::<usize>()
    }

    fn value(&self) -> Value {
        if let Some(done) = parse(self.done.kept()) {
            return done;
        }
        let mut value = parse(self.added.as_deref()).unwrap_or_else(|| match self.kind {
            Kind::Text => json!({"type": "output_text", "annotations": [], "logprobs": []}),
            Kind::Refusal => json!({"type": "refusal"}),
            Kind::Reasoning | Kind::Other => json!({"type": "reasoning_text"}),
            Kind::Summary => json!({"type": "summary_text"}),
        });
        if self.kind != Kind::Other && value.is_object() {
            value[self.kind.text()] = self.text.as_str().into();
        }
        if self.kind == Kind::Text && !self.annotations.is_empty() && value.is_object() {
            value["annotations"] = self.annotations.iter().filter_map(|raw| parse(Some(&**raw))).collect();
        }
        value
    }
}

impl Kind {
    fn text(self) -> &'static str {
        if self == Self::Refusal { "refusal" } else { "text" }
    }

    fn of_part(part: &str) -> Self {
        let value = serde_json::from_str::<Value>(part).unwrap_or_default();
        match value.get("type").and_then(Value::as_str).unwrap_or_default() {
            "output_text" => Self::Text,
            "refusal" => Self::Refusal,
            "reasoning_text" => Self::Reasoning,
            "summary_text" => Self::Summary,
            _ => Self::Other,
        }
    }

    fn of_event(event: &str) -> Self {
        match event {
            "output_text.delta" => Self::Text,
            "refusal.delta" => Self::Refusal,
            "reasoning_text.delta" => Self::Reasoning,
            "reasoning_summary_text.delta" => Self::Summary,
            _ => Self::Other,
        }
    }

    fn done_events(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::Text => ("response.output_text.done", "response.content_part.done"),
            Self::Refusal => ("response.refusal.done", "response.content_part.done"),
            Self::Reasoning => ("response.reasoning_text.done", "response.content_part.done"),
            Self::Summary => ("response.reasoning_summary_text.done", "response.reasoning_summary_part.done"),
            Self::Other => return None,
        })
    }
}

impl Item {
    pub(super) fn new(index: u32, added: Option<Box<str>>) -> Self {
        Self { index, added, pieces: Vec::new(), said: String::new(), said_done: false, done: Done::Open }
    }

    pub(super) fn is_open(&self) -> bool {
        !self.done.is_done()
    }

    /// The item is whole, and what was kept of it before is not needed.
    pub(super) fn finish(&mut self, done: Option<Box<str>>, left: &mut usize) {
        if done.is_some() {
            *left += self.said.len() + self.pieces.iter().map(Piece::kept).sum::<usize>();
            *left += self.added.take().map_or(0, |added| added.len());
            self.said = String::new();
            self.pieces = Vec::new();
        }
        self.done = Done::of(done);
    }

    pub(super) fn known_piece(&mut self, place: (bool, u32)) -> Option<&mut Piece> {
        self.pieces.iter_mut().rev().find(|piece| piece.place == place)
    }

    /// The piece that a delta is for.
    pub(super) fn piece(&mut self, place: (bool, u32), event: &str) -> Option<&mut Piece> {
        if self.known_piece(place).is_none() {
            self.push(place, None, Kind::of_event(event));
        }
        self.known_piece(place)
    }

    pub(super) fn add_piece(&mut self, place: (bool, u32), part: Option<Box<str>>) {
        let kind = part.as_deref().map_or(Kind::Other, Kind::of_part);
        self.push(place, part, kind);
    }

    fn push(&mut self, place: (bool, u32), added: Option<Box<str>>, kind: Kind) {
        if self.pieces.len() < MAX_OPEN {
            let (text, annotations) = (String::new(), Vec::new());
            self.pieces.push(Piece {
                place,
                added,
                kind,
                text,
                text_done: false,
                annotations,
                done: Done::Open,
            });
        }
    }

    /// Ends what is open of it, and gives it as the answer has it.
    pub(super) fn close(self, mut send: impl FnMut(&str, Value)) -> Option<Value> {
        if self.done.is_done() {
            return parse(self.done.kept());
        }
        let Some(Value::Object(mut item)) = parse(self.added.as_deref()) else { return None };
        let id = item.get("id").cloned().unwrap_or_default();
        let mut send = |kind: &str, body: Value| {
            let mut event = Map::new();
            if kind != "response.output_item.done" {
                event.insert("item_id".to_owned(), id.clone());
            }
            event.insert("output_index".to_owned(), self.index.into());
            if let Value::Object(body) = body {
                event.extend(body);
            }
            send(kind, Value::Object(event));
        };
        for piece in &self.pieces {
            close_piece(piece, &mut send);
        }
        let kind = item.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let (event, name) = match kind.as_str() {
            "function_call" => ("response.function_call_arguments.done", "arguments"),
            "custom_tool_call" => ("response.custom_tool_call_input.done", "input"),
            "mcp_call" => ("response.mcp_call_arguments.done", "arguments"),
            "code_interpreter_call" => ("response.code_interpreter_call_code.done", "code"),
            _ => ("", ""),
        };
        if !name.is_empty() {
            if !self.said_done {
                let mut body = json!({ name: self.said });
                if let Some(function) = item.get("name").filter(|_| event.contains("function_call")) {
                    body["name"] = function.clone();
                }
                send(event, body);
            }
            item.insert(name.to_owned(), self.said.as_str().into());
        }
        let status = match kind.as_str() {
            // These know no other word for it.
            "web_search_call" | "image_generation_call" => Some("failed"),
            "message" | "function_call" | "reasoning" => Some("incomplete"),
            _ => item.contains_key("status").then_some("incomplete"),
        };
        if let Some(status) = status {
            item.insert("status".to_owned(), status.into());
        }
        for (name, summary) in [("content", false), ("summary", true)] {
            let mut pieces = self.pieces.iter().filter(|piece| piece.place.0 == summary).peekable();
            if pieces.peek().is_some() {
                item.insert(name.to_owned(), pieces.map(Piece::value).collect());
            }
        }
        let item = Value::Object(item);
        send("response.output_item.done", json!({ "item": item }));
        Some(item)
    }
}

fn close_piece(piece: &Piece, send: &mut impl FnMut(&str, Value)) {
    let Some((text_done, part_done)) = piece.kind.done_events() else { return };
    let index = if piece.place.0 { "summary_index" } else { "content_index" };
    if !piece.text_done {
        let mut body = json!({ index: piece.place.1, piece.kind.text(): piece.text });
        if piece.kind == Kind::Text {
            body["logprobs"] = json!([]);
        }
        send(text_done, body);
    }
    if !piece.done.is_done() && piece.added.is_some() {
        send(part_done, json!({ index: piece.place.1, "part": piece.value() }));
    }
}

fn parse(raw: Option<&str>) -> Option<Value> {
    raw.and_then(|raw| serde_json::from_str(raw).ok())
}
