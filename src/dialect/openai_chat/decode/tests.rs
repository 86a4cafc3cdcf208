//! What is understood of the vendors' streams.

use serde_json::{Value, json};
use tollgate_filters::chat::*;
use tollgate_filters::exchange::Dialect;

use super::Decoder;

fn decoded(documents: &[Value], done: bool) -> Vec<Event> {
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    for document in documents {
        decoder.document(document.to_string().as_bytes(), &mut events);
    }
    if done {
        decoder.document(b"[DONE]", &mut events);
    }
    decoder.finish(&mut events);
    events
}

fn chunk(delta: &Value) -> Value {
    json!({"id": "1", "object": "chat.completion.chunk", "created": 2, "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

fn last(word: &str) -> Value {
    json!({"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": word}]})
}

fn collected(events: &[Event]) -> Response {
    let mut collector = Collector::new(Dialect::OpenaiChat);
    for event in events {
        collector.push(event);
    }
    collector.finish().unwrap()
}

/// A stream and the same answer whole are the same conversation.
fn same(documents: &[Value], message: &Value, word: &str) {
    let mut documents = documents.to_vec();
    documents.push(last(word));
    let stream = collected(&decoded(&documents, true));
    let whole = json!({"id": "1", "created": 2, "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": word}]});
    let whole = super::super::response::parse(whole).unwrap();
    assert_eq!(stream.choices[0].parts, whole.choices[0].parts);
    assert_eq!(stream.choices[0].finish, whole.choices[0].finish);
    assert_eq!((stream.id, stream.model, stream.created), (whole.id, whole.model, whole.created));
}

#[test]
fn a_stream_and_the_whole_answer_say_the_same() {
    same(
        &[
            chunk(&json!({"role": "assistant", "content": "", "reasoning_content": "H"})),
            chunk(&json!({"reasoning_content": "m."})),
            chunk(&json!({"content": "So"})),
            chunk(&json!({"content": "."})),
            chunk(
                &json!({"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
            ),
            chunk(&json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"x\""}}]})),
            chunk(&json!({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]})),
            chunk(
                &json!({"tool_calls": [{"index": 1, "id": "b", "type": "custom", "custom": {"name": "g", "input": "y"}}]}),
            ),
        ],
        &json!({"role": "assistant", "content": "So.", "reasoning_content": "Hm.", "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
            {"id": "b", "type": "custom", "custom": {"name": "g", "input": "y"}}]}),
        "tool_calls",
    );
    same(
        &[
            chunk(
                &json!({"reasoning": "H", "reasoning_details": [{"type": "reasoning.text", "text": "H", "format": "anthropic-claude-v1", "index": 0}]}),
            ),
            chunk(
                &json!({"reasoning": "m", "reasoning_details": [{"type": "reasoning.text", "text": "m", "format": "anthropic-claude-v1", "index": 0}]}),
            ),
            chunk(
                &json!({"reasoning_details": [{"type": "reasoning.text", "signature": "s", "format": "anthropic-claude-v1", "index": 0}]}),
            ),
            chunk(&json!({"refusal": "No"})),
        ],
        &json!({"role": "assistant", "content": null, "refusal": "No", "reasoning": "Hm",
            "reasoning_details": [{"type": "reasoning.text", "text": "Hm", "signature": "s", "format": "anthropic-claude-v1", "index": 0}]}),
        "stop",
    );
}

#[test]
fn whole_calls_in_one_chunk_are_told_apart() {
    let call = |index: Option<u64>, id: &str| json!({"index": index, "id": id, "function": {"name": "f", "arguments": "{}"}});
    for (one, other) in [(Some(0), Some(1)), (Some(0), Some(0)), (None, None)] {
        let events = decoded(
            &[chunk(&json!({"tool_calls": [call(one, "a"), call(other, "b")]})), last("tool_calls")],
            true,
        );
        let parts = &collected(&events).choices[0].parts;
        assert_eq!(parts.len(), 2, "{one:?} {other:?}");
        assert!(
            parts.iter().all(|p| matches!(&p.content, Content::ToolCall(call) if call.arguments == "{}"))
        );
    }
}

#[test]
fn thinking_in_a_list_of_parts_is_thinking() {
    let thinking = |text: &str| {
        chunk(&json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]}))
    };
    let list =
        json!({"content": [{"type": "text", "text": "4"}, {"type": "reference", "reference_ids": [1]}]});
    let events = decoded(&[thinking("a"), thinking("b"), chunk(&list), last("stop")], true);
    let parts = &collected(&events).choices[0].parts;
    assert!(matches!(&parts[0].content, Content::Reasoning(r) if r.text() == "ab"));
    assert!(matches!(&parts[1].content, Content::Text(t) if t.text == "4"));
    assert!(matches!(&parts[2].content, Content::Opaque(_)));
}

#[test]
fn text_after_the_reason_to_stop_still_counts_and_a_missing_marker_is_no_break() {
    let documents = [chunk(&json!({"content": "a"})), last("length"), chunk(&json!({"content": "b"}))];
    let events = decoded(&documents, false);
    assert!(matches!(events.last(), Some(Event::End)));
    assert!(
        matches!(&collected(&events).choices[0].parts[..], [Part { content: Content::Text(t), .. }] if t.text == "ab")
    );
    let broken = decoded(&documents[..1], false);
    assert!(!broken.contains(&Event::End));
}

#[test]
fn an_error_ends_the_stream_and_usage_is_found_where_vendors_put_it() {
    let failed = json!({"id": "1", "error": {"code": 429, "message": "slow down"}, "choices": []});
    let events = decoded(&[chunk(&json!({"content": "a"})), failed, last("stop")], true);
    assert!(matches!(events.last(), Some(Event::Error(f)) if f.status == 429 && f.message == "slow down"));
    let groq = json!({"id": "1", "x_groq": {"id": "r", "usage": {"prompt_tokens": 3, "completion_tokens": 4}}, "choices": []});
    let response = collected(&decoded(&[groq, last("stop")], true));
    assert_eq!(response.usage.unwrap().usage.output_tokens, 4);
    assert_eq!(response.extra["x_groq"], json!({"id": "r"}));
}

#[test]
fn what_cannot_be_read_is_an_error_and_not_silence() {
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    decoder.document(b"{\"choices\":", &mut events);
    assert!(matches!(&events[..], [Event::Error(f)] if f.status == 502));
}

#[test]
fn a_plain_document_tells_what_is_new_beside_its_text() {
    let more = |rest: Value| {
        let mut document = chunk(&json!({"content": "a"}));
        document.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        document
    };
    let documents = [
        chunk(&json!({"content": "a"})),
        more(json!({"system_fingerprint": "f", "usage": null})),
        more(json!({"system_fingerprint": "f", "service_tier": "flex"})),
        more(json!({"system_fingerprint": "f", "service_tier": "flex", "obfuscation": "x"})),
    ];
    let events = decoded(&documents, true);
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Extra(_))).count(), 1);
    assert_eq!(events.iter().filter(|event| matches!(event, Event::ServiceTier(_))).count(), 1);
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Delta { .. })).count(), 4);
}
