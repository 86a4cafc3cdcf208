//! The four dialects as their SDKs speak them: a request, an answer, a stream, an error.

use serde_json::{Value, json};

use super::{Answer, Client};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Chat,
    Responses,
    Messages,
    Gemini,
}

pub const DIALECTS: [Dialect; 4] = [Dialect::Chat, Dialect::Responses, Dialect::Messages, Dialect::Gemini];

/// A provider's table says with this that it speaks all of them.
pub const ALL: &str = "dialects = ['openai_chat', 'openai_responses', 'anthropic', 'gemini']\n";

impl Dialect {
    pub fn path(self, model: &str, stream: bool) -> String {
        match self {
            Self::Chat => "/v1/chat/completions".to_owned(),
            Self::Responses => "/v1/responses".to_owned(),
            Self::Messages => "/v1/messages".to_owned(),
            Self::Gemini if stream => format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
            Self::Gemini => format!("/v1beta/models/{model}:generateContent"),
        }
    }

    pub fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Messages => &[("content-type", "application/json"), ("anthropic-version", "2023-06-01")],
            _ => &[("content-type", "application/json")],
        }
    }

    pub fn body(self, model: &str, stream: bool) -> String {
        let input = match self {
            Self::Gemini => return r#"{"contents":[{"parts":[{"text":"Hi"}]}]}"#.to_owned(),
            Self::Responses => "input",
            Self::Chat | Self::Messages => "messages",
        };
        format!(r#"{{"model":"{model}","stream":{stream},"max_tokens":9,"{input}":[]}}"#)
    }

    /// Asks for `model` and does not wait for the answer.
    pub fn send(self, client: &mut Client, model: &str, stream: bool) {
        let (path, body) = (self.path(model, stream), self.body(model, stream));
        client.send("POST", &path, self.headers(), body.as_bytes()).unwrap();
    }

    pub fn call(self, client: &mut Client, model: &str, stream: bool) -> Answer {
        self.send(client, model, stream);
        client.answer().unwrap()
    }

    /// A whole answer that is not a stream: sixteen bytes of text, 25 tokens in and 7 out.
    pub fn answer(self) -> &'static str {
        match self {
            Self::Chat => {
                r#"{"model":"m-1","choices":[{"message":{"content":"12345678abcdefgh"},"finish_reason":"stop"}],"usage":{"prompt_tokens":25,"completion_tokens":7,"total_tokens":32}}"#
            }
            Self::Responses => {
                r#"{"model":"m-1","status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"12345678abcdefgh"}]}],"usage":{"input_tokens":25,"output_tokens":7,"total_tokens":32}}"#
            }
            Self::Messages => {
                r#"{"model":"m-1","content":[{"type":"text","text":"12345678abcdefgh"}],"stop_reason":"end_turn","usage":{"input_tokens":25,"output_tokens":7}}"#
            }
            Self::Gemini => {
                r#"{"candidates":[{"content":{"parts":[{"text":"12345678abcdefgh"}]},"finishReason":"STOP"}],"modelVersion":"m-1","usageMetadata":{"promptTokenCount":25,"candidatesTokenCount":7,"totalTokenCount":32}}"#
            }
        }
    }

    /// The first three events of a stream; the second has eight bytes of text, the third four.
    pub fn events(self) -> [&'static str; 3] {
        match self {
            Self::Chat => [
                "data: {\"model\":\"m-1\",\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n",
                "data: {\"model\":\"m-1\",\"choices\":[{\"delta\":{\"content\":\"12345678\"}}]}\n\n",
                "data: {\"model\":\"m-1\",\"choices\":[{\"delta\":{\"content\":\"abcd\"}}]}\n\n",
            ],
            Self::Responses => [
                "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"model\":\"m-1\",\"usage\":null},\"sequence_number\":0}\n\n",
                "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"12345678\",\"sequence_number\":1}\n\n",
                "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"abcd\",\"sequence_number\":2}\n\n",
            ],
            Self::Messages => [
                "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"m-1\",\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n",
                "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"12345678\"}}\n\n",
                "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"abcd\"}}\n\n",
            ],
            Self::Gemini => [
                "data: {\"candidates\":[{\"content\":{\"parts\":[]}}],\"modelVersion\":\"m-1\"}\r\n\r\n",
                "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"12345678\"}]}}]}\r\n\r\n",
                "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"abcd\"}]}}]}\r\n\r\n",
            ],
        }
    }

    /// Checks that `answer` is an error of this dialect with this status.
    pub fn check_error(self, answer: &Answer, status: u16) {
        assert_eq!(answer.status, status, "{self:?}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/json"), "{self:?}");
        assert!(answer.complete, "{self:?}: an error answer is whole");
        self.check_error_body(&answer.json(), status, answer.id());
    }

    fn check_error_body(self, body: &Value, status: u16, id: &str) {
        let error = &body["error"];
        assert!(error["message"].as_str().is_some_and(|m| m.len() > 10), "{self:?}: {body}");
        let openai = match status {
            401 => "authentication_error",
            403 => "permission_error",
            429 => "rate_limit_error",
            status if status < 500 => "invalid_request_error",
            _ => "server_error",
        };
        let (anthropic, gemini) = match status {
            401 => ("authentication_error", "UNAUTHENTICATED"),
            403 => ("permission_error", "PERMISSION_DENIED"),
            429 => ("rate_limit_error", "RESOURCE_EXHAUSTED"),
            400 | 408 => ("invalid_request_error", "INVALID_ARGUMENT"),
            502 => ("api_error", "UNAVAILABLE"),
            504 => ("timeout_error", "DEADLINE_EXCEEDED"),
            _ => panic!("{self:?}: no test expects {status}"),
        };
        match self {
            Self::Chat | Self::Responses => {
                assert_eq!(error["type"], json!(openai), "{body}");
                assert!(error.get("param").is_some() && error.get("code").is_some(), "{body}");
            }
            Self::Messages => assert_eq!(
                (&body["type"], &error["type"], &body["request_id"]),
                (&json!("error"), &json!(anthropic), &json!(id))
            ),
            Self::Gemini => assert_eq!(
                (&error["code"], &error["status"], &error["details"][0]["requestId"]),
                (&json!(status), &json!(gemini), &json!(id))
            ),
        }
    }

    /// Checks that an event is the one with which a broken stream ends; `events` went before it.
    pub fn check_error_event(self, event: &Event, status: u16, id: &str, events: usize) {
        let named = matches!(self, Self::Responses | Self::Messages);
        assert_eq!(event.name, if named { "error" } else { "" }, "{self:?}: {event:?}");
        let body: Value = serde_json::from_str(&event.data)
            .unwrap_or_else(|e| panic!("{self:?}: the last event is no JSON ({e}): {event:?}"));
        if self != Self::Responses {
            return self.check_error_body(&body, status, id);
        }
        let code = if status == 504 { "provider_timeout" } else { "provider_broke_off" };
        assert_eq!((&body["type"], &body["code"]), (&json!("error"), &json!(code)), "{body}");
        assert_eq!(body["sequence_number"], json!(events), "{body}");
        assert!(body["message"].is_string() && body.get("param").is_some(), "{body}");
    }
}

/// An event as a browser or an SDK would see it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Event {
    pub name: String,
    pub data: String,
}

/// Reads a stream as the specification says; what is not ended by a blank line is no event.
pub fn events(stream: &str) -> Vec<Event> {
    let (mut events, mut event, mut has_data) = (Vec::new(), Event::default(), false);
    for line in stream.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" if line.is_empty() => {
                let event = std::mem::take(&mut event);
                if std::mem::take(&mut has_data) {
                    events.push(event);
                }
            }
            "event" => value.clone_into(&mut event.name),
            "data" => {
                if has_data {
                    event.data.push('\n');
                }
                event.data.push_str(value);
                has_data = true;
            }
            _ => {}
        }
    }
    events
}
