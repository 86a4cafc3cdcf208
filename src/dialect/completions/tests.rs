use serde_json::{Value, json};
use tollgate_filters::chat::{
    At, Choice, Client, Collector, Content, Delta, Event, Finish, FinishKind, Losses, Opening, Part, Pointer,
    Response, Start, UsageReport,
};
use tollgate_filters::exchange::Dialect;
use tollgate_filters::usage::Usage;

use super::encode::Encoder;
use super::{Wanted, parse, render};

fn client() -> Client {
    Client { id: "1".to_owned(), model: "m".to_owned(), created: 7, stream_usage: true, ..Client::default() }
}

#[test]
fn a_prompt_becomes_a_users_message_and_what_has_no_place_is_named() {
    let mut losses = Losses::default();
    let body = json!({
        "model": "m", "prompt": ["Once"], "suffix": "end", "best_of": 3, "n": 2, "echo": true, "logprobs": 2,
        "stop": "\n", "stream": true, "stream_options": {"include_usage": true}, "logit_bias": {"5": 1}
    });
    let (request, wanted) = parse(body, &mut losses).unwrap();
    assert_eq!(request.messages.len(), 1);
    assert!(matches!(&request.messages[0].parts[0].content, Content::Text(text) if text.text == "Once"));
    assert_eq!(wanted.echo.as_deref(), Some("Once"));
    assert_eq!(request.max_tokens.unwrap().value, 16);
    assert_eq!(request.stop.unwrap().value, ["\n"]);
    assert_eq!(request.logprobs.unwrap().value.top, Some(2));
    assert!(request.stream && request.stream_usage.unwrap().value);
    assert_eq!(Value::from(request.extra), json!({"logit_bias": {"5": 1}}));
    assert_eq!(losses.list(), "/suffix,/best_of,/logprobs");
}

#[test]
fn a_prompt_of_tokens_is_read_and_several_prompts_are_refused() {
    let mut losses = Losses::default();
    let (request, _) = parse(json!({"model": "gpt-4", "prompt": [[15339, 1917]]}), &mut losses).unwrap();
    assert!(
        matches!(&request.messages[0].parts[0].content, Content::Text(text) if text.text == "hello world")
    );
    assert_eq!(losses.list(), "/prompt/0");
    for (prompt, says) in [
        (json!(["a", "b"]), "holds 2 prompts"),
        (json!([[4_000_000_000_u64]]), "no text"),
        (json!([]), "must be"),
        (json!({}), "must be"),
    ] {
        let error = parse(json!({"prompt": prompt}), &mut losses).unwrap_err();
        assert!(error.message.contains(says), "{error}");
        assert!(error.param.as_deref().is_some_and(|param| param.starts_with("/prompt")));
    }
    assert!(parse(json!({"prompt": "a", "max_tokens": 0}), &mut losses).is_err());
}

fn events() -> Vec<Event> {
    let at = Pointer::of("/choices/0");
    let text = |text: &str| Event::Delta { choice: 0, part: 1, delta: Delta::Text(text.to_owned()) };
    let logprobs = json!({"content": [{"token": "ä\n", "logprob": -0.5, "top_logprobs": [{"token": "b", "logprob": -1.5}]}]});
    vec![
        Event::Start(Start { id: Some("x".to_owned()), model: None, created: None }),
        Event::Open { choice: 0, part: 0, opening: Opening::Reasoning { id: None }, at: at.key("reasoning") },
        Event::Delta {
            choice: 0,
            part: 0,
            delta: Delta::Thought { summary: false, new: true, text: "hm".to_owned() },
        },
        Event::Close { choice: 0, part: 0 },
        Event::Open { choice: 0, part: 1, opening: Opening::Text, at: at.key("text") },
        text("ä\n"),
        Event::LogProbs { choice: 0, part: 1, logprobs: At::new(logprobs, at.key("logprobs")) },
        text("\"b"),
        Event::Close { choice: 0, part: 1 },
        Event::Finish {
            choice: 0,
            finish: Finish {
                kind: FinishKind::Length,
                word: "max_tokens".to_owned(),
                stop_sequence: None,
                at: at.key("finish"),
            },
        },
        Event::Usage(UsageReport {
            usage: Usage { input_tokens: 3, output_tokens: 4, reasoning_tokens: 1, ..Usage::default() },
            ..UsageReport::default()
        }),
        Event::End,
    ]
}

#[test]
fn a_stream_says_the_same_as_the_whole_answer() {
    let wanted = Wanted { echo: Some("Say: ".to_owned()) };
    let mut encoder = Encoder::new(Dialect::Anthropic, client(), wanted.clone());
    let mut collector = Collector::new(Dialect::Anthropic);
    let (mut out, mut losses) = (Vec::new(), Losses::default());
    for event in events() {
        encoder.event(&event, &mut out, &mut losses);
        collector.push(&event);
    }
    assert_eq!(losses.list(), "/choices/0/reasoning");
    let out = String::from_utf8(out).unwrap();
    let mut chunks: Vec<&str> = out.split("\n\n").map(|chunk| chunk.trim_start_matches("data: ")).collect();
    assert_eq!(chunks.split_off(chunks.len() - 2), ["[DONE]", ""]);
    let chunks: Vec<Value> = chunks.iter().map(|chunk| serde_json::from_str(chunk).unwrap()).collect();
    let whole = render(&collector.finish().unwrap(), &client(), &wanted, &mut Losses::default());
    let text: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["text"].as_str()).collect();
    assert_eq!(text, "Say: ä\n\"b");
    assert_eq!(whole["choices"][0]["text"], json!(text));
    assert_eq!(
        whole["choices"][0]["logprobs"],
        json!({"tokens": ["ä\n"], "token_logprobs": [-0.5], "top_logprobs": [{"b": -1.5}], "text_offset": [5]})
    );
    assert!(chunks.iter().any(|chunk| chunk["choices"][0]["logprobs"] == whole["choices"][0]["logprobs"]));
    assert_eq!(chunks[chunks.len() - 2]["choices"][0]["finish_reason"], whole["choices"][0]["finish_reason"]);
    let last = &chunks[chunks.len() - 1];
    assert_eq!((&last["usage"], &last["choices"]), (&whole["usage"], &json!([])));
    for member in ["id", "object", "created", "model"] {
        assert!(chunks.iter().all(|chunk| chunk[member] == whole[member]), "{member}");
    }
}

#[test]
fn what_a_text_cannot_say_is_reported() {
    let at = Pointer::of("/content");
    let refused = Part::new(Content::Refusal("no".to_owned()), at.index(0));
    let odd = Part::new(Content::Opaque(json!({"type": "odd"})), at.index(1));
    let finish = Finish {
        kind: FinishKind::Refusal,
        word: "refusal".to_owned(),
        stop_sequence: None,
        at: Pointer::of("/stop_reason"),
    };
    let response = Response {
        source: Dialect::Anthropic,
        id: None,
        model: None,
        created: None,
        choices: vec![Choice { parts: vec![refused, odd], finish: Some(finish), ..Choice::default() }],
        usage: None,
        service_tier: None,
        extra: serde_json::Map::from_iter([("container".to_owned(), json!(1))]),
    };
    let mut losses = Losses::default();
    let body = render(&response, &client(), &Wanted::default(), &mut losses);
    assert_eq!(
        body,
        json!({"id": "cmpl-1", "object": "text_completion", "created": 7, "model": "m", "choices": [
            {"text": "no", "index": 0, "logprobs": null, "finish_reason": "content_filter"}]})
    );
    assert_eq!(losses.list(), "/content/0,/content/1,/stop_reason,/container");
}
