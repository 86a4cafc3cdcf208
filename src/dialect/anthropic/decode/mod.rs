//! Messages streams: from documents to events.

mod wire;

use serde_json::{Map, Value};
use tollgate_filters::chat::{
    At, Delta, Event, Extra, Finish, Loss, Maker, Opening, Part, Pointer, Seal, Start, Why,
};

use self::wire::{Hot, Piece, PieceType, Type, begun, merge};
use super::{block, error, report, stop};

/// Where the blocks of an answer stand.
const CONTENT: Pointer = Pointer::of("/content");

/// The state between two documents of a stream.
#[derive(Debug, Default)]
pub struct Decoder {
    started: bool,
    /// The reason for the end, once it has come. It is told at the end, since another block may follow.
    reason: Option<Finish>,
    ended: bool,
    /// Blocks that are not closed yet.
    open: Vec<Block>,
    /// How many parts there have been.
    parts: u32,
    /// The usage so far: `message_delta` overlays `message_start`.
    usage: Map<String, Value>,
    tier: Option<String>,
    /// Names of members and events that have been told.
    told: Vec<String>,
}

#[derive(Debug)]
struct Block {
    index: usize,
    form: Form,
}

/// What pieces a block takes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Thinking,
    Call,
    /// None; it came whole.
    Other,
}

#[derive(Debug)]
enum Form {
    /// It goes on as it comes.
    Live { part: u32, kind: Kind, arguments: bool, thought: bool, citations: usize },
    /// Only as a whole does it mean anything: a server tool's call, and blocks that only this dialect has.
    Held { raw: Value, input: String },
}

