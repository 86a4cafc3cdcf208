//! Responses streams: from events to bytes.

mod item;
mod sse;
mod thought;

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{
    At, Client, Content, Delta, ENVELOPE, Event, Extra, Failure, Finish, Losses, Opening, Part, Pointer,
    Reasoning, Start,
};

use self::item::{Item, Kind, To};
use self::sse::{member, send};
use super::item::{annotation, item_members, item_of, whole_item};
use super::response::{outcome, skeleton};
use super::{error, tier, usage};

/// The state between two events of a stream.
#[derive(Debug)]
pub struct Encoder {
    client: Client,
    start: Option<Start>,
    sequence: u64,
    items: Vec<Item>,
    /// For each part its item and its place in the item's content.
    parts: Vec<Option<(usize, usize)>>,
    /// Members of parts that are not open yet.
    early: Vec<At<Extra>>,
    /// What the provider repeats of the request, where it speaks this dialect.
    envelope: Option<Map<String, Value>>,
    /// Members of the answer, where the provider speaks this dialect.
    extra: Extra,
    finish: Option<Finish>,
    usage: Option<Value>,
    service_tier: Option<String>,
}

impl Encoder {
    pub fn new(client: Client) -> Self {
        Self {
            client,
            start: None,
            sequence: 0,
            items: Vec::new(),
            parts: Vec::new(),
            early: Vec::new(),
            envelope: None,
            extra: Extra::new(),
            finish: None,
            usage: None,
            service_tier: None,
        }
    }

    /// Writes what `event` is in this dialect, and says in `losses` what of it is left behind.
    pub fn event(&mut self, event: &Event, out: &mut Vec<u8>, losses: &mut Losses) {
        match event {
            Event::Start(start) => self.begin(start.clone(), out),
            Event::Open { choice: 0, part, opening, at } => {
                self.ensure_begun(out);
                self.open(*part, opening, at, out, losses);
            }
            Event::Open { at, .. } => losses.unsupported(at),
            Event::Delta { choice: 0, part, delta } => self.delta(*part, delta, out, losses),
            Event::Close { choice: 0, part } => self.close(*part, out),
            Event::LogProbs { choice: 0, part, logprobs } => self.logprobs(*part, logprobs, out, losses),
            Event::Finish { choice: 0, finish } => self.finish(finish, out),
            Event::Usage(report) => self.usage = Some(usage::render(report, losses)),
            Event::ServiceTier(tier) => {
                self.service_tier = tier::word(tier, self.envelope.is_some(), losses).map(str::to_owned);
            }
            // A comment: not every reader of this dialect knows an event for it.
            Event::Ping => out.extend_from_slice(b": keepalive\n\n"),
            Event::Error(failure) => self.error(failure, out),
            Event::Extra(extra) => self.extra(extra, losses),
            Event::Finish { finish, .. } => losses.unsupported(&finish.at),
            // Of other choices than the first; their opening was reported.
            Event::Delta { .. } | Event::Close { .. } | Event::LogProbs { .. } | Event::Lost(_) => {}
            Event::End => self.end(out, losses),
        }
    }

    fn ensure_begun(&mut self, out: &mut Vec<u8>) {
        if self.start.is_none() {
            self.begin(Start::default(), out);
        }
    }

    fn begin(&mut self, start: Start, out: &mut Vec<u8>) {
        if self.start.is_some() {
            return;
        }
        self.start = Some(start);
        let response = Value::Object(self.response(None));
        for kind in ["response.created", "response.in_progress"] {
            send(&mut self.sequence, out, kind, |out| member(out, "response", &response));
        }
    }

    /// The response object, with its output still empty.
    fn response(&self, provider: Option<&Map<String, Value>>) -> Map<String, Value> {
        let start = self.start.as_ref();
        let id = start.and_then(|start| start.id.as_deref());
        let mut object = skeleton(&self.client, id, provider);
        let created = start.and_then(|start| start.created).unwrap_or(self.client.created);
        let model = start.and_then(|start| start.model.as_deref()).unwrap_or(&self.client.model);
        object.insert("created_at".to_owned(), created.into());
        object.insert("model".to_owned(), model.into());
        object
    }

