//! Wire formats: pure functions over bytes. No IO, no configuration.

pub mod anthropic;
pub mod completions;
pub mod count;
pub mod embeddings;
pub mod ending;
pub mod fields;
pub mod frames;
pub mod gemini;
pub mod limits;
pub mod listing;
pub mod media;
pub mod names;
pub mod openai_chat;
pub mod openai_responses;
pub mod path;
pub mod renames;
pub mod sse;
pub mod tap;
pub mod translate;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use tollgate_filters::error::Error;
use tollgate_filters::exchange::Dialect;
use tollgate_filters::usage::Reported;

/// The body of an error answer in the client's own dialect.
pub fn error_body(dialect: Dialect, error: &Error, request_id: &str) -> Bytes {
    let body = match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => openai_chat::error(error),
        Dialect::Anthropic => anthropic::error(error, request_id),
        Dialect::Gemini => gemini::error(error, request_id),
    };
    Bytes::from(body.to_string())
}

/// An error as the last event of an SSE stream that has begun. `events` is how many events the
/// client has seen.
pub fn error_event(dialect: Dialect, error: &Error, request_id: &str, events: u64) -> Bytes {
    Bytes::from(match dialect {
        Dialect::OpenaiChat => format!("data: {}\n\n", openai_chat::error(error)),
        Dialect::OpenaiResponses => {
            format!("event: error\ndata: {}\n\n", openai_responses::error_event(error, events))
        }
        Dialect::Anthropic => format!("event: error\ndata: {}\n\n", anthropic::error(error, request_id)),
        Dialect::Gemini => format!("data: {}\r\n\r\n", gemini::error(error, request_id)),
    })
}

/// What a provider's usage blocks say: the first one of an answer and the last (the same where there
/// is but one). `None` where they are not what the dialect knows.
pub fn usage(dialect: Dialect, first: &[u8], last: &[u8]) -> Option<Reported> {
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => openai_chat::usage(last),
        Dialect::Anthropic => anthropic::usage(first, last),
        Dialect::Gemini => gemini::usage(last),
    }
}

/// A count of tokens that may be absent, `null`, or something nobody expected: one odd field must
/// not cost the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count(Option<u64>);

impl Count {
    fn get(self) -> u64 {
        self.0.unwrap_or_default()
    }

    fn or(self, other: Self) -> Self {
        Self(self.0.or(other.0))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

struct CountVisitor;

impl<'de> Visitor<'de> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a number of tokens")
    }

    fn visit_u64<E>(self, n: u64) -> Result<Count, E> {
        Ok(Count(Some(n)))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Count, E> {
        Ok(Count(u64::try_from(n).ok()))
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates; a negative count is 0
    fn visit_f64<E>(self, n: f64) -> Result<Count, E> {
        Ok(Count(Some(n as u64)))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Count, E> {
        Ok(Count(None))
    }

    fn visit_str<E>(self, _: &str) -> Result<Count, E> {
        Ok(Count(None))
    }

    fn visit_unit<E>(self) -> Result<Count, E> {
        Ok(Count(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Count, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Count(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Count(None))
    }
}
