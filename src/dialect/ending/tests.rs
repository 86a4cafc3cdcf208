//! The end of a stream, byte for byte, and what of it is hard to come by in recordings.

use bytes::Bytes;
use serde_json::Value;
use tollgate_filters::exchange::Dialect;
use tollgate_filters::usage::Usage;

use super::mend::Scan;
use super::{Ending, MAX_EVENT, MAX_HELD, Note};

const NOTE: Note<'static> = Note { reason: "budget", rule: "b" };

fn usage() -> Usage {
    Usage { input_tokens: 3, output_tokens: 4, ..Usage::default() }
}

fn cut(dialect: Dialect, stream: &str, wants_usage: bool) -> String {
    let mut ending = Ending::new(dialect, false);
    ending.push(stream.as_bytes());
    String::from_utf8(ending.cut(&usage(), wants_usage, &NOTE).to_vec()).unwrap()
}

const CHUNK: &str = r#"data: {"id":"i","object":"chat.completion.chunk","created":7,"model":"m","system_fingerprint":"f","choices":[{"index":1,"delta":{"content":"a"},"finish_reason":null}]}"#;

#[test]
fn a_chat_ends_with_length_usage_and_done() {
    let head = r#"data: {"id":"i","object":"chat.completion.chunk","created":7,"model":"m","system_fingerprint":"f","#;
    let stream = format!("{CHUNK}\n\n");
    let choice = r#""choices":[{"index":1,"delta":{},"logprobs":null,"finish_reason":"length"}]"#;
    let note = r#""tollgate":{"stopped":"budget","rule":"b"}"#;
    let counts = r#""prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}"#;
    assert_eq!(
        cut(Dialect::OpenaiChat, &stream, true),
        format!(
            "{head}{choice},\"usage\":null}}\n\n{head}\"choices\":[],\"usage\":{{{counts},{note}}}}}\n\ndata: [DONE]\n\n"
        )
    );
    assert_eq!(
        cut(Dialect::OpenaiChat, &stream, false),
        format!("{head}{choice},{note}}}\n\ndata: [DONE]\n\n"),
        "where no usage is wanted, the note stands in the last chunk"
    );
}

#[test]
fn a_finished_or_failed_stream_gets_no_second_finish() {
    let finished = format!("{}\n\n", CHUNK.replace("\"finish_reason\":null", "\"finish_reason\":\"stop\""));
    assert!(!cut(Dialect::OpenaiChat, &finished, false).contains("length"));
    assert_eq!(cut(Dialect::OpenaiChat, &format!("{finished}data: [DONE]\n\n"), true), "");
    let failed = "event: error\ndata: {\"type\":\"error\",\"error\":{}}\n\n";
    assert_eq!(cut(Dialect::Anthropic, failed, true), "");
}

#[test]
fn a_cut_happens_once_and_nothing_passes_after_it() {
    let mut ending = Ending::new(Dialect::Anthropic, false);
    assert!(!ending.is_finished());
    assert!(!ending.cut(&usage(), true, &NOTE).is_empty());
    assert!(ending.is_finished());
    assert!(ending.cut(&usage(), true, &NOTE).is_empty());
    assert!(ending.pass(Bytes::from_static(b"data: {}\n\n")).is_empty());
}

#[test]
fn a_model_that_says_stop_in_each_document_is_not_finished() {
    let document = |text: &str| {
        format!(
            "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":\"{text}\"}}]}},\"finishReason\":\"STOP\"}}]}}\r\n\r\n"
        )
    };
    let mut ending = Ending::new(Dialect::Gemini, false);
    ending.push(document("a").as_bytes());
    assert!(ending.is_finished());
    ending.push(document("b").as_bytes());
    assert!(!ending.is_finished());
    let end = ending.cut(&usage(), true, &NOTE);
    assert!(end.starts_with(b"data: ") && end.ends_with(b"\r\n\r\n"));
    assert!(String::from_utf8_lossy(&end).contains("MAX_TOKENS"));
}

