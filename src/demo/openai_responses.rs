//! The demo provider as `/v1/responses`.

use super::openai::{bad, choose};
use super::prompt::{End, Prompt, Reply, Said, string_or_json, text_of};
use super::{Answer, MODEL, count, id, items, named_event, now};
use bytes::Bytes;
use serde_json::{Value, json};

pub(super) fn answer(request: &Value) -> Answer {
    if !request["input"].is_string() && !request["input"].is_array() {
        return bad("Missing required parameter: 'input'.");
    }
    let prompt = prompt(request);
    let reply = prompt.reply();
    let response =
        Response { shell: shell(request), item: item(&reply, &id("", request)), input: prompt.input, reply };
    if request["stream"] == true { response.stream() } else { Answer::ok(&response.done()) }
}

fn prompt(request: &Value) -> Prompt {
    let mut prompt = Prompt::default();
    prompt.text(request["instructions"].as_str().unwrap_or_default());
    if let Some(text) = request["input"].as_str() {
        prompt.user(text.to_owned());
    }
    for item in items(&request["input"]) {
        match (item["type"].as_str(), item["role"].as_str()) {
            (Some("function_call"), _) => prompt.call(&item["name"], &item["arguments"]),
            (Some("function_call_output"), _) => prompt.result(match &item["output"] {
                parts @ Value::Array(_) => text_of(parts),
                other => string_or_json(other),
            }),
            (_, Some("user")) => prompt.user(text_of(&item["content"])),
            _ => prompt.text(&text_of(&item["content"])),
        }
    }
    for tool in items(&request["tools"]) {
        prompt.tool(&tool["name"], &tool["description"], &tool["parameters"]);
    }
    choose(&mut prompt, &request["tool_choice"]);
    prompt.format(request["text"]["format"].get("schema"));
    prompt.limit(&request["max_output_tokens"]);
    prompt
}

/// The response before anything is in it: what the API repeats of the request, with its defaults.
fn shell(request: &Value) -> Value {
    let mut shell = json!({
        "id": id("resp_", request), "object": "response", "created_at": now(), "status": "in_progress",
        "background": false, "error": null, "incomplete_details": null, "model": MODEL, "output": [],
        "service_tier": "default", "top_logprobs": 0, "usage": null,
        "reasoning": {"effort": null, "summary": null},
    });
    for (key, default) in [
        ("instructions", Value::Null),
        ("max_output_tokens", Value::Null),
        ("max_tool_calls", Value::Null),
        ("metadata", json!({})),
        ("parallel_tool_calls", json!(true)),
        ("previous_response_id", Value::Null),
        ("prompt_cache_key", Value::Null),
        ("safety_identifier", Value::Null),
        ("store", json!(true)),
        ("temperature", json!(1.0)),
        ("text", json!({"format": {"type": "text"}, "verbosity": "medium"})),
        ("tool_choice", json!("auto")),
        ("tools", json!([])),
        ("top_p", json!(1.0)),
        ("truncation", json!("disabled")),
        ("user", Value::Null),
    ] {
        let given = request.get(key).filter(|given| !given.is_null());
        shell[key] = given.cloned().unwrap_or(default);
    }
    shell
}

/// The one output item, finished.
fn item(reply: &Reply, id: &str) -> Value {
    match &reply.said {
        Said::Text(text) => json!({
            "type": "message", "id": format!("msg_{id}"), "status": status(reply), "role": "assistant",
            "content": [part(text)],
        }),
        Said::Call(name, arguments) => json!({
            "type": "function_call", "id": format!("fc_{id}"), "call_id": format!("call_{id}"),
            "status": status(reply), "name": name, "arguments": arguments.to_string(),
        }),
    }
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn status(reply: &Reply) -> &'static str {
    match reply.end {
        End::Length => "incomplete",
        End::Natural | End::Stop(_) => "completed",
    }
}

struct Response {
    shell: Value,
    item: Value,
    input: u64,
    reply: Reply,
}

impl Response {
    fn done(&self) -> Value {
        let mut response = self.shell.clone();
        response["status"] = json!(status(&self.reply));
        if self.reply.end == End::Length {
            response["incomplete_details"] = json!({"reason": "max_output_tokens"});
        }
        response["output"] = json!([self.item]);
        response["usage"] = json!({
            "input_tokens": self.input, "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": self.reply.output, "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": self.input + self.reply.output,
        });
        response
    }

    fn stream(&self) -> Answer {
        let mut events = Events::default();
        events.push(json!({"type": "response.created", "response": self.shell}));
        events.push(json!({"type": "response.in_progress", "response": self.shell}));
        let mut opening = self.item.clone();
        opening["status"] = json!("in_progress");
        match &self.reply.said {
            Said::Text(text) => {
                opening["content"] = json!([]);
                events
                    .push(json!({"type": "response.output_item.added", "output_index": 0, "item": opening}));
                self.text(text, &mut events);
            }
            Said::Call(name, arguments) => {
                opening["arguments"] = json!("");
                events
                    .push(json!({"type": "response.output_item.added", "output_index": 0, "item": opening}));
                self.call(name, &arguments.to_string(), &mut events);
            }
        }
        events.push(json!({"type": "response.output_item.done", "output_index": 0, "item": self.item}));
        let last = format!("response.{}", status(&self.reply));
        events.push(json!({"type": last, "response": self.done()}));
        Answer::stream("text/event-stream; charset=utf-8", events.bytes)
    }

