//! Messages streams: from events to bytes.

mod begin;
#[cfg(test)]
mod tests;
mod write;

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{
    At, Client, Delta, Event, Extra, Finish, Losses, Maker, Pointer, Start, UsageReport,
};

use self::write::{PING, block_stop, cite, delta, is_own, sign, words, write};
use super::{error, report, response, stop};

/// The state between two events of a stream.
///
/// Blocks are numbered in the order in which they begin on the wire, and one ends before the next begins: the SDKs
/// count on it. Of parts whose pieces come by turns, text and thoughts go on in a new block; a call cannot, so what others say
/// waits until it is closed.
#[derive(Debug)]
pub struct Encoder {
    client: Client,
    /// What `message_start` says. It waits for the event behind it, which may be the usage.
    start: Start,
    started: bool,
    /// The first ping of the provider's is passed over: the beginning has one.
    pinged: bool,
    open: Vec<Open>,
    /// The index of the next block.
    next: u32,
    /// How many tool calls without an id there were.
    nameless: u32,
    /// How many uses of a server tool without an id there were.
    servers: u32,
    seen: stop::Seen,
    usage: Option<UsageReport>,
    tier: Option<At<String>>,
    finish: Option<Finish>,
    /// Members of the answer that this dialect's own provider sent.
    extra: Extra,
    /// Members of the part that begins next.
    of_part: Option<At<Extra>>,
    /// The block of thoughts that was written last and has no signature. Gemini signs the part behind it, and an
    /// Anthropic client knows no thoughts without a signature, so that one is for these thoughts.
    unsealed: Option<u32>,
    /// What other parts say while a call is open.
    held: Vec<Event>,
}

#[derive(Debug)]
struct Open {
    part: u32,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// A block without a word would be refused if it came back, so it begins with the first.
    Text(Option<u32>),
    /// Reasoning of which nothing has been said yet: it may be readable, sealed, or nothing at all.
    Unsaid,
    Thinking {
        index: u32,
        thoughts: bool,
        sealed: bool,
    },
    Call {
        index: u32,
        custom: bool,
    },
    /// All of it has been written.
    Done,
}

/// Members of a message beside those that every message has.
const OWN: [&str; 5] =
    ["container", "context_management", "stop_details", "diagnostics", "input_transformations"];

/// Those of them that stand beside the `delta` of `message_delta`, not in it.
const BESIDE: [&str; 2] = ["context_management", "input_transformations"];

impl Encoder {
    pub fn new(client: Client) -> Self {
        Self {
            client,
            start: Start::default(),
            started: false,
            pinged: false,
            open: Vec::new(),
            next: 0,
            nameless: 0,
            servers: 0,
            unsealed: None,
            held: Vec::new(),
            seen: stop::Seen::default(),
            usage: None,
            tier: None,
            finish: None,
            extra: Extra::new(),
            of_part: None,
        }
    }

    /// Writes what `event` is in this dialect, and says in `losses` what of it is left behind.
    pub fn event(&mut self, event: &Event, out: &mut Vec<u8>, losses: &mut Losses) {
        match event {
            Event::Start(start) => return self.start.clone_from(start),
            Event::Usage(usage) => return self.usage = Some(usage.clone()),
            Event::ServiceTier(tier) => return self.tier = Some(tier.clone()),
            Event::Extra(extra) => return self.extra(extra, losses),
            Event::Lost(loss) => return losses.push(&loss.at, loss.why),
            Event::Error(failure) => {
                let error = error::render(failure, &self.client.request_id);
                return write(out, "error", &error);
            }
            _ => self.begin(out),
        }
        if self.waits(event) {
            return self.held.push(event.clone());
        }
        match event {
            Event::Open { choice: 0, part, opening, at } => self.opening(*part, opening, at, out, losses),
            Event::Delta { choice: 0, part, delta } => self.delta(*part, delta, out, losses),
            Event::Close { choice: 0, part } => {
                self.close(*part, out);
                for event in std::mem::take(&mut self.held) {
                    self.event(&event, out, losses);
                }
            }
            Event::Finish { choice: 0, finish } => self.finish = Some(finish.clone()),
            // There is one answer to a message.
            Event::Finish { finish, .. } => losses.unsupported(&finish.at),
            Event::Open { at, .. } => losses.unsupported(at),
            Event::LogProbs { logprobs, .. } => losses.unsupported(&logprobs.at),
            Event::Ping if self.next == 0 && !std::mem::replace(&mut self.pinged, true) => {}
            Event::Ping => out.extend_from_slice(PING),
            Event::End => self.end(out, losses),
            _ => {}
        }
    }

    /// Whether a call of another part is open, and so nothing else can be said.
    fn waits(&self, event: &Event) -> bool {
        let (Event::Open { choice: 0, part, .. }
        | Event::Delta { choice: 0, part, .. }
        | Event::Close { choice: 0, part }) = event
        else {
            return false;
        };
        self.open.iter().any(|open| open.part != *part && matches!(open.form, Form::Call { .. }))
    }

