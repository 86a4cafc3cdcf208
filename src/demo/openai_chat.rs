//! The demo provider as `/v1/chat/completions`.

use super::openai::{bad, choose};
use super::prompt::{End, Prompt, Reply, Said, text_of};
use super::{Answer, MODEL, count, id, items, now};
use bytes::Bytes;
use serde_json::{Value, json};

/// As many choices as the real one gives at most.
const CHOICES: u64 = 128;

pub(super) fn answer(request: &Value) -> Answer {
    if !request["messages"].is_array() {
        return bad("Missing required parameter: 'messages'.");
    }
    let n = match &request["n"] {
        Value::Null => 1,
        n => n.as_u64().unwrap_or(0),
    };
    if n == 0 || n > CHOICES {
        return bad("Invalid 'n': it is a number from 1 to 128.");
    }
    let prompt = prompt(request);
    let chat = Chat { id: id("", request), n, input: prompt.input, reply: prompt.reply(), created: now() };
    if request["stream"] == true {
        chat.stream(request["stream_options"]["include_usage"] == true)
    } else {
        chat.whole()
    }
}

fn prompt(request: &Value) -> Prompt {
    let mut prompt = Prompt::default();
    for message in items(&request["messages"]) {
        let text = text_of(&message["content"]);
        match message["role"].as_str() {
            Some("user") => prompt.user(text),
            Some("tool") => prompt.result(text),
            _ => prompt.text(&text),
        }
        for call in items(&message["tool_calls"]) {
            prompt.call(&call["function"]["name"], &call["function"]["arguments"]);
        }
    }
    for tool in items(&request["tools"]) {
        let tool = &tool["function"];
        prompt.tool(&tool["name"], &tool["description"], &tool["parameters"]);
    }
    choose(&mut prompt, &request["tool_choice"]);
    prompt.format(request["response_format"]["json_schema"].get("schema"));
    prompt.limit(&request["max_tokens"]);
    prompt.limit(&request["max_completion_tokens"]);
    prompt.stop(&request["stop"]);
    prompt
}

struct Chat {
    id: String,
    n: u64,
    input: u64,
    reply: Reply,
    created: u64,
}

/// One step of a stream, the same for every choice.
enum Step<'a> {
    Open,
    Piece(&'a str),
    Close,
}

impl Chat {
    fn whole(&self) -> Answer {
        let message = |index| match &self.reply.said {
            Said::Text(text) => json!({
                "role": "assistant", "content": text, "refusal": null, "annotations": [],
            }),
            Said::Call(name, arguments) => {
                let function = json!({"name": name, "arguments": arguments.to_string()});
                let call = json!({"id": self.call_id(index), "type": "function", "function": function});
                json!({"role": "assistant", "content": null, "tool_calls": [call], "refusal": null, "annotations": []})
            }
        };
        let choice = |index| {
            json!({
                "index": index, "message": message(index), "logprobs": null, "finish_reason": self.finish(),
            })
        };
        let mut body = self.head("chat.completion");
        body["choices"] = (0..self.n).map(choice).collect();
        body["usage"] = self.usage();
        Answer::ok(&body)
    }

    fn stream(&self, include_usage: bool) -> Answer {
        let text = match &self.reply.said {
            Said::Text(text) => text.clone(),
            Said::Call(_, arguments) => arguments.to_string(),
        };
        let pieces = count::pieces(&text).map(Step::Piece);
        let steps = std::iter::once(Step::Open).chain(pieces).chain([Step::Close]);
        let mut events: Vec<Bytes> = steps
            .map(|step| {
                let choices = (0..self.n).map(|index| self.chunk(&step, index, include_usage));
                Bytes::from(choices.collect::<String>())
            })
            .collect();
        if include_usage {
            let mut chunk = self.head("chat.completion.chunk");
            chunk["choices"] = json!([]);
            chunk["usage"] = self.usage();
            events.push(Bytes::from(format!("data: {chunk}\n\n")));
        }
        events.push(Bytes::from_static(b"data: [DONE]\n\n"));
        Answer::stream("text/event-stream; charset=utf-8", events)
    }

    fn chunk(&self, step: &Step<'_>, index: u64, include_usage: bool) -> String {
        let finish = matches!(step, Step::Close).then(|| self.finish());
        let mut chunk = self.head("chat.completion.chunk");
        chunk["choices"] = json!([{
            "index": index, "delta": self.delta(step, index), "logprobs": null, "finish_reason": finish,
        }]);
        if include_usage {
            chunk["usage"] = Value::Null;
        }
        format!("data: {chunk}\n\n")
    }

