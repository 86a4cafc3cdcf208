//! What was read from this dialect is written as it was; what comes from another looks as if it were at home.

use serde_json::{Value, json};
use tollgate_filters::chat::{
    Annotation, At, Choice, Client, Collector, Content, Delta, Event, Failure, Finish, FinishKind, Losses,
    Maker, Opening, Part, Pointer, Response, Seal, Start, Target, ToolCall, UsageReport,
};
use tollgate_filters::exchange::Dialect;
use tollgate_filters::usage::Usage;

use super::decode::Decoder;
use super::encode::Encoder;
use super::{request, response};
use crate::dialect::translate::{Form, Translator};

fn client() -> Client {
    Client { id: "abc".to_owned(), model: "asked".to_owned(), ..Client::default() }
}

#[test]
fn a_request_with_every_kind_of_block_is_restored() {
    let body = json!({
        "model": "claude", "max_tokens": 2000, "stream": true,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "", "citations": [{"type": "char_location", "cited_text": "x", "document_index": 0}]},
                {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                {"type": "document", "title": "T", "context": "C", "citations": {"enabled": true},
                    "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
                {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "a"}]}},
                {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
                {"type": "document", "source": {"type": "novel", "place": "moon"}},
                {"type": "search_result", "source": "https://a.example", "title": "R",
                    "content": [{"type": "text", "text": "found"}], "citations": {"enabled": true}},
                {"type": "container_upload", "file_id": "file_2"},
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "Eq=="},
                {"type": "redacted_thinking", "data": "xx"},
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
                {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
                {"type": "mcp_tool_use", "id": "m", "name": "n", "server_name": "s", "input": {}},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"b": 1, "a": 1.5},
                    "caller": {"type": "code_execution_20250825", "tool_id": "srvtoolu_2"}},
                {"type": "compaction", "content": "so far"},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": true, "content": [
                    {"type": "text", "text": "a"}, {"type": "tool_reference", "tool_name": "g"},
                    {"type": "image", "source": {"type": "file", "file_id": "file_3"}},
                ], "cache_control": {"type": "ephemeral"}},
            ]},
            {"role": "system", "content": [{"type": "tool_addition", "tool": {"name": "g"}}]},
        ],
        "tools": [
            {"name": "f", "description": "", "input_schema": {"type": "object"}, "strict": false,
                "eager_input_streaming": true, "cache_control": {"type": "ephemeral"}},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
            {"type": "mcp_toolset", "mcp_server_name": "s"},
        ],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": false},
        "thinking": {"type": "enabled", "budget_tokens": 4000, "display": "omitted"},
        "output_config": {"effort": "minimal", "format": {"type": "json_schema", "schema": {"minimum": 1}},
            "task_budget": {"total": 1}},
        "metadata": {"user_id": "u", "other": 1}, "service_tier": "standard_only",
        "temperature": 1.7, "top_p": 0.2, "top_k": 4, "stop_sequences": [" "],
        "cache_control": {"type": "ephemeral"}, "mcp_servers": [{"name": "s"}], "container": "c",
        "context_management": {"edits": []}, "speed": "fast", "inference_geo": "us",
    });
    let read = request::parse(body.clone()).unwrap();
    let target = Target { model: "claude".to_owned(), stream: true, ..Target::default() };
    let mut losses = Losses::default();
    assert_eq!(request::render(&read, &target, &mut losses), body);
    assert!(losses.is_empty(), "{losses:?}");
}

#[test]
fn an_answer_is_restored() {
    let body = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude",
        "content": [
            {"type": "text", "text": "", "citations": [{"type": "page_location", "cited_text": "x"}]},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
            {"type": "text", "words": "of another shape"},
        ],
        "stop_reason": "stop_sequence", "stop_sequence": "END", "container": {"id": "c"},
        "usage": {"input_tokens": 1, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 7,
            "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3},
            "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}, "service_tier": "standard",
            "server_tool_use": {"web_search_requests": 1}},
    });
    let read = response::parse(body.clone()).unwrap();
    assert_eq!(read.usage.as_ref().unwrap().usage.input_tokens, 13);
    assert_eq!(read.service_tier.as_ref().unwrap().value, "default");
    let mut losses = Losses::default();
    assert_eq!(response::render(&read, &client(), &mut losses), body);
    assert!(losses.is_empty(), "{losses:?}");
}

const STREAM: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":3,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1}}}

event: ping
data: {"type":"ping"}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"Eq=="}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"größer"}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"citations_delta","citation":{"type":"web_search_result_location","url":"https://a.example","encrypted_index":"e"}}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"query\":\"q\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":2}

