//! What goes up and what comes down in a plain exchange: headers, credentials, names, usage.

use serde_json::json;

use crate::support::{Gateway, Provider, Reply};

const ANSWER: &str = r#"{"id":"c1","model":"gpt-4o-2024-08-06","choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}"#;

fn openai(extra: &str) -> (Provider, Gateway) {
    let provider = Provider::start(|_| {
        Reply::full(
            200,
            &[
                ("content-type", "application/json"),
                ("x-request-id", "req_theirs"),
                ("x-ratelimit-remaining-requests", "99"),
                ("openai-organization", "org-1"),
                ("set-cookie", "__cf_bm=1; domain=.openai.com"),
                ("alt-svc", "h3=\":443\""),
            ],
            ANSWER.as_bytes(),
        )
    });
    let gateway = Gateway::start(&format!("{extra}{}", provider.table("openai")));
    (provider, gateway)
}

#[test]
fn headers_that_are_the_providers_pass_and_the_others_do_not() {
    let (provider, gateway) = openai("");
    let answer = gateway.client().call(
        "POST",
        "/v1/chat/completions",
        &[
            ("content-type", "application/json"),
            ("authorization", "Bearer sk-clients-own"),
            ("x-api-key", "sk-clients-own"),
            ("cookie", "session=secret"),
            ("openai-beta", "assistants=v2"),
            ("openai-organization", "org-2"),
            ("idempotency-key", "idem-1"),
            ("x-stainless-lang", "python"),
            ("x-request-id", "client-7"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("x-forwarded-for", "10.1.2.3"),
            ("forwarded", "for=10.1.2.3"),
            ("via", "1.1 edge"),
            ("x-real-ip", "10.1.2.3"),
            ("x-tollgate-thread", "t1"),
            ("connection", "keep-alive, x-hop"),
            ("x-hop", "1"),
            ("te", "trailers"),
        ],
        br#"{"model":"gpt-4o","messages":[]}"#,
    );
    assert_eq!(answer.status, 200);
    let seen = provider.last();
    assert_eq!(seen.header("host"), Some(provider.address.to_string().as_str()));
    assert_eq!(seen.header("authorization"), Some("Bearer sk-of-openai"));
    for (name, value) in [
        ("openai-beta", "assistants=v2"),
        ("openai-organization", "org-2"),
        ("idempotency-key", "idem-1"),
        ("x-stainless-lang", "python"),
        ("x-request-id", "client-7"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ] {
        assert_eq!(seen.header(name), Some(value), "{name} goes up");
    }
    for name in [
        "cookie",
        "x-api-key",
        "x-forwarded-for",
        "forwarded",
        "via",
        "x-real-ip",
        "x-tollgate-thread",
        "x-hop",
        "te",
    ] {
        assert_eq!(seen.header(name), None, "{name} stays here");
    }
    assert_eq!(answer.header("x-request-id"), Some("req_theirs"));
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some("99"));
    assert_eq!(answer.header("openai-organization"), Some("org-1"));
    assert_eq!(answer.header("x-tollgate-provider"), Some("openai"));
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(answer.header("alt-svc"), None);
    assert_eq!(answer.text(), ANSWER);
    let log = crate::support::eventually("the log line", || gateway.access_log().pop());
    assert_eq!(log["request_id"], json!(answer.id()));
    assert_eq!(log["client_request_id"], json!("client-7"));
    assert_eq!(log["answered_by"]["input_tokens"], json!(9));
}

#[test]
fn where_a_provider_sends_no_request_id_ours_stands_there() {
    let provider = Provider::start(|_| Reply::json(200, ANSWER));
    let gateway = Gateway::start(&provider.table("openai"));
    let answer = gateway.client().post("/v1/chat/completions", r#"{"model":"gpt-4o","messages":[]}"#);
    assert_eq!(answer.header("x-request-id"), Some(answer.id()));
}

#[test]
fn a_row_says_who_what_and_how_much() {
    let (_provider, gateway) =
        openai("[[keys]]\nname='app'\nkey='tg-0123456789abcdef'\norg='acme'\nuser='ann'\n");
    let mut client = gateway.client();
    let body = br#"{"model":"openai/gpt-4o","messages":[]}"#;
    let headers = [("content-type", "application/json"), ("authorization", "Bearer tg-0123456789abcdef")];
    let answer = client.call("POST", "/v1/chat/completions", &headers, body);
    let row = &gateway.rows_of(answer.id(), 1)[0];
    for (name, value) in [
        ("attempt", json!(1)),
        ("org", json!("acme")),
        ("user", json!("ann")),
        ("key", json!("app")),
        ("dialect", json!("openai_chat")),
        ("operation", json!("chat")),
        ("provider", json!("openai")),
        ("model_asked", json!("openai/gpt-4o")),
        ("model", json!("gpt-4o")),
        ("model_answered", json!("gpt-4o-2024-08-06")),
        ("status", json!(200)),
        ("finish_reason", json!("stop")),
        ("input_tokens", json!(9)),
        ("output_tokens", json!(3)),
        ("measured", json!(true)),
        // 9 × 2.50 + 3 × 10 dollars a million
        ("cost", json!("0.0000525")),
        ("request_bytes", json!(body.len() - "openai/".len())),
        ("response_bytes", json!(ANSWER.len())),
    ] {
        assert_eq!(row[name], value, "{name}");
    }
    assert!(row["ttfb_ms"].as_f64().unwrap() <= row["duration_ms"].as_f64().unwrap());
    let report = String::from_utf8(gateway.cli(&["usage", "--by", "key", "--since", "1h"]).stdout).unwrap();
    assert!(report.contains("app") && report.contains("0.0000525"), "{report}");
}

#[test]
fn a_model_is_reached_by_full_name_alias_and_bare_name_and_only_its_name_is_spliced() {
    let (provider, gateway) =
        openai("[models.fast]\ntargets = [{ provider = 'openai', model = 'gpt-4o-mini' }]\n");
    let mut client = gateway.client();
    for (asked, sent) in [("openai/gpt-4o", "gpt-4o"), ("fast", "gpt-4o-mini"), ("gpt-4o", "gpt-4o")] {
        let body = format!(
            "{{ \"temperature\": 0.70,\"model\" :\"{asked}\" , \"x\":[1e2,\"\\u00e9\"], \"messages\":[] }}"
        );
        assert_eq!(client.post("/v1/chat/completions", &body).status, 200);
        let sent = body.replace(&format!("\"{asked}\""), &format!("\"{sent}\""));
        assert_eq!(String::from_utf8(provider.last().body).unwrap(), sent);
    }
}

#[test]
fn a_gemini_model_is_renamed_in_the_path_and_the_key_leaves_the_query() {
    let provider = Provider::start(|_| {
        Reply::json(200, r#"{"candidates":[],"usageMetadata":{"promptTokenCount":4,"totalTokenCount":4}}"#)
    });
    let gateway = Gateway::start(&format!(
        "[models.quick]\ntargets=[{{provider='gemini',model='gemini-2.5-flash'}}]\n{}",
        provider.table("gemini")
    ));
    let mut client = gateway.client();
    for path in [
        "/v1beta/models/quick:generateContent",
        "/v1beta/models/gemini%2Fgemini-2.5-flash:generateContent",
        "/v1beta/models/gemini-2.5-flash:generateContent",
    ] {
        let answer = client.post(&format!("{path}?key=client-key&alt=json"), r#"{"contents":[]}"#);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let seen = provider.last();
        assert_eq!(seen.target, "/v1beta/models/gemini-2.5-flash:generateContent?alt=json");
        assert_eq!(seen.header("x-goog-api-key"), Some("sk-of-gemini"));
        assert_eq!(gateway.rows_of(answer.id(), 1)[0]["input_tokens"], json!(4));
    }
}

#[test]
fn an_upload_link_leads_through_the_gateway() {
    let address = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let known = address.clone();
    let provider = Provider::start(move |seen| {
        if seen.target.contains("upload_id") {
            return Reply::json(200, r#"{"file":{}}"#);
        }
        let link = format!("{}/upload/v1beta/files?upload_id=7", known.get().unwrap());
        Reply::full(200, &[("x-goog-upload-url", &link)], b"")
    });
    address.set(provider.url()).unwrap();
    let gateway = Gateway::start(&provider.table("gemini"));
    let mut client = gateway.client();
    let answer = client.call(
        "POST",
        "/upload/v1beta/files",
        &[("x-goog-api-key", "k"), ("content-type", "application/json")],
        b"{}",
    );
    let link = answer.header("x-goog-upload-url").unwrap();
    let path = link.strip_prefix("http://gateway.test").unwrap();
    assert_eq!(path, "/gemini/upload/v1beta/files?upload_id=7");
    let body = [0_u8, 255, 7];
    assert_eq!(
        client.call("POST", path, &[("x-goog-upload-command", "upload, finalize")], &body).status,
        200
    );
    assert_eq!(provider.last().body, body);
    assert_eq!(provider.last().header("x-goog-api-key"), Some("sk-of-gemini"));
}

#[test]
fn usage_is_asked_for_on_the_clients_behalf_and_taken_out_again() {
    let provider = Provider::start(|_| {
        Reply::sse(
            "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}],\"usage\":null}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2,\"total_tokens\":7}}\n\ndata: [DONE]\n\n",
        )
    });
    let gateway = Gateway::start(&provider.table("openai"));
    let mut client = gateway.client();
    let answer = client.post("/v1/chat/completions", r#"{"model":"gpt-4o","stream":true,"messages":[]}"#);
    assert_eq!(
        answer.text(),
        "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}],\"usage\":null}\n\ndata: [DONE]\n\n"
    );
    assert_eq!(provider.last().json()["stream_options"], json!({"include_usage": true}));
    let row = &gateway.rows_of(answer.id(), 1)[0];
    assert_eq!(
        (&row["input_tokens"], &row["output_tokens"], &row["measured"]),
        (&json!(5), &json!(2), &json!(true))
    );

    let asked = r#"{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#;
    let answer = client.post("/v1/chat/completions", asked);
    assert!(answer.text().contains("prompt_tokens"), "a client that asked gets its usage chunk");
    assert_eq!(provider.last().body, asked.as_bytes());
}

#[test]
fn what_no_usage_tells_is_estimated_and_said_so() {
    let provider = Provider::start(|_| {
        Reply::json(200, r#"{"model":"gpt-4o","choices":[{"message":{"content":"12345678"}}]}"#)
    });
    let gateway = Gateway::start(&provider.table("openai"));
    let answer = gateway.client().post("/v1/chat/completions", r#"{"model":"gpt-4o","messages":[]}"#);
    let row = &gateway.rows_of(answer.id(), 1)[0];
    assert_eq!(row["measured"], json!(false));
    assert_eq!((&row["input_tokens"], &row["output_tokens"]), (&json!(8), &json!(2)));
}

#[test]
fn a_total_that_does_not_add_up_is_counted_and_the_parts_win() {
    let provider = Provider::start(|_| {
        Reply::json(
            200,
            r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":70}}"#,
        )
    });
    let gateway = Gateway::start(&provider.table("openai"));
    let answer = gateway.client().post("/v1/chat/completions", r#"{"model":"gpt-4o","messages":[]}"#);
    let row = &gateway.rows_of(answer.id(), 1)[0];
    assert_eq!((&row["input_tokens"], &row["output_tokens"]), (&json!(5), &json!(2)));
    assert!(
        (gateway.metric("tollgate_usage_total_mismatch_total{provider=\"openai\"}") - 1.0).abs()
            < f64::EPSILON
    );
}

#[test]
fn an_unknown_price_is_null_and_never_zero() {
    let provider = Provider::start(|_| {
        Reply::json(200, r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#)
    });
    let gateway = Gateway::start(&provider.table("openai"));
    let answer =
        gateway.client().post("/v1/chat/completions", r#"{"model":"openai/gpt-99-turbo","messages":[]}"#);
    assert_eq!(gateway.rows_of(answer.id(), 1)[0]["cost"], json!(null));
}

#[test]
fn a_provider_is_named_by_a_header_where_no_model_names_it() {
    let first = Provider::start(|_| Reply::json(200, "{}"));
    let second = Provider::start(|_| Reply::json(200, "{}"));
    let gateway = Gateway::start(&format!("{}{}", first.table("openai"), second.table("mistral")));
    let mut client = gateway.client();
    assert_eq!(client.call("GET", "/v1/files", &[], b"").header("x-tollgate-provider"), Some("openai"));
    let named = client.call("GET", "/v1/files", &[("x-tollgate-provider", "mistral")], b"");
    assert_eq!(named.header("x-tollgate-provider"), Some("mistral"));
    assert_eq!(second.last().header("x-tollgate-provider"), None);
}

#[test]
fn websockets_are_refused_clearly() {
    let (_provider, gateway) = openai("");
    let headers = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ];
    let answer = gateway.client().call("GET", "/v1/realtime", &headers, b"");
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("WebSockets"));
}
