//! The demo provider as `/v1/messages`.

use super::prompt::{Choice, End, Prompt, Reply, Said, text_of};
use super::{Answer, MODEL, count as counting, id, items, named_event};
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

pub(super) fn error(status: StatusCode, message: &str) -> Answer {
    let kind = match status {
        StatusCode::NOT_FOUND => "not_found_error",
        StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
        _ => "invalid_request_error",
    };
    let error = json!({"type": kind, "message": message});
    Answer::json(status, &json!({"type": "error", "error": error}))
}

/// The list of models and the one model.
pub(super) fn models() -> (Value, Value) {
    let one = json!({
        "type": "model", "id": MODEL, "display_name": "Tollgate demo", "created_at": "2025-01-01T00:00:00Z",
    });
    let list = json!({"data": [one], "has_more": false, "first_id": MODEL, "last_id": MODEL});
    (list, one)
}

/// Counts the tokens of a request without answering it.
pub(super) fn count(request: &Value) -> Answer {
    match prompt(request) {
        Some(prompt) => Answer::ok(&json!({"input_tokens": prompt.input})),
        None => error(StatusCode::BAD_REQUEST, "messages: Field required"),
    }
}

pub(super) fn answer(request: &Value) -> Answer {
    let Some(prompt) = prompt(request) else {
        return error(StatusCode::BAD_REQUEST, "messages: Field required");
    };
    let reply = prompt.reply();
    let mut message = json!({
        "id": id("msg_", request), "type": "message", "role": "assistant", "model": MODEL, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage(prompt.input, reply.output),
    });
    let block = match &reply.said {
        Said::Text(text) => json!({"type": "text", "text": text}),
        Said::Call(name, input) => {
            json!({"type": "tool_use", "id": id("toolu_", request), "name": name, "input": input})
        }
    };
    if request["stream"] == true {
        // The input is known when the stream opens, the output only when it ends.
        message["usage"]["output_tokens"] = json!(reply.output.min(1));
        return stream(&message, &block, prompt.input, &reply);
    }
    message["content"] = json!([block]);
    let (reason, sequence) = stop(&reply);
    message["stop_reason"] = json!(reason);
    message["stop_sequence"] = json!(sequence);
    Answer::ok(&message)
}

fn prompt(request: &Value) -> Option<Prompt> {
    let messages = request["messages"].as_array()?;
    let mut prompt = Prompt::default();
    prompt.text(&text_of(&request["system"]));
    for message in messages {
        let text = text_of(&message["content"]);
        let blocks = items(&message["content"]);
        let has_result = blocks.iter().any(|block| block["type"] == "tool_result");
        // Beside a tool result a text is a remark on it, not a new question.
        if message["role"] == "user" && !has_result {
            prompt.user(text);
        } else {
            prompt.text(&text);
        }
        for block in blocks {
            match block["type"].as_str() {
                Some("tool_use") => prompt.call(&block["name"], &block["input"]),
                Some("tool_result") => prompt.result(text_of(&block["content"])),
                _ => {}
            }
        }
    }
    for tool in items(&request["tools"]) {
        // The provider's own tools have a type and no schema.
        if tool["input_schema"].is_object() {
            prompt.tool(&tool["name"], &tool["description"], &tool["input_schema"]);
        }
    }
    let choice = &request["tool_choice"];
    match choice["type"].as_str() {
        Some("any") => prompt.choose(Choice::Must),
        Some("none") => prompt.choose(Choice::Never),
        Some("tool") => {
            prompt.choose(Choice::Must);
            prompt.allow(&[choice["name"].as_str().unwrap_or_default()]);
        }
        _ => {}
    }
    let old_format = request["output_format"].get("schema");
    prompt.format(request["output_config"]["format"].get("schema").or(old_format));
    prompt.limit(&request["max_tokens"]);
    prompt.stop(&request["stop_sequences"]);
    Some(prompt)
}

fn usage(input: u64, output: u64) -> Value {
    json!({
        "input_tokens": input, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output, "service_tier": "standard",
    })
}

fn stop(reply: &Reply) -> (&'static str, Option<&str>) {
    match (&reply.said, &reply.end) {
        (Said::Call(..), _) => ("tool_use", None),
        (_, End::Natural) => ("end_turn", None),
        (_, End::Length) => ("max_tokens", None),
        (_, End::Stop(sequence)) => ("stop_sequence", Some(sequence)),
    }
}