#[test]
fn any_beginning_of_an_object_is_made_one_that_says_what_it_is_told() {
    let document = r#"{"a":"x\u00e9\n\"é€😀","b":[1,-2.5e3,true,null,{"c":[]},[[]]],"d":{"":false},"e":12}"#;
    for at in 1..document.len() {
        let mut scan = Scan::default();
        scan.push(&document.as_bytes()[..at]);
        assert!(!scan.is_whole(), "{at}");
        let whole = [&document.as_bytes()[..at], &scan.rest("\"t\":9").unwrap()].concat();
        let value: Value = serde_json::from_slice(&whole)
            .unwrap_or_else(|e| panic!("{at}: {e}: {}", String::from_utf8_lossy(&whole)));
        assert_eq!(value["t"], 9);
    }
    let mut scan = Scan::default();
    scan.push(document.as_bytes());
    assert!(scan.is_whole());
}

#[test]
fn a_long_event_is_let_through_and_a_cut_in_it_leaves_a_whole_one() {
    for length in [MAX_HELD * 2, MAX_EVENT + 100_000] {
        let mut ending = Ending::new(Dialect::OpenaiChat, false);
        let mut seen = ending.pass(Bytes::from(format!("{CHUNK}\n\ndata: {{\"x\":\""))).to_vec();
        assert!(seen.ends_with(b"\n\n"), "the beginning is held");
        let mut sent = 0;
        while sent < length {
            seen.extend_from_slice(&ending.pass(Bytes::from(vec![b'y'; 10_000])));
            sent += 10_000;
        }
        assert!(seen.len() > length);
        assert!(ending.event.kept.len() <= MAX_EVENT && ending.held.len() <= MAX_HELD);
        seen.extend_from_slice(&ending.cut(&usage(), false, &NOTE));
        let text = String::from_utf8(seen).unwrap();
        let data: Vec<&str> = text.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).collect();
        assert_eq!(data.len(), 4);
        let long: Value = serde_json::from_str(data[1]).unwrap();
        assert_eq!(long["choices"][0]["finish_reason"], Value::Null);
        assert!(data[2].contains("\"length\"") && data[3] == "[DONE]");
    }
}

#[test]
fn a_call_and_a_thought_that_are_cut_are_closed_as_incomplete() {
    let events = [
        r#"{"type":"response.created","sequence_number":0,"response":{"id":"r","status":"in_progress","output":[]}}"#,
        r#"{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"rs","type":"reasoning","summary":[]}}"#,
        r#"{"type":"response.reasoning_summary_part.added","sequence_number":2,"item_id":"rs","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":""}}"#,
        r#"{"type":"response.reasoning_summary_text.delta","sequence_number":3,"item_id":"rs","output_index":0,"summary_index":0,"delta":"hm"}"#,
        r#"{"type":"response.output_item.added","sequence_number":4,"output_index":1,"item":{"id":"fc","type":"function_call","name":"f","call_id":"c","arguments":"","status":"in_progress"}}"#,
        r#"{"type":"response.function_call_arguments.delta","sequence_number":5,"item_id":"fc","output_index":1,"delta":"{\"a"}"#,
    ];
    let stream: String = events.iter().flat_map(|event| ["data: ", event, "\n\n"]).collect();
    let end = cut(Dialect::OpenaiResponses, &stream, true);
    let events: Vec<Value> = end
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "response.reasoning_summary_text.done",
            "response.reasoning_summary_part.done",
            "response.output_item.done",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.incomplete",
        ]
    );
    assert_eq!(events[0]["sequence_number"], 6);
    let output = &events[5]["response"]["output"];
    assert_eq!(output[0]["summary"][0]["text"], "hm");
    assert_eq!((&output[1]["arguments"], &output[1]["status"]), (&"{\"a".into(), &"incomplete".into()));
}
