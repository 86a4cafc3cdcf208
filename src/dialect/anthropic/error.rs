//! Messages errors: a provider's, read and written.

use serde_json::{Value, json};
use tollgate_filters::chat::Failure;

/// Reads the body of an error answer. Never fails: what is no JSON of this dialect becomes the message.
pub fn parse(status: u16, body: &[u8]) -> Failure {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    let mut failure = match serde_json::from_str::<Value>(text) {
        Ok(value) => of_value(&value),
        Err(_) => Failure { message: text.to_owned(), ..Failure::default() },
    };
    if failure.message.is_empty() {
        failure.message = match text {
            "" | "{}" | "null" => format!("The provider answered with the status {status} and no reason."),
            text => text.to_owned(),
        };
    }
    failure.status = match failure.kind.as_deref() {
        Some(kind) if status == 0 => status_of(kind),
        _ => status,
    };
    failure
}

/// `{"type": "error", "error": {"type", "message"}, "request_id"}`, and what servers that only resemble it send.
fn of_value(value: &Value) -> Failure {
    let value = if let Value::Array(list) = value { list.first().unwrap_or(value) } else { value };
    let word = |value: &Value, key: &str| match value.get(key) {
        Some(Value::String(word)) => Some(word.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let error = value.get("error").filter(|error| error.is_object()).unwrap_or(value);
    let message = word(error, "message")
        .or_else(|| word(value, "error"))
        .or_else(|| word(value, "message"))
        .or_else(|| word(value, "detail"));
    Failure {
        status: 0,
        message: message.unwrap_or_default(),
        kind: word(error, "type").or_else(|| word(error, "status")).filter(|kind| kind != "error"),
        code: word(error, "code"),
        param: word(error, "param"),
        request_id: word(value, "request_id"),
    }
}

/// The kinds of error that the API has, with the status of each.
const KINDS: [(&str, u16); 12] = [
    ("invalid_request_error", 400),
    ("authentication_error", 401),
    ("billing_error", 402),
    ("permission_error", 403),
    ("not_found_error", 404),
    ("request_too_large", 413),
    ("rate_limit_error", 429),
    ("api_error", 500),
    ("timeout_error", 504),
    ("overloaded_error", 529),
    ("overloaded_error", 503),
    ("timeout_error", 408),
];

/// The status that the kind stands for; 0 where it is no word of this dialect.
fn status_of(kind: &str) -> u16 {
    KINDS.iter().find(|(word, _)| *word == kind).map_or(0, |(_, status)| *status)
}

/// The kind is this dialect's word for the status. Other dialects have some of the words, but not for the same.
fn fits(kind: &str, status: u16) -> bool {
    KINDS.iter().any(|(word, of)| *word == kind && (status == 0 || *of == status))
}

fn kind_of(status: u16) -> &'static str {
    let known = KINDS.iter().find(|(_, of)| *of == status).map(|(word, _)| *word);
    known.unwrap_or(if (400..500).contains(&status) { "invalid_request_error" } else { "api_error" })
}

/// Writes the body of an error answer.
pub fn render(failure: &Failure, request_id: &str) -> Value {
    let kind = match failure.kind.as_deref() {
        Some(kind) if fits(kind, failure.status) => kind,
        _ => kind_of(failure.status),
    };
    let mut body = json!({
        "type": "error",
        "error": { "type": kind, "message": failure.message },
    });
    if !request_id.is_empty() {
        body["request_id"] = request_id.into();
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_gives_the_kind_where_the_word_is_of_another_dialect() {
        let failure =
            Failure { status: 429, kind: Some("RESOURCE_EXHAUSTED".to_owned()), ..Failure::default() };
        assert_eq!(render(&failure, "r")["error"]["type"], "rate_limit_error");
        assert_eq!(
            parse(0, br#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#)
                .status,
            529
        );
    }

    #[test]
    fn whatever_a_server_sends_becomes_a_message() {
        for (body, message) in [
            (&br#"{"type":"error","error":{"type":"not_found_error","message":"model: x"}}"#[..], "model: x"),
            (br#"[{"error":{"code":400,"message":"bad","status":"INVALID_ARGUMENT"}}]"#, "bad"),
            (br#"{"error":"nope"}"#, "nope"),
            (br#"{"detail":"gone"}"#, "gone"),
            (b"<html>502</html>\n", "<html>502</html>"),
            (b"", "The provider answered with the status 502 and no reason."),
        ] {
            assert_eq!(parse(502, body).message, message);
        }
    }
}