    fn open(&mut self, number: u32, opening: &Opening, at: &Pointer, out: &mut Vec<u8>, losses: &mut Losses) {
        let place = item_of(at).map(str::to_owned);
        let early = self.early.iter().position(|extra| extra.at == *at);
        let extra = early.map(|early| self.early.swap_remove(early).value).unwrap_or_default();
        let text = matches!(opening, Opening::Text | Opening::Refusal);
        let last = self.items.len().checked_sub(1).filter(|last| {
            let item = &self.items[*last];
            let fits = matches!(item.kind, Kind::Message { over: false, .. }) && item.done.is_none();
            text && fits && item.place == place
        });
        if last.is_none() {
            self.close_messages("completed", out);
        }
        let output_index = last.unwrap_or(self.items.len());
        let to = &mut To { sequence: &mut self.sequence, out, output_index, id: &self.client.id };
        let mut content = 0;
        let mut part = Part { extra, ..Part::new(Content::Opaque(Value::Null), at.clone()) };
        match opening {
            Opening::Text | Opening::Refusal => {
                if last.is_none() {
                    let members = item_members(&part.extra).cloned().unwrap_or_default();
                    self.items.push(Item::message(place, members, to));
                }
                let mut extra = part.extra;
                extra.retain(|key, _| !key.starts_with("~/"));
                let refusal = matches!(opening, Opening::Refusal);
                content = self.items[output_index].piece(at.clone(), refusal, extra, to);
            }
            Opening::Reasoning { id } => {
                part.content = Content::Reasoning(Reasoning { id: id.clone(), ..Reasoning::default() });
                self.items.push(Item::part(part, place, to));
            }
            Opening::ToolCall(call) => {
                let mut call = call.clone();
                let arguments = std::mem::take(&mut call.arguments);
                part.content = Content::ToolCall(call);
                let mut item = Item::part(part, place, to);
                if !arguments.is_empty() {
                    item.arguments(&arguments, to);
                }
                self.items.push(item);
            }
            Opening::Server(_) | Opening::Media(_) | Opening::Opaque(_) => {
                part.content = match opening {
                    Opening::Server(used) => Content::Server((**used).clone()),
                    Opening::Media(media) => Content::Media((**media).clone()),
                    Opening::Opaque(raw) => Content::Opaque(raw.clone()),
                    _ => return,
                };
                let Some(value) = whole_item(&part, &self.client.id, output_index, losses) else { return };
                self.items.push(Item::whole(value, place, to));
            }
        }
        let number = number as usize;
        if self.parts.len() <= number {
            self.parts.resize(number + 1, None);
        }
        self.parts[number] = Some((output_index, content));
    }

    /// Ends the messages in which nothing is open, for something else begins; the others end with their last text.
    fn close_messages(&mut self, status: &str, out: &mut Vec<u8>) {
        for (output_index, item) in self.items.iter_mut().enumerate() {
            if item.done.is_none()
                && let Kind::Message { over, .. } = &mut item.kind
            {
                *over = true;
                if item.quiet() {
                    let mut to = To { sequence: &mut self.sequence, out, output_index, id: &self.client.id };
                    item.close(status, &mut to);
                }
            }
        }
    }