impl Decoder {
    /// Reads one document (the data of an SSE event) and tells what it says.
    pub fn document(&mut self, data: &[u8], events: &mut Vec<Event>) {
        if self.ended {
            return;
        }
        match serde_json::from_slice::<Hot>(data) {
            Ok(Hot { r#type: Type::ContentBlockDelta, index, delta }) if delta.r#type != PieceType::Other => {
                self.piece(index, delta, events);
            }
            _ => match serde_json::from_slice(data) {
                Ok(Value::Object(document)) => self.other(document, events),
                _ => self.lost("unreadable", events),
            },
        }
    }

    /// The bytes are over. Tells what the stream's end implies; `Event::End` only if the stream had ended as it should.
    pub fn finish(&mut self, events: &mut Vec<Event>) {
        if self.reason.is_some() {
            self.end(events);
        }
    }

    fn end(&mut self, events: &mut Vec<Event>) {
        self.ended = true;
        self.close_all(events);
        if let Some(finish) = self.reason.take() {
            events.push(Event::Finish { choice: 0, finish });
        }
        events.push(Event::End);
    }

    fn piece(&mut self, index: usize, piece: Piece, events: &mut Vec<Event>) {
        let (opening, takes, key) = match piece.r#type {
            PieceType::TextDelta => ("text", Kind::Text, "text"),
            PieceType::InputJsonDelta => ("tool_use", Kind::Call, "input"),
            PieceType::SignatureDelta => ("thinking", Kind::Thinking, "signature"),
            _ => ("thinking", Kind::Thinking, "thinking"),
        };
        let Some(block) = self.block(index, opening, events) else { return };
        let (part, thought, arguments) = match &mut block.form {
            Form::Held { input, .. } => return input.push_str(&piece.partial_json),
            Form::Live { part, thought, arguments, kind, .. } if *kind == takes => {
                (*part, thought, arguments)
            }
            Form::Live { .. } => {
                let at = CONTENT.index(index).key(key);
                return events.push(Event::Lost(Loss { at, why: Why::Unsupported }));
            }
        };
        let delta = match piece.r#type {
            PieceType::TextDelta if !piece.text.is_empty() => Delta::Text(piece.text),
            PieceType::InputJsonDelta if !piece.partial_json.is_empty() => {
                *arguments = true;
                Delta::Arguments(piece.partial_json)
            }
            PieceType::ThinkingDelta if !piece.thinking.is_empty() => {
                let new = !std::mem::replace(thought, true);
                Delta::Thought { summary: false, new, text: piece.thinking }
            }
            PieceType::SignatureDelta if !piece.signature.is_empty() => {
                Delta::Seal(Seal::arriving(&piece.signature, Maker::Anthropic, false))
            }
            _ => return,
        };
        events.push(Event::Delta { choice: 0, part, delta });
    }

    fn other(&mut self, mut document: Map<String, Value>, events: &mut Vec<Event>) {
        let kind = document.remove("type");
        let index = document.get("index").and_then(Value::as_u64).and_then(|i| usize::try_from(i).ok());
        match (kind.as_ref().and_then(Value::as_str).unwrap_or_default(), index) {
            ("message_start", _) => self.start(document, events),
            ("content_block_start", Some(index)) => {
                self.block_start(index, document.remove("content_block").unwrap_or_default(), events);
            }
            ("content_block_delta", Some(index)) => {
                self.odd_piece(index, document.remove("delta").unwrap_or_default(), events);
            }
            ("content_block_stop", Some(index)) => {
                if let Some(at) = self.open.iter().position(|block| block.index == index) {
                    let block = self.open.remove(at);
                    self.close(block, events);
                }
            }
            ("message_delta", _) => self.message_delta(document, events),
            ("message_stop", _) => {
                self.begin(events);
                self.end(events);
            }
            ("ping", _) => events.push(Event::Ping),
            ("error", _) => {
                self.ended = true;
                self.reason = None;
                let raw = Value::Object(document).to_string();
                events.push(Event::Error(error::parse(0, raw.as_bytes())));
            }
            (unknown, _) => {
                let unknown = unknown.to_owned();
                self.lost(&unknown, events);
            }
        }
    }

    fn start(&mut self, mut document: Map<String, Value>, events: &mut Vec<Event>) {
        let Some(Value::Object(mut message)) = document.remove("message") else { return self.begin(events) };
        let mut word = |key: &str| match message.remove(key) {
            Some(Value::String(word)) => Some(word),
            _ => None,
        };
        let (id, model) = (word("id"), word("model"));
        if !std::mem::replace(&mut self.started, true) {
            events.push(Event::Start(Start { id, model, created: None }));
        }
        let usage = message.remove("usage");
        for known in ["type", "role", "content", "stop_reason", "stop_sequence"] {
            message.remove(known);
        }
        self.extra(message, events);
        self.usage(usage, events);
    }

    /// A stream that does not say that it begins has begun.
    fn begin(&mut self, events: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.started, true) {
            events.push(Event::Start(Start::default()));
        }
    }

    /// The open block at `index`; one that never began begins as `kind`.
    fn block(&mut self, index: usize, kind: &str, events: &mut Vec<Event>) -> Option<&mut Block> {
        if !self.open.iter().any(|block| block.index == index) {
            let mut raw = Map::new();
            raw.insert("type".into(), kind.into());
            let required: &[&str] = match kind {
                "text" => &["text"],
                "tool_use" => &["id", "name"],
                _ => &[],
            };
            raw.extend(required.iter().map(|key| ((*key).to_owned(), "".into())));
            self.block_start(index, Value::Object(raw), events);
        }
        self.open.iter_mut().find(|block| block.index == index)
    }

    fn block_start(&mut self, index: usize, raw: Value, events: &mut Vec<Event>) {
        self.begin(events);
        let kind = raw.get("type").and_then(Value::as_str).unwrap_or_default();
        if !matches!(kind, "text" | "thinking" | "redacted_thinking" | "tool_use") {
            self.open.push(Block { index, form: Form::Held { raw, input: String::new() } });
            return;
        }
        let Part { content, at, extra, .. } = block::lenient(raw, CONTENT.index(index));
        let (opening, deltas) = begun(content);
        let kind = match opening {
            Opening::Text => Kind::Text,
            Opening::Reasoning { .. } => Kind::Thinking,
            Opening::ToolCall(_) => Kind::Call,
            _ => Kind::Other,
        };
        let citations = deltas.iter().filter(|delta| matches!(delta, Delta::Annotation(_))).count();
        let mut form = Form::Live { part: self.parts, kind, arguments: false, thought: false, citations };
        if let Form::Live { arguments, thought, .. } = &mut form {
            *arguments = deltas.iter().any(|delta| matches!(delta, Delta::Arguments(_)));
            *thought = deltas.iter().any(|delta| matches!(delta, Delta::Thought { .. }));
        }
        if !extra.is_empty() {
            events.push(Event::Extra(At::new(extra, at.clone())));
        }
        let part = self.parts;
        self.parts += 1;
        events.push(Event::Open { choice: 0, part, opening, at });
        events.extend(deltas.into_iter().map(|delta| Event::Delta { choice: 0, part, delta }));
        self.open.push(Block { index, form });
    }

    /// A delta that is rare, or of an unknown type: what it holds is added to the block that it belongs to.
    fn odd_piece(&mut self, index: usize, delta: Value, events: &mut Vec<Event>) {
        let Value::Object(mut delta) = delta else { return };
        let kind = delta.remove("type").unwrap_or_default();
        let opening = if kind == "citations_delta" { "text" } else { "unknown" };
        let Some(block) = self.block(index, opening, events) else { return };
        match &mut block.form {
            Form::Held { raw: Value::Object(raw), .. } => merge(raw, delta),
            Form::Live { part, kind: Kind::Text, citations, .. } if kind == "citations_delta" => {
                let Some(raw) = delta.remove("citation") else { return };
                let at = CONTENT.index(index).key("citations").index(*citations);
                *citations += 1;
                let part = *part;
                let annotation = Box::new(block::annotation(raw, at));
                events.push(Event::Delta { choice: 0, part, delta: Delta::Annotation(annotation) });
            }
            _ => {
                let at = CONTENT.index(index);
                for key in delta.keys() {
                    events.push(Event::Lost(Loss { at: at.key(key), why: Why::Unsupported }));
                }
            }
        }
    }

    fn close(&mut self, block: Block, events: &mut Vec<Event>) {
        let part = match block.form {
            Form::Live { part, kind, arguments, .. } => {
                if kind == Kind::Call && !arguments {
                    let delta = Delta::Arguments("{}".to_owned());
                    events.push(Event::Delta { choice: 0, part, delta });
                }
                part
            }
            Form::Held { mut raw, input } => {
                if !input.is_empty()
                    && let (Value::Object(raw), Ok(input)) = (&mut raw, serde_json::from_str(&input))
                {
                    raw.insert("input".into(), input);
                }
                let Part { content, at, .. } = block::lenient(raw, CONTENT.index(block.index));
                let part = self.parts;
                self.parts += 1;
                let (opening, _) = begun(content);
                events.push(Event::Open { choice: 0, part, opening, at });
                part
            }
        };
        events.push(Event::Close { choice: 0, part });
    }

    fn close_all(&mut self, events: &mut Vec<Event>) {
        for block in std::mem::take(&mut self.open) {
            self.close(block, events);
        }
    }

    fn message_delta(&mut self, mut document: Map<String, Value>, events: &mut Vec<Event>) {
        self.begin(events);
        self.close_all(events);
        let usage = document.remove("usage");
        if let Some(Value::Object(mut delta)) = document.remove("delta") {
            let sequence = match delta.remove("stop_sequence") {
                Some(Value::String(sequence)) => Some(sequence),
                _ => None,
            };
            if let Some(Value::String(word)) = delta.remove("stop_reason")
                && self.reason.is_none()
            {
                self.reason = Some(stop::read(word, sequence));
            }
            self.extra(delta, events);
        }
        self.extra(document, events);
        self.usage(usage, events);
    }

    fn usage(&mut self, usage: Option<Value>, events: &mut Vec<Event>) {
        let Some(Value::Object(usage)) = usage else { return };
        self.usage.extend(usage.into_iter().filter(|(_, value)| !value.is_null()));
        let (report, tier) = report::read(&self.usage);
        events.extend(report.map(Event::Usage));
        if let Some(tier) = tier
            && self.tier.as_ref() != Some(&tier.value)
        {
            self.tier = Some(tier.value.clone());
            events.push(Event::ServiceTier(tier));
        }
    }

    /// Members of the answer that have no typed field, each once.
    fn extra(&mut self, members: Map<String, Value>, events: &mut Vec<Event>) {
        let mut extra = Extra::new();
        for (key, value) in members {
            if !value.is_null() && !self.told.contains(&key) {
                self.told.push(key.clone());
                extra.insert(key, value);
            }
        }
        if !extra.is_empty() {
            events.push(Event::Extra(At::new(extra, Pointer::ROOT)));
        }
    }

    fn lost(&mut self, what: &str, events: &mut Vec<Event>) {
        if !self.told.iter().any(|told| told == what) {
            self.told.push(what.to_owned());
            events.push(Event::Lost(Loss { at: Pointer::ROOT.key(what), why: Why::Unsupported }));
        }
    }
}
