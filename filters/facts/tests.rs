use bytes::Bytes;

use super::*;

fn scan(body: &str) -> Facts {
    Facts::scan(body.as_bytes(), true).unwrap()
}

fn refusal(body: &[u8]) -> String {
    Facts::scan(body, true).unwrap_err().message.into_owned()
}

fn spliced(body: &str, model: Option<&str>, usage: bool) -> String {
    let bytes = Bytes::copy_from_slice(body.as_bytes());
    String::from_utf8(scan(body).splice(&bytes, model, usage).to_vec()).unwrap()
}

#[test]
fn a_body_gives_its_model_and_whether_it_streams() {
    let facts = scan(r#" { "messages" : [{"model":"not this"}], "model":"gpt-4o", "stream" : true } "#);
    assert_eq!(facts.model.unwrap().name, "gpt-4o");
    assert!(facts.stream);
}

#[test]
fn an_escaped_key_is_the_same_key() {
    assert_eq!(scan(r#"{"mod\u0065l":"a\u0062"}"#).model.unwrap().name, "ab");
}

#[test]
fn a_renamed_model_changes_nothing_else() {
    let body = "{\"temperature\":0.70,\n \"model\" : \"fast\", \"x\":1e2}";
    assert_eq!(
        spliced(body, Some("a\"b"), false),
        "{\"temperature\":0.70,\n \"model\" : \"a\\\"b\", \"x\":1e2}"
    );
}

#[test]
fn an_unchanged_body_is_the_same_buffer() {
    let body = Bytes::from_static(br#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#);
    let out = Facts::scan(&body, true).unwrap().splice(&body, Some("m"), true);
    assert_eq!(out.as_ptr(), body.as_ptr());
}

#[test]
fn usage_is_asked_for_however_the_client_left_it_out() {
    for (body, expected) in [
        (r#"{"model":"m"}"#, r#"{"stream_options":{"include_usage":true},"model":"m"}"#),
        (r"{ }", r#"{"stream_options":{"include_usage":true} }"#),
        (r#"{"stream_options":null}"#, r#"{"stream_options":{"include_usage":true}}"#),
        (r#"{"stream_options": {}}"#, r#"{"stream_options": {"include_usage":true}}"#),
        (r#"{"stream_options":{"a":[{}]}}"#, r#"{"stream_options":{"include_usage":true,"a":[{}]}}"#),
        (r#"{"stream_options":{"include_usage": false}}"#, r#"{"stream_options":{"include_usage": true}}"#),
    ] {
        assert_eq!(spliced(body, None, true), expected);
        assert!(scan(expected).asked_for_usage());
    }
}

#[test]
fn both_changes_at_once() {
    assert_eq!(
        spliced(r#"{"stream_options":{"include_usage":false},"model":"x"}"#, Some("longer"), true),
        r#"{"stream_options":{"include_usage":true},"model":"longer"}"#
    );
}

#[test]
fn keys_that_policy_reads_may_stand_once() {
    assert!(refusal(br#"{"model":"a","model":"b"}"#).contains("`model` stands twice"));
    assert!(refusal(br#"{"stream":true,"str\u0065am":false}"#).contains("`stream` stands twice"));
    assert!(
        refusal(br#"{"stream_options":{"include_usage":true,"include_usage":false}}"#)
            .contains("stands twice")
    );
    scan(r#"{"other":1,"other":2}"#);
}

#[test]
fn wrong_types_are_named() {
    assert_eq!(refusal(br#"{"model":4}"#), "`model` must be a string.");
    assert_eq!(refusal(br#"{"stream":"yes"}"#), "`stream` must be true or false.");
    assert_eq!(refusal(br#"{"stream_options":[]}"#), "`stream_options` must be an object.");
    assert!(Facts::scan(br#"{"model":{"a":1},"stream":3,"stream_options":7}"#, false).is_ok());
}

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    for bad in [
        &b""[..],
        b" ",
        b"[]",
        b"\"a\"",
        b"{",
        b"{\"a\"}",
        b"{\"a\":}",
        b"{\"a\":1,}",
        b"{,}",
        b"{\"a\":1}x",
        b"{a:1}",
        b"{\"a\":01}",
        b"{\"a\":1.}",
        b"{\"a\":.5}",
        b"{\"a\":-}",
        b"{\"a\":1e}",
        b"{\"a\":tru}",
        b"{\"a\":nul",
        b"{\"a\":\"\n\"}",
        b"{\"a\":\"\\x\"}",
        b"{\"a\":\"\\u12g4\"}",
        b"{\"a\":\"",
        b"{\"a\":[1,]}",
        b"{\"a\":[1}",
        b"{\"a\":{\"b\":1]}",
        b"{\"a\" 1}",
        b"{\"a\":1 \"b\":2}",
        b"\xef\xbb\xbf{}",
        b"{\"a\":'b'}",
    ] {
        assert!(Facts::scan(bad, true).is_err(), "{}", String::from_utf8_lossy(bad));
    }
    assert!(refusal(b"{\"a\":\"\xff\"}").contains("not valid UTF-8 at byte 6"));
}

#[test]
fn absurd_nesting_is_refused_and_deep_nesting_is_not() {
    let nested = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
    scan(&nested(MAX_DEPTH - 1));
    assert!(refusal(nested(MAX_DEPTH).as_bytes()).contains("nests deeper"));
    assert!(refusal("[".repeat(10_000_000).as_bytes()).contains("JSON object"));
    assert!(refusal(format!("{{\"a\":{}", "[{\"a\":".repeat(1_000_000)).as_bytes()).contains("nests deeper"));
}

#[test]
fn it_agrees_with_serde_json_on_what_is_valid() {
    let pieces =
        ["{", "}", "[", "]", ",", ":", "\"a\"", "1", "-0.5e+3", "true", "null", " ", "\"\\n\"", "0", "\\"];
    // Every sequence of up to six pieces: a small world, walked whole.
    let mut stack = vec![(String::from("{"), 0)];
    while let Some((text, depth)) = stack.pop() {
        let ours = Facts::scan(text.as_bytes(), false).is_ok();
        let theirs = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text).is_ok();
        assert_eq!(ours, theirs, "{text}");
        if depth < 5 {
            stack.extend(pieces.iter().map(|piece| (format!("{text}{piece}"), depth + 1)));
        }
    }
}

#[test]
fn limits_of_the_answer_are_found_in_every_dialect() {
    use crate::exchange::Dialect::{Anthropic, Gemini, OpenaiChat, OpenaiResponses};
    for (dialect, body, tokens, answers) in [
        (Anthropic, r#"{"model":"m","max_tokens":7}"#, Some(7), None),
        (
            OpenaiChat,
            r#"{"model":"m","max_tokens":7,"max_completion_tokens":9,"n":3,"best_of":4}"#,
            Some(9),
            Some(4),
        ),
        (OpenaiResponses, r#"{"model":"m","max_output_tokens":5}"#, Some(5), None),
        (
            Gemini,
            r#"{"generationConfig":{"topK":1,"maxOutputTokens":11,"candidateCount":2}}"#,
            Some(11),
            Some(2),
        ),
        (OpenaiChat, r#"{"model":"m","max_tokens":"many","n":-1}"#, None, None),
        (
            OpenaiChat,
            r#"{"model":"m","max_output_tokens":1,"generationConfig":{"maxOutputTokens":1}}"#,
            None,
            None,
        ),
        (Gemini, r#"{"generationConfig":null}"#, None, None),
    ] {
        let facts = scan(body);
        assert_eq!((facts.max_output_tokens(dialect), facts.answers), (tokens, answers), "{body}");
    }
    assert_eq!(scan(r#"{"conversation":{"id":"c1"},"service_tier":"flex"}"#).conversation.unwrap(), "c1");
    assert_eq!(scan(r#"{"conversation":"c2"}"#).conversation.unwrap(), "c2");
}

#[test]
fn a_file_is_not_counted_as_text() {
    let image = format!("data:image/png;base64,{}", "iVBORw0KGgo".repeat(50_000));
    let body = format!(
        r#"{{"model":"m","messages":[{{"url":"{image}"}},{{"text":"{}"}}]}}"#,
        "some text ".repeat(1000)
    );
    let facts = scan(&body);
    assert_eq!(facts.files, (1, image.len()));
    assert_eq!(facts.input_tokens(body.len() as u64), (body.len() - image.len()).div_ceil(4) as u64 + 1600);
}