    /// The item of a part, and its place in the item's content.
    fn place<'a>(&'a mut self, part: u32, out: &'a mut Vec<u8>) -> Option<(&'a mut Item, usize, To<'a>)> {
        let (output_index, content) = (*self.parts.get(part as usize)?)?;
        let item = self.items.get_mut(output_index)?;
        let to = To { sequence: &mut self.sequence, out, output_index, id: &self.client.id };
        item.done.is_none().then_some((item, content, to))
    }

    fn delta(&mut self, part: u32, delta: &Delta, out: &mut Vec<u8>, losses: &mut Losses) {
        let Some((item, content, mut to)) = self.place(part, out) else { return };
        match delta {
            Delta::Text(text) => item.text(content, text, &mut to),
            Delta::Arguments(more) => item.arguments(more, &mut to),
            Delta::Thought { summary, new, text } => item.thought(*summary, *new, text, &mut to),
            Delta::Seal(seal) => {
                if let Kind::Part(part) = &mut item.kind
                    && let Content::Reasoning(reasoning) = &mut part.content
                {
                    reasoning.seal = Some(seal.clone());
                }
            }
            Delta::Annotation(cited) => {
                let own = item.place.is_some();
                let text = match &item.kind {
                    Kind::Message { pieces, .. } => pieces.get(content).map(|piece| piece.text.as_str()),
                    _ => None,
                };
                if let Some(value) = annotation(cited, text.unwrap_or_default(), own, losses) {
                    item.annotation(content, value, &mut to);
                }
            }
        }
    }

    fn logprobs(&mut self, part: u32, logprobs: &At<Value>, out: &mut Vec<u8>, losses: &mut Losses) {
        let refused = logprobs.value.get("refusal").and_then(Value::as_array);
        if refused.is_some_and(|list| !list.is_empty()) {
            losses.unsupported(&logprobs.at.key("refusal"));
        }
        let Some(Value::Array(tokens)) = logprobs.value.get("content") else { return };
        if tokens.is_empty() {
            return;
        }
        let written = match self.place(part, out) {
            Some((item, content, mut to)) => item.logprobs(content, tokens, &mut to),
            None => false,
        };
        if !written {
            losses.unsupported(&logprobs.at);
        }
    }

    fn close(&mut self, part: u32, out: &mut Vec<u8>) {
        let Some((item, content, mut to)) = self.place(part, out) else { return };
        match item.kind {
            Kind::Message { over, .. } => {
                item.close_piece(content, &mut to);
                if over && item.quiet() {
                    item.close("completed", &mut to);
                }
            }
            _ => item.close("completed", &mut to),
        }
    }

    fn finish(&mut self, finish: &Finish, out: &mut Vec<u8>) {
        self.finish = Some(finish.clone());
        self.close_all(out);
    }

    fn close_all(&mut self, out: &mut Vec<u8>) {
        // What is left behind here is said when the end is written.
        let ending = outcome(self.finish.as_ref(), self.envelope.is_some(), &mut Losses::default());
        let cut = ending.status == "incomplete" && self.envelope.is_none();
        let status = if cut { "incomplete" } else { "completed" };
        for (output_index, item) in self.items.iter_mut().enumerate() {
            let mut to = To { sequence: &mut self.sequence, out, output_index, id: &self.client.id };
            item.close(status, &mut to);
        }
    }

    fn extra(&mut self, extra: &At<Extra>, losses: &mut Losses) {
        if extra.at == Pointer::ROOT {
            if let Some(Value::Object(envelope)) = extra.value.get(ENVELOPE) {
                self.envelope = Some(envelope.clone());
            }
            if self.envelope.is_none() {
                losses.extra(&extra.at, &extra.value);
            } else {
                self.extra.extend(extra.value.clone());
            }
        } else if item_of(&extra.at).is_none() {
            losses.extra(&extra.at, &extra.value);
        } else if !self.add(extra) {
            self.early.push(extra.clone());
        }
    }

    /// Adds members to a part that is open, if it is.
    fn add(&mut self, extra: &At<Extra>) -> bool {
        let place = item_of(&extra.at);
        let Some(item) = self.items.iter_mut().rev().find(|item| item.place.as_deref() == place) else {
            return false;
        };
        match &mut item.kind {
            Kind::Part(part) => part.extra.extend(extra.value.clone()),
            Kind::Whole => {}
            Kind::Message { members, pieces, .. } => {
                let Some(piece) = pieces.iter_mut().find(|piece| piece.at == extra.at) else { return false };
                members.extend(item_members(&extra.value).cloned().unwrap_or_default());
                let more = extra.value.iter().filter(|(key, _)| !key.starts_with("~/"));
                piece.extra.extend(more.map(|(key, value)| (key.clone(), value.clone())));
            }
        }
        true
    }

    fn error(&mut self, failure: &Failure, out: &mut Vec<u8>) {
        let kind = error::kind(failure);
        let code = failure.code.as_deref().unwrap_or(kind);
        // In both places, as the gateway's own are.
        let nested = json!({
            "type": kind, "code": code, "message": failure.message, "param": failure.param,
        });
        send(&mut self.sequence, out, "error", |out| {
            member(out, "code", code);
            member(out, "message", &failure.message);
            member(out, "param", &failure.param);
            member(out, "error", &nested);
        });
    }

    fn end(&mut self, out: &mut Vec<u8>, losses: &mut Losses) {
        self.ensure_begun(out);
        self.close_all(out);
        let own = self.envelope.is_some();
        let outcome = outcome(self.finish.as_ref(), own, losses);
        let mut response = self.response(self.envelope.as_ref());
        let items: Vec<Value> = self.items.iter_mut().filter_map(|item| item.done.take()).collect();
        response.insert("output".to_owned(), items.into());
        response.insert("incomplete_details".to_owned(), outcome.incomplete_details);
        response.insert("error".to_owned(), outcome.error);
        if let Some(usage) = self.usage.take() {
            response.insert("usage".to_owned(), usage);
        }
        if let Some(tier) = self.service_tier.take() {
            response.insert("service_tier".to_owned(), tier.into());
        } else if own {
            response.shift_remove("service_tier");
        }
        let extra = std::mem::take(&mut self.extra);
        response.extend(extra.into_iter().filter(|(key, _)| !key.starts_with(ENVELOPE)));
        let kind = match outcome.status.as_str() {
            "incomplete" => "response.incomplete",
            "failed" => "response.failed",
            _ => "response.completed",
        };
        response.insert("status".to_owned(), outcome.status.into());
        send(&mut self.sequence, out, kind, |out| member(out, "response", &response));
    }
}
