//! OpenAI Chat: chunks of one id, the role first, each tool call begun before it goes on, `[DONE]` last.

use std::collections::HashMap;

use serde_json::Value;

use super::{Sse, Verdict, ensure, number, parse, text};

#[derive(Default)]
struct Choice {
    begun: bool,
    finished: bool,
    calls: u64,
}

pub fn check(events: &[Sse], broken: bool) -> Verdict {
    let mut choices: HashMap<u64, Choice> = HashMap::new();
    let mut id = None;
    let mut done = false;
    let mut failed = false;
    let mut usage = false;
    for sse in events {
        ensure(sse.event.is_none(), || format!("an event with a name: {:?}", sse.event))?;
        ensure(!done, || "something after [DONE]".to_owned())?;
        if sse.data == "[DONE]" {
            done = true;
            continue;
        }
        let chunk = parse(sse)?;
        if chunk.get("error").is_some_and(|error| !error.is_null()) {
            text(&chunk, "/error/message")?;
            failed = true;
            continue;
        }
        ensure(!failed, || "something after the error".to_owned())?;
        ensure(chunk["object"] == "chat.completion.chunk", || format!("not a chunk: {chunk}"))?;
        let this = text(&chunk, "/id")?;
        ensure(!this.is_empty() && id.get_or_insert(this.to_owned()) == this, || {
            format!("another id: {chunk}")
        })?;
        number(&chunk, "/created")?;
        text(&chunk, "/model")?;
        let list = chunk["choices"].as_array().ok_or_else(|| format!("no choices: {chunk}"))?;
        if chunk["usage"].is_object() {
            ensure(list.is_empty(), || format!("usage beside a choice: {chunk}"))?;
            usage = true;
        } else {
            ensure(!list.is_empty(), || format!("a chunk without a choice: {chunk}"))?;
        }
        for choice in list {
            one(choice, choices.entry(number(choice, "/index")?).or_default())?;
            ensure(!usage, || format!("a choice after usage: {chunk}"))?;
        }
    }
    ensure(failed == broken, || format!("failed: {failed}"))?;
    ensure(done || broken, || "no [DONE]".to_owned())?;
    ensure(broken || choices.values().all(|c| c.finished), || "a choice without an end".to_owned())
}

fn one(choice: &Value, state: &mut Choice) -> Verdict {
    ensure(!state.finished, || format!("a choice goes on after its end: {choice}"))?;
    let delta = choice["delta"].as_object().ok_or_else(|| format!("no delta: {choice}"))?;
    let role = delta.get("role").and_then(Value::as_str);
    let expected = if state.begun { None } else { Some("assistant") };
    ensure(role == expected, || format!("the role comes first, and once: {choice}"))?;
    state.begun = true;
    for key in ["content", "refusal", "reasoning_content"] {
        let value = delta.get(key).unwrap_or(&Value::Null);
        ensure(value.is_null() || value.is_string(), || format!("{key} is no text: {choice}"))?;
    }
    for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
        let index = number(call, "/index")?;
        if index == state.calls {
            ensure(!text(call, "/id")?.is_empty(), || format!("a call without an id: {choice}"))?;
            ensure(
                !text(call, "/function/name").or_else(|_| text(call, "/custom/name"))?.is_empty(),
                || format!("a call without a name: {choice}"),
            )?;
            state.calls += 1;
        } else {
            ensure(index < state.calls, || format!("a call out of turn: {choice}"))?;
            ensure(call.get("id").is_none_or(Value::is_null), || format!("the id again: {choice}"))?;
        }
    }
    let finish = &choice["finish_reason"];
    if !finish.is_null() {
        const WORDS: [&str; 5] = ["stop", "length", "tool_calls", "content_filter", "function_call"];
        ensure(finish.as_str().is_some_and(|word| WORDS.contains(&word)), || {
            format!("an unknown end: {choice}")
        })?;
        state.finished = true;
    }
    Ok(())
}
