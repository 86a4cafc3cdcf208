//! Whether a stream is one that the dialect's SDK expects: read here apart from the gateway's own readers.

mod anthropic;
mod chat;
mod gemini;
mod responses;

use serde_json::Value;
use tollgate_filters::exchange::Dialect;

/// One event of an event stream.
#[derive(Debug)]
pub struct Sse {
    pub event: Option<String>,
    pub data: String,
}

pub type Verdict = Result<(), String>;

/// Checks a whole stream. `broken` says that it is to end with an error.
pub fn check(dialect: Dialect, bytes: &[u8], broken: bool) -> Verdict {
    let events = events(bytes)?;
    match dialect {
        Dialect::OpenaiChat => chat::check(&events, broken),
        Dialect::OpenaiResponses => responses::check(&events, broken),
        Dialect::Anthropic => anthropic::check(&events, broken),
        Dialect::Gemini => gemini::check(&events, broken),
    }
}

/// The documents of a stream, as an SDK takes them.
pub fn documents(bytes: &[u8]) -> Vec<Value> {
    let events = events(bytes).unwrap_or_default();
    events.iter().filter_map(|event| serde_json::from_str(&event.data).ok()).collect()
}

fn events(bytes: &[u8]) -> Result<Vec<Sse>, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?.replace("\r\n", "\n");
    ensure(text.is_empty() || text.ends_with("\n\n"), || "does not end with an empty line".to_owned())?;
    let mut events = Vec::new();
    for block in text.split("\n\n").filter(|block| !block.is_empty()) {
        let (mut event, mut data) = (None, Vec::new());
        for line in block.split('\n').filter(|line| !line.starts_with(':')) {
            match line.split_once(':') {
                Some(("event", name)) => event = Some(name.trim().to_owned()),
                Some(("data", more)) => data.push(more.trim_start().to_owned()),
                _ => return Err(format!("an odd line: {line}")),
            }
        }
        if !data.is_empty() {
            events.push(Sse { event, data: data.join("\n") });
        }
    }
    Ok(events)
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(why()) }
}

fn parse(sse: &Sse) -> Result<Value, String> {
    serde_json::from_str(&sse.data).map_err(|e| format!("{e}: {}", sse.data))
}

fn text<'a>(value: &'a Value, pointer: &str) -> Result<&'a str, String> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.ok_or_else(|| format!("no text at {pointer}: {value}"))
}

fn number(value: &Value, pointer: &str) -> Result<u64, String> {
    let found = value.pointer(pointer).and_then(Value::as_u64);
    found.ok_or_else(|| format!("no number at {pointer}: {value}"))
}
