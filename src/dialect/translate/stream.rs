//! Streams of each dialect: from documents to events, and from events to bytes.

use tollgate_filters::chat::{Client, Event, Losses};
use tollgate_filters::exchange::Dialect;

use crate::dialect::{anthropic, completions, gemini, openai_chat, openai_responses};

/// Reads streams of one dialect.
#[derive(Debug)]
pub enum Decoder {
    OpenaiChat(Box<openai_chat::decode::Decoder>),
    OpenaiResponses(Box<openai_responses::decode::Decoder>),
    Anthropic(Box<anthropic::decode::Decoder>),
    Gemini(Box<gemini::decode::Decoder>),
}

impl Decoder {
    pub fn new(dialect: Dialect) -> Self {
        match dialect {
            Dialect::OpenaiChat => Self::OpenaiChat(Box::default()),
            Dialect::OpenaiResponses => Self::OpenaiResponses(Box::default()),
            Dialect::Anthropic => Self::Anthropic(Box::default()),
            Dialect::Gemini => Self::Gemini(Box::default()),
        }
    }

    pub fn document(&mut self, data: &[u8], events: &mut Vec<Event>) {
        match self {
            Self::OpenaiChat(decoder) => decoder.document(data, events),
            Self::OpenaiResponses(decoder) => decoder.document(data, events),
            Self::Anthropic(decoder) => decoder.document(data, events),
            Self::Gemini(decoder) => decoder.document(data, events),
        }
    }

    pub fn finish(&mut self, events: &mut Vec<Event>) {
        match self {
            Self::OpenaiChat(decoder) => decoder.finish(events),
            Self::OpenaiResponses(decoder) => decoder.finish(events),
            Self::Anthropic(decoder) => decoder.finish(events),
            Self::Gemini(decoder) => decoder.finish(events),
        }
    }
}

/// Writes streams of one dialect.
#[derive(Debug)]
pub enum Encoder {
    OpenaiChat(Box<openai_chat::encode::Encoder>),
    OpenaiResponses(Box<openai_responses::encode::Encoder>),
    Anthropic(Box<anthropic::encode::Encoder>),
    Gemini(Box<gemini::encode::Encoder>),
    Completions(Box<completions::encode::Encoder>),
}

impl Encoder {
    pub fn new(dialect: Dialect, client: Client) -> Self {
        match dialect {
            Dialect::OpenaiChat => Self::OpenaiChat(Box::new(openai_chat::encode::Encoder::new(client))),
            Dialect::OpenaiResponses => {
                Self::OpenaiResponses(Box::new(openai_responses::encode::Encoder::new(client)))
            }
            Dialect::Anthropic => Self::Anthropic(Box::new(anthropic::encode::Encoder::new(client))),
            Dialect::Gemini => Self::Gemini(Box::new(gemini::encode::Encoder::new(client))),
        }
    }

    pub fn event(&mut self, event: &Event, out: &mut Vec<u8>, losses: &mut Losses) {
        match self {
            Self::OpenaiChat(encoder) => encoder.event(event, out, losses),
            Self::OpenaiResponses(encoder) => encoder.event(event, out, losses),
            Self::Anthropic(encoder) => encoder.event(event, out, losses),
            Self::Gemini(encoder) => encoder.event(event, out, losses),
            Self::Completions(encoder) => encoder.event(event, out, losses),
        }
    }
}
