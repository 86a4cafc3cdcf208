//! Gemini errors: a provider's, read and written.

use serde_json::{Value, json};
use tollgate_filters::chat::Failure;

/// How much of an answer that is no JSON becomes the message.
const MAX_PLAIN: usize = 2000;

/// Reads the body of an error answer. Never fails: what is no JSON of this dialect becomes the message.
pub fn parse(status: u16, body: &[u8]) -> Failure {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => read(status, &value),
        Err(_) => plain(status, &String::from_utf8_lossy(body)),
    }
}

/// Reads an error document: `{"error": {...}}`, in a list where a stream was asked for.
pub fn read(status: u16, value: &Value) -> Failure {
    let document = value.as_array().and_then(|list| list.first()).unwrap_or(value);
    let error = document.get("error").unwrap_or(document);
    if let Value::String(message) = error {
        return Failure { status, message: message.clone(), ..Failure::default() };
    }
    let word = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
    let Some(message) = word("message") else { return plain(status, &value.to_string()) };
    let details = || error.get("details").and_then(Value::as_array).into_iter().flatten();
    let detail = |name: &str| details().find_map(|d| d.get(name).and_then(Value::as_str).map(str::to_owned));
    let field = details()
        .filter_map(|d| d.get("fieldViolations").and_then(Value::as_array))
        .flatten()
        .find_map(|violation| violation.get("field").and_then(Value::as_str));
    let code = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    Failure {
        status: if status == 0 { code.unwrap_or_default() } else { status },
        message,
        kind: word("status").or_else(|| word("type")),
        code: detail("reason").or_else(|| word("code")),
        param: field.map(str::to_owned).or_else(|| word("param")),
        request_id: detail("requestId"),
    }
}

fn plain(status: u16, text: &str) -> Failure {
    let text = text.trim();
    let message = match text.char_indices().nth(MAX_PLAIN) {
        _ if text.is_empty() => format!("The provider answered with status {status} and said nothing."),
        Some((end, _)) => text[..end].to_owned(),
        None => text.to_owned(),
    };
    Failure { status, message, ..Failure::default() }
}

/// Writes the body of an error answer: a `google.rpc.Status`.
pub fn render(failure: &Failure, request_id: &str) -> Value {
    let status = if failure.status == 0 { 500 } else { failure.status };
    // First, as in the gateway's own errors.
    let mut details =
        vec![json!({ "@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": request_id })];
    if let Some(code) = &failure.code {
        details.push(json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": code }));
    }
    if let Some(param) = &failure.param {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{ "field": param, "description": failure.message }],
        }));
    }
    json!({ "error": {
        "code": status,
        "message": failure.message,
        "status": word(status),
        "details": details,
    }})
}

fn word(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        400..500 => "INVALID_ARGUMENT",
        501 => "UNIMPLEMENTED",
        502 | 503 | 529 => "UNAVAILABLE",
        500..600 => "INTERNAL",
        _ => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn googles_error_is_read_in_a_list_as_well() {
        let body = r#"[{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT",
            "details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}]"#;
        let failure = parse(400, body.as_bytes());
        assert_eq!(failure.message, "API key not valid.");
        assert_eq!(failure.code.as_deref(), Some("API_KEY_INVALID"));
        assert_eq!(failure.kind.as_deref(), Some("INVALID_ARGUMENT"));
        let rendered = render(&failure, "req");
        assert_eq!(rendered["error"]["details"][0]["requestId"], "req");
        let again = read(0, &rendered);
        assert_eq!((again.status, again.message, again.code), (400, failure.message, failure.code));
    }

    #[test]
    fn what_is_no_json_becomes_the_message() {
        assert_eq!(parse(502, b"<html>Bad Gateway</html>").message, "<html>Bad Gateway</html>");
        assert!(parse(502, b"").message.contains("502"));
    }
}
