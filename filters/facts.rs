//! What policy needs to know of a JSON request body, from one scan that checks it and builds no tree.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use crate::error::Error;
use crate::exchange::Dialect;

mod scan;

pub use scan::MAX_DEPTH;
use scan::Scanner;

/// The longest model name that is believed to be one.
const MAX_MODEL_NAME: usize = 512;

/// The facts of one body. Positions are byte offsets into it, so that a change is a splice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    pub model: Option<Model>,
    /// Whether the client asks for a stream.
    pub stream: bool,
    /// The most tokens that the client lets each answer have, by the name that each dialect has for it.
    limits: Limits,
    /// How many answers are asked for, where it is not one.
    pub answers: Option<u64>,
    /// The answer is wanted later (OpenAI's Responses).
    pub background: bool,
    pub service_tier: Option<String>,
    /// OpenAI's conversation that the request belongs to.
    pub conversation: Option<String>,
    /// Files in base64 within the body, and their bytes.
    pub files: (u32, usize),
    /// `stream_options` as the client sent it.
    stream_options: StreamOptions,
    /// The top-level object, without its braces.
    object: Range<usize>,
    has_members: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Limits {
    max_tokens: Option<u64>,
    responses: Option<u64>,
    gemini: Option<u64>,
}

/// The model as named in the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    pub name: String,
    /// The JSON string, quotes included.
    span: Range<usize>,
}

/// What the client said about usage in its stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum StreamOptions {
    #[default]
    Absent,
    /// `null`, to be replaced.
    Null(Range<usize>),
    /// An object that does not mention `include_usage`; where it opens, and whether it has members.
    Silent {
        open: usize,
        has_members: bool,
    },
    /// `include_usage: false`, to be replaced.
    Declined(Range<usize>),
    Asked,
}

impl Facts {
    /// Scans a body that must be a JSON object.
    ///
    /// With `strict`, the fields that policy reads must have their proper types; without it (operations
    /// that are only passed through) a field of another type is somebody else's and is ignored.
    pub fn scan(body: &[u8], strict: bool) -> Result<Self, Error> {
        if let Err(e) = std::str::from_utf8(body) {
            let at = e.valid_up_to();
            return Err(Error::invalid(format!("The request body is not valid UTF-8 at byte {at}."))
                .code("invalid_json"));
        }
        let mut facts = Self::default();
        let mut scanner = Scanner::new(body);
        scanner.open_object()?;
        facts.object.start = scanner.position();
        let mut seen = Seen::default();
        while let Some(key) = scanner.next_key(!facts.has_members)? {
            facts.has_members = true;
            match &*key {
                "model" => {
                    seen.once(Seen::MODEL, "model")?;
                    facts.model = model(&mut scanner, strict)?;
                }
                "stream" => {
                    seen.once(Seen::STREAM, "stream")?;
                    facts.stream = flag(&mut scanner, "stream", strict)?;
                }
                "stream_options" => {
                    seen.once(Seen::STREAM_OPTIONS, "stream_options")?;
                    facts.stream_options = stream_options(&mut scanner, strict)?;
                }
                "max_tokens" | "max_completion_tokens" => {
                    facts.limits.max_tokens = facts.limits.max_tokens.max(number(&mut scanner)?);
                }
                "max_output_tokens" => facts.limits.responses = number(&mut scanner)?,
                "n" | "best_of" => facts.answers = facts.answers.max(number(&mut scanner)?),
                "background" => facts.background = flag(&mut scanner, "background", strict)?,
                "generationConfig" | "generation_config" => facts.generation_config(&mut scanner)?,
                "service_tier" => facts.service_tier = text(&mut scanner)?,
                "conversation" => facts.conversation = conversation(&mut scanner)?,
                _ => {
                    scanner.skip_value()?;
                }
            }
        }
        facts.files = scanner.files();
        facts.object.end = scanner.position() - 1;
        scanner.end()?;
        Ok(facts)
    }

