//! Ends a stream early, as if the model had reached its limit of output: what the client has seen of it so far, and the
//! bytes that make it a whole stream of its dialect.
//!
//! No client acts on a part of an event, so [`Ending::pass`] hands on whole events only, and a cut falls between two. An
//! event of more than [`MAX_HELD`] bytes is let through as it comes; a cut within one makes of it an event that says
//! nothing (an empty delta, a `ping`, a `keepalive`).
//!
//! Memory for each stream: [`MAX_HELD`], the event that is not complete yet up to [`MAX_EVENT`] (beyond it, its
//! beginning is read), and for Responses, whose last event repeats the answer, up to 1 MiB of it: what of items and
//! texts is beyond that is missing in that event.

mod anthropic;
mod array;
mod chat;
mod gemini;
mod mend;
mod responses;
#[cfg(test)]
mod tests;

use bytes::{Bytes, BytesMut};
use memchr::memrchr;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tollgate_filters::exchange::Dialect;
use tollgate_filters::usage::Usage;

use super::sse::{Piece, Splitter};
use array::{Array, Place};
use mend::Scan;

/// An event that is longer is let through before it is whole.
const MAX_HELD: usize = 64 * 1024;

/// Of an event that is longer, so much is read.
const MAX_EVENT: usize = 4 * 1024 * 1024;

/// A buffer that has grown beyond this is not kept for the next event.
const KEEP_BUFFER: usize = 64 * 1024;

/// Choices, candidates, blocks, items, and texts of an item beyond so many are not followed.
const MAX_OPEN: usize = 256;

/// A longer id or name of a model is not repeated.
const MAX_NAME: usize = 1024;

/// The member that the note is, in the usage.
const NOTE: &str = "tollgate";

/// Why a stream was ended, for the client.
#[derive(Debug, Clone, Copy)]
pub struct Note<'a> {
    /// What ran out: `budget`.
    pub reason: &'static str,
    /// The name of the rule that says so.
    pub rule: &'a str,
}

impl Note<'_> {
    fn value(&self) -> Value {
        json!({"stopped": self.reason, "rule": self.rule})
    }
}

/// Watches a stream as the client sees it, so that it can be ended early.
#[derive(Debug)]
pub struct Ending {
    reader: Reader,
    frames: Frames,
    event: Event,
    held: BytesMut,
    /// The event that is coming is too long to be held.
    letting_through: bool,
    ended: bool,
}

/// What is known of the answer.
#[derive(Debug)]
enum Reader {
    Chat(chat::Chat),
    Responses(Box<responses::Responses>),
    Anthropic(anthropic::Anthropic),
    Gemini(gemini::Gemini),
}

#[derive(Debug)]
enum Frames {
    /// Nothing has come that says whether it is an array.
    Unknown,
    Sse(Splitter, Line),
    Array(Box<Array>),
}

/// The line that has no end yet.
#[derive(Debug, Default)]
struct Line {
    /// Its first bytes.
    start: [u8; 6],
    length: usize,
    last: u8,
}

/// The data of the event that is not complete yet.
#[derive(Debug, Default)]
struct Event {
    kept: Vec<u8>,
    /// Follows an event of which not all is kept.
    scan: Option<Scan>,
}

impl Ending {
    /// `completions`: the stream is one of OpenAI's older `/v1/completions`.
    pub fn new(dialect: Dialect, completions: bool) -> Self {
        let reader = match dialect {
            Dialect::OpenaiChat => Reader::Chat(chat::Chat::new(completions)),
            Dialect::OpenaiResponses => Reader::Responses(Box::default()),
            Dialect::Anthropic => Reader::Anthropic(anthropic::Anthropic::default()),
            Dialect::Gemini => Reader::Gemini(gemini::Gemini::default()),
        };
        let frames = match dialect {
            Dialect::Gemini => Frames::Unknown,
            _ => Frames::Sse(Splitter::default(), Line::default()),
        };
        let (event, held) = (Event::default(), BytesMut::new());
        Self { reader, frames, event, held, letting_through: false, ended: false }
    }