    fn text(&self, text: &str, events: &mut Events) {
        let mut push = |kind: &str, key: &str, value: Value| {
            let mut event = json!({
                "type": kind, "item_id": self.item["id"], "output_index": 0, "content_index": 0,
            });
            if kind.starts_with("response.output_text.") {
                event["logprobs"] = json!([]);
            }
            event[key] = value;
            events.push(event);
        };
        push("response.content_part.added", "part", part(""));
        for piece in count::pieces(text) {
            push("response.output_text.delta", "delta", json!(piece));
        }
        push("response.output_text.done", "text", json!(text));
        push("response.content_part.done", "part", part(text));
    }

    fn call(&self, name: &str, arguments: &str, events: &mut Events) {
        let id = &self.item["id"];
        for piece in count::pieces(arguments) {
            events.push(json!({
                "type": "response.function_call_arguments.delta", "item_id": id, "output_index": 0,
                "delta": piece,
            }));
        }
        events.push(json!({
            "type": "response.function_call_arguments.done", "item_id": id, "output_index": 0,
            "name": name, "arguments": arguments,
        }));
    }
}

/// The events of a stream, numbered as they come.
#[derive(Default)]
struct Events {
    bytes: Vec<Bytes>,
}

impl Events {
    fn push(&mut self, mut event: Value) {
        event["sequence_number"] = json!(self.bytes.len());
        self.bytes.push(named_event(&event));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{body, events, text};
    use super::*;

    fn streamed(request: &Value) -> Vec<Value> {
        let mut request = request.clone();
        request["stream"] = json!(true);
        let events = events(&answer(&request));
        for (number, event) in events.iter().enumerate() {
            assert_eq!(event["sequence_number"], number);
        }
        events
    }

    fn deltas(events: &[Value], kind: &str) -> String {
        let deltas = events.iter().filter(|event| event["type"] == kind);
        deltas.filter_map(|event| event["delta"].as_str()).collect()
    }

    #[test]
    fn the_stream_is_the_plain_answer() {
        let request = json!({"input": "Hello, you", "instructions": "Be nice"});
        let plain = body(&answer(&request));
        let events = streamed(&request);
        let said = text(&plain["output"][0]["content"][0]["text"]);
        assert_eq!(deltas(&events, "response.output_text.delta"), said);
        assert_eq!(plain["usage"]["input_tokens"], 5);
        assert_eq!(plain["usage"]["output_tokens"], count::tokens(said));
        let kinds: Vec<&str> = events.iter().map(|event| text(&event["type"])).collect();
        assert_eq!(
            kinds[..4],
            [
                "response.created",
                "response.in_progress",
                "response.output_item.added",
                "response.content_part.added"
            ]
        );
        assert_eq!(
            kinds[kinds.len() - 4..],
            [
                "response.output_text.done",
                "response.content_part.done",
                "response.output_item.done",
                "response.completed"
            ]
        );
        assert_eq!(events[kinds.len() - 1]["response"]["usage"], plain["usage"]);
    }

    #[test]
    fn a_tool_goes_round() {
        let mut request = json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": "Add"}]}],
            "tools": [{"type": "web_search"}, {"type": "function", "name": "add", "parameters": {
                "type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}}],
            "tool_choice": {"type": "function", "name": "add"}});
        let plain = body(&answer(&request));
        let call = plain["output"][0].clone();
        assert_eq!((&call["name"], &call["arguments"]), (&json!("add"), &json!("{\"a\":1}")));
        let events = streamed(&request);
        assert_eq!(deltas(&events, "response.function_call_arguments.delta"), "{\"a\":1}");
        let output = json!({"type": "function_call_output", "call_id": call["call_id"], "output": "2"});
        if let Some(input) = request["input"].as_array_mut() {
            input.extend([call, output]);
        }
        let second = body(&answer(&request));
        assert!(text(&second["output"][0]["content"][0]["text"]).starts_with("The tool answered: \"2\"."));
    }

    #[test]
    fn a_cut_answer_is_incomplete() {
        let request = json!({"input": "Hello", "max_output_tokens": 2});
        let plain = body(&answer(&request));
        assert_eq!(
            (&plain["status"], &plain["output"][0]["status"]),
            (&json!("incomplete"), &json!("incomplete"))
        );
        assert_eq!(plain["incomplete_details"]["reason"], "max_output_tokens");
        assert_eq!(
            streamed(&request).last().map(|event| event["type"].clone()),
            Some(json!("response.incomplete"))
        );
        assert_eq!(answer(&json!({})).status, 400);
    }
}
