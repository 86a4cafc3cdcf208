//! Every refusal has the shape of the client's dialect, a request id, and says what to change.

use serde_json::json;

use crate::support::{Answer, Client, Gateway, Provider, Reply};

fn gateway() -> (Vec<Provider>, Gateway) {
    let names = ["openai", "anthropic", "gemini"];
    let providers: Vec<_> = names.iter().map(|_| Provider::start(|_| Reply::json(200, "{}"))).collect();
    let tables: String = names.iter().zip(&providers).map(|(name, p)| p.table(name)).collect();
    let gateway = Gateway::start(&format!("body_limit = '1MiB'\nupload_limit = '2MiB'\n{tables}"));
    (providers, gateway)
}

fn message(answer: &Answer) -> String {
    answer.json()["error"]["message"].as_str().unwrap().to_owned()
}

/// The same wrong request in each dialect.
fn in_each_dialect(client: &mut Client, body: &str) -> [Answer; 4] {
    let version = [("content-type", "application/json"), ("anthropic-version", "2023-06-01")];
    [
        client.post("/v1/chat/completions", body),
        client.post("/v1/responses", body),
        client.call("POST", "/v1/messages", &version, body.as_bytes()),
        client.post("/v1beta/models/gemini-2.5-pro:generateContent", body),
    ]
}

fn check_shapes(answers: &[Answer; 4], status: u16, gemini: &str, anthropic: &str) {
    for answer in answers {
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert!(!answer.id().is_empty());
    }
    for openai in &answers[..2] {
        let error = &openai.json()["error"];
        assert!(error["type"].is_string() && error["message"].is_string());
        assert!(error.get("param").is_some() && error.get("code").is_some());
    }
    let body = answers[2].json();
    assert_eq!(
        (&body["type"], &body["error"]["type"], &body["request_id"]),
        (&json!("error"), &json!(anthropic), &json!(answers[2].id()))
    );
    let body = answers[3].json();
    assert_eq!((&body["error"]["code"], &body["error"]["status"]), (&json!(status), &json!(gemini)));
    assert_eq!(body["error"]["details"][0]["requestId"], json!(answers[3].id()));
}

#[test]
fn a_body_that_is_no_json_is_a_400_in_each_dialect() {
    let (_providers, gateway) = gateway();
    let answers = in_each_dialect(&mut gateway.client(), "{\"model\": nope}");
    check_shapes(&answers, 400, "INVALID_ARGUMENT", "invalid_request_error");
    assert!(message(&answers[0]).contains("at byte 10"), "{}", message(&answers[0]));
}

#[test]
fn a_body_over_the_limit_is_a_413_in_each_dialect() {
    let (providers, gateway) = gateway();
    let body = format!("{{\"model\":\"gpt-4o\",\"x\":\"{}\"}}", "y".repeat(1 << 20));
    let version = [("content-type", "application/json"), ("anthropic-version", "2023-06-01")];
    let answers = [
        gateway.client().post("/v1/chat/completions", &body),
        gateway.client().post("/v1/responses", &body),
        gateway.client().call("POST", "/v1/messages", &version, body.as_bytes()),
        gateway.client().post("/v1beta/models/gemini-2.5-pro:generateContent", &body),
    ];
    check_shapes(&answers, 413, "INVALID_ARGUMENT", "request_too_large");
    assert!(providers.iter().all(|p| p.seen().is_empty()));
}

#[test]
fn a_chunked_body_over_the_limit_is_a_413_too_and_an_upload_has_its_own_limit() {
    let (_providers, gateway) = gateway();
    let mut client = gateway.client();
    let body = vec![b' '; 3 << 20];
    let sent =
        client.send_chunked("/v1/chat/completions", &[("content-type", "application/json")], &body, 10_000);
    assert!(sent.is_ok(), "a client that is still sending is not cut off");
    assert_eq!(client.answer().unwrap().status, 413);
    let mut client = gateway.client();
    client
        .send_chunked("/v1/files", &[("content-type", "multipart/form-data; boundary=x")], &body, 10_000)
        .unwrap();
    assert_eq!(client.answer().unwrap().status, 413);
}

#[test]
fn a_request_without_a_model_says_so() {
    let (_providers, gateway) = gateway();
    let answer = gateway.client().post("/v1/chat/completions", "{}");
    assert_eq!((answer.status, &answer.json()["error"]["param"]), (400, &json!("model")));
}

#[test]
fn an_unknown_model_is_a_404_with_the_nearest_names() {
    let (_providers, gateway) = gateway();
    let answer = gateway.client().post("/v1/chat/completions", r#"{"model":"gtp-4o"}"#);
    assert_eq!(answer.status, 404);
    assert!(message(&answer).contains("`gpt-4o`"), "{}", message(&answer));
}

#[test]
fn an_operation_that_no_target_has_is_a_clear_400() {
    let (_providers, gateway) = gateway();
    let answer = gateway.client().post("/v1/embeddings", r#"{"model":"claude-sonnet-4-5","input":"x"}"#);
    assert_eq!(answer.status, 400);
    assert!(message(&answer).contains("`anthropic` speaks anthropic"), "{}", message(&answer));
}

#[test]
fn a_provider_that_is_off_says_why() {
    let (_providers, gateway) = gateway();
    for answer in [
        gateway.client().post("/v1/chat/completions", r#"{"model":"groq/llama-3.3-70b-versatile"}"#),
        gateway.client().post("/groq/openai/v1/chat/completions", r#"{"model":"x"}"#),
    ] {
        assert_eq!(answer.status, 404);
        assert!(message(&answer).contains("GROQ_API_KEY is not set"), "{}", message(&answer));
    }
}

#[test]
fn paths_that_are_none_are_refused() {
    let (providers, gateway) = gateway();
    for (path, status) in [
        ("/", 404),
        ("/favicon.ico", 404),
        ("/v1/../secret", 400),
        ("/v1//files", 400),
        ("/v1/%66iles", 400),
        ("/openai/v1/%2e%2e/x", 400),
    ] {
        let answer = gateway.client().call("GET", path, &[], b"");
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
    }
    assert!(providers.iter().all(|p| p.seen().is_empty()));
}

#[test]
fn a_refused_exchange_leaves_its_connection_usable() {
    let (_providers, gateway) = gateway();
    let mut client = gateway.client();
    for _ in 0..3 {
        assert_eq!(client.post("/v1/chat/completions", "{").status, 400);
        assert_eq!(client.post("/v1/chat/completions", r#"{"model":"gpt-4o"}"#).status, 200);
    }
}

#[test]
fn refusals_are_logged_and_make_no_rows() {
    let (_providers, gateway) = gateway();
    let answer = gateway.client().post("/v1/chat/completions", "[]");
    let line = crate::support::eventually("the log line", || {
        gateway.access_log().into_iter().find(|l| l["request_id"] == json!(answer.id()))
    });
    assert_eq!((&line["status"], &line["attempts"]), (&json!(400), &json!(0)));
    assert!(gateway.rows().is_empty());
}