    /// Reads a piece of the stream, which goes to the client as it is, and is cut anywhere.
    pub fn push(&mut self, piece: &[u8]) {
        if !self.ended {
            self.read(piece);
        }
    }

    /// Reads a piece of the stream and gives what the client is to get now: whole events. The rest comes with a later
    /// piece, or with [`Ending::rest`]. Nothing after the stream was cut.
    pub fn pass(&mut self, piece: Bytes) -> Bytes {
        if self.ended {
            return Bytes::new();
        }
        let whole = self.read(&piece);
        self.letting_through &= whole == 0;
        if self.letting_through || (self.held.is_empty() && whole == piece.len()) {
            return piece;
        }
        if self.held.len() + (piece.len() - whole) > MAX_HELD {
            // Either an event has ended and its successor is as long, or the one that is held has grown.
            self.letting_through = true;
            let mut out = self.held.split();
            out.extend_from_slice(&piece);
            return out.freeze();
        }
        let out = if self.held.is_empty() || whole == 0 {
            piece.slice(..whole)
        } else {
            self.held.extend_from_slice(&piece[..whole]);
            self.held.split().freeze()
        };
        self.held.extend_from_slice(&piece[whole..]);
        out
    }

    /// What is held when the stream ends by itself.
    pub fn rest(&mut self) -> Bytes {
        self.held.split().freeze()
    }

    /// Whether the answer has had its finish, or an error. Then nothing is to be cut: what may follow is its usage.
    pub fn is_finished(&self) -> bool {
        self.ended
            || match &self.reader {
                Reader::Chat(chat) => chat.is_finished(),
                Reader::Responses(responses) => responses.is_finished(),
                Reader::Anthropic(anthropic) => anthropic.is_finished(),
                Reader::Gemini(gemini) => gemini.is_finished(),
            }
    }

    /// The end of the stream, behind what was passed on. What is held is dropped.
    ///
    /// `wants_usage`: a client of Chat Completions asked for the usage (`stream_options`); the other dialects always
    /// have it. A stream of which nothing has come gets an answer without text; an error suits it better, if its head is
    /// not yet with the client.
    pub fn cut(&mut self, usage: &Usage, wants_usage: bool, note: &Note<'_>) -> Bytes {
        if self.ended {
            return Bytes::new();
        }
        self.ended = true;
        if !self.held.is_empty() {
            self.held.clear();
            self.event.clear();
            match &mut self.frames {
                Frames::Sse(splitter, line) => (*splitter, *line) = (Splitter::default(), Line::default()),
                Frames::Array(array) => array.rewind(),
                Frames::Unknown => {}
            }
        }
        let mut out = Vec::new();
        if let Frames::Array(_) = &self.frames {
            self.cut_array(usage, note, &mut out);
        } else {
            let skip = self.end_event(&mut out);
            let at = out.len();
            self.write(usage, wants_usage, note, &mut out);
            out.drain(at..out.len().min(at + skip));
        }
        Bytes::from(out)
    }

    fn write(&mut self, usage: &Usage, wants_usage: bool, note: &Note<'_>, out: &mut Vec<u8>) {
        match &mut self.reader {
            Reader::Chat(chat) => chat.write(usage, wants_usage, note, out),
            Reader::Responses(responses) => responses.write(usage, note, out),
            Reader::Anthropic(anthropic) => anthropic.write(usage, note, out),
            Reader::Gemini(gemini) => {
                if let Some(document) = gemini.write(usage, note) {
                    out.extend_from_slice(format!("data: {document}\r\n\r\n").as_bytes());
                }
            }
        }
    }

