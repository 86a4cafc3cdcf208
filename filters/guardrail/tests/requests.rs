//! Requests and bodies that are checked and edited; configurations that are refused.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{BLOCKED, Checked, Guardrail};
use super::{all, guardrail};
use crate::chat::{
    At, Content, Delta, Event, Maker, Message, Part, Pointer, Reasoning, Request, Role, Seal, Thought, Tool,
    ToolCall, ToolKind, ToolResult,
};
use crate::error::Kind;
use crate::exchange::Dialect;

fn request(parts: Vec<Content>) -> Request {
    let mut request = Request::new(Dialect::OpenaiChat);
    let at = Pointer::of("/messages/0");
    let parts = parts.into_iter().enumerate().map(|(i, part)| Part::new(part, at.key("content").index(i)));
    request.messages.push(Message::new(Role::User, parts.collect(), at));
    request
}

fn text(text: &str) -> Content {
    Part::text(text, Pointer::ROOT).content
}

fn texts(request: &Request) -> Vec<&str> {
    let parts = request.messages.iter().flat_map(|message| &message.parts);
    parts
        .filter_map(|part| if let Content::Text(text) = &part.content { Some(&*text.text) } else { None })
        .collect()
}

fn call(arguments: &str) -> Content {
    Content::ToolCall(ToolCall { arguments: arguments.to_owned(), ..ToolCall::default() })
}

fn arguments(request: &Request) -> &str {
    let Content::ToolCall(call) = &request.messages[0].parts[0].content else { panic!("no call") };
    &call.arguments
}

#[test]
fn the_same_value_gets_the_same_placeholder_and_another_one_another() {
    let mut asked = request(vec![text("from a@b.com to c@d.com"), text("a@b.com and 4111 1111 1111 1111")]);
    let checked = all("replace").check_request(&mut asked).unwrap();
    assert_eq!(texts(&asked), ["from <EMAIL_1> to <EMAIL_2>", "<EMAIL_1> and <CARD_1>"]);
    assert_eq!((checked.edited, checked.originals.len(), checked.findings.total()), (true, 3, 4));
}

#[test]
fn a_placeholder_is_none_that_the_client_wrote_wherever_it_did() {
    let mut asked = request(vec![text("a@b.com"), text("what is <EMAIL_1>?")]);
    let tool = ToolKind::Function {
        name: "send".to_owned(),
        description: Some("to <EMAIL_2>".to_owned()),
        parameters: Some(json!({"description": "for <EMAIL_3> or me@example.com"})),
        strict: None,
    };
    asked.tools.push(Tool {
        kind: tool.clone(),
        at: Pointer::ROOT,
        cache: None,
        extra: json!({}).as_object().unwrap().clone(),
    });
    all("replace").check_request(&mut asked).unwrap();
    assert_eq!(texts(&asked), ["<EMAIL_4>", "what is <EMAIL_1>?"]);
    assert_eq!(asked.tools[0].kind, tool, "declarations stay as they are");
}

#[test]
fn what_is_blocked_is_named_by_kind_and_place_and_never_by_its_value() {
    let mut asked = request(vec![text("hello"), text("my card: 4111 1111 1111 1111")]);
    let guardrail = guardrail(json!({"kinds": {"card": "block", "email": "mask"}}));
    let refusal = guardrail.check_request(&mut asked).unwrap_err();
    let shown = format!("{refusal} {refusal:?}");
    assert_eq!((refusal.error.kind, refusal.error.code), (Kind::Forbidden, Some(BLOCKED)));
    assert_eq!(refusal.error.param.as_deref(), Some("/messages/0/content/1"));
    assert!(shown.contains("`card`") && !shown.contains("1111"), "{shown}");
    assert_eq!(refusal.findings.total(), 1);
}

#[test]
fn nothing_of_a_value_is_in_what_is_printed() {
    let mut asked = request(vec![text("a@b.com")]);
    let guardrail = all("replace");
    let checked = guardrail.check_request(&mut asked).unwrap();
    let shown = format!("{checked:?}");
    assert!(!shown.contains("a@b.com"), "{shown}");
    let mut guard = guardrail.guard(checked, false).unwrap();
    let delta = Delta::Text("a@b.com <EMAI".to_owned());
    let at = Pointer::ROOT;
    guard
        .push(Event::Open { choice: 0, part: 0, opening: crate::chat::Opening::Text, at }, &mut Vec::new())
        .unwrap();
    guard.push(Event::Delta { choice: 0, part: 0, delta }, &mut Vec::new()).unwrap();
    let shown = format!("{guard:?}");
    assert!(!shown.contains("a@b.com") && !shown.contains("<EMAI"), "{shown}");
}

