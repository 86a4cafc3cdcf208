//! Answers and errors.

use serde_json::{Value, json};
use tollgate_filters::chat::*;
use tollgate_filters::exchange::Dialect;

use super::super::{error, response};

fn client() -> Client {
    let echo =
        json!({"instructions": "Be brief.", "temperature": 0.5, "input": "hi", "text": {"verbosity": "low"}});
    let echo = echo.as_object().unwrap().clone();
    Client { id: "u".to_owned(), model: "m".to_owned(), created: 7, echo, own_id: true, ..Client::default() }
}

fn answer() -> Value {
    json!({
        "id": "resp_1", "object": "response", "created_at": 5, "status": "incomplete", "model": "gpt-5",
        "incomplete_details": {"reason": "max_output_tokens"}, "service_tier": "default",
        "temperature": 1.0, "tools": [], "billing": {"payer": "developer"},
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "s"}], "encrypted_content": "gA"},
            {"type": "code_interpreter_call", "id": "ci_1", "status": "completed", "code": "1", "container_id": "c",
             "outputs": [{"type": "logs", "logs": "1"}]},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "incomplete", "phase": "final_answer", "content": [
                {"type": "output_text", "text": "ab", "annotations": [], "logprobs": [{"token": "ab", "logprob": -1.0}]},
                {"type": "output_text", "text": "c", "annotations": [], "logprobs": [{"token": "c", "logprob": -2.0}]}]},
            {"type": "novelty", "x": 1}],
        "usage": {"input_tokens": 3, "input_tokens_details": {"cached_tokens": 1}, "output_tokens": 4,
                  "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 7},
    })
}

#[test]
fn an_answer_comes_back_as_it_was() {
    let parsed = response::parse(answer()).unwrap();
    let mut losses = Losses::default();
    let again = response::render(&parsed, &Client::default(), &mut losses);
    for (key, value) in answer().as_object().unwrap() {
        assert_eq!(again[key], *value, "{key}");
    }
    assert!(losses.is_empty());
}

#[test]
fn what_an_answer_repeats_of_the_request_is_no_loss_elsewhere() {
    let parsed = response::parse(answer()).unwrap();
    let mut losses = Losses::default();
    losses.extra(&Pointer::ROOT, &parsed.extra);
    for part in &parsed.choices[0].parts {
        losses.extra(&part.at, &part.extra);
    }
    assert_eq!(losses.list(), "/output/2/phase");
    assert_eq!(parsed.choices[0].finish.as_ref().unwrap().kind, FinishKind::Length);
}

#[test]
fn a_client_sees_a_whole_response_object_of_its_own() {
    let choice = Choice {
        parts: vec![
            Part::new(
                Content::Reasoning(Reasoning {
                    seal: Some(Seal { maker: Maker::Anthropic, data: "s".to_owned(), redacted: false }),
                    ..Reasoning::default()
                }),
                Pointer::of("/content/0"),
            ),
            Part::text("a", Pointer::of("/content/1")),
            Part::text("b", Pointer::of("/content/2")),
            Part::new(
                Content::ToolCall(ToolCall { name: "f".to_owned(), ..ToolCall::default() }),
                Pointer::of("/content/3"),
            ),
        ],
        finish: Some(Finish {
            kind: FinishKind::ToolCalls,
            word: "tool_use".to_owned(),
            stop_sequence: None,
            at: Pointer::of("/stop_reason"),
        }),
        ..Choice::default()
    };
    let answer = Response {
        source: Dialect::Anthropic,
        id: Some("msg_1".to_owned()),
        model: Some("claude".to_owned()),
        created: None,
        choices: vec![choice, Choice { index: 1, at: Pointer::of("/second"), ..Choice::default() }],
        usage: None,
        service_tier: None,
        extra: Extra::new(),
    };
    let mut losses = Losses::default();
    let body = response::render(&answer, &client(), &mut losses);
    let text = |text: &str| json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text});
    let expected = json!([
        {"id": "rs_u_0", "type": "reasoning", "summary": [], "encrypted_content": "tollgate.anthropic.s"},
        {"id": "msg_u_1", "type": "message", "status": "completed", "role": "assistant", "content": [text("a"), text("b")]},
        {"id": "fc_u_2", "type": "function_call", "status": "completed", "arguments": "", "call_id": "call_tg_u_2", "name": "f"},
    ]);
    assert_eq!(body["output"], expected);
    assert_eq!(
        (&body["id"], &body["status"], &body["model"]),
        (&json!("resp_u"), &json!("completed"), &json!("claude"))
    );
    assert_eq!(body["instructions"], "Be brief.");
    assert_eq!(body["text"], json!({"format": {"type": "text"}, "verbosity": "low"}));
    assert!(body["error"].is_null() && body.get("input").is_none());
    assert_eq!(losses.list(), "/second");
}

#[test]
fn errors_are_read_in_every_shape_and_written_in_one() {
    for (status, body, message, code) in [
        (
            400,
            r#"{"error":{"message":"m","type":"invalid_request_error","param":"p","code":"c"}}"#,
            "m",
            Some("c"),
        ),
        (
            200,
            r#"{"type":"error","code":"rate_limit_exceeded","message":"m"}"#,
            "m",
            Some("rate_limit_exceeded"),
        ),
        (502, r#"[{"error":{"message":"m","code":502}}]"#, "m", Some("502")),
        (500, r#"{"error":"m"}"#, "m", None),
        (502, " <html>m</html>\n", "<html>m</html>", None),
        (500, "", "", None),
    ] {
        let failure = error::parse(status, body.as_bytes());
        assert_eq!((failure.message.as_str(), failure.code.as_deref()), (message, code), "{body}");
    }
    let failure = Failure {
        status: 429,
        message: "m".to_owned(),
        kind: Some("RESOURCE_EXHAUSTED".to_owned()),
        ..Failure::default()
    };
    let body = error::render(&failure, "r");
    assert_eq!(
        body,
        json!({"error": {"message": "m", "type": "rate_limit_error", "param": null, "code": null}})
    );
}

#[test]
fn a_message_that_does_not_say_whose_it_is_is_the_assistants() {
    let body = json!({"output": [{"type": "message", "content": [{"type": "output_text", "text": "x"}]}]});
    let parts = response::parse(body).unwrap().choices.remove(0).parts;
    assert!(
        matches!(&parts[..], [Part { content: Content::Text(text), .. }] if text.text == "x"),
        "{parts:?}"
    );
}