    /// Ends the event that has begun. Gives how much of the next one, whose first line is `data: `, is there already.
    fn end_event(&mut self, out: &mut Vec<u8>) -> usize {
        let Frames::Sse(splitter, line) = &self.frames else { return 0 };
        if splitter.at_boundary() {
            return 0;
        }
        let newline: &[u8] = if matches!(self.reader, Reader::Gemini(_)) { b"\r\n" } else { b"\n" };
        let end_line = |out: &mut Vec<u8>| match (line.length, line.last) {
            (0, _) => {}
            (_, b'\r') => out.push(b'\n'),
            _ => out.extend_from_slice(newline),
        };
        let data = self.event.kept.trim_ascii();
        if data.is_empty() {
            // Lines of other fields become the next event's; where it has the same, the later one counts.
            let unnamed = matches!(self.reader, Reader::Chat(_) | Reader::Gemini(_));
            let begun = (1..=b"data: ".len()).contains(&line.length);
            if unnamed && begun && b"data: ".starts_with(line.start()) {
                return line.length;
            }
            end_line(out);
            return 0;
        }
        let mut scan = self.event.scan.take().unwrap_or_default();
        if self.event.kept.len() < MAX_EVENT {
            scan.push(data);
        }
        if scan.is_whole() || data == b"[DONE]" {
            self.reader.read(data);
            end_line(out);
        } else if b"[DONE]".starts_with(data) {
            out.extend_from_slice(&b"[DONE]"[data.len()..]);
            out.extend_from_slice(newline);
            self.reader.read(b"[DONE]");
        } else {
            let in_data = line.start().starts_with(b"data:");
            if !in_data {
                end_line(out);
                out.extend_from_slice(b"data: ");
            }
            let (name, members) = self.reader.neutral();
            let rest = scan.rest(&members).unwrap_or_default();
            out.extend_from_slice(&rest);
            out.extend_from_slice(newline);
            if name.is_empty() {
                self.reader.read_neutral(data, &rest);
            } else {
                out.extend_from_slice(format!("event: {name}\n").as_bytes());
            }
        }
        // Half of the blank line may have come.
        if (line.length, line.last) != (1, b'\r') {
            out.extend_from_slice(newline);
        }
        0
    }

    fn cut_array(&mut self, usage: &Usage, note: &Note<'_>, out: &mut Vec<u8>) {
        let (Frames::Array(array), Reader::Gemini(gemini)) = (&mut self.frames, &mut self.reader) else {
            return;
        };
        if array.place == Place::End {
            return;
        }
        if array.place == Place::Document {
            out.extend_from_slice(&array.scan.rest(&gemini.neutral()).unwrap_or_default());
        }
        if let Some(document) = gemini.write(usage, note) {
            out.extend_from_slice(array.separator().as_bytes());
            out.extend_from_slice(document.to_string().as_bytes());
        }
        out.extend_from_slice(b"\n]");
    }

    /// Reads a piece, and gives the offset behind the last event that ends in it.
    fn read(&mut self, piece: &[u8]) -> usize {
        if let Frames::Unknown = self.frames {
            let Some(first) = piece.iter().find(|byte| !byte.is_ascii_whitespace()) else { return 0 };
            self.frames = if *first == b'[' {
                Frames::Array(Box::default())
            } else {
                Frames::Sse(Splitter::default(), Line::default())
            };
        }
        let Self { reader, frames, event, .. } = self;
        match frames {
            Frames::Unknown => 0,
            Frames::Array(array) => array.push(piece, |data, ends| {
                if ends && event.kept.is_empty() {
                    reader.read(data);
                } else {
                    event.add(data);
                    if ends {
                        event.end(reader);
                    }
                }
            }),
            Frames::Sse(splitter, line) => {
                line.push(piece);
                read_sse(splitter, piece, event, reader)
            }
        }
    }
}

/// Data that lies within `piece` as a whole is read without a copy.
fn read_sse(splitter: &mut Splitter, piece: &[u8], event: &mut Event, reader: &mut Reader) -> usize {
    let (mut whole, mut last): (Option<&[u8]>, usize) = (None, 0);
    splitter.push(piece, |part| match part {
        Piece::Data(data) if event.kept.is_empty() && whole.is_none() => whole = Some(data),
        Piece::Data(data) => {
            if let Some(first) = whole.take() {
                event.add(first);
            }
            event.add(data);
        }
        Piece::End(at) => {
            last = at;
            match whole.take() {
                Some(data) => reader.read(data),
                None => event.end(reader),
            }
        }
    });
    if let Some(rest) = whole {
        event.add(rest);
    }
    last
}

