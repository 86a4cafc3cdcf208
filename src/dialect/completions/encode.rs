//! Legacy completion streams: from events to bytes.

use serde_json::{Value, json};
use tollgate_filters::chat::{Client, Delta, Event, Losses, Opening, Start, UsageReport};
use tollgate_filters::exchange::Dialect;

use super::{Wanted, finish_word, logprobs, usage};
use crate::dialect::openai_chat;

/// The state between two events of a stream.
#[derive(Debug)]
pub struct Encoder {
    source: Dialect,
    client: Client,
    wanted: Wanted,
    /// What all chunks have in front of their choice.
    head: Vec<u8>,
    usage: Option<UsageReport>,
    /// The choices that have begun, and where in the text of each the next token begins.
    begun: Vec<(u32, u64)>,
}

impl Encoder {
    /// `source` is the dialect of the stream that is read.
    pub fn new(source: Dialect, client: Client, wanted: Wanted) -> Self {
        let mut encoder = Self { source, client, wanted, head: Vec::new(), usage: None, begun: Vec::new() };
        encoder.begin(&Start::default());
        encoder
    }

    /// Writes what `event` is in this dialect, and says in `losses` what of it is left behind.
    pub fn event(&mut self, event: &Event, out: &mut Vec<u8>, losses: &mut Losses) {
        match event {
            Event::Start(start) => self.begin(start),
            Event::Open { opening, at, choice, .. } => match opening {
                Opening::Text => self.echo(*choice, out),
                Opening::Refusal => {
                    self.echo(*choice, out);
                    losses.approximated(at);
                }
                _ => losses.unsupported(at),
            },
            Event::Delta { choice, delta: Delta::Text(text), .. } => {
                self.chunk(*choice, text, b"null", None, out);
            }
            Event::Delta { delta: Delta::Annotation(annotation), .. } => losses.unsupported(&annotation.at),
            Event::LogProbs { choice, logprobs: chat, .. } => {
                self.echo(*choice, out);
                let mut nowhere = 0;
                let known = self.begun.iter_mut().find(|(begun, _)| begun == choice);
                let offset = known.map_or(&mut nowhere, |(_, offset)| offset);
                let value = logprobs(chat, offset, losses).to_string();
                self.chunk(*choice, "", value.as_bytes(), None, out);
            }
            Event::Finish { choice, finish } => {
                self.echo(*choice, out);
                self.chunk(*choice, "", b"null", Some(finish_word(finish, losses)), out);
            }
            Event::Usage(report) => self.usage = Some(report.clone()),
            Event::ServiceTier(tier) => losses.unsupported(&tier.at),
            Event::Extra(extra) => losses.extra(&extra.at, &extra.value),
            Event::Lost(loss) => losses.push(&loss.at, loss.why),
            // A comment, which any reader of SSE passes over.
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::Error(failure) => {
                let error = openai_chat::error::render(failure, &self.client.request_id);
                out.extend_from_slice(format!("data: {error}\n\n").as_bytes());
            }
            Event::End => self.end(out, losses),
            // Thoughts and seals were reported when their part began.
            Event::Delta { .. } | Event::Close { .. } => {}
        }
    }

    fn begin(&mut self, start: &Start) {
        let Client { id, model, created, .. } = &self.client;
        let id = start.id.clone().unwrap_or_else(|| format!("cmpl-{id}"));
        let model = start.model.as_ref().unwrap_or(model);
        let created = start.created.unwrap_or(*created);
        let head = json!({ "id": id, "object": "text_completion", "created": created, "model": model });
        let mut head = format!("data: {head}").into_bytes();
        head.pop();
        self.head = head;
    }

    /// The prompt in front of a choice's first words.
    fn echo(&mut self, choice: u32, out: &mut Vec<u8>) {
        if self.begun.iter().any(|(begun, _)| *begun == choice) {
            return;
        }
        let prompt = self.wanted.echo.clone().unwrap_or_default();
        self.begun.push((choice, prompt.chars().count() as u64));
        if !prompt.is_empty() {
            self.chunk(choice, &prompt, b"null", None, out);
        }
    }

    fn chunk(&self, choice: u32, text: &str, logprobs: &[u8], finish: Option<&str>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b",\"choices\":[{\"text\":");
        // Writing to memory does not fail.
        let _ = serde_json::to_writer(&mut *out, text);
        out.extend_from_slice(b",\"index\":");
        let _ = serde_json::to_writer(&mut *out, &choice);
        out.extend_from_slice(b",\"logprobs\":");
        out.extend_from_slice(logprobs);
        out.extend_from_slice(b",\"finish_reason\":");
        let _ = serde_json::to_writer(&mut *out, &finish);
        out.extend_from_slice(b"}]}\n\n");
    }

    fn end(&mut self, out: &mut Vec<u8>, losses: &mut Losses) {
        // What is not asked for is no loss; what is asked for is asked of the provider, too.
        let usage: Option<Value> = match &self.usage {
            Some(report) if self.client.stream_usage => Some(usage(report, self.source, losses)),
            _ => None,
        };
        if let Some(usage) = usage {
            out.extend_from_slice(&self.head);
            out.extend_from_slice(format!(",\"choices\":[],\"usage\":{usage}}}\n\n").as_bytes());
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}
