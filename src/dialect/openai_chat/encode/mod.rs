//! Chat Completions streams: from events to bytes.

mod chunk;

use std::io::Write;

use serde_json::{Value, json};
use tollgate_filters::chat::{
    Annotation, At, Client, Delta, Event, Finish, FinishKind, Loss, Losses, Maker, Media, MediaKind,
    MediaSource, Opening, Pointer, Seal, Start, ToolCall, UsageReport,
};

use super::content::{citation, url_of};
use super::{error, response, usage};

/// The state between two events of a stream.
#[derive(Debug)]
pub struct Encoder {
    client: Client,
    start: Start,
    tier: Option<String>,
    /// What every chunk begins with, up to the list of choices. Empty until the first one.
    head: Vec<u8>,
    choices: Vec<Choice>,
    /// How many tool calls there were in all.
    calls: usize,
    usage: Option<UsageReport>,
}

/// What is known of a choice. A part's number is its place in `parts`.
#[derive(Debug)]
struct Choice {
    index: u32,
    parts: Vec<Kind>,
    calls: u32,
    blocks: usize,
    /// Characters of the text before the part that is open.
    before: u64,
    length: u64,
    /// Gemini's signature, which may be that of the tool call that comes next.
    seal: Option<At<Seal>>,
    /// The word for why it ended.
    finish: Option<String>,
}

#[derive(Debug)]
enum Kind {
    Text,
    Refusal,
    Reasoning { block: usize, thoughts: bool, id: Option<String>, at: Pointer },
    Call { index: u32, custom: bool, arguments: bool },
    Whole,
}

impl Encoder {
    pub fn new(client: Client) -> Self {
        Self {
            client,
            start: Start::default(),
            tier: None,
            head: Vec::new(),
            choices: Vec::new(),
            calls: 0,
            usage: None,
        }
    }

    /// Writes what `event` is in this dialect, and says in `losses` what of it is left behind.
    pub fn event(&mut self, event: &Event, out: &mut Vec<u8>, losses: &mut Losses) {
        match event {
            Event::Start(start) => self.start = start.clone(),
            Event::Open { choice, opening, at, .. } => self.open(*choice, opening, at, out, losses),
            Event::Delta { choice, part, delta } => self.delta(*choice, *part, delta, out, losses),
            Event::Close { choice, part } => self.close(*choice, *part, out),
            Event::LogProbs { choice, logprobs, .. } => {
                let at = self.choice(*choice, out);
                let logprobs = logprobs.value.to_string();
                self.chunk(at, b"{}", Some(&logprobs), None, out);
            }
            Event::Finish { choice, finish } => self.finish(*choice, finish, out, losses),
            Event::Usage(report) => self.usage = Some(report.clone()),
            Event::ServiceTier(At { value, .. }) => {
                self.tier = Some(value.clone());
                self.head.clear();
            }
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::Error(failure) => {
                let error = error::render(failure, &self.client.request_id);
                out.extend_from_slice(format!("data: {error}\n\n").as_bytes());
            }
            Event::Extra(At { value, at }) => losses.extra(at, value),
            Event::Lost(Loss { at, why }) => losses.push(at, *why),
            Event::End => self.end(out, losses),
        }
    }

