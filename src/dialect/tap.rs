//! The tap: reads usage, model and finish reason from an answer that passes by, and copies nothing else.
//!
//! Its memory per answer is bounded whatever a provider sends: one usage block of at most
//! [`json::MAX_USAGE`] bytes (two for Anthropic), some names, and, where a usage chunk has to be
//! taken out again, at most [`MAX_HELD`] bytes of an event that is not complete yet.

mod json;

use bytes::{Bytes, BytesMut};
use tollgate_filters::exchange::Dialect;
use tollgate_filters::usage::{Reported, Usage};

use super::sse::{Piece, Splitter};
use json::{Choices, Json};

/// An event longer than this is no usage chunk.
const MAX_HELD: usize = 64 * 1024;

/// About how many bytes of text make a token, for estimates.
const BYTES_PER_TOKEN: u64 = 4;

/// How an answer's body is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Not at all: it is no JSON, or holds nothing to count.
    Opaque,
    /// One JSON document, or Gemini's array of them.
    Json,
    Sse,
    /// An SSE stream of chat chunks from which the usage chunk is taken out, because the gateway
    /// asked for it and the client did not.
    SseWithoutUsage,
}

#[derive(Debug)]
pub struct Tap {
    form: Form,
    dialect: Dialect,
    splitter: Splitter,
    json: Json,
    held: Held,
    events: u64,
}

/// Bytes of the event that is not complete yet, while usage chunks are being taken out.
#[derive(Debug, Default)]
struct Held {
    bytes: BytesMut,
    /// The event grew too long to be a usage chunk and is let through as it comes.
    letting_through: bool,
}

impl Tap {
    pub fn new(form: Form, dialect: Dialect) -> Self {
        Self {
            form,
            dialect,
            splitter: Splitter::default(),
            json: Json::default(),
            held: Held::default(),
            events: 0,
        }
    }

    /// Reads a piece of the answer and returns what the client is to see of it: itself, unless a
    /// usage chunk is being taken out.
    pub fn push(&mut self, chunk: Bytes) -> Bytes {
        match self.form {
            Form::Opaque => chunk,
            Form::Json => {
                self.json.push(&chunk);
                chunk
            }
            Form::Sse => {
                let (json, events) = (&mut self.json, &mut self.events);
                self.splitter.push(&chunk, |piece| match piece {
                    Piece::Data(data) => json.push(data),
                    Piece::End(_) => {
                        *events += 1;
                        json.next_document();
                    }
                });
                chunk
            }
            Form::SseWithoutUsage => self.push_without_usage(&chunk),
        }
    }

    /// What is still held when the answer ends: the beginning of an event that never ended.
    pub fn finish(&mut self) -> Bytes {
        self.held.bytes.split().freeze()
    }

    fn push_without_usage(&mut self, chunk: &Bytes) -> Bytes {
        let Self { splitter, json, held, events, .. } = self;
        let mut kept = Kept::new(held);
        splitter.push(chunk, |piece| match piece {
            Piece::Data(data) => json.push(data),
            Piece::End(end) => {
                *events += 1;
                // A usage chunk has no choices; a last chunk with both is the client's.
                let usage_chunk = json.document_has_usage() && json.document_choices() == Choices::Empty;
                json.next_document();
                kept.event(chunk, end, usage_chunk);
            }
        });
        kept.rest(chunk)
    }

    /// What the provider reported, once the answer has ended. `None` where it reported nothing.
    pub fn reported(&self) -> Option<Reported> {
        let (first, last) = self.json.usage()?;
        let mut reported = super::usage(self.dialect, first, last)?;
        if reported.service_tier.is_none() {
            reported.service_tier = self.json.service_tier().map(str::to_owned);
        }
        Some(reported)
    }

    /// A guess at what was used, from the text seen and the size of the request.
    pub fn estimated(&self, request_bytes: u64) -> Usage {
        Usage {
            input_tokens: request_bytes.div_ceil(BYTES_PER_TOKEN),
            output_tokens: self.json.text_bytes().div_ceil(BYTES_PER_TOKEN),
            ..Usage::default()
        }
    }

    /// About how many tokens have been generated so far.
    pub fn output_tokens(&self) -> u64 {
        self.json.text_bytes().div_ceil(BYTES_PER_TOKEN)
    }

    pub fn model(&self) -> Option<&str> {
        self.json.model()
    }

    pub fn finish_reason(&self) -> Option<&str> {
        self.json.finish_reason()
    }

    /// How many events have ended.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Whether the answer so far ends with a whole event.
    pub fn at_boundary(&self) -> bool {
        self.splitter.at_boundary()
    }

    /// Whether it can read the answer at all.
    pub fn reads(&self) -> bool {
        self.form != Form::Opaque
    }

    pub fn is_stream(&self) -> bool {
        matches!(self.form, Form::Sse | Form::SseWithoutUsage)
    }
}

/// What is kept of one chunk. As long as nothing is taken out it stays a slice of the chunk.
struct Kept<'a> {
    held: &'a mut Held,
    out: BytesMut,
    /// Start of the run of kept bytes that has not been copied to `out`.
    run: usize,
    /// End of that run, which is where the next event begins.
    end: usize,
    copied: bool,
}

impl<'a> Kept<'a> {
    fn new(held: &'a mut Held) -> Self {
        Self { held, out: BytesMut::new(), run: 0, end: 0, copied: false }
    }

    fn event(&mut self, chunk: &[u8], end: usize, drop: bool) {
        let length = self.held.bytes.len() + (end - self.end);
        if drop && !self.held.letting_through && length <= MAX_HELD {
            self.held.bytes.clear();
            self.copy_run(chunk);
            self.run = end;
        } else {
            self.release_held();
        }
        self.held.letting_through = false;
        self.end = end;
    }

    /// The event that was held turned out to be the client's: it goes first.
    fn release_held(&mut self) {
        if !self.held.bytes.is_empty() {
            let held = self.held.bytes.split();
            self.out.extend_from_slice(&held);
            self.copied = true;
        }
    }

    fn copy_run(&mut self, chunk: &[u8]) {
        self.out.extend_from_slice(&chunk[self.run..self.end]);
        self.run = self.end;
        self.copied = true;
    }

    /// Holds back what follows the last whole event, and gives out the rest.
    fn rest(mut self, chunk: &Bytes) -> Bytes {
        if self.held.letting_through || self.held.bytes.len() + (chunk.len() - self.end) > MAX_HELD {
            self.held.letting_through = true;
            self.release_held();
            self.end = chunk.len();
        } else {
            self.held.bytes.extend_from_slice(&chunk[self.end..]);
        }
        if self.copied {
            self.copy_run(chunk);
            self.out.freeze()
        } else {
            chunk.slice(self.run..self.end)
        }
    }
}

#[cfg(test)]
mod tests;