#[test]
fn arguments_stay_json_and_a_number_that_is_found_becomes_a_string() {
    let mut asked = request(vec![call(
        r#"{"to":"a\u0040b.com","card":4111111111111111,"ssn":"536221234","n":[1.5e3,"x\n"]}"#,
    )]);
    all("mask").check_request(&mut asked).unwrap();
    let edited: Value = serde_json::from_str(arguments(&asked)).unwrap();
    assert_eq!(
        edited,
        json!({"to": "[EMAIL]", "card": "[CARD]", "ssn": "[NATIONAL_ID]", "n": [1.5e3, "x\n"]})
    );
}

#[test]
fn arguments_in_which_nothing_is_found_keep_every_byte() {
    let written = r#"{ "a" : "\u00e9\/", "n": 1.0 }"#;
    let mut asked = request(vec![call(written), text("a@b.com")]);
    all("mask").check_request(&mut asked).unwrap();
    assert_eq!(arguments(&asked), written);
}

#[test]
fn results_of_tools_are_edited_and_sealed_reasoning_is_not() {
    let result = ToolResult { parts: vec![Part::text("a@b.com", Pointer::ROOT)], ..ToolResult::default() };
    let object = ToolResult {
        parts: vec![Part::text(r#"{"card":4111111111111111}"#, Pointer::ROOT)],
        object: true,
        ..ToolResult::default()
    };
    let thought = |seal| {
        let thoughts = vec![Thought { summary: false, text: "a@b.com, <EMAIL_1>".to_owned() }];
        Content::Reasoning(Reasoning { id: None, thoughts, seal })
    };
    let seal = Seal { maker: Maker::Anthropic, data: "s".to_owned(), redacted: false };
    let sealed = thought(Some(seal));
    let mut asked = request(vec![Content::ToolResult(result), Content::ToolResult(object), sealed.clone()]);
    all("replace").check_request(&mut asked).unwrap();
    let parts = &asked.messages[0].parts;
    let said = |at: usize| match &parts[at].content {
        Content::ToolResult(result) => match &result.parts[0].content {
            Content::Text(text) => text.text.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    // The placeholder in a thought means the value that it meant when it was thought.
    assert_eq!((said(0).as_str(), said(1).as_str()), ("<EMAIL_1>", r#"{"card":"<CARD_1>"}"#));
    assert_eq!(parts[2].content, sealed);
    let mut asked = request(vec![thought(None)]);
    all("mask").check_request(&mut asked).unwrap();
    let Content::Reasoning(reasoning) = &asked.messages[0].parts[0].content else { panic!("no reasoning") };
    assert_eq!(reasoning.thoughts[0].text, "[EMAIL], <EMAIL_1>");
}

#[test]
fn names_metadata_and_what_only_a_dialect_knows_are_edited() {
    let mut asked = request(vec![]);
    asked.user = Some(At::new("a@b.com".to_owned(), Pointer::of("/user")));
    asked.metadata =
        Some(At::new(json!({"phone": "5551234567"}).as_object().unwrap().clone(), Pointer::of("/metadata")));
    asked.extra.insert("note".to_owned(), json!(["a@b.com", {"id": "c@d.com"}]));
    all("replace").check_request(&mut asked).unwrap();
    assert_eq!(asked.user.unwrap().value, "EMAIL");
    assert_eq!(Value::Object(asked.metadata.unwrap().value), json!({"phone": "<PHONE_1>"}));
    assert_eq!(asked.extra["note"], json!(["<EMAIL_1>", {"id": "c@d.com"}]));
}

#[test]
fn more_values_than_can_be_put_back_are_masked() {
    let mut long: String = (0..10_050).flat_map(|i| [i.to_string(), "@example.com ".to_owned()]).collect();
    let checked = all("replace").check_text(&mut long).unwrap();
    assert_eq!(checked.originals.len(), 10_000);
    assert_eq!((long.matches("[EMAIL]").count(), long.matches("@example").count()), (50, 0));
}

#[test]
fn other_bodies_are_edited_by_splices_and_keep_all_other_bytes() {
    let body = br#"{ "input" : ["caf\u00e9 a@b.com", "x"],"model":"m@n.com" , "n":4111111111111111 }"#;
    let guardrail = all("replace");
    let (edited, checked) = guardrail.check_json(body).unwrap();
    let expected = r#"{ "input" : ["café <EMAIL_1>", "x"],"model":"m@n.com" , "n":4111111111111111 }"#;
    assert_eq!(String::from_utf8(edited.unwrap()).unwrap(), expected);
    let mut guard = guardrail.guard(checked, false).unwrap();
    let answer = guard.json(br#"{"a":"\u003cEMAIL_1>, you", "b":"<EMAIL_2>"}"#).unwrap().unwrap();
    assert_eq!(String::from_utf8(answer).unwrap(), r#"{"a":"a@b.com, you", "b":"<EMAIL_2>"}"#);
    let (untouched, checked) = guardrail.check_json(br#"{"input": "clean"}"#).unwrap();
    assert!(untouched.is_none() && !checked.edited && guardrail.guard(checked, false).is_none());
    let refusal = all("block").check_json(br#"{"a":{"b":[1,{"x":1},{"c~/":["", "a@b.com"]}]}}"#).unwrap_err();
    assert_eq!(refusal.error.param.as_deref(), Some("/a/b/2/c~0~1/1"));
}

#[test]
fn a_body_in_which_nothing_is_found_is_known_without_reading_it() {
    let guardrail = all("mask");
    for (body, finds) in [
        (r#"{"messages":[{"role":"user","content":"hello 12"}],"max_tokens":100000}"#, false),
        (r#"{"messages":[{"role":"user","content":"a\u0040b.com"}]}"#, true),
        (r#"{"contents":[{"parts":[{"functionCall":{"args":{"card":4111111111111111}}}]}]}"#, true),
        (r#"{"contents":[{"parts":[{"functionCall":{"args":{"ssn":536221234}}}]}]}"#, true),
        (r#"{"data":"4111111111111111"}"#, true),
        (r#"{"id":"4111111111111111"}"#, false),
    ] {
        assert_eq!(guardrail.finds(body.as_bytes()), finds, "{body}");
    }
    let picture = format!(r#"{{"url":"data:image/png;base64,{}4111111111111111"}}"#, "A".repeat(300));
    assert!(!guardrail.finds(picture.as_bytes()));
}

/// Values and what is around them.
pub fn said() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[ a-zA-Z0-9.,@:<>\"\\\\_\n-]{0,12}",
        1 => "\\PC{0,6}",
        1 => Just("a@b.com".to_owned()),
        1 => Just("john.doe@example.org".to_owned()),
        1 => Just("4111 1111 1111 1111".to_owned()),
        1 => Just("DE89 3704 0044 0532 0130 00".to_owned()),
        1 => Just("+49 30 1234567".to_owned()),
        1 => Just("192.168.1.10".to_owned()),
        1 => Just("sk-ant-api03-aB3dE6gH9jaB3dE6gH9jaB3dE6gH9j".to_owned()),
        1 => Just("<EMAIL_1>".to_owned()),
        1 => Just(" ssn 536-22-1234 ".to_owned()),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// Values that stand apart, and a text with all of them.
pub fn planted() -> impl Strategy<Value = (String, Vec<&'static str>)> {
    let values = prop::sample::select(vec![
        "john.doe@example.org",
        "4111 1111 1111 1111",
        "DE89 3704 0044 0532 0130 00",
        "+49 30 1234567",
        "192.168.1.10",
        "00:1a:2b:3c:4d:5e",
        "sk-ant-api03-aB3dE6gH9jaB3dE6gH9jaB3dE6gH9j",
        "536-22-1234",
    ]);
    prop::collection::vec(("[ a-zA-Z,\"\\\\\nä€]{0,20}", values), 1..8).prop_map(|pieces| {
        let text = pieces.iter().flat_map(|(noise, value)| [noise, " ", value, ", "]).collect();
        (text, pieces.into_iter().map(|(_, value)| value).collect())
    })
}

/// What a client gets if a provider repeats what it was asked.
fn echoed(guardrail: &Arc<Guardrail>, checked: Checked, said: &str) -> String {
    match guardrail.guard(checked, false) {
        None => said.to_owned(),
        Some(mut guard) => {
            let mut body = json!([said]);
            if let Some(edited) = guard.json(body.to_string().as_bytes()).unwrap() {
                body = serde_json::from_slice(&edited).unwrap();
            }
            body[0].as_str().unwrap().to_owned()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn replaced_and_put_back_is_what_it_was(original in said()) {
        let guardrail = all("replace");
        let mut asked = original.clone();
        let checked = guardrail.check_text(&mut asked).unwrap();
        prop_assert_eq!(echoed(&guardrail, checked, &asked), original);
    }

    #[test]
    fn what_was_masked_or_replaced_is_not_there_any_more((original, values) in planted()) {
        for action in ["mask", "replace"] {
            let mut edited = original.clone();
            all(action).check_text(&mut edited).unwrap();
            prop_assert!(values.iter().all(|value| !edited.contains(value)), "{}", edited);
        }
    }

    #[test]
    fn arguments_are_json_whatever_is_in_them(said in said(), key in said(), number in any::<u64>()) {
        let written = json!({key: [said, number], "n": number}).to_string();
        let mut asked = request(vec![call(&written)]);
        all("replace").check_request(&mut asked).unwrap();
        let edited: Result<Value, _> = serde_json::from_str(arguments(&asked));
        prop_assert!(edited.is_ok(), "{} became {}", written, arguments(&asked));
    }
}