    /// The place of a choice; a new one begins with its role.
    fn choice(&mut self, index: u32, out: &mut Vec<u8>) -> usize {
        if let Some(at) = self.choices.iter().position(|choice| choice.index == index) {
            return at;
        }
        self.choices.push(Choice {
            index,
            parts: Vec::new(),
            calls: 0,
            blocks: 0,
            before: 0,
            length: 0,
            seal: None,
            finish: None,
        });
        let at = self.choices.len() - 1;
        self.chunk(at, br#"{"role":"assistant","content":"","refusal":null}"#, None, None, out);
        at
    }

    fn open(&mut self, choice: u32, opening: &Opening, at: &Pointer, out: &mut Vec<u8>, losses: &mut Losses) {
        let place = self.choice(choice, out);
        let kind = match opening {
            Opening::Text => Kind::Text,
            Opening::Refusal => Kind::Refusal,
            Opening::Reasoning { id } => {
                self.release(place, None, out);
                let block = self.choices[place].blocks;
                self.choices[place].blocks += 1;
                Kind::Reasoning { block, thoughts: false, id: id.clone(), at: at.clone() }
            }
            Opening::ToolCall(call) => self.call(place, call, out),
            Opening::Media(media) => {
                if !self.media(place, media, out) {
                    losses.unsupported(at);
                }
                Kind::Whole
            }
            Opening::Opaque(value) => {
                // Only this dialect writes such a thing.
                let own = value
                    .get("type")
                    .and_then(Value::as_str)
                    .is_some_and(|kind| kind.starts_with("reasoning."));
                if own {
                    let delta = json!({ "reasoning_details": [value] }).to_string();
                    self.chunk(place, delta.as_bytes(), None, None, out);
                } else {
                    losses.unsupported(at);
                }
                Kind::Whole
            }
            Opening::Server(_) => {
                // Its signature goes with it.
                if let Some(seal) = self.choices[place].seal.take() {
                    losses.unsupported(&seal.at);
                }
                losses.unsupported(at);
                Kind::Whole
            }
        };
        if matches!(kind, Kind::Text) {
            self.release(place, None, out);
        }
        let choice = &mut self.choices[place];
        choice.before = choice.length;
        choice.parts.push(kind);
    }

    fn call(&mut self, place: usize, call: &ToolCall, out: &mut Vec<u8>) -> Kind {
        let id = if call.id.is_empty() {
            format!("call_tg_{}_{}", self.client.id, self.calls)
        } else {
            call.id.clone()
        };
        self.calls += 1;
        self.release(place, Some(&id), out);
        let index = self.choices[place].calls;
        self.choices[place].calls += 1;
        let (kind, inner) = if call.custom {
            ("custom", json!({ "name": call.name, "input": "" }))
        } else {
            ("function", json!({ "name": call.name, "arguments": "" }))
        };
        let delta = json!({ "tool_calls": [{ "index": index, "id": id, "type": kind, kind: inner }] });
        self.chunk(place, delta.to_string().as_bytes(), None, None, out);
        Kind::Call { index, custom: call.custom, arguments: false }
    }

    fn media(&mut self, place: usize, media: &Media, out: &mut Vec<u8>) -> bool {
        let delta = match (media.kind, &media.source) {
            (MediaKind::Image, _) if let Some(url) = url_of(media) => {
                json!({ "images": [{ "type": "image_url", "image_url": { "url": url } }] })
            }
            (MediaKind::Audio, MediaSource::Base64(data)) => {
                let id = format!("audio_{}", self.client.id);
                json!({ "audio": { "id": id, "data": data, "transcript": "" } })
            }
            _ => return false,
        };
        self.chunk(place, delta.to_string().as_bytes(), None, None, out);
        true
    }

    fn delta(&mut self, choice: u32, part: u32, delta: &Delta, out: &mut Vec<u8>, losses: &mut Losses) {
        let place = self.choice(choice, out);
        let state = &mut self.choices[place];
        let Some(kind) = usize::try_from(part).ok().and_then(|part| state.parts.get_mut(part)) else {
            return;
        };
        match (kind, delta) {
            (Kind::Text, Delta::Text(more)) => {
                state.length += u64::try_from(more.chars().count()).unwrap_or_default();
                self.string(place, br#"{"content":"#, more, b"}", out);
            }
            (Kind::Refusal, Delta::Text(more)) => self.string(place, br#"{"refusal":"#, more, b"}", out),
            (Kind::Text, Delta::Annotation(annotation)) => self.annotation(place, annotation, out, losses),
            (Kind::Call { index, custom, arguments }, Delta::Arguments(more)) => {
                *arguments = true;
                let mut before = Vec::with_capacity(64);
                let _ = if *custom {
                    write!(before, r#"{{"tool_calls":[{{"index":{index},"custom":{{"input":"#)
                } else {
                    write!(before, r#"{{"tool_calls":[{{"index":{index},"function":{{"arguments":"#)
                };
                self.string(place, &before, more, b"}}]}", out);
            }
            (Kind::Reasoning { block, thoughts, id, .. }, Delta::Thought { summary, new, text: more }) => {
                // The thoughts of one block are one text, with a blank line between them.
                let gap = if *new && *thoughts { "\n\n" } else { "" };
                *thoughts = true;
                let (block, id) = (*block, id.clone());
                self.thought(place, block, id.as_deref(), *summary, &format!("{gap}{more}"), out);
            }
            (Kind::Reasoning { block, thoughts, id, at }, Delta::Seal(seal)) => {
                let (block, thoughts, id) = (*block, *thoughts, id.clone());
                if seal.maker == Maker::Gemini && !thoughts {
                    state.seal = Some(At::new(seal.clone(), at.clone()));
                } else {
                    self.seal(place, block, id.as_deref(), seal, thoughts, out);
                }
            }
            _ => {}
        }
    }

    fn annotation(&mut self, place: usize, annotation: &Annotation, out: &mut Vec<u8>, losses: &mut Losses) {
        let raw = &annotation.raw;
        let file = raw.get("type").and_then(Value::as_str) == Some("file") && raw.get("file").is_some();
        let value =
            citation(annotation, self.choices[place].before, losses).or_else(|| file.then(|| raw.clone()));
        match value {
            Some(value) => {
                let delta = json!({ "annotations": [value] }).to_string();
                self.chunk(place, delta.as_bytes(), None, None, out);
            }
            None => losses.unsupported(&annotation.at),
        }
    }

    fn close(&mut self, choice: u32, part: u32, out: &mut Vec<u8>) {
        let place = self.choice(choice, out);
        let kind = usize::try_from(part).ok().and_then(|part| self.choices[place].parts.get(part));
        // A call without arguments is a call with none, not one with broken JSON.
        if let Some(Kind::Call { index, custom: false, arguments: false }) = kind {
            let delta = json!({ "tool_calls": [{ "index": index, "function": { "arguments": "{}" } }] });
            self.chunk(place, delta.to_string().as_bytes(), None, None, out);
        }
    }

    fn finish(&mut self, choice: u32, finish: &Finish, out: &mut Vec<u8>, losses: &mut Losses) {
        let place = self.choice(choice, out);
        self.release(place, None, out);
        // Words that are this dialect's own, or its vendors', stay.
        let own = match finish.word.as_str() {
            "function_call" => finish.kind == FinishKind::ToolCalls,
            "model_length" => finish.kind == FinishKind::ContextWindow,
            "error" => finish.kind == FinishKind::Error,
            _ => false,
        };
        // It waits for the end: a tier that is told late goes with it.
        self.choices[place].finish = Some(response::word(finish, own, losses).to_owned());
    }

    fn end(&mut self, out: &mut Vec<u8>, losses: &mut Losses) {
        for place in 0..self.choices.len() {
            if let Some(word) = self.choices[place].finish.take() {
                self.chunk(place, b"{}", None, Some(&word), out);
            }
        }
        // The provider refused the prompt as a whole: a chat client expects a choice all the same.
        if self.choices.is_empty() {
            let place = self.choice(0, out);
            self.chunk(place, b"{}", None, Some("content_filter"), out);
        }
        if let Some(report) = self.usage.take().filter(|_| self.client.stream_usage) {
            let usage = usage::render(&report, false, losses);
            self.head(out);
            let _ = write!(out, r#","choices":[],"usage":{usage}}}"#);
            out.extend_from_slice(b"\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}

#[cfg(test)]
mod tests;
