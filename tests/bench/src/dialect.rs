//! The four dialects as the translation benchmark speaks them: what a client asks and what the mock answers, about the
//! same text in each.

use crate::shape::{API_KEY, CONTENT_EVENTS, MODEL};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Chat,
    Responses,
    Messages,
    Gemini,
}

pub const DIALECTS: [Dialect; 4] = [Dialect::Chat, Dialect::Responses, Dialect::Messages, Dialect::Gemini];

/// What every whole answer of the mock holds near its end, and every stream in its last piece of text.
pub const LAST_WORD: &str = "word-49";

const SYSTEM: &str = "You are a careful assistant. Answer briefly, and say so when you are not sure.";
const QUESTION: &str = "Explain in two sentences what a reverse proxy does, and why somebody would put one in front \
                        of several providers of the same service.";

impl Dialect {
    /// The dialect's name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "openai_chat",
            Self::Responses => "openai_responses",
            Self::Messages => "anthropic",
            Self::Gemini => "gemini",
        }
    }

    /// The provider of the benchmark's configuration that speaks this dialect alone.
    pub fn provider(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::Gemini => "generate",
        }
    }

    /// The dialect of a path, and whether it asks for a stream by itself.
    pub fn of_path(path: &str) -> Option<Self> {
        if path.starts_with("/v1/chat/completions") {
            Some(Self::Chat)
        } else if path.starts_with("/v1/responses") {
            Some(Self::Responses)
        } else if path.starts_with("/v1/messages") {
            Some(Self::Messages)
        } else if path.starts_with("/v1beta/models/") {
            Some(Self::Gemini)
        } else {
            None
        }
    }

    /// A whole HTTP request in this dialect for the provider that speaks `to`.
    pub fn request(self, to: Self, stream: bool) -> Vec<u8> {
        let model = format!("{}/{MODEL}", to.provider());
        let flag = if stream { r#","stream":true"# } else { "" };
        let (path, body) = match self {
            Self::Chat => (
                "/v1/chat/completions".to_owned(),
                format!(
                    r#"{{"model":"{model}","messages":[{{"role":"system","content":"{SYSTEM}"}},{{"role":"user","content":"{QUESTION}"}}],"temperature":0.2,"max_tokens":256{flag}}}"#
                ),
            ),
            Self::Responses => (
                "/v1/responses".to_owned(),
                format!(
                    r#"{{"model":"{model}","instructions":"{SYSTEM}","input":[{{"role":"user","content":"{QUESTION}"}}],"temperature":0.2,"max_output_tokens":256,"store":false{flag}}}"#
                ),
            ),
            Self::Messages => (
                "/v1/messages".to_owned(),
                format!(
                    r#"{{"model":"{model}","system":"{SYSTEM}","messages":[{{"role":"user","content":"{QUESTION}"}}],"temperature":0.2,"max_tokens":256{flag}}}"#
                ),
            ),
            Self::Gemini => {
                let method = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
                (
                    format!("/v1beta/models/{}:{method}", model.replace('/', "%2F")),
                    format!(
                        r#"{{"systemInstruction":{{"parts":[{{"text":"{SYSTEM}"}}]}},"contents":[{{"role":"user","parts":[{{"text":"{QUESTION}"}}]}}],"generationConfig":{{"temperature":0.2,"maxOutputTokens":256}}}}"#
                    ),
                )
            }
        };
        format!(
            "POST {path} HTTP/1.1\r\nhost: bench.local\r\nauthorization: Bearer {API_KEY}\r\n\
             content-type: application/json\r\naccept: */*\r\nuser-agent: tollgate-bench\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    /// An answer that is no stream, of about a kilobyte.
    pub fn answer(self) -> String {
        let text: String = (0..CONTENT_EVENTS).map(word).collect();
        match self {
            Self::Chat => format!(
                r#"{{"id":"chatcmpl-bench0123456789","object":"chat.completion","created":1767225600,"model":"{MODEL}","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":61,"completion_tokens":50,"total_tokens":111}}}}"#
            ),
            Self::Responses => response("completed", &item(&text, "completed"), USAGE),
            Self::Messages => format!(
                r#"{{"id":"msg_bench0123456789","type":"message","role":"assistant","model":"{MODEL}","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":61,"output_tokens":50}}}}"#
            ),
            Self::Gemini => format!(
                r#"{{"candidates":[{{"content":{{"parts":[{{"text":"{text}"}}],"role":"model"}},"finishReason":"STOP","index":0}}],"usageMetadata":{{"promptTokenCount":61,"candidatesTokenCount":50,"totalTokenCount":111}},"modelVersion":"{MODEL}","responseId":"bench0123456789"}}"#
            ),
        }
    }

    /// The events of one stream in order: [`CONTENT_EVENTS`] with text, and those that the dialect puts around them.
    pub fn events(self) -> Vec<String> {
        match self {
            Self::Chat => crate::shape::events(true),
            Self::Responses => responses_events(),
            Self::Messages => messages_events(),
            Self::Gemini => (0..CONTENT_EVENTS)
                .map(|number| {
                    let finish = if number + 1 == CONTENT_EVENTS { r#","finishReason":"STOP""# } else { "" };
                    format!(
                        "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":\"{}\"}}],\"role\":\"model\"}}{finish},\"index\":0}}],\
                         \"usageMetadata\":{{\"promptTokenCount\":61,\"candidatesTokenCount\":{n},\"totalTokenCount\":{t}}},\
                         \"modelVersion\":\"{MODEL}\",\"responseId\":\"bench0123456789\"}}\r\n\r\n",
                        word(number),
                        n = number + 1,
                        t = number + 62,
                    )
                })
                .collect(),
        }
    }
}

fn word(number: usize) -> String {
    format!(" word-{number:02}")
}

const USAGE: &str = r#"{"input_tokens":61,"input_tokens_details":{"cached_tokens":0},"output_tokens":50,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":111}"#;

fn item(text: &str, status: &str) -> String {
    format!(
        r#"{{"id":"msg_bench0123456789","type":"message","status":"{status}","role":"assistant","content":[{{"type":"output_text","text":"{text}","annotations":[],"logprobs":[]}}]}}"#
    )
}

fn response(status: &str, output: &str, usage: &str) -> String {
    format!(
        r#"{{"id":"resp_bench0123456789","object":"response","created_at":1767225600,"status":"{status}","error":null,"incomplete_details":null,"instructions":null,"max_output_tokens":256,"model":"{MODEL}","output":[{output}],"parallel_tool_calls":true,"temperature":0.2,"text":{{"format":{{"type":"text"}}}},"tool_choice":"auto","tools":[],"top_p":1.0,"usage":{usage}}}"#
    )
}

fn responses_events() -> Vec<String> {
    let mut bodies: Vec<(&str, String)> = vec![
        ("response.created", format!(r#""response":{}"#, response("in_progress", "", "null"))),
        ("response.in_progress", format!(r#""response":{}"#, response("in_progress", "", "null"))),
        (
            "response.output_item.added",
            r#""output_index":0,"item":{"id":"msg_bench0123456789","type":"message","status":"in_progress","content":[],"role":"assistant"}"#
                .to_owned(),
        ),
        (
            "response.content_part.added",
            r#""item_id":"msg_bench0123456789","output_index":0,"content_index":0,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":""}"#
                .to_owned(),
        ),
    ];
    bodies.extend((0..CONTENT_EVENTS).map(|number| {
        (
            "response.output_text.delta",
            format!(
                r#""item_id":"msg_bench0123456789","output_index":0,"content_index":0,"delta":"{}","logprobs":[]"#,
                word(number)
            ),
        )
    }));
    let text: String = (0..CONTENT_EVENTS).map(word).collect();
    bodies.push((
        "response.output_text.done",
        format!(
            r#""item_id":"msg_bench0123456789","output_index":0,"content_index":0,"text":"{text}","logprobs":[]"#
        ),
    ));
    bodies.push((
        "response.content_part.done",
        format!(
            r#""item_id":"msg_bench0123456789","output_index":0,"content_index":0,"part":{{"type":"output_text","annotations":[],"logprobs":[],"text":"{text}"}}"#
        ),
    ));
    bodies.push((
        "response.output_item.done",
        format!(r#""output_index":0,"item":{}"#, item(&text, "completed")),
    ));
    bodies.push((
        "response.completed",
        format!(r#""response":{}"#, response("completed", &item(&text, "completed"), USAGE)),
    ));
    let event = |(number, (kind, body)): (usize, (&str, String))| {
        format!("event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":{number},{body}}}\n\n")
    };
    bodies.into_iter().enumerate().map(event).collect()
}

fn messages_events() -> Vec<String> {
    let event = |kind: &str, body: &str| format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{body}}}\n\n");
    let mut events = vec![
        event(
            "message_start",
            &format!(
                r#","message":{{"id":"msg_bench0123456789","type":"message","role":"assistant","model":"{MODEL}","content":[],"stop_reason":null,"stop_sequence":null,"usage":{{"input_tokens":61,"output_tokens":1}}}}"#
            ),
        ),
        event("content_block_start", r#","index":0,"content_block":{"type":"text","text":""}"#),
    ];
    events.extend((0..CONTENT_EVENTS).map(|number| {
        let body = format!(r#","index":0,"delta":{{"type":"text_delta","text":"{}"}}"#, word(number));
        event("content_block_delta", &body)
    }));
    events.push(event("content_block_stop", r#","index":0"#));
    events.push(event(
        "message_delta",
        r#","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":50}"#,
    ));
    events.push(event("message_stop", ""));
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_the_mock_sends_is_json() {
        for dialect in DIALECTS {
            let answer = dialect.answer();
            assert!(serde_json::from_str::<serde_json::Value>(&answer).is_ok(), "{answer}");
            assert!(answer.contains(LAST_WORD));
            for event in dialect.events() {
                let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or_default();
                let json = serde_json::from_str::<serde_json::Value>(data).is_ok();
                assert!(json || data == "[DONE]", "{event}");
            }
        }
    }
}