event: content_block_start
data: {"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_1","name":"f","input":{},"caller":{"type":"code_execution_20250825"}}}

event: content_block_delta
data: {"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\"a\":"}}

event: content_block_delta
data: {"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"1}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":3}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null,"container":{"id":"c"}},"usage":{"input_tokens":3,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":20}}

event: message_stop
data: {"type":"message_stop"}

"#;

#[test]
fn a_stream_is_restored_however_it_is_cut() {
    for cut in 1..STREAM.len() {
        let mut translator = Translator::new(Dialect::Anthropic, Dialect::Anthropic, Form::Sse, client());
        translator.collect();
        let mut out = Vec::new();
        for piece in STREAM.as_bytes().chunks(cut) {
            out.extend_from_slice(&translator.push(piece).unwrap());
        }
        let (rest, understood) = translator.finish().unwrap();
        out.extend_from_slice(&rest);
        assert_eq!(String::from_utf8(out).unwrap(), STREAM, "{cut}");
        assert_eq!(understood.response.unwrap().choices[0].parts.len(), 4);
    }
}

#[test]
fn what_a_stream_says_is_what_the_answer_says() {
    let mut events = Vec::new();
    let mut decoder = Decoder::default();
    for line in STREAM.lines().filter_map(|line| line.strip_prefix("data: ")) {
        decoder.document(line.as_bytes(), &mut events);
    }
    let mut collector = Collector::new(Dialect::Anthropic);
    for event in &events {
        collector.push(event);
    }
    let whole = response::parse(json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "container": {"id": "c"},
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "Eq=="},
            {"type": "text", "text": "größer", "citations": [
                {"type": "web_search_result_location", "url": "https://a.example", "encrypted_index": "e"}]},
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1},
                "caller": {"type": "code_execution_20250825"}},
        ],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 3, "output_tokens": 20},
    }));
    assert_eq!(collector.finish().unwrap(), whole.unwrap());
}

#[test]
fn a_stream_has_ended_when_its_reason_has_come() {
    let (whole, _) = STREAM.split_once("event: message_stop").unwrap();
    let (broken, _) = STREAM.split_once("event: message_delta").unwrap();
    for (stream, ended) in [(whole, true), (broken, false)] {
        let mut events = Vec::new();
        let mut decoder = Decoder::default();
        for line in stream.lines().filter_map(|line| line.strip_prefix("data: ")) {
            decoder.document(line.as_bytes(), &mut events);
        }
        decoder.finish(&mut events);
        assert_eq!(events.last() == Some(&Event::End), ended);
    }
}

#[test]
fn a_block_that_never_began_begins() {
    let mut events = Vec::new();
    let mut decoder = Decoder::default();
    let delta = br#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#;
    decoder.document(delta, &mut events);
    assert!(matches!(events[0], Event::Start(_)), "{events:?}");
    assert!(matches!(events[1], Event::Open { opening: Opening::Text, .. }), "{events:?}");
    assert!(matches!(&events[2], Event::Delta { delta: Delta::Text(text), .. } if text == "a"), "{events:?}");
}

fn encoded(events: &[Event]) -> (Vec<Value>, Losses) {
    let mut encoder = Encoder::new(client());
    let (mut out, mut losses) = (Vec::new(), Losses::default());
    for event in events {
        encoder.event(event, &mut out, &mut losses);
    }
    let text = String::from_utf8(out).unwrap();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    (data.map(|data| serde_json::from_str(data).unwrap()).collect(), losses)
}

fn open(part: u32, opening: Opening) -> Event {
    Event::Open { choice: 0, part, opening, at: Pointer::of("/choices/0/message") }
}

fn delta(part: u32, delta: Delta) -> Event {
    Event::Delta { choice: 0, part, delta }
}

fn call(id: &str) -> Opening {
    Opening::ToolCall(ToolCall { id: id.to_owned(), name: "f".to_owned(), ..ToolCall::default() })
}

fn finish(kind: FinishKind) -> Finish {
    let at = Pointer::of("/choices/0/finish_reason");
    Finish { kind, word: "stop".to_owned(), stop_sequence: None, at }
}