    /// Ends the block that is open. Its part goes on in another, if it does.
    fn pause(&mut self, out: &mut Vec<u8>) {
        for open in &mut self.open {
            let index = match open.form {
                Form::Text(Some(index)) => {
                    open.form = Form::Text(None);
                    index
                }
                Form::Thinking { index, .. } => {
                    open.form = Form::Unsaid;
                    index
                }
                _ => continue,
            };
            block_stop(index, out);
        }
        if let Some(index) = self.unsealed.take() {
            block_stop(index, out);
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        // Losses of the usage are told at the end, when it is complete.
        let usage = report::write(self.usage.as_ref(), self.tier.as_ref(), &mut Losses::default());
        let mut message = json!({
            "id": response::id(self.start.id.as_deref(), &self.client),
            "type": "message",
            "role": "assistant",
            "model": self.start.model.as_ref().unwrap_or(&self.client.model),
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "usage": usage,
        });
        if let Value::Object(message) = &mut message {
            message.extend(std::mem::take(&mut self.extra));
        }
        write(out, "message_start", &json!({"type": "message_start", "message": message}));
        out.extend_from_slice(PING);
    }

    fn extra(&mut self, extra: &At<Extra>, losses: &mut Losses) {
        if extra.at != Pointer::ROOT {
            if is_own(&extra.at) {
                self.of_part = Some(extra.clone());
            } else {
                losses.extra(&extra.at, &extra.value);
            }
            return;
        }
        let mut strange = extra.value.clone();
        for key in OWN {
            self.extra.extend(strange.remove(key).map(|value| (key.to_owned(), value)));
        }
        losses.extra(&extra.at, &strange);
    }

    fn delta(&mut self, part: u32, piece: &Delta, out: &mut Vec<u8>, losses: &mut Losses) {
        let Some(at) = self.open.iter().position(|open| open.part == part) else { return };
        match (&mut self.open[at].form, piece) {
            (Form::Text(None), Delta::Text(text)) if text.is_empty() => {}
            (Form::Text(None), Delta::Text(_) | Delta::Annotation(_)) => {
                let index = self.block_start(&Pointer::ROOT, words(), out);
                self.open[at].form = Form::Text(Some(index));
                self.delta(part, piece, out, losses);
            }
            (Form::Text(Some(index)), Delta::Text(text)) => delta(*index, "text_delta", "text", text, out),
            (Form::Text(Some(index)), Delta::Annotation(annotation)) => cite(*index, annotation, out, losses),
            (Form::Call { index, custom: false }, Delta::Arguments(json)) => {
                delta(*index, "input_json_delta", "partial_json", json, out);
            }
            (Form::Call { index, custom: true }, Delta::Arguments(text)) => {
                let quoted = Value::from(text.as_str()).to_string();
                delta(*index, "input_json_delta", "partial_json", &quoted[1..quoted.len() - 1], out);
            }
            (Form::Unsaid, Delta::Seal(seal))
                if seal.maker == Maker::Gemini
                    && let Some(index) = self.unsealed.take() =>
            {
                sign(index, seal, out);
                block_stop(index, out);
                self.open[at].form = Form::Done;
            }
            (Form::Unsaid, Delta::Seal(seal)) if seal.redacted => {
                let data = seal.travelling(Maker::Anthropic);
                let index =
                    self.block_start(&Pointer::ROOT, json!({"type": "redacted_thinking", "data": data}), out);
                block_stop(index, out);
                self.open[at].form = Form::Done;
            }
            (Form::Unsaid, Delta::Thought { .. } | Delta::Seal(_)) => {
                let block = json!({"type": "thinking", "thinking": "", "signature": ""});
                let index = self.block_start(&Pointer::ROOT, block, out);
                self.open[at].form = Form::Thinking { index, thoughts: false, sealed: false };
                self.delta(part, piece, out, losses);
            }
            (Form::Thinking { index, thoughts, .. }, Delta::Thought { new, text, .. }) => {
                if *new && *thoughts {
                    delta(*index, "thinking_delta", "thinking", "\n\n", out);
                }
                *thoughts = true;
                delta(*index, "thinking_delta", "thinking", text, out);
            }
            (Form::Thinking { index, sealed, .. }, Delta::Seal(seal)) => {
                *sealed = true;
                sign(*index, seal, out);
            }
            _ => {}
        }
    }

    fn close(&mut self, part: u32, out: &mut Vec<u8>) {
        let Some(at) = self.open.iter().position(|open| open.part == part) else { return };
        match self.open.remove(at).form {
            Form::Thinking { index, sealed: false, .. } => self.unsealed = Some(index),
            Form::Text(Some(index)) | Form::Thinking { index, .. } | Form::Call { index, custom: false } => {
                block_stop(index, out);
            }
            Form::Call { index, custom: true } => {
                delta(index, "input_json_delta", "partial_json", "\"}", out);
                block_stop(index, out);
            }
            Form::Text(None) | Form::Unsaid | Form::Done => {}
        }
    }

    fn end(&mut self, out: &mut Vec<u8>, losses: &mut Losses) {
        // What waits for a call comes when the call is closed.
        let call = |open: &&Open| matches!(open.form, Form::Call { .. });
        while let Some(open) = self.open.iter().find(call).or(self.open.first()) {
            let part = open.part;
            self.event(&Event::Close { choice: 0, part }, out, losses);
        }
        self.pause(out);
        let finish = self.finish.take();
        let word = match &finish {
            Some(finish) => stop::word(finish, stop::is_own(finish), self.seen, losses),
            None => stop::unsaid(self.seen),
        };
        let mut extra = std::mem::take(&mut self.extra);
        let mut delta = Map::new();
        delta.insert("stop_reason".into(), word.into());
        delta.insert("stop_sequence".into(), finish.and_then(|finish| finish.stop_sequence).into());
        let mut event = Map::new();
        event.insert("type".into(), "message_delta".into());
        let beside = BESIDE.map(|key| extra.remove(key).map(|value| (key.to_owned(), value)));
        delta.extend(extra);
        event.insert("delta".into(), Value::Object(delta));
        event.insert("usage".into(), report::write(self.usage.as_ref(), self.tier.as_ref(), losses));
        event.extend(beside.into_iter().flatten());
        write(out, "message_delta", &event);
        out.extend_from_slice(b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
    }
}
