//! The bytes that a chat client gets.

use serde_json::{Value, json};
use tollgate_filters::chat::*;

use super::Encoder;

fn open(choice: u32, part: u32, opening: Opening) -> Event {
    Event::Open { choice, part, opening, at: Pointer::of("/x") }
}

fn delta(choice: u32, part: u32, delta: Delta) -> Event {
    Event::Delta { choice, part, delta }
}

fn encoded(events: &[Event], stream_usage: bool) -> (String, String) {
    let client =
        Client { id: "abc".to_owned(), model: "m".to_owned(), created: 5, stream_usage, ..Client::default() };
    let mut encoder = Encoder::new(client);
    let (mut out, mut losses) = (Vec::new(), Losses::default());
    for event in events {
        encoder.event(event, &mut out, &mut losses);
    }
    (String::from_utf8(out).unwrap(), losses.list())
}

fn chunks(stream: &str) -> Vec<Value> {
    let data = stream.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn finish(choice: u32, kind: FinishKind, word: &str) -> Event {
    let at = Pointer::of("/stop_reason");
    Event::Finish { choice, finish: Finish { kind, word: word.to_owned(), stop_sequence: None, at } }
}

#[test]
fn a_text_is_written_byte_for_byte() {
    let start = Start { id: Some("i".to_owned()), model: Some("n".to_owned()), created: Some(7) };
    let events = [
        Event::Start(start),
        open(0, 0, Opening::Text),
        delta(0, 0, Delta::Text("a\"b".to_owned())),
        Event::Close { choice: 0, part: 0 },
        finish(0, FinishKind::Stop, "end_turn"),
        Event::End,
    ];
    let head = r#"data: {"id":"i","object":"chat.completion.chunk","created":7,"model":"n","choices":[{"index":0,"delta":"#;
    let expected = [
        format!(
            "{head}{}",
            r#"{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]}"#
        ),
        format!("{head}{}", r#"{"content":"a\"b"},"logprobs":null,"finish_reason":null}]}"#),
        format!("{head}{}", r#"{},"logprobs":null,"finish_reason":"stop"}]}"#),
        "data: [DONE]".to_owned(),
    ];
    assert_eq!(encoded(&events, false), (expected.join("\n\n") + "\n\n", String::new()));
}

#[test]
fn calls_are_numbered_within_their_choice() {
    let call = |name: &str| Opening::ToolCall(ToolCall { name: name.to_owned(), ..ToolCall::default() });
    let seal = Seal { maker: Maker::Gemini, data: "g".to_owned(), redacted: false };
    let events = [
        open(0, 0, Opening::Text),
        delta(0, 0, Delta::Text("x".to_owned())),
        open(1, 0, Opening::Reasoning { id: None }),
        delta(1, 0, Delta::Seal(seal)),
        open(1, 1, call("f")),
        delta(1, 1, Delta::Arguments("{\"a\":1}".to_owned())),
        Event::Close { choice: 1, part: 1 },
        open(1, 2, call("g")),
        Event::Close { choice: 1, part: 2 },
    ];
    let chunks = chunks(&encoded(&events, false).0);
    let calls: Vec<&Value> = chunks
        .iter()
        .filter(|chunk| chunk["choices"][0]["index"] == 1)
        .flat_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten())
        .collect();
    assert_eq!(
        *calls[0],
        json!({"index": 0, "id": "call_tg_abc_0", "type": "function", "function": {"name": "f", "arguments": ""}})
    );
    assert_eq!(*calls[1], json!({"index": 0, "function": {"arguments": "{\"a\":1}"}}));
    assert_eq!((&calls[2]["index"], &calls[2]["id"]), (&json!(1), &json!("call_tg_abc_1")));
    assert_eq!(calls[3]["function"]["arguments"], "{}", "a call without arguments has none");
    let signed =
        chunks.iter().find_map(|chunk| chunk["choices"][0]["delta"]["reasoning_details"].get(0)).unwrap();
    assert_eq!((&signed["id"], &signed["data"]), (&json!("call_tg_abc_0"), &json!("g")));
}

#[test]
fn usage_comes_last_and_only_if_it_was_asked_for() {
    let mut report = UsageReport { at: Pointer::of("/usage"), ..UsageReport::default() };
    report.usage.input_tokens = 3;
    report.usage.output_tokens = 4;
    let events = [Event::Usage(report), finish(0, FinishKind::Pause, "pause_turn"), Event::End];
    let (stream, losses) = encoded(&events, true);
    assert!(stream.ends_with("}}\n\ndata: [DONE]\n\n"));
    let last = chunks(&stream).pop().unwrap();
    assert_eq!((&last["choices"], &last["usage"]["total_tokens"]), (&json!([]), &json!(7)));
    assert_eq!(losses, "/stop_reason");
    assert!(!encoded(&events, false).0.contains("usage"));
}

#[test]
fn thoughts_come_under_both_names_and_an_error_as_an_error() {
    let thought = |new, text: &str| Delta::Thought { summary: true, new, text: text.to_owned() };
    let events = [
        open(0, 0, Opening::Reasoning { id: Some("rs_1".to_owned()) }),
        delta(0, 0, thought(true, "a")),
        delta(0, 0, thought(true, "b")),
        Event::Error(Failure { status: 529, message: "busy".to_owned(), ..Failure::default() }),
    ];
    let chunks = chunks(&encoded(&events, false).0);
    assert_eq!(chunks[1]["choices"][0]["delta"]["reasoning_content"], "a");
    let detail = json!([{"type": "reasoning.summary", "summary": "\n\nb", "id": "rs_1", "index": 0}]);
    assert_eq!(chunks[2]["choices"][0]["delta"]["reasoning_details"], detail);
    assert_eq!(chunks[3]["error"]["message"], "busy");
}
