//! Streams, in both directions.

use serde_json::{Value, json};
use tollgate_filters::chat::*;
use tollgate_filters::exchange::Dialect;

use super::super::decode::Decoder;
use super::super::encode::Encoder;
use super::super::response;

fn decode(documents: &[Value]) -> Vec<Event> {
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    for document in documents {
        decoder.document(document.to_string().as_bytes(), &mut events);
    }
    decoder.finish(&mut events);
    events
}

/// The documents that are written for events, checked for their form, and what was lost.
fn encode(events: &[Event]) -> (Vec<Value>, String) {
    let mut encoder = Encoder::new(Client { id: "u".to_owned(), ..Client::default() });
    let (mut out, mut losses) = (Vec::new(), Losses::default());
    for event in events {
        encoder.event(event, &mut out, &mut losses);
    }
    let text = String::from_utf8(out).unwrap();
    let blocks = text.split_terminator("\n\n").enumerate().map(|(i, block)| {
        let (kind, data) = block.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
        let document: Value = serde_json::from_str(data).unwrap();
        assert_eq!(
            (document["type"].as_str(), document["sequence_number"].as_u64()),
            (Some(kind), Some(i as u64))
        );
        document
    });
    (blocks.collect(), losses.list())
}

fn collect(events: &[Event]) -> Response {
    let mut collector = Collector::new(Dialect::OpenaiResponses);
    for event in events {
        collector.push(event);
    }
    collector.finish().unwrap()
}

fn stream(output: &Value, middle: &[Value]) -> Vec<Value> {
    let head = json!({"id": "resp_1", "object": "response", "created_at": 5, "model": "m", "status": "in_progress", "output": []});
    let mut last = head.clone();
    last["status"] = "completed".into();
    last["output"] = output.clone();
    let mut documents = vec![json!({"type": "response.created", "response": head})];
    documents.extend_from_slice(middle);
    documents.push(json!({"type": "response.completed", "response": last}));
    documents
}

#[test]
fn a_stream_tells_what_its_last_event_says() {
    let output = json!([
        {"type": "reasoning", "id": "rs_1", "summary": [
            {"type": "summary_text", "text": "one"}, {"type": "summary_text", "text": "two"}], "encrypted_content": "gA"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}},
        {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "phase": "final_answer", "content": [
            {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []},
            {"type": "refusal", "refusal": "no"}]},
        {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_1", "name": "g", "input": "free", "status": "completed"},
    ]);
    let part = json!({"type": "output_text", "text": "", "annotations": []});
    let middle = [
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "rs_1", "summary": []}}),
        json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "one"}),
        json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 1, "delta": "two"}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": output[0]}),
        // Only whole, and the message only bit by bit.
        json!({"type": "response.output_item.done", "output_index": 1, "item": output[1]}),
        json!({"type": "response.output_item.added", "output_index": 2, "item":
            {"type": "message", "id": "msg_1", "status": "in_progress", "role": "assistant", "phase": "final_answer", "content": []}}),
        json!({"type": "response.content_part.added", "output_index": 2, "content_index": 0, "part": part}),
        json!({"type": "response.output_text.delta", "output_index": 2, "content_index": 0, "delta": "Hel"}),
        json!({"type": "response.output_text.delta", "output_index": 2, "content_index": 0, "delta": "lo"}),
        json!({"type": "response.refusal.delta", "output_index": 2, "content_index": 1, "delta": "no"}),
        // The last item comes with the end alone.
    ];
    let documents = stream(&output, &middle);
    let events = decode(&documents);
    let whole = response::parse(documents.last().unwrap()["response"].clone()).unwrap();
    assert_eq!(collect(&events), whole);
    let deltas = events.iter().filter(|event| matches!(event, Event::Delta { .. })).count();
    assert_eq!(deltas, 7);

    let (again, losses) = encode(&events);
    assert_eq!(again.last().unwrap()["response"]["output"], output);
    assert_eq!(collect(&decode(&again)).choices, whole.choices);
    assert_eq!(losses, "");
}

#[test]
fn documents_of_odd_types_do_not_break_a_stream() {
    let middle = [
        json!({"type": "response.output_text.delta", "output_index": "x", "content_index": null, "delta": "a"}),
        json!({"type": "response.output_text.delta", "delta": {"text": "b"}}),
        json!("[DONE]"),
        json!({"type": "response.output_item.done", "output_index": 3, "item": null}),
        json!({"type": "response.novelty.delta", "delta": "x"}),
    ];
    let choice = collect(&decode(&stream(&json!([]), &middle))).choices.remove(0);
    assert_eq!(
        choice.parts[0].content,
        Content::Text(Text { text: "a".to_owned(), annotations: Vec::new() })
    );
    assert_eq!(choice.finish.unwrap().kind, FinishKind::Stop);
}

#[test]
fn a_stream_that_breaks_off_does_not_end() {
    let mut documents = stream(&json!([]), &[]);
    documents.pop();
    assert!(!decode(&documents).contains(&Event::End));
    for failure in [
        json!({"type": "error", "code": "server_error", "message": "m", "param": null}),
        json!({"type": "error", "error": {"type": "server_error", "code": "server_error", "message": "m"}}),
        json!({"error": {"code": 500, "message": "m"}}),
        json!({"type": "response.failed", "response": {"error": {"code": "server_error", "message": "m"}}}),
    ] {
        documents.truncate(1);
        documents.push(failure);
        let Some(Event::Error(failure)) = decode(&documents).pop() else { panic!() };
        assert_eq!((failure.status, failure.message.as_str()), (500, "m"));
    }
}

