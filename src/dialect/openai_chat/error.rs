//! Chat Completions errors: a provider's, read and written.

use serde_json::{Value, json};
use tollgate_filters::chat::Failure;

/// How much of a page that is no JSON becomes the message.
const MAX_TEXT: usize = 2000;

/// Reads the body of an error answer. Never fails: what is no JSON of this dialect becomes the message.
pub fn parse(status: u16, body: &[u8]) -> Failure {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => of_body(status, &value),
        Err(_) => plain(status, &String::from_utf8_lossy(body)),
    }
}

fn of_body(status: u16, value: &Value) -> Failure {
    // Some vendors send a list with one error.
    let value = value.as_array().and_then(|list| list.first()).unwrap_or(value);
    let mut failure = match value.get("error") {
        Some(error) if !error.is_null() => of(status, error),
        _ => of(status, value),
    };
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    failure.request_id = text("request_id").map(str::to_owned);
    failure
}

/// Reads the error itself: what stands under `error`, or the whole body of vendors that have no such member
/// (Mistral's `{"object": "error", "message": …}`, `{"detail": …}` of others).
pub(super) fn of(status: u16, error: &Value) -> Failure {
    let member = |key: &str| error.get(key).and_then(words);
    let message = member("message").or_else(|| member("detail")).or_else(|| words(error));
    let number = ["status_code", "code", "status"].iter().find_map(|key| {
        error
            .get(*key)
            .and_then(Value::as_u64)
            .and_then(|n| u16::try_from(n).ok())
            .filter(|n| (400..600).contains(n))
    });
    Failure {
        status: if status == 0 { number.unwrap_or(0) } else { status },
        message: message.unwrap_or_else(|| error.to_string()),
        kind: member("type"),
        code: member("code"),
        param: member("param"),
        request_id: None,
    }
}

/// A string as it is, a number in digits, anything else as JSON.
fn words(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::Object(_) => None,
        Value::String(text) => (!text.is_empty()).then(|| text.clone()),
        other => Some(other.to_string()),
    }
}

/// An answer that is no JSON: nothing, a line of text, or a page of HTML.
fn plain(status: u16, text: &str) -> Failure {
    let text = text.trim();
    let title = text
        .split_once("<title>")
        .and_then(|(_, rest)| rest.split_once("</title>"))
        .map(|(title, _)| title.trim())
        .filter(|title| !title.is_empty());
    let message = match (title, text) {
        (Some(title), _) => title.to_owned(),
        (None, "") => format!("The provider answered with status {status} and no body."),
        (None, page) if page.starts_with('<') => {
            format!("The provider answered with status {status} and a web page.")
        }
        (None, text) => text.chars().take(MAX_TEXT).collect(),
    };
    Failure { status, message, ..Failure::default() }
}

/// Writes the body of an error answer. OpenAI's has no place for the id of the request: that is a header.
pub fn render(failure: &Failure, request_id: &str) -> Value {
    let _ = request_id;
    json!({ "error": {
        "message": failure.message,
        "type": kind(failure),
        "param": failure.param,
        "code": failure.code,
    }})
}

/// OpenAI's word for the kind of error.
fn kind(failure: &Failure) -> &'static str {
    match failure.status {
        401 => "authentication_error",
        402 => "insufficient_quota",
        403 => "permission_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        0 => match failure.kind.as_deref() {
            Some("invalid_request_error" | "INVALID_ARGUMENT") => "invalid_request_error",
            Some("rate_limit_error" | "rate_limit_exceeded" | "RESOURCE_EXHAUSTED") => "rate_limit_error",
            Some("authentication_error" | "UNAUTHENTICATED") => "authentication_error",
            Some("permission_error" | "PERMISSION_DENIED") => "permission_error",
            _ => "server_error",
        },
        _ => "server_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vendors_error_is_understood() {
        let openai = br#"{"error":{"message":"No such model.","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#;
        let read = parse(404, openai);
        assert_eq!(
            (read.message.as_str(), read.code.as_deref()),
            ("No such model.", Some("model_not_found"))
        );
        assert_eq!(read.param.as_deref(), Some("model"));
        let openrouter = br#"{"error":{"code":429,"message":"Provider returned error","metadata":{"raw":"x"}},"user_id":"u"}"#;
        let read = parse(429, openrouter);
        assert_eq!((read.message.as_str(), read.code.as_deref()), ("Provider returned error", Some("429")));
        let mistral = br#"{"object":"error","message":"Bad role.","type":"invalid_request_message_order","param":null,"code":"3230"}"#;
        assert_eq!(parse(400, mistral).message, "Bad role.");
        assert_eq!(parse(422, br#"{"detail":[{"msg":"x"}]}"#).message, r#"[{"msg":"x"}]"#);
        assert_eq!(parse(400, br#"[{"error":{"message":"m","status":"INVALID_ARGUMENT"}}]"#).message, "m");
        assert_eq!(parse(502, b"<html><head><title>502 Bad Gateway</title>").message, "502 Bad Gateway");
        assert!(parse(500, b"").message.contains("500"));
        assert_eq!(parse(500, br#"{"error":"upstream gone"}"#).message, "upstream gone");
    }

    #[test]
    fn the_status_gives_the_kind() {
        for (status, kind) in
            [(400, "invalid_request_error"), (429, "rate_limit_error"), (529, "server_error")]
        {
            let failure = Failure { status, message: "m".to_owned(), ..Failure::default() };
            let error = render(&failure, "");
            assert_eq!(error["error"]["type"], kind);
            assert_eq!(error["error"]["message"], "m");
        }
    }
}