#[test]
fn another_dialects_stream_has_the_sequence_that_the_sdk_expects() {
    let usage = Usage {
        input_tokens: 10,
        cached_input_tokens: 4,
        output_tokens: 7,
        reasoning_tokens: 2,
        ..Usage::default()
    };
    let seal = Seal { maker: Maker::Openai, data: "enc".to_owned(), redacted: false };
    let (events, losses) = encoded(&[
        Event::Start(Start::default()),
        open(0, Opening::Reasoning { id: None }),
        delta(0, Delta::Thought { summary: true, new: true, text: "one".to_owned() }),
        delta(0, Delta::Thought { summary: true, new: true, text: "two".to_owned() }),
        delta(0, Delta::Seal(seal)),
        Event::Close { choice: 0, part: 0 },
        open(1, Opening::Reasoning { id: None }),
        Event::Close { choice: 0, part: 1 },
        open(2, Opening::Text),
        delta(2, Delta::Text(String::new())),
        Event::Close { choice: 0, part: 2 },
        open(3, call("")),
        open(4, call("b")),
        delta(3, Delta::Arguments("{}".to_owned())),
        delta(4, Delta::Arguments("{\"a\"".to_owned())),
        delta(4, Delta::Arguments(":1}".to_owned())),
        Event::Close { choice: 0, part: 3 },
        Event::Close { choice: 0, part: 4 },
        Event::Finish { choice: 0, finish: finish(FinishKind::Stop) },
        Event::Usage(UsageReport { usage, ..UsageReport::default() }),
        Event::End,
    ]);
    assert!(losses.is_empty(), "{losses:?}");
    let line = |event: &Value| {
        let index = event.get("index").map_or_else(String::new, |index| format!(" {index}"));
        let delta = &event["delta"];
        let said = ["thinking", "signature", "text", "partial_json", "stop_reason"];
        let said =
            said.iter().find_map(|key| delta[*key].as_str()).map_or_else(String::new, |s| format!(" {s}"));
        let id = event["content_block"]["id"].as_str().map_or_else(String::new, |id| format!(" {id}"));
        format!("{}{index}{said}{id}", event["type"].as_str().unwrap())
    };
    let lines: Vec<String> = events.iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "message_start",
            "ping",
            "content_block_start 0",
            "content_block_delta 0 one",
            "content_block_delta 0 \n\n",
            "content_block_delta 0 two",
            "content_block_delta 0 tollgate.openai.enc",
            "content_block_stop 0",
            "content_block_start 1 call_tg_abc_0",
            "content_block_delta 1 {}",
            "content_block_stop 1",
            "content_block_start 2 b",
            "content_block_delta 2 {\"a\"",
            "content_block_delta 2 :1}",
            "content_block_stop 2",
            "message_delta tool_use",
            "message_stop",
        ]
    );
    assert_eq!(events[0]["message"]["id"], "msg_abc");
    assert_eq!(events[0]["message"]["model"], "asked");
    let usage = json!({"input_tokens": 6, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4,
        "output_tokens": 7, "output_tokens_details": {"thinking_tokens": 2}});
    assert_eq!(events[15]["usage"], usage);
}

#[test]
fn an_error_in_mid_stream_is_the_clients_error_event() {
    let failure = Failure { status: 429, message: "slow down".to_owned(), ..Failure::default() };
    let (events, _) = encoded(&[Event::Start(Start::default()), Event::Error(failure)]);
    assert_eq!(
        events,
        [json!({"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}})]
    );
}

#[test]
fn what_an_answer_cannot_show_is_named() {
    let at = |text: &'static str| Pointer::of(text);
    let annotation = Annotation {
        url: Some("https://a.example".to_owned()),
        at: at("/choices/0/message/annotations/0"),
        ..Annotation::default()
    };
    let mut text = Part::text("a", at("/choices/0/message/content"));
    if let Content::Text(text) = &mut text.content {
        text.annotations.push(annotation);
    }
    let first = Choice {
        parts: vec![text, Part::new(Content::Refusal("no".to_owned()), at("/choices/0/message/refusal"))],
        finish: Some(finish(FinishKind::Stop)),
        logprobs: Some(At::new(json!({}), at("/choices/0/logprobs"))),
        ..Choice::default()
    };
    let second = Choice { index: 1, at: at("/choices/1"), ..Choice::default() };
    let response = Response {
        source: Dialect::OpenaiChat,
        id: Some("chatcmpl-1".to_owned()),
        model: None,
        created: Some(1),
        choices: vec![first, second],
        usage: None,
        service_tier: Some(At::new("flex".to_owned(), at("/service_tier"))),
        extra: json!({"system_fingerprint": "fp"}).as_object().cloned().unwrap(),
    };
    let mut losses = Losses::default();
    let body = response::render(&response, &client(), &mut losses);
    assert_eq!(body["id"], "chatcmpl-1");
    assert_eq!(body["stop_reason"], "refusal");
    assert_eq!(body["content"][0]["citations"][0]["url"], "https://a.example");
    let list = "/choices/0/message/annotations/0,/choices/0/message/refusal,/choices/0/logprobs,/choices/1,\
        /service_tier,/system_fingerprint";
    assert_eq!(losses.list(), list);
}