/// What another dialect's decoder tells: two texts, thinking, and two calls at once.
fn foreign() -> Vec<Event> {
    let at = |part: u32| Pointer::of("/content").index(part as usize);
    let open = |part, opening| Event::Open { choice: 0, part, opening, at: at(part) };
    let delta = |part, delta| Event::Delta { choice: 0, part, delta };
    let close = |part| Event::Close { choice: 0, part };
    let call = |id: &str| {
        Opening::ToolCall(ToolCall { id: id.to_owned(), name: "f".to_owned(), ..ToolCall::default() })
    };
    let arguments = || Delta::Arguments("{}".to_owned());
    vec![
        Event::Start(Start { id: Some("msg_1".to_owned()), model: Some("claude".to_owned()), created: None }),
        open(0, Opening::Reasoning { id: None }),
        delta(0, Delta::Thought { summary: true, new: true, text: "hm".to_owned() }),
        delta(0, Delta::Seal(Seal { maker: Maker::Anthropic, data: "s".to_owned(), redacted: false })),
        close(0),
        open(1, Opening::Text),
        delta(1, Delta::Text("a".to_owned())),
        close(1),
        open(2, Opening::Text),
        delta(2, Delta::Text("b".to_owned())),
        close(2),
        open(3, call("toolu_1")),
        open(4, call("toolu_2")),
        delta(4, arguments()),
        delta(3, arguments()),
        close(3),
        close(4),
        Event::Extra(At::new(Extra::from_iter([("x".to_owned(), json!(1))]), Pointer::ROOT)),
        Event::Finish {
            choice: 0,
            finish: Finish {
                kind: FinishKind::ToolCalls,
                word: "tool_use".to_owned(),
                stop_sequence: None,
                at: Pointer::of("/delta/stop_reason"),
            },
        },
        Event::End,
    ]
}

#[test]
fn a_foreign_stream_is_written_as_sdks_expect_it() {
    let (documents, losses) = encode(&foreign());
    let told: Vec<String> = documents
        .iter()
        .map(|document| {
            let kind = document["type"].as_str().unwrap().trim_start_matches("response.");
            let index = document["output_index"].as_u64().map(|index| format!(" {index}"));
            kind.to_owned() + &index.unwrap_or_default()
        })
        .collect();
    let expected = [
        "created",
        "in_progress",
        "output_item.added 0",
        "reasoning_summary_part.added 0",
        "reasoning_summary_text.delta 0",
        "reasoning_summary_text.done 0",
        "reasoning_summary_part.done 0",
        "output_item.done 0",
        "output_item.added 1",
        "content_part.added 1",
        "output_text.delta 1",
        "output_text.done 1",
        "content_part.done 1",
        "content_part.added 1",
        "output_text.delta 1",
        "output_text.done 1",
        "content_part.done 1",
        "output_item.done 1",
        "output_item.added 2",
        "output_item.added 3",
        "function_call_arguments.delta 3",
        "function_call_arguments.delta 2",
        "function_call_arguments.done 2",
        "output_item.done 2",
        "function_call_arguments.done 3",
        "output_item.done 3",
        "completed",
    ];
    assert_eq!(told, expected);
    assert_eq!(losses, "/x");
    let response = &documents.last().unwrap()["response"];
    assert_eq!(response["output"].as_array().unwrap().len(), 4);
    assert_eq!(response["output"][0]["encrypted_content"], "tollgate.anthropic.s");
    assert_eq!(response["output"][1]["id"], "msg_u_1");
    let texts: Vec<_> = documents.iter().filter(|d| d["type"] == "response.output_text.delta").collect();
    assert_eq!((&texts[0]["item_id"], &texts[0]["logprobs"]), (&json!("msg_u_1"), &json!([])));
    assert_eq!(texts[1]["content_index"], 1);
}

#[test]
fn a_stream_that_was_cut_off_ends_incomplete_and_a_failure_is_an_error_event() {
    let mut events = foreign();
    events.drain(8..18);
    let Some(Event::Finish { finish, .. }) = events.get_mut(8) else { panic!() };
    finish.kind = FinishKind::Length;
    let (documents, _) = encode(&events);
    let last = documents.last().unwrap();
    assert_eq!(last["type"], "response.incomplete");
    assert_eq!(last["response"]["incomplete_details"], json!({"reason": "max_output_tokens"}));
    assert_eq!(last["response"]["output"][1]["status"], "incomplete");

    events.truncate(3);
    events.push(Event::Error(Failure { status: 503, message: "m".to_owned(), ..Failure::default() }));
    let (documents, _) = encode(&events);
    let number = documents.len() - 1;
    let expected = json!({"type": "error", "sequence_number": number, "code": "server_error", "message": "m", "param": null,
        "error": {"type": "server_error", "code": "server_error", "message": "m", "param": null}});
    assert_eq!(*documents.last().unwrap(), expected);
}

#[test]
fn an_item_that_ends_as_another_is_told_as_it_began() {
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    for document in [
        json!({"type": "response.output_item.added", "output_index": 0,
            "item": {"type": "function_call", "call_id": "c", "name": "f", "arguments": ""}}),
        json!({"type": "response.output_item.done", "output_index": 0,
            "item": {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}}),
    ] {
        decoder.document(document.to_string().as_bytes(), &mut events);
    }
    assert!(!events.iter().any(|event| matches!(event, Event::Delta { .. })));
    let lost: Vec<&str> = events
        .iter()
        .filter_map(|event| if let Event::Lost(loss) = event { Some(loss.at.as_str()) } else { None })
        .collect();
    assert_eq!(lost, ["/output/0"]);
}
