//! The bytes of streams.

use serde_json::{Value, json};
use tollgate_filters::chat::{
    At, Client, Delta, Event, Failure, Finish, FinishKind, Losses, Maker, Opening, Pointer, Seal, Start,
    ToolCall, UsageReport,
};
use tollgate_filters::usage::Usage;

use super::Encoder;

fn encoded(sse: bool, events: &[Event]) -> (String, Vec<String>) {
    let mut encoder = Encoder::new(Client { sse, request_id: "q".to_owned(), ..Client::default() });
    let (mut out, mut losses) = (Vec::new(), Losses::default());
    for event in events {
        encoder.event(event, &mut out, &mut losses);
    }
    (String::from_utf8(out).unwrap(), losses.iter().map(|loss| loss.at.to_string()).collect())
}

fn open(part: u32, opening: Opening) -> Event {
    Event::Open { choice: 0, part, opening, at: Pointer::of("/content").index(part as usize) }
}

fn delta(part: u32, delta: Delta) -> Event {
    Event::Delta { choice: 0, part, delta }
}

fn conversation() -> Vec<Event> {
    let seal = Seal { maker: Maker::Anthropic, data: "s".to_owned(), redacted: true };
    let call = ToolCall { id: "t".to_owned(), name: "f".to_owned(), ..ToolCall::default() };
    let finish = Finish {
        kind: FinishKind::ToolCalls,
        word: "tool_use".to_owned(),
        stop_sequence: None,
        at: Pointer::of("/stop_reason"),
    };
    let usage = Usage { input_tokens: 3, output_tokens: 4, ..Usage::default() };
    vec![
        Event::Start(Start { id: Some("r".to_owned()), model: Some("m".to_owned()), created: None }),
        open(0, Opening::Reasoning { id: None }),
        delta(0, Delta::Seal(seal)),
        Event::Close { choice: 0, part: 0 },
        open(1, Opening::Text),
        delta(1, Delta::Text("a\"".to_owned())),
        delta(1, Delta::Text("b".to_owned())),
        Event::Ping,
        Event::Close { choice: 0, part: 1 },
        open(2, Opening::ToolCall(call)),
        delta(2, Delta::Arguments("{\"x\":".to_owned())),
        delta(2, Delta::Arguments("1}".to_owned())),
        Event::Close { choice: 0, part: 2 },
        Event::Finish { choice: 0, finish },
        Event::Usage(UsageReport { usage, ..UsageReport::default() }),
        Event::End,
    ]
}

#[test]
fn each_piece_of_text_is_a_document_and_a_call_is_one() {
    let (out, losses) = encoded(true, &conversation());
    let documents: Vec<Value> = out
        .split_terminator("\r\n\r\n")
        .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
        .collect();
    let parts: Vec<&Value> = documents.iter().map(|d| &d["candidates"][0]["content"]["parts"][0]).collect();
    assert_eq!(parts[0]["text"], "a\"");
    assert!(parts[0]["thoughtSignature"].as_str().unwrap().starts_with("dG9sbGdhdGUu"));
    assert_eq!(*parts[1], json!({"text": "b"}));
    assert_eq!(*parts[2], json!({"functionCall": {"id": "t", "name": "f", "args": {"x": 1}}}));
    assert_eq!(documents[3]["candidates"][0]["finishReason"], "STOP");
    assert_eq!(documents[3]["usageMetadata"]["totalTokenCount"], 7);
    assert!(documents.iter().all(|d| d["responseId"] == "r" && d["modelVersion"] == "m"));
    assert_eq!((documents.len(), losses), (4, Vec::new()));
}

#[test]
fn without_sse_the_documents_are_one_array_even_after_an_error() {
    let (out, _) = encoded(false, &conversation());
    assert_eq!(serde_json::from_str::<Vec<Value>>(&out).unwrap().len(), 4);
    let failure = Failure { status: 503, message: "busy".to_owned(), ..Failure::default() };
    let (out, _) = encoded(false, &[Event::Error(failure)]);
    let documents: Vec<Value> = serde_json::from_str(&out).unwrap();
    assert_eq!(documents[0]["error"]["status"], "UNAVAILABLE");
}

#[test]
fn a_stream_without_a_reason_has_an_end_for_the_client() {
    let mut events = conversation();
    events.retain(|event| !matches!(event, Event::Finish { .. }));
    let odd = json!({"modelVersion": 1.5, "candidates": false});
    let Value::Object(odd) = odd else { panic!() };
    events.insert(2, Event::Extra(At::new(odd, Pointer::ROOT)));
    let (out, _) = encoded(false, &events);
    let documents: Vec<Value> = serde_json::from_str(&out).unwrap();
    assert_eq!(documents.last().unwrap()["candidates"][0]["finishReason"], "STOP");
    let (out, _) = encoded(false, &[Event::Start(Start::default()), Event::End]);
    let documents: Vec<Value> = serde_json::from_str(&out).unwrap();
    assert_eq!(documents[0]["candidates"][0]["finishReason"], "STOP");
}
