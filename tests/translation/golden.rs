//! One rich fixture of each dialect, and what comes of it in each other one: read them, they are the documentation.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tollgate::dialect::translate::{
    Form, Translator, parse_request, parse_response, render_request, render_response,
};
use tollgate_filters::chat::Losses;
use tollgate_filters::exchange::Dialect;

use super::targets::{DIALECTS, client, home, target};
use super::wire;

fn folder(dialect: Dialect) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(dialect.as_str())
}

fn fixture(dialect: Dialect, name: &str) -> Vec<u8> {
    std::fs::read(folder(dialect).join(name)).unwrap()
}

/// Compares with the reviewed snapshot; `UPDATE_GOLDEN=1` writes it.
fn hold(dialect: Dialect, name: &str, text: &str, wrong: &mut Vec<String>) {
    let path = folder(dialect).join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    } else if std::fs::read_to_string(&path).ok().as_deref() != Some(text) {
        wrong.push(format!("{}/{name}", dialect.as_str()));
    }
}

fn with_losses(body: &Value, losses: &Losses) -> String {
    let losses: Vec<String> = losses.iter().map(|loss| format!("{} {}", loss.at, word(loss))).collect();
    format!("{}\n", serde_json::to_string_pretty(&json!({"losses": losses, "body": body})).unwrap())
}

fn word(loss: &tollgate_filters::chat::Loss) -> String {
    json!(loss.why).as_str().unwrap_or_default().to_owned()
}

#[test]
fn each_fixture_becomes_what_was_reviewed_in_each_other_dialect() {
    let mut wrong = Vec::new();
    for from in DIALECTS {
        let request = parse_request(from, &fixture(from, "request.json")).unwrap();
        let answer = serde_json::from_slice(&fixture(from, "answer.json")).unwrap();
        let answer = parse_response(from, answer).unwrap();
        let stream = fixture(from, "stream.sse");
        for to in DIALECTS.into_iter().filter(|to| *to != from) {
            let mut losses = Losses::default();
            let body = render_request(to, &request, &target(&request, home(to)), &mut losses);
            hold(from, &format!("request.{to}.json"), &with_losses(&body, &losses), &mut wrong);
            let mut losses = Losses::default();
            let body = render_response(to, &answer, &client(), &mut losses);
            hold(from, &format!("answer.{to}.json"), &with_losses(&body, &losses), &mut wrong);
            let mut translator = Translator::new(from, to, Form::Sse, client());
            let mut out = translator.push(&stream).unwrap().to_vec();
            out.extend_from_slice(&translator.finish().unwrap().0);
            wire::check(to, &out, false).unwrap();
            hold(from, &format!("stream.{to}.sse"), &String::from_utf8(out).unwrap(), &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "look at them, then UPDATE_GOLDEN=1: {wrong:?}");
}

#[test]
fn each_fixture_is_what_it_was_in_its_own_dialect() {
    for dialect in DIALECTS {
        let body: Value = serde_json::from_slice(&fixture(dialect, "request.json")).unwrap();
        let request = parse_request(dialect, body.to_string().as_bytes()).unwrap();
        let mut losses = Losses::default();
        let again = render_request(dialect, &request, &target(&request, home(dialect)), &mut losses);
        assert_eq!(super::identity::differences(&body, &again), [], "{dialect} request");
        let body: Value = serde_json::from_slice(&fixture(dialect, "answer.json")).unwrap();
        let answer = parse_response(dialect, body.clone()).unwrap();
        let again = render_response(dialect, &answer, &client(), &mut losses);
        assert_eq!(super::identity::differences(&body, &again), [], "{dialect} answer");
        assert!(losses.is_empty(), "{dialect}: {}", losses.list());
        wire::check(dialect, &fixture(dialect, "stream.sse"), false).unwrap();
    }
}
