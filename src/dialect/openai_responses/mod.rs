//! OpenAI Responses: what it does differently from Chat Completions.

pub mod decode;
pub mod encode;
pub mod error;
mod item;
pub mod request;
pub mod response;
mod tier;
mod usage;

#[cfg(test)]
mod tests;

use serde_json::{Value, json};
use tollgate_filters::error::Error;

use super::openai_chat::error_type;

/// The `error` event of a Responses stream. Sequence numbers count the events from 0, so the number
/// of events seen is the next one.
///
/// The reference shows its members flat. `OpenAI` itself sends them in an `error` object, and its SDK raises an
/// exception only for that, so they stand in both places.
pub(super) fn error_event(error: &Error, events: u64) -> Value {
    let code = error.code.unwrap_or(error_type(error.kind));
    json!({
        "type": "error",
        "code": code,
        "message": error.message,
        "param": error.param,
        "sequence_number": events,
        "error": {
            "type": error_type(error.kind),
            "code": code,
            "message": error.message,
            "param": error.param,
        },
    })
}
