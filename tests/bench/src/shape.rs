//! The requests the load generator sends and the answers the mock provider gives, both fixed in length.

use std::fmt::Write as _;

/// Content events in one stream, before the finishing ones.
pub const CONTENT_EVENTS: usize = 50;
/// The key Tollgate is told about and every request carries.
pub const API_KEY: &str = "tg-bench-key-0123456789";
pub const MODEL: &str = "mock-model";
/// This word anywhere in a request body keeps the mock's stream open after its first event.
pub const HOLD: &str = "mock-hold";

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One JSON answer of 1,024 bytes.
    Exchange,
    /// A stream of [`CONTENT_EVENTS`] events and the finishing ones.
    Stream,
    /// A stream that stays open after its first event.
    Hold,
}

/// What a client sends again and again, and how it knows the right answer.
#[derive(Debug, Clone)]
pub struct Script {
    pub request: Vec<u8>,
    pub expected: Expected,
}

#[derive(Debug, Clone, Copy)]
pub enum Expected {
    /// The body has one of these lengths.
    Lengths([usize; 2]),
    /// The body holds this word: it was translated, so its length is not known beforehand.
    Word(&'static str),
}

impl Script {
    pub fn of(kind: Kind) -> Self {
        Self { request: request(kind), expected: Expected::Lengths(lengths(kind)) }
    }
}

/// A whole HTTP request, head and body, ready to be written at once.
pub fn request(kind: Kind) -> Vec<u8> {
    let tail = match kind {
        Kind::Exchange => String::new(),
        Kind::Stream => r#","stream":true"#.to_owned(),
        Kind::Hold => format!(r#","stream":true,"user":"{HOLD}""#),
    };
    let body = format!(
        concat!(
            r#"{{"model":"{}","messages":[{{"role":"system","content":"You are a careful assistant. "#,
            r#"Answer briefly, and say so when you are not sure."}},{{"role":"user","content":"Explain "#,
            r#"in two sentences what a reverse proxy does, and why somebody would put one in front of "#,
            r#"several providers of the same service."}}],"temperature":0.2,"max_tokens":256{}}}"#
        ),
        MODEL, tail
    );
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: bench.local\r\nauthorization: Bearer {API_KEY}\r\n\
         content-type: application/json\r\naccept: */*\r\nuser-agent: tollgate-bench\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The answer to an exchange: a chat completion of exactly 1,024 bytes.
pub fn completion() -> String {
    let (before, after) = (
        format!(
            r#"{{"id":"chatcmpl-bench0123456789","object":"chat.completion","created":1767225600,"model":"{MODEL}","choices":[{{"index":0,"message":{{"role":"assistant","content":""#
        ),
        r#"","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":61,"completion_tokens":142,"total_tokens":203},"system_fingerprint":"fp_bench"}"#,
    );
    let mut answer = before;
    while answer.len() + after.len() < 1024 {
        answer.push_str("proxy ");
    }
    answer.truncate(1024 - after.len());
    answer.push_str(after);
    answer
}

fn chunk(choices: &str, usage: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-bench0123456789\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\
         \"model\":\"{MODEL}\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_bench\",\
         \"choices\":{choices}{usage}}}\n\n"
    )
}

/// The events of one stream in order, with or without the usage event before the last.
pub fn events(include_usage: bool) -> Vec<String> {
    let mut events = Vec::with_capacity(CONTENT_EVENTS + 3);
    for number in 0..CONTENT_EVENTS {
        let mut choice = String::new();
        let _ = write!(
            choice,
            r#"[{{"index":0,"delta":{{"content":" word-{number:02}"}},"logprobs":null,"finish_reason":null}}]"#
        );
        events.push(chunk(&choice, ""));
    }
    let finish = r#"[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]"#;
    events.push(chunk(finish, ""));
    if include_usage {
        let usage = r#","usage":{"prompt_tokens":61,"completion_tokens":50,"total_tokens":111}"#;
        events.push(chunk("[]", usage));
    }
    events.push("data: [DONE]\n\n".to_owned());
    events
}

/// The body lengths a correct answer may have; a stream may or may not show the usage event.
pub fn lengths(kind: Kind) -> [usize; 2] {
    let total = |usage| events(usage).iter().map(String::len).sum();
    match kind {
        Kind::Exchange => [completion().len(); 2],
        Kind::Stream => [total(false), total(true)],
        Kind::Hold => [events(false).first().map_or(0, String::len); 2],
    }
}

#[cfg(test)]
mod tests {
    use super::{completion, events};

    #[test]
    fn answers_are_json_of_the_promised_size() {
        let answer = completion();
        assert_eq!(answer.len(), 1024);
        assert!(serde_json::from_str::<serde_json::Value>(&answer).is_ok());
        for event in events(true).iter().rev().skip(1) {
            let json = event.trim().trim_start_matches("data: ");
            assert!(serde_json::from_str::<serde_json::Value>(json).is_ok(), "{event}");
        }
    }
}