impl Reader {
    fn read(&mut self, data: &[u8]) {
        let data = data.trim_ascii();
        if data.is_empty() {
            return;
        }
        match self {
            Self::Chat(chat) => chat.read(data),
            Self::Responses(responses) => responses.read(data),
            Self::Anthropic(anthropic) => anthropic.read(data),
            Self::Gemini(gemini) => gemini.read(data),
        }
    }
}

impl Reader {
    /// The name of an event that says nothing, whatever came of it before (the later name counts, too), and its last
    /// members.
    fn neutral(&mut self) -> (&'static str, String) {
        match self {
            Self::Chat(chat) => ("", chat.neutral()),
            Self::Responses(responses) => responses.neutral(),
            Self::Anthropic(_) => ("ping", r#""type":"ping""#.to_owned()),
            Self::Gemini(gemini) => ("", gemini.neutral()),
        }
    }

    /// Reads an event that was made to say nothing: it may be the first to say an id. Of members with the same name the
    /// last one counts.
    fn read_neutral(&mut self, data: &[u8], rest: &[u8]) {
        if let Ok(document) = serde_json::from_slice::<Value>(&[data, rest].concat()) {
            self.read(document.to_string().as_bytes());
        }
    }
}

impl Line {
    fn push(&mut self, piece: &[u8]) {
        let Some(last) = piece.last() else { return };
        self.last = *last;
        let line = memrchr(b'\n', piece).map_or(piece, |at| {
            self.length = 0;
            &piece[at + 1..]
        });
        if self.length < self.start.len() {
            let take = line.len().min(self.start.len() - self.length);
            self.start[self.length..self.length + take].copy_from_slice(&line[..take]);
        }
        self.length = self.length.saturating_add(line.len());
    }

    fn start(&self) -> &[u8] {
        &self.start[..self.length.min(self.start.len())]
    }
}

impl Event {
    fn add(&mut self, data: &[u8]) {
        let take = data.len().min(MAX_EVENT - self.kept.len());
        self.kept.extend_from_slice(&data[..take]);
        if self.kept.len() == MAX_EVENT {
            let kept = &self.kept;
            let scan = self.scan.get_or_insert_with(|| {
                let mut scan = Scan::default();
                scan.push(kept);
                scan
            });
            scan.push(&data[take..]);
        }
    }

    /// Reads the event, or its beginning.
    fn end(&mut self, reader: &mut Reader) {
        if self.scan.is_some() {
            let mut scan = Scan::default();
            scan.push(&self.kept);
            let rest = scan.rest("\"\":null").unwrap_or_default();
            self.kept.extend_from_slice(&rest);
        }
        reader.read(&self.kept);
        self.clear();
    }

    fn clear(&mut self) {
        self.scan = None;
        self.kept.clear();
        if self.kept.capacity() > KEEP_BUFFER {
            self.kept = Vec::new();
        }
    }
}

/// The counts that are not zero, and those that are always there.
fn positive<const N: usize>(always: &[&str], counts: [(&str, u64); N]) -> Map<String, Value> {
    let kept = counts.into_iter().filter(|(name, count)| *count > 0 || always.contains(name));
    kept.map(|(name, count)| (name.to_owned(), count.into())).collect()
}

/// The members of an object without its braces.
fn members(object: Map<String, Value>) -> String {
    let text = Value::Object(object).to_string();
    text[1..text.len() - 1].to_owned()
}

/// An event with a name.
fn named(out: &mut Vec<u8>, name: &str, data: &impl Serialize) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    // Strings and JSON values can always be written, and a Vec takes everything.
    let _ = serde_json::to_writer(&mut *out, data);
    out.extend_from_slice(b"\n\n");
}
