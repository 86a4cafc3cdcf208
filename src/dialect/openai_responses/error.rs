//! Responses errors: a provider's, read and written.

use serde_json::{Value, json};
use tollgate_filters::chat::Failure;

/// Reads the body of an error answer. Never fails: what is no JSON of this dialect becomes the message.
pub fn parse(status: u16, body: &[u8]) -> Failure {
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Array(mut list)) if list.len() == 1 => read(status, &list.remove(0), body),
        Ok(value) => read(status, &value, body),
        Err(_) => Failure { status, message: plain(body), ..Failure::default() },
    }
}

fn plain(body: &[u8]) -> String {
    String::from_utf8_lossy(body).trim().to_owned()
}

fn read(status: u16, value: &Value, body: &[u8]) -> Failure {
    let error = value.get("error").filter(|error| !error.is_null()).unwrap_or(value);
    let mut failure = of(error);
    failure.request_id = word(value, "request_id").or(failure.request_id);
    // An error inside an answer that is otherwise fine names its own status.
    failure.status = if status >= 400 || failure.status == 0 { status } else { failure.status };
    if failure.message.is_empty() {
        failure.message = plain(body);
    }
    failure
}

fn word(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

/// Reads an `error` object: of an answer, an event, or a response that failed.
pub(super) fn of(error: &Value) -> Failure {
    if let Value::String(message) = error {
        return Failure { message: message.clone(), ..Failure::default() };
    }
    let code = match error.get("code") {
        Some(Value::String(code)) => Some(code.clone()),
        Some(Value::Number(code)) => Some(code.to_string()),
        _ => None,
    };
    let status = code.as_deref().map_or(0, status_of);
    let message = word(error, "message").or_else(|| word(error, "detail")).unwrap_or_default();
    Failure {
        status,
        message,
        kind: word(error, "type").filter(|kind| kind != "error"),
        code,
        param: word(error, "param"),
        request_id: word(error, "request_id"),
    }
}

/// The HTTP status that a code of an event stands for; 0 where it stands for none.
fn status_of(code: &str) -> u16 {
    match code {
        "server_error" | "internal_error" => 500,
        "rate_limit_exceeded" | "insufficient_quota" => 429,
        "server_is_overloaded" | "slow_down" => 503,
        "invalid_prompt" | "context_length_exceeded" | "invalid_value" => 400,
        code => code.parse().ok().filter(|status| (400..600).contains(status)).unwrap_or(0),
    }
}

/// OpenAI's word for the kind of an error with this status.
pub(super) fn kind(failure: &Failure) -> &str {
    const WORDS: [&str; 10] = [
        "invalid_request_error",
        "authentication_error",
        "permission_error",
        "rate_limit_error",
        "server_error",
        "insufficient_quota",
        "tokens",
        "requests",
        "image_generation_user_error",
        "service_unavailable_error",
    ];
    if let Some(kind) = failure.kind.as_deref().filter(|kind| WORDS.contains(kind)) {
        return kind;
    }
    match failure.status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    }
}

/// Writes the body of an error answer. The request's id is in a header, as at OpenAI.
pub fn render(failure: &Failure, _request_id: &str) -> Value {
    json!({ "error": {
        "message": failure.message,
        "type": kind(failure),
        "param": failure.param,
        "code": failure.code,
    }})
}
