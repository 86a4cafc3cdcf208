//! How many tokens a request has, as far as that can be said without asking its provider.
//!
//! Texts are counted exactly for OpenAI's models, and in OpenAI's vocabulary for all others. What providers add
//! around messages and tools follows what OpenAI has published about it (the cookbook's notebook on counting
//! tokens). Media are flat figures, or the provider's published formula where a picture's size can be read.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;
use tollgate_filters::chat::{Content, Format, Media, MediaKind, MediaSource, Message, Part, Request};

use super::picture::{self, Vision};
use super::tokens::Tokens;
use super::tools;

/// What stands around each message, and around its author's name.
const PER_MESSAGE: u64 = 3;
const PER_NAME: u64 = 1;
/// The beginning of the answer.
const PRIMING: u64 = 3;
/// Google counts nothing but one token around the whole.
const PRIMING_GEMINI: u64 = 1;
/// Around a tool call or a result: its role, its id.
const PER_CALL: u64 = 4;

/// A page of a document is given to the model as text and as a picture.
const PER_PAGE: u64 = 1500;
/// Google's figure for a page.
const PER_PAGE_GEMINI: u64 = 258;
/// A document that is somewhere else: five pages.
const DOCUMENT_PAGES: u64 = 5;
/// Google counts 32 tokens for a second of sound; a second is taken for 16 kB, and one that is elsewhere to last a minute.
const SOUND_BYTES_PER_TOKEN: u64 = 500;
const SOUND: u64 = 1920;
/// Google counts about 300 tokens for a second of film; a second is taken for 250 kB.
const FILM_BYTES_PER_TOKEN: u64 = 830;
const FILM: u64 = 18_000;

/// An estimate of the input tokens that `model` would find in `request`. Linear in the request's size: 30 ms for a
/// megabyte of prose, 100 ms for one of noise. The first call for a vocabulary unpacks it, which takes up to
/// 200 ms and 35 MB of memory. A large request should not be counted where others wait.
pub fn estimate(request: &Request, model: &str) -> u64 {
    let counter = Counter { tokens: Tokens::of(model), vision: Vision::of(model) };
    let messages: u64 = request.messages.iter().map(|message| counter.message(message)).sum();
    let format = match request.format.as_ref().map(|format| &format.value) {
        Some(Format::JsonSchema(schema)) => counter.tokens.count(&schema.schema.to_string()),
        _ => 0,
    };
    let tools = tools::count(request, counter.tokens, counter.vision == Vision::Claude);
    let priming = if counter.vision == Vision::Gemini { PRIMING_GEMINI } else { PRIMING };
    messages + tools + format + priming
}

struct Counter {
    tokens: Tokens,
    vision: Vision,
}

impl Counter {
    fn message(&self, message: &Message) -> u64 {
        let name = message.name.as_ref().map_or(0, |name| PER_NAME + self.tokens.count(name));
        let around = if self.vision == Vision::Gemini { 0 } else { PER_MESSAGE };
        around + name + message.parts.iter().map(|part| self.part(part)).sum::<u64>()
    }

    fn part(&self, part: &Part) -> u64 {
        match &part.content {
            Content::Text(text) => self.tokens.count(&text.text),
            Content::Refusal(text) => self.tokens.count(text),
            Content::Media(media) => self.media(media),
            // What is sealed cannot be counted; the thoughts are as long.
            Content::Reasoning(reasoning) => self.tokens.count(&reasoning.text()),
            Content::ToolCall(call) => {
                PER_CALL + self.tokens.count(&call.name) + self.tokens.count(&call.arguments)
            }
            Content::ToolResult(result) => {
                PER_CALL + result.parts.iter().map(|part| self.part(part)).sum::<u64>()
            }
            Content::Server(used) => {
                self.tokens.count(&used.input)
                    + match &used.output {
                        Some(output) => self.tokens.count(output),
                        None => self.tokens.count(&used.raw.to_string()),
                    }
            }
            Content::Opaque(value) => self.tokens.count(&value.to_string()),
        }
    }

    fn media(&self, media: &Media) -> u64 {
        match (media.kind, &media.source) {
            (_, MediaSource::Text(text)) => self.tokens.count(text),
            (MediaKind::Image, source) => {
                let size = match source {
                    MediaSource::Base64(data) => picture::size(data),
                    _ => None,
                };
                self.vision.tokens(size, media.detail.as_deref())
            }
            (MediaKind::Document, MediaSource::Base64(data)) => self.document(media, data),
            (MediaKind::Document, _) => DOCUMENT_PAGES * self.per_page(),
            (MediaKind::Audio, MediaSource::Base64(data)) => bytes(data) / SOUND_BYTES_PER_TOKEN + 1,
            (MediaKind::Audio, _) => SOUND,
            (MediaKind::Video, MediaSource::Base64(data)) => bytes(data) / FILM_BYTES_PER_TOKEN + 1,
            (MediaKind::Video, _) => FILM,
        }
    }

    fn document(&self, media: &Media, data: &str) -> u64 {
        let Ok(bytes) = STANDARD.decode(data) else { return DOCUMENT_PAGES * self.per_page() };
        if media.mime.as_deref().is_some_and(|mime| mime.starts_with("text/") || mime.ends_with("/json")) {
            return self.tokens.count(&String::from_utf8_lossy(&bytes));
        }
        pages(&bytes) * self.per_page()
    }

    fn per_page(&self) -> u64 {
        if self.vision == Vision::Gemini { PER_PAGE_GEMINI } else { PER_PAGE }
    }
}

/// The pages of a PDF whose objects are not compressed; one otherwise.
fn pages(pdf: &[u8]) -> u64 {
    let found = memmem::find_iter(pdf, b"/Type").filter(|at| {
        let rest = pdf[at + 5..].trim_ascii_start();
        rest.starts_with(b"/Page") && rest.get(5) != Some(&b's')
    });
    (found.count() as u64).max(1)
}

/// How many bytes a base64 text is of.
fn bytes(base64: &str) -> u64 {
    base64.len() as u64 / 4 * 3
}