    /// What Gemini has of these.
    fn generation_config(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Error> {
        if scanner.peek() != Some(b'{') {
            return scanner.skip_value().map(drop);
        }
        scanner.open_object()?;
        let mut first = true;
        while let Some(key) = scanner.next_key(first)? {
            first = false;
            match &*key {
                "maxOutputTokens" | "max_output_tokens" => {
                    self.limits.gemini = self.limits.gemini.max(number(scanner)?);
                }
                "candidateCount" | "candidate_count" => self.answers = self.answers.max(number(scanner)?),
                _ => {
                    scanner.skip_value()?;
                }
            }
        }
        Ok(())
    }

    /// The most tokens that the client lets each answer have. What another dialect calls so means nothing.
    pub fn max_output_tokens(&self, dialect: Dialect) -> Option<u64> {
        match dialect {
            Dialect::OpenaiChat | Dialect::Anthropic => self.limits.max_tokens,
            Dialect::OpenaiResponses => self.limits.responses,
            Dialect::Gemini => self.limits.gemini,
        }
    }

    /// About how many tokens a body of so many bytes is: four bytes to one, and for a file about what an image of a
    /// usual size is.
    pub fn input_tokens(&self, bytes: u64) -> u64 {
        const FILE: u64 = 1600;
        let (files, of_files) = (u64::from(self.files.0), self.files.1 as u64);
        bytes.saturating_sub(of_files).div_ceil(4) + files * FILE
    }

    /// Whether the client's own stream will end with a usage chunk.
    pub fn asked_for_usage(&self) -> bool {
        self.stream_options == StreamOptions::Asked
    }

    /// The body with another model name and, if `ask_for_usage`, with `stream_options.include_usage`
    /// set. Every other byte is the client's; without a change, it is the client's buffer itself.
    pub fn splice(&self, body: &Bytes, model: Option<&str>, ask_for_usage: bool) -> Bytes {
        let mut edits: Vec<(Range<usize>, Cow<'static, str>)> = Vec::new();
        if let (Some(new), Some(old)) = (model, &self.model)
            && new != old.name
        {
            edits.push((old.span.clone(), serde_json::Value::from(new).to_string().into()));
        }
        if ask_for_usage {
            edits.extend(self.usage_request());
        }
        if edits.is_empty() {
            return body.clone();
        }
        edits.sort_by_key(|(span, _)| span.start);
        let grown: usize = edits.iter().map(|(_, new)| new.len()).sum();
        let mut out = Vec::with_capacity(body.len() + grown);
        let mut from = 0;
        for (span, new) in &edits {
            out.extend_from_slice(&body[from..span.start]);
            out.extend_from_slice(new.as_bytes());
            from = span.end;
        }
        out.extend_from_slice(&body[from..]);
        out.into()
    }

    fn usage_request(&self) -> Option<(Range<usize>, Cow<'static, str>)> {
        let at = |position: usize| position..position;
        let edit: (Range<usize>, &'static str) = match &self.stream_options {
            StreamOptions::Asked => return None,
            StreamOptions::Absent if self.has_members => {
                (at(self.object.start), r#""stream_options":{"include_usage":true},"#)
            }
            StreamOptions::Absent => (at(self.object.start), r#""stream_options":{"include_usage":true}"#),
            StreamOptions::Null(span) => (span.clone(), r#"{"include_usage":true}"#),
            StreamOptions::Declined(span) => (span.clone(), "true"),
            StreamOptions::Silent { open, has_members: true } => (at(*open), r#""include_usage":true,"#),
            StreamOptions::Silent { open, has_members: false } => (at(*open), r#""include_usage":true"#),
        };
        Some((edit.0, edit.1.into()))
    }
}

/// The keys that policy reads may stand once: two readers of the same body could believe different ones.
#[derive(Default)]
struct Seen(u8);

impl Seen {
    const MODEL: u8 = 1;
    const STREAM: u8 = 2;
    const STREAM_OPTIONS: u8 = 4;
    const INCLUDE_USAGE: u8 = 8;

    fn once(&mut self, bit: u8, name: &'static str) -> Result<(), Error> {
        if self.0 & bit != 0 {
            return Err(Error::invalid(format!("`{name}` stands twice in the request body; send it once."))
                .param(name));
        }
        self.0 |= bit;
        Ok(())
    }
}

/// A number that may be anything else, which then is the provider's to refuse.
fn number(scanner: &mut Scanner<'_>) -> Result<Option<u64>, Error> {
    let span = scanner.skip_value()?;
    Ok(std::str::from_utf8(scanner.slice(&span)).ok().and_then(|text| text.parse().ok()))
}

/// A short string that may be anything else.
fn text(scanner: &mut Scanner<'_>) -> Result<Option<String>, Error> {
    let span = scanner.skip_value()?;
    let raw = scanner.slice(&span);
    Ok(if raw.len() > MAX_MODEL_NAME { None } else { serde_json::from_slice(raw).ok() })
}

/// An id, or an object that has one.
fn conversation(scanner: &mut Scanner<'_>) -> Result<Option<String>, Error> {
    if scanner.peek() != Some(b'{') {
        return text(scanner);
    }
    scanner.open_object()?;
    let (mut first, mut id) = (true, None);
    while let Some(key) = scanner.next_key(first)? {
        first = false;
        if key == "id" {
            id = text(scanner)?;
        } else {
            scanner.skip_value()?;
        }
    }
    Ok(id)
}

fn model(scanner: &mut Scanner<'_>, strict: bool) -> Result<Option<Model>, Error> {
    let span = scanner.skip_value()?;
    let raw = scanner.slice(&span);
    if raw.first() != Some(&b'"') {
        // `null` is as good as absent, as it is for the providers.
        return if strict && raw != b"null" { Err(wrong_type("model", "a string")) } else { Ok(None) };
    }
    let name: String = serde_json::from_slice(raw).map_err(|_| wrong_type("model", "a string"))?;
    if name.len() > MAX_MODEL_NAME {
        return Err(Error::invalid(format!("`model` is longer than {MAX_MODEL_NAME} bytes.")).param("model"));
    }
    Ok(Some(Model { name, span }))
}

fn flag(scanner: &mut Scanner<'_>, name: &'static str, strict: bool) -> Result<bool, Error> {
    let span = scanner.skip_value()?;
    match scanner.slice(&span) {
        b"true" => Ok(true),
        b"false" | b"null" => Ok(false),
        _ if strict => Err(wrong_type(name, "true or false")),
        _ => Ok(false),
    }
}

fn stream_options(scanner: &mut Scanner<'_>, strict: bool) -> Result<StreamOptions, Error> {
    if scanner.peek() != Some(b'{') {
        let span = scanner.skip_value()?;
        return match scanner.slice(&span) {
            b"null" => Ok(StreamOptions::Null(span)),
            _ if strict => Err(wrong_type("stream_options", "an object")),
            // Not ours to read, so not ours to change either.
            _ => Ok(StreamOptions::Asked),
        };
    }
    scanner.open_object()?;
    let open = scanner.position();
    let mut has_members = false;
    let mut seen = Seen::default();
    let mut answer = None;
    while let Some(key) = scanner.next_key(!has_members)? {
        has_members = true;
        if key == "include_usage" {
            seen.once(Seen::INCLUDE_USAGE, "stream_options.include_usage")?;
            let span = scanner.skip_value()?;
            answer = Some(match scanner.slice(&span) {
                b"true" => StreamOptions::Asked,
                b"false" | b"null" => StreamOptions::Declined(span),
                _ if strict => {
                    return Err(wrong_type("stream_options.include_usage", "true or false"));
                }
                _ => StreamOptions::Asked,
            });
        } else {
            scanner.skip_value()?;
        }
    }
    Ok(answer.unwrap_or(StreamOptions::Silent { open, has_members }))
}

fn wrong_type(name: &'static str, expected: &str) -> Error {
    Error::invalid(format!("`{name}` must be {expected}.")).param(name).code("invalid_type")
}

#[cfg(test)]
mod tests;