fn stream(message: &Value, block: &Value, input: u64, reply: &Reply) -> Answer {
    let mut opening = block.clone();
    let (text, kind, key) = match &reply.said {
        Said::Text(text) => {
            opening["text"] = json!("");
            (text.clone(), "text_delta", "text")
        }
        Said::Call(_, arguments) => {
            opening["input"] = json!({});
            (arguments.to_string(), "input_json_delta", "partial_json")
        }
    };
    let mut events = vec![
        json!({"type": "message_start", "message": message}),
        json!({"type": "content_block_start", "index": 0, "content_block": opening}),
        json!({"type": "ping"}),
    ];
    events.extend(counting::pieces(&text).map(|piece| {
        let mut delta = json!({"type": kind});
        delta[key] = json!(piece);
        json!({"type": "content_block_delta", "index": 0, "delta": delta})
    }));
    let (reason, sequence) = stop(reply);
    events.push(json!({"type": "content_block_stop", "index": 0}));
    events.push(json!({
        "type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": sequence},
        "usage": {
            "input_tokens": input, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
            "output_tokens": reply.output,
        },
    }));
    events.push(json!({"type": "message_stop"}));
    let bytes: Vec<Bytes> = events.iter().map(named_event).collect();
    Answer::stream("text/event-stream; charset=utf-8", bytes)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{body, events, text};
    use super::*;

    fn streamed(request: &Value, key: &str) -> (String, Value) {
        let mut request = request.clone();
        request["stream"] = json!(true);
        let events = events(&answer(&request));
        assert_eq!(events.last(), Some(&json!({"type": "message_stop"})));
        let deltas = events.iter().filter_map(|event| event["delta"][key].as_str());
        (deltas.collect(), events[events.len() - 2].clone())
    }

    #[test]
    fn the_stream_is_the_plain_answer() {
        let request = json!({"max_tokens": 100, "system": [{"type": "text", "text": "Be nice."}],
            "messages": [{"role": "user", "content": "Hello, you"}]});
        let plain = body(&answer(&request));
        let (said, delta) = streamed(&request, "text");
        assert_eq!(plain["content"][0]["text"], said);
        assert_eq!(plain["usage"]["input_tokens"], 3 + 3);
        assert_eq!(plain["usage"]["output_tokens"], counting::tokens(&said));
        assert_eq!(delta["usage"]["output_tokens"], plain["usage"]["output_tokens"]);
        assert_eq!(delta["delta"]["stop_reason"], "end_turn");
        assert_eq!(body(&count(&request))["input_tokens"], 6);
    }

    #[test]
    fn a_tool_goes_round() {
        let mut request = json!({"max_tokens": 100, "messages": [{"role": "user", "content": "use the tool"}],
            "tools": [{"type": "web_search_20250305", "name": "web_search"}, {"name": "add", "input_schema": {
                "type": "object", "required": ["a"], "properties": {"a": {"type": "array", "items": {"type": "number"}}}}}]});
        let plain = body(&answer(&request));
        assert_eq!(
            (&plain["stop_reason"], &plain["content"][0]["input"]),
            (&json!("tool_use"), &json!({"a": [1]}))
        );
        assert_eq!(streamed(&request, "partial_json").0, "{\"a\":[1]}");
        let result = json!({"type": "tool_result", "tool_use_id": plain["content"][0]["id"],
            "content": [{"type": "text", "text": "two"}]});
        if let Some(messages) = request["messages"].as_array_mut() {
            messages.push(json!({"role": "assistant", "content": plain["content"]}));
            messages.push(json!({"role": "user", "content": [result, {"type": "text", "text": "the tool"}]}));
        }
        let second = body(&answer(&request));
        assert!(text(&second["content"][0]["text"]).starts_with("The tool answered: \"two\"."));
    }

    #[test]
    fn a_cut_answer_says_why() {
        let mut request = json!({"max_tokens": 100, "stop_sequences": ["demo"], "messages": [
            {"role": "user", "content": "Hello"}]});
        let plain = body(&answer(&request));
        assert_eq!(
            (&plain["stop_reason"], &plain["stop_sequence"]),
            (&json!("stop_sequence"), &json!("demo"))
        );
        request["max_tokens"] = json!(1);
        assert_eq!(body(&answer(&request))["stop_reason"], "max_tokens");
        assert_eq!(answer(&json!({})).status, 400);
    }
}
