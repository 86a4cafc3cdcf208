//! Paths and models in disguise, which would dodge a rule that a plainer one meets.

use crate::support::policy::{key, post, provider};

use super::{CHAT, post_raw, raw, start, status};

/// Ways to write the path of a chat that is not the path of a chat.
const DISGUISES: [&str; 22] = [
    "/v1//chat/completions",
    "//v1/chat/completions",
    "/v1/./chat/completions",
    "/v1/embeddings/../chat/completions",
    "/v1/embeddings/%2e%2e/chat/completions",
    "/v1/embeddings%2f..%2fchat/completions",
    "/v1/%63hat/completions",
    "/v1/chat%2Fcompletions",
    "/v1/chat%2fcompletions",
    "/V1/chat/completions",
    "/v1/Chat/Completions",
    "/v1/CHAT/COMPLETIONS",
    "/v1/chat/completions.",
    "/v1/chat./completions",
    "/v1/chat/completions;a=b",
    "/v1;a=b/chat/completions",
    "/v1/chat/completions%20",
    "/v1/chat/completions%00",
    "/v1/chat\\completions",
    "/openai/v1//chat/completions",
    "/openai/v1/Chat/completions",
    "/openai//v1/chat/completions",
];

#[test]
fn a_path_in_disguise_does_not_get_past_the_operations_that_a_key_may_use() {
    let provider = provider();
    let keys = format!(
        "{}{}",
        key("emb", "operations = ['embeddings', 'models']"),
        key("oth", "operations = ['other', 'embeddings']")
    );
    let gateway = start(&provider, &keys);
    for who in ["emb", "oth"] {
        for target in DISGUISES.into_iter().chain([
            "/v1/chat/completions",
            "/v1/chat/completions/",
            "http://gateway.test/v1/chat/completions",
            "http://gateway.test/v1/Chat/completions",
        ]) {
            let answer = raw(&gateway, post_raw(target, who, CHAT).as_bytes());
            let status = status(&answer);
            assert!((400..500).contains(&status), "{who} {target}: {answer}");
            assert_eq!(provider.seen().len(), 0, "{who} {target}");
        }
    }
}

#[test]
fn a_path_in_disguise_does_not_get_past_the_models_that_a_key_may_use() {
    let provider = provider();
    let gateway = start(&provider, &key("one", "models = ['openai/m-1']"));
    for target in [
        "/v1beta/models/m-2:generateContent",
        "/v1beta/models/M-1:generateContent",
        "/v1beta/models/m-1/../m-2:generateContent",
        "/v1beta/models/m-1%2F..%2Fm-2:generateContent",
        "/v1beta/models/m%2d2:generateContent",
        "/v1beta/models/m-2:GenerateContent",
        "/v1beta/Models/m-2:generateContent",
        "/v1beta/models/m-2%3AgenerateContent",
        "/v1beta/models/m-2:streamGenerateContent",
        "/v1beta/tunedModels/m-2:generateContent",
        "/openai/v1beta/models/m-2:generateContent",
        "/v1beta/models/m-1:generateContent/../../m-2:generateContent",
        "/v1beta/models/m-1:countTokens/../m-2:generateContent",
    ] {
        let answer = raw(&gateway, post_raw(target, "one", r#"{"contents":[]}"#).as_bytes());
        assert!((400..500).contains(&status(&answer)), "{target}: {answer}");
        assert_eq!(provider.seen().len(), 0, "{target}");
    }
    // The body's model does not count where the path names one, and the other way round.
    let body = r#"{"contents":[{"parts":[{"text":"Hi"}]}],"model":"m-1"}"#;
    assert_eq!(
        post(&gateway, "one", "/v1beta/models/m-2:generateContent", body, &[]).status,
        403,
        "the path's model counts"
    );
    let body = r#"{"contents":[{"parts":[{"text":"Hi"}]}],"model":"m-2"}"#;
    let answer = post(&gateway, "one", "/v1beta/models/m-1:generateContent", body, &[]);
    if answer.status == 200 {
        assert!(provider.last().target.contains("models/m-1:generateContent"));
    }
}

#[test]
fn a_providers_prefix_does_not_get_past_the_providers_that_a_key_may_use() {
    let (own, other) = (provider(), provider());
    let gateway = start(&own, &format!("{}{}", key("one", "providers = ['openai']"), other.table("second")));
    for (target, more) in [
        ("/second/v1/chat/completions", None),
        ("/SECOND/v1/chat/completions", None),
        ("/%73econd/v1/chat/completions", None),
        ("/openai/../second/v1/chat/completions", None),
        ("/v1/files", Some(("x-tollgate-provider", "second"))),
        ("/v1/chat/completions", Some(("x-tollgate-provider", "second"))),
        ("/openai/second/v1/chat/completions", None),
    ] {
        let more: Vec<_> = more.into_iter().collect();
        let _ = post(&gateway, "one", target, CHAT, &more);
        assert_eq!(other.seen().len(), 0, "{target}");
    }
    let _ = post(&gateway, "one", "/v1/chat/completions", r#"{"model":"second/m-1","messages":[]}"#, &[]);
    assert_eq!(other.seen().len(), 0);
}

#[test]
fn a_model_named_twice_is_refused_however_it_is_written() {
    let provider = provider();
    let gateway = start(&provider, &key("one", "models = ['m-1']"));
    for body in [
        r#"{"model":"m-1","model":"m-2","messages":[]}"#,
        r#"{"model":"m-2","model":"m-1","messages":[]}"#,
        r#"{"model":"m-1","\u006dodel":"m-2","messages":[]}"#,
        r#"{"mod\u0065l":"m-2","model":"m-1","messages":[]}"#,
        r#"{"model":["m-1"],"messages":[]}"#,
        r#"{"model":{"a":"m-1"},"messages":[]}"#,
        r#"{"model":null,"messages":[]}"#,
        r#"[{"model":"m-1"}]"#,
        "{\"model\":\"m-1\"} {\"model\":\"m-2\"}",
        "\u{feff}{\"model\":\"m-1\"}",
    ] {
        let answer = post(&gateway, "one", "/v1/chat/completions", body, &[]);
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
    }
    for body in [
        r#"{"Model":"m-1","messages":[]}"#,
        r#"{"model":"m-2","messages":[]}"#,
        r#"{"model":"m-1\u0000","messages":[]}"#,
        r#"{"model":"M-1","messages":[]}"#,
    ] {
        let answer = post(&gateway, "one", "/v1/chat/completions", body, &[]);
        assert!((400..=404).contains(&answer.status), "{body}: {}", answer.text());
    }
    assert_eq!(provider.seen().len(), 0);
}
