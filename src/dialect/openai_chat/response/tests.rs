//! Chat answers, there and back, and out of answers of other dialects.

use serde_json::{Value, json};
use tollgate_filters::chat::*;
use tollgate_filters::exchange::Dialect;

use super::{parse, render};

fn rendered(response: &Response) -> (Value, String) {
    let client = Client { id: "abc".to_owned(), model: "m".to_owned(), created: 5, ..Client::default() };
    let mut losses = Losses::default();
    let body = render(response, &client, &mut losses);
    (body, losses.list())
}

#[test]
fn what_is_read_is_written_again() {
    let body = json!({
        "id": "gen-1", "object": "chat.completion", "created": 1, "model": "m", "provider": "P",
        "choices": [
            {"index": 0, "logprobs": {"content": [{"token": "a", "logprob": -0.5}]}, "finish_reason": "tool_calls",
             "native_finish_reason": "tool_use",
             "message": {
                "role": "assistant", "content": "See [1].", "refusal": null,
                "reasoning": "Hm.",
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "Hm.", "signature": "s", "format": "anthropic-claude-v1", "index": 0},
                    {"type": "reasoning.encrypted", "data": "d", "format": "google-gemini-v1", "id": "c1", "index": 1}
                ],
                "annotations": [{"type": "url_citation", "url_citation": {"url": "https://a.example", "title": "A", "start_index": 4, "end_index": 7}}],
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                "executed_tools": [{"type": "search"}]
             }},
            {"index": 1, "logprobs": null, "finish_reason": "stop",
             "message": {"role": "assistant", "content": null, "refusal": "No.",
                "audio": {"id": "audio_1", "data": "AAAA", "expires_at": 9, "transcript": "No."}}}
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "cost": 0.25, "is_byok": true,
            "cost_details": {"upstream_inference_cost": 0.5},
            "prompt_tokens_details": {"cached_tokens": 1, "video_tokens": 2}, "completion_tokens_details": {"reasoning_tokens": 1}},
        "service_tier": "default", "system_fingerprint": "fp"
    });
    let response = parse(body.clone()).unwrap();
    let kinds: Vec<bool> =
        response.choices[0].parts.iter().map(|part| matches!(part.content, Content::Reasoning(_))).collect();
    assert_eq!(kinds, [true, false, true, false, false], "Gemini's signature stands before its call");
    assert_eq!(response.usage.as_ref().unwrap().cost.as_ref().unwrap().value.to_string(), "0.75");
    let (mut back, losses) = rendered(&response);
    let mut body = body;
    body.sort_all_objects();
    back.sort_all_objects();
    assert_eq!(back, body);
    assert_eq!(losses, "");
}

#[test]
fn odd_members_never_fail() {
    let odd = json!({"id": 1, "choices": [{"message": {"content": {"a": 1}, "tool_calls": [7], "refusal": 3}, "finish_reason": 5}, 9], "usage": "x"});
    let response = parse(odd).unwrap();
    assert_eq!(response.extra["id"], 1);
    assert_eq!(response.extra["usage"], "x");
    assert_eq!(response.choices[0].extra["finish_reason"], 5);
    assert!(parse(json!([])).is_err());
}

#[test]
fn an_answer_of_another_dialect_becomes_a_chat_answer() {
    let cited = Annotation {
        url: Some("https://a.example".to_owned()),
        start: Some(0),
        end: Some(2),
        at: Pointer::of("/c"),
        ..Annotation::default()
    };
    let second = Text { text: "ok".to_owned(), annotations: vec![cited] };
    let seal = Seal { maker: Maker::Gemini, data: "g".to_owned(), redacted: false };
    let call = ToolCall { name: "f".to_owned(), ..ToolCall::default() };
    let finish = Finish {
        kind: FinishKind::StopSequence,
        word: "stop_sequence".to_owned(),
        stop_sequence: Some("x".to_owned()),
        at: Pointer::of("/stop_reason"),
    };
    let choice = Choice {
        parts: vec![
            Part::text("Ünd ", Pointer::of("/0")),
            Part::new(Content::Text(second), Pointer::of("/1")),
            Part::new(
                Content::Reasoning(Reasoning { seal: Some(seal), ..Reasoning::default() }),
                Pointer::of("/2"),
            ),
            Part::new(Content::ToolCall(call), Pointer::of("/3")),
            Part::new(Content::Opaque(json!({})), Pointer::of("/4")),
        ],
        finish: Some(finish),
        ..Choice::default()
    };
    let mut response = Response {
        source: Dialect::Gemini,
        id: None,
        model: None,
        created: None,
        choices: vec![choice],
        usage: None,
        service_tier: None,
        extra: Extra::new(),
    };
    let (body, losses) = rendered(&response);
    let message = &body["choices"][0]["message"];
    assert_eq!(body["id"], "chatcmpl-abc");
    assert_eq!(message["content"], "Ünd ok");
    assert_eq!(message["annotations"][0]["url_citation"]["start_index"], 4);
    assert_eq!(message["tool_calls"][0]["id"], "call_tg_abc_0");
    assert_eq!(message["tool_calls"][0]["function"]["arguments"], "{}");
    assert_eq!(message["reasoning_details"][0]["id"], "call_tg_abc_0");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(losses, "/4,/stop_sequence,/stop_reason");
    response.choices.clear();
    assert_eq!(rendered(&response).0["choices"][0]["finish_reason"], "content_filter");
}
