//! OpenAI Responses: what it does differently from Chat Completions.

use serde_json::{Value, json};
use tollgate_filters::error::Error;

use super::openai_chat::error_type;

/// The `error` event of a Responses stream. Sequence numbers count the events from 0, so the number
/// of events seen is the next one.
pub(super) fn error_event(error: &Error, events: u64) -> Value {
    json!({
        "type": "error",
        "code": error.code.unwrap_or(error_type(error.kind)),
        "message": error.message,
        "param": error.param,
        "sequence_number": events,
    })
}
