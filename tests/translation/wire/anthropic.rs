//! Anthropic: `message_start`, whole blocks one after the other, `message_delta`, `message_stop`.

use serde_json::Value;

use super::{Sse, Verdict, ensure, number, parse, text};

pub fn check(events: &[Sse], broken: bool) -> Verdict {
    let mut open: Option<(u64, String)> = None;
    let mut next = 0;
    let (mut started, mut told, mut stopped, mut failed) = (false, false, false, false);
    for sse in events {
        let event = parse(sse)?;
        let kind = text(&event, "/type")?;
        ensure(sse.event.as_deref() == Some(kind), || format!("{:?} is not {kind}", sse.event))?;
        ensure(!stopped && !failed, || format!("something after the end: {event}"))?;
        ensure(started || matches!(kind, "message_start" | "error" | "ping"), || {
            format!("no start before {event}")
        })?;
        match kind {
            "message_start" => {
                ensure(!started, || "two starts".to_owned())?;
                started = true;
                start(&event["message"])?;
            }
            "content_block_start" => {
                ensure(open.is_none() && !told, || format!("a block within a block, or too late: {event}"))?;
                ensure(number(&event, "/index")? == next, || format!("not index {next}: {event}"))?;
                open = Some((next, text(&event, "/content_block/type")?.to_owned()));
                next += 1;
            }
            "content_block_delta" => {
                let (index, block) = open.as_ref().ok_or_else(|| format!("no block is open: {event}"))?;
                ensure(number(&event, "/index")? == *index, || format!("not of the open block: {event}"))?;
                delta(block, &event)?;
            }
            "content_block_stop" => {
                let closed = open.take().map(|(index, _)| index);
                ensure(Some(number(&event, "/index")?) == closed, || format!("not the open block: {event}"))?;
            }
            "message_delta" => {
                ensure(open.is_none() && !told, || format!("a block is open, or the end was told: {event}"))?;
                text(&event, "/delta/stop_reason")?;
                number(&event, "/usage/output_tokens")?;
                told = true;
            }
            "message_stop" => {
                ensure(told, || "no message_delta before message_stop".to_owned())?;
                stopped = true;
            }
            "ping" => {}
            "error" => {
                text(&event, "/error/type")?;
                text(&event, "/error/message")?;
                failed = true;
            }
            other => return Err(format!("an unknown event: {other}")),
        }
    }
    ensure(failed == broken, || format!("failed: {failed}"))?;
    ensure(stopped || broken, || "no message_stop".to_owned())
}

fn start(message: &Value) -> Verdict {
    for (pointer, word) in [("/type", "message"), ("/role", "assistant")] {
        ensure(text(message, pointer)? == word, || format!("{pointer} is not {word}: {message}"))?;
    }
    ensure(!text(message, "/id")?.is_empty(), || "no id".to_owned())?;
    text(message, "/model")?;
    number(message, "/usage/input_tokens")?;
    number(message, "/usage/output_tokens")?;
    ensure(message["content"] == Value::Array(Vec::new()), || format!("content at the start: {message}"))
}

fn delta(block: &str, event: &Value) -> Verdict {
    let kind = text(event, "/delta/type")?;
    let fits = match kind {
        "text_delta" | "citations_delta" => block == "text",
        "input_json_delta" => block == "tool_use" || block == "server_tool_use" || block == "mcp_tool_use",
        "thinking_delta" | "signature_delta" => block == "thinking",
        _ => false,
    };
    ensure(fits, || format!("{kind} in a block of the type {block}"))
}