    fn delta(&self, step: &Step<'_>, index: u64) -> Value {
        match (step, &self.reply.said) {
            (Step::Open, Said::Text(_)) => {
                json!({"role": "assistant", "content": "", "refusal": null})
            }
            (Step::Open, Said::Call(name, _)) => {
                let function = json!({"name": name, "arguments": ""});
                let call = json!({
                    "index": 0, "id": self.call_id(index), "type": "function", "function": function,
                });
                json!({"role": "assistant", "content": null, "tool_calls": [call], "refusal": null})
            }
            (Step::Piece(piece), Said::Text(_)) => json!({"content": piece}),
            (Step::Piece(piece), Said::Call(..)) => {
                json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
            }
            (Step::Close, _) => json!({}),
        }
    }

    fn head(&self, object: &str) -> Value {
        json!({
            "id": format!("chatcmpl-{}", self.id), "object": object, "created": self.created,
            "model": MODEL, "service_tier": "default", "system_fingerprint": null,
        })
    }

    fn call_id(&self, index: u64) -> String {
        format!("call_{}{index}", self.id)
    }

    fn finish(&self) -> &'static str {
        match (&self.reply.said, &self.reply.end) {
            (Said::Call(..), _) => "tool_calls",
            (_, End::Length) => "length",
            (_, End::Natural | End::Stop(_)) => "stop",
        }
    }

    fn usage(&self) -> Value {
        let output = self.reply.output * self.n;
        json!({
            "prompt_tokens": self.input, "completion_tokens": output, "total_tokens": self.input + output,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0, "audio_tokens": 0,
                "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{body, events, text};
    use super::*;

    fn joined(request: &Value, pick: impl Fn(&Value) -> Option<&str>) -> String {
        let mut request = request.clone();
        request["stream"] = json!(true);
        let events = events(&answer(&request));
        assert_eq!(events.last(), Some(&json!("[DONE]")));
        events.iter().filter_map(pick).collect()
    }

    #[test]
    fn usage_is_the_rule() {
        let request = json!({"model": "demo", "n": 2, "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Hello, world!"}, {"type": "image_url"}]}]});
        let body = body(&answer(&request));
        assert_eq!(body["usage"]["prompt_tokens"], 3 + 4);
        let content = text(&body["choices"][1]["message"]["content"]);
        assert!(content.starts_with("You said: \"Hello, world!\"."));
        assert_eq!(body["usage"]["completion_tokens"], 2 * count::tokens(content));
        assert_eq!(body["id"], super::super::tests::body(&answer(&request))["id"]);
    }

    #[test]
    fn deltas_are_the_plain_answer() {
        let request = json!({"messages": [{"role": "user", "content": "Hello"}]});
        let plain = body(&answer(&request));
        let content = joined(&request, |event| event["choices"][0]["delta"]["content"].as_str());
        assert_eq!(plain["choices"][0]["message"]["content"], content);
        assert_eq!(plain["choices"][0]["finish_reason"], "stop");
    }

    #[test]
    fn stream_usage_comes_when_asked() {
        let mut request = json!({"stream": true, "messages": [{"role": "user", "content": "Hello"}]});
        assert!(events(&answer(&request)).iter().all(|event| event.get("usage").is_none()));
        request["stream_options"] = json!({"include_usage": true});
        let mut events = events(&answer(&request));
        let usage = events.remove(events.len() - 2);
        assert_eq!((&usage["choices"], &usage["usage"]["prompt_tokens"]), (&json!([]), &json!(1)));
        events.pop();
        assert!(events.iter().all(|event| event.get("usage") == Some(&Value::Null)));
    }

    #[test]
    fn a_tool_goes_round() {
        let mut request = json!({"messages": [{"role": "user", "content": "Get weather"}], "tools": [
            {"type": "function", "function": {"name": "get_weather", "parameters": {
                "type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}}}]});
        let plain = body(&answer(&request));
        assert_eq!(plain["choices"][0]["finish_reason"], "tool_calls");
        let message = plain["choices"][0]["message"].clone();
        let arguments = joined(&request, |event| {
            event["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str()
        });
        assert_eq!(message["tool_calls"][0]["function"]["arguments"], arguments);
        assert_eq!(arguments, "{\"city\":\"demo\"}");
        let result =
            json!({"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "Sunny"});
        if let Some(messages) = request["messages"].as_array_mut() {
            messages.extend([message, result]);
        }
        let second = body(&answer(&request));
        let content = text(&second["choices"][0]["message"]["content"]);
        assert!(content.starts_with("The tool answered: \"Sunny\"."));
        let grown = second["usage"]["prompt_tokens"].as_u64().unwrap_or(0)
            - plain["usage"]["prompt_tokens"].as_u64().unwrap_or(0);
        assert_eq!(grown, 1 + count::tokens(&arguments) + 1);
    }

    #[test]
    fn a_cut_answer_says_so() {
        let request = json!({"max_completion_tokens": 2, "messages": [{"role": "user", "content": "Hello"}]});
        let body = body(&answer(&request));
        assert_eq!(body["choices"][0]["finish_reason"], "length");
        assert_eq!(body["choices"][0]["message"]["content"], "You said");
        assert_eq!(answer(&json!({"messages": [], "n": 0})).status, 400);
        assert_eq!(answer(&json!({})).status, 400);
    }
}
