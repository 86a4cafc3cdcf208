//! Callers with keys of the configuration, what they ask, and what the security log says of them.

use serde_json::Value;

use super::provider::{chunk, head};
use super::{Answer, Client, Dialect, Gateway, Provider, Reply, Seen, eventually};

/// A `[[keys]]` table; `more` are further lines of it.
pub fn key(name: &str, more: &str) -> String {
    format!("[[keys]]\nname = '{name}'\nkey = '{}'\n{more}\n", secret(name))
}

/// The key itself.
pub fn secret(name: &str) -> String {
    format!("tg-the-whole-key-of-{name}")
}

/// Model `m-1` costs a dollar for each token of output, and nothing for input.
pub const DOLLAR_A_TOKEN: &str = "[prices.openai.'m-1']\ninput = '0'\noutput = '1000000'\n";

/// Goes into a provider's table: models are found there by their bare names.
pub const MODELS: &str = "models = ['m-1', 'm-2', 'm-3', 'x-1', 'm-unknown']\n";

/// Which dialect a provider was asked in, by the path.
pub fn dialect_of(seen: &Seen) -> Dialect {
    match &seen.target {
        target if target.contains("/chat/completions") => Dialect::Chat,
        target if target.contains("/responses") => Dialect::Responses,
        target if target.contains("/messages") => Dialect::Messages,
        _ => Dialect::Gemini,
    }
}

/// A provider that answers in the dialect that it is asked in: 25 tokens in and 7 out.
pub fn provider() -> Provider {
    Provider::start(|seen| Reply::json(200, dialect_of(seen).answer()))
}

/// A provider that uses just the tokens that it is told: `max_tokens` of output, and none of input.
pub fn exact_provider() -> Provider {
    Provider::start(|seen| {
        if seen.body.is_empty() {
            return Reply::json(200, "{}");
        }
        let output = seen.json()["max_tokens"].as_u64().unwrap();
        Reply::json(200, &chat_answer(0, output))
    })
}

pub fn chat_answer(input: u64, output: u64) -> String {
    format!(
        r#"{{"model":"m-1","choices":[{{"message":{{"content":"a"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":{input},"completion_tokens":{output},"total_tokens":{}}}}}"#,
        input + output
    )
}

/// A stream that has begun and goes on when the test says so.
pub fn stream_head(dialect: Dialect) -> Vec<u8> {
    let mut bytes = head(200, &[("content-type", "text/event-stream")], "transfer-encoding: chunked\r\n");
    bytes.extend_from_slice(&chunk(dialect.events()[0].as_bytes()));
    bytes
}

/// One request by the holder of the key `who`.
pub fn ask(gateway: &Gateway, who: &str, dialect: Dialect, model: &str, more: &[(&str, &str)]) -> Answer {
    post(gateway, who, &dialect.path(model, false), &dialect.body(model, false), more)
}

/// A chat with `max_tokens`.
pub fn ask_for(gateway: &Gateway, who: &str, max_tokens: u64) -> Answer {
    let body = format!(r#"{{"model":"m-1","max_tokens":{max_tokens},"messages":[]}}"#);
    post(gateway, who, "/v1/chat/completions", &body, &[])
}

pub fn post(gateway: &Gateway, who: &str, path: &str, body: &str, more: &[(&str, &str)]) -> Answer {
    request(gateway, who, "POST", path, body, more)
}

pub fn request(
    gateway: &Gateway,
    who: &str,
    method: &str,
    path: &str,
    body: &str,
    more: &[(&str, &str)],
) -> Answer {
    let secret = secret(who);
    let mut headers = vec![("content-type", "application/json"), ("x-tollgate-key", &*secret)];
    if path.ends_with("/messages") {
        headers.push(("anthropic-version", "2023-06-01"));
    }
    headers.extend(more);
    gateway.client().call(method, path, &headers, body.as_bytes())
}

/// Begins a stream and keeps its connection.
pub fn begin(gateway: &Gateway, who: &str, max_tokens: u64) -> (Client, Answer) {
    let mut client = gateway.client();
    let body = format!(r#"{{"model":"m-1","stream":true,"max_tokens":{max_tokens},"messages":[]}}"#);
    let secret = secret(who);
    let headers = [("content-type", "application/json"), ("x-tollgate-key", &*secret)];
    client.send("POST", "/v1/chat/completions", &headers, body.as_bytes()).unwrap();
    let answer = client.head().unwrap();
    (client, answer)
}

/// The lines of the security log about `what`, up to now.
pub fn events(gateway: &Gateway, what: &str) -> Vec<Value> {
    let log = gateway.stderr();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["target"] == "tollgate::security" && line["event"] == what).collect()
}

/// Waits until the security log has so many lines about `what`.
pub fn eventually_events(gateway: &Gateway, what: &str, count: usize) -> Vec<Value> {
    eventually(&format!("{count} events {what}"), || {
        Some(events(gateway, what)).filter(|events| events.len() >= count)
    })
}
