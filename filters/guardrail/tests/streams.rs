//! Answers in pieces: wherever they are cut, the client gets the same, and little waits.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Checked, Guard, MAX_HOLD, may_be_sealed};
use super::{
    all, guardrail,
    requests::{planted, said},
};
use crate::chat::{
    Annotation, Choice, Collector, Content, Delta, Event, Losses, Opening, Part, Pointer, Quirks, Response,
    Seal, Text, ToolCall,
};
use crate::error::Kind;
use crate::exchange::Dialect;

fn open(opening: Opening) -> Event {
    Event::Open { choice: 0, part: 0, opening, at: Pointer::ROOT }
}

fn delta(delta: Delta) -> Event {
    Event::Delta { choice: 0, part: 0, delta }
}

/// What comes of a part in pieces; and no more waits than may.
fn through(guard: &mut Guard, opening: Opening, pieces: Vec<Delta>) -> Result<Content, String> {
    let mut out = Vec::new();
    let close = Event::Close { choice: 0, part: 0 };
    let events =
        std::iter::once(open(opening)).chain(pieces.into_iter().map(delta)).chain([close, Event::End]);
    for event in events {
        guard.push(event, &mut out).map_err(|refusal| refusal.to_string())?;
        assert!(guard.waiting() <= MAX_HOLD, "{} bytes wait", guard.waiting());
    }
    let mut collector = Collector::new(Dialect::OpenaiChat);
    for event in &out {
        collector.push(event);
    }
    Ok(collector.finish().unwrap().choices.remove(0).parts.remove(0).content)
}

fn text(guard: &mut Guard, pieces: &[&str]) -> Result<String, String> {
    let pieces = pieces.iter().map(|piece| Delta::Text((*piece).to_owned())).collect();
    match through(guard, Opening::Text, pieces)? {
        Content::Text(text) => Ok(text.text),
        other => panic!("{other:?}"),
    }
}

fn arguments(guard: &mut Guard, pieces: &[&str]) -> String {
    let pieces = pieces.iter().map(|piece| Delta::Arguments((*piece).to_owned())).collect();
    match through(guard, Opening::ToolCall(ToolCall::default()), pieces).unwrap() {
        Content::ToolCall(call) => call.arguments,
        other => panic!("{other:?}"),
    }
}

/// A guard that puts `a@b.com` back for `<EMAIL_1>`, and `"quoted\"` for `<WORD_1>`.
fn restoring() -> Guard {
    let rules = json!([{"name": "word", "words": ["\"quoted\\"], "action": "replace"}]);
    let guardrail = guardrail(json!({"kinds": {"email": "replace"}, "rules": rules}));
    let checked = guardrail.check_text(&mut "a@b.com \"quoted\\".to_owned()).unwrap();
    assert_eq!(checked.originals.len(), 2);
    guardrail.guard(checked, false).unwrap()
}

fn masking() -> Guard {
    let kinds: serde_json::Map<_, _> =
        super::super::Kind::ALL.iter().map(|kind| (kind.as_str().to_owned(), "mask".into())).collect();
    let rules = json!([{"name": "project", "regex": "\\bPRJ-[0-9]{6}\\b", "output": "mask"}]);
    guardrail(json!({"output": kinds, "rules": rules})).guard(Checked::default(), false).unwrap()
}

/// `text` in pieces that end at these places.
fn cut<'a>(text: &'a str, cuts: &[prop::sample::Index]) -> Vec<&'a str> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
    at.retain(|at| text.is_char_boundary(*at));
    at.extend([0, text.len()]);
    at.sort_unstable();
    at.windows(2).map(|ends| &text[ends[0]..ends[1]]).collect()
}

fn one_by_one(text: &str) -> Vec<&str> {
    text.char_indices().map(|(at, c)| &text[at..at + c.len_utf8()]).collect()
}

#[test]
fn a_placeholder_is_put_back_wherever_it_is_cut() {
    let whole = "to <EMAIL_1>, <<EMAIL_1>> <EMAIL_12> <EMAIL_9> a < b <EMAIL_1";
    let expected = "to a@b.com, <a@b.com> <EMAIL_12> <EMAIL_9> a < b <EMAIL_1";
    for first in 0..=whole.len() {
        for second in first..=whole.len() {
            let pieces = [&whole[..first], &whole[first..second], &whole[second..]];
            assert_eq!(text(&mut restoring(), &pieces).unwrap(), expected);
        }
    }
}

#[test]
fn what_cannot_become_a_placeholder_does_not_wait() {
    let mut guard = restoring();
    let mut out = Vec::new();
    guard.push(open(Opening::Text), &mut out).unwrap();
    for piece in ["Hello", " a < b", " <EMAIL_1 ", "<b>"] {
        guard.push(delta(Delta::Text(piece.to_owned())), &mut out).unwrap();
        assert_eq!(guard.waiting(), 0, "{piece}");
    }
    guard.push(delta(Delta::Text("x <EMAI".to_owned())), &mut out).unwrap();
    assert_eq!(guard.waiting(), 5);
}

#[test]
fn in_arguments_a_value_is_written_as_json_and_escaped_placeholders_are_known() {
    let whole =
        r#"{"to":"\u003cEMAIL_1\u003e","q":"<WORD_1>","e":"\ud83d\ude00\\\"","lone":"\ud83dx","n":12}"#;
    let expected = r#"{"to":"a@b.com","q":"\"quoted\\","e":"😀\\\"","lone":"\ud83dx","n":12}"#;
    assert_eq!(arguments(&mut restoring(), &[whole]), expected);
    assert_eq!(arguments(&mut restoring(), &one_by_one(whole)), expected);
    assert_eq!(arguments(&mut restoring(), &[" not json <EMAIL_1>"]), " not json a@b.com");
}

#[test]
fn what_is_to_be_masked_is_masked_wherever_it_is_cut() {
    let whole = "Mail a@b.com or call +49 30 1234567, card 4111 1111 1111 1111, PRJ-123456 at 10.0.0.1.";
    let expected = "Mail [EMAIL] or call [PHONE], card [CARD], [PROJECT] at [IP].";
    assert_eq!(text(&mut masking(), &[whole]).unwrap(), expected);
    assert_eq!(text(&mut masking(), &one_by_one(whole)).unwrap(), expected);
    let written = r#"{"to":"a@b.com","card":4111111111111111,"ssn":"536221234","n":12345}"#;
    let expected = r#"{"to":"[EMAIL]","card":"[CARD]","ssn":"[NATIONAL_ID]","n":12345}"#;
    assert_eq!(arguments(&mut masking(), &[written]), expected);
    assert_eq!(arguments(&mut masking(), &one_by_one(written)), expected);
}

#[test]
fn a_match_of_a_rule_is_found_across_words_wherever_it_is_cut() {
    let rules = json!([
        {"name": "site", "regex": "site [a-z]+ [0-9]+", "output": "mask"},
        {"name": "word", "words": ["New York"], "output": "mask"},
    ]);
    let guardrail = guardrail(json!({"rules": rules}));
    let whole = "In new york, at site alpha 12345, New Yorkers";
    for cut in 0..=whole.len() {
        let mut guard = guardrail.guard(Checked::default(), false).unwrap();
        let answer = text(&mut guard, &[&whole[..cut], &whole[cut..]]).unwrap();
        assert_eq!(answer, "In [WORD], at [SITE], New Yorkers");
    }
    let mut guard = guardrail.guard(Checked::default(), false).unwrap();
    assert_eq!(text(&mut guard, &one_by_one(whole)).unwrap(), "In [WORD], at [SITE], New Yorkers");
}

#[test]
fn a_number_in_groups_waits_for_the_rest_behind_a_long_word_too() {
    let long = format!("{}A0-@4111 1111 1111 1111", "aB3dE6gH9j.".repeat(10));
    let expected = format!("{}A0-@[CARD]", "aB3dE6gH9j.".repeat(10));
    assert_eq!(text(&mut masking(), &one_by_one(&long)).unwrap(), expected);
}

#[test]
fn a_secret_longer_than_what_may_wait_is_masked_to_its_end() {
    let lines = "aB3dE6gH9jaB3dE6gH9jaB3dE6gH9jaB3dE6gH9jaB3dE6gH9jaB3dE6gH9jaB3d\n".repeat(60);
    let pem = format!("Here: -----BEGIN PRIVATE KEY-----\n{lines}-----END PRIVATE KEY-----\nDone. a@b.com");
    assert_eq!(text(&mut masking(), &[&pem]).unwrap(), "Here: [SECRET]\nDone. [EMAIL]");
    assert_eq!(text(&mut masking(), &one_by_one(&pem)).unwrap(), "Here: [SECRET]\nDone. [EMAIL]");
    let jwt = format!("token eyJhbGciOiJIUzI1NiJ9.eyJ{}.abc end", "aB3dE6gH9j".repeat(400));
    assert_eq!(text(&mut masking(), &one_by_one(&jwt)).unwrap(), "token [SECRET] end");
}

#[test]
fn what_is_blocked_ends_the_answer_before_a_byte_of_it_has_gone_out() {
    let guardrail = guardrail(json!({"output": {"card": "block"}}));
    let mut guard = guardrail.guard(Checked::default(), false).unwrap();
    let (mut out, mut refusal) = (Vec::new(), None);
    guard.push(open(Opening::Text), &mut out).unwrap();
    for piece in one_by_one("card 4111 1111 1111 1111, yes") {
        if let Err(refused) = guard.push(delta(Delta::Text(piece.to_owned())), &mut out) {
            refusal = Some(refused);
            break;
        }
    }
    let refusal = refusal.unwrap();
    assert_eq!(
        (refusal.error.kind, refusal.error.param, refusal.findings.total()),
        (Kind::Forbidden, None, 1)
    );
    let mut collector = Collector::new(Dialect::OpenaiChat);
    for event in &out {
        collector.push(event);
    }
    assert_eq!(collector.response().choices[0].parts[0], Part::text("card ", Pointer::ROOT));
}

#[test]
fn reasoning_that_may_be_sealed_is_not_changed_but_checked() {
    let thought = |text: &str| Delta::Thought { summary: false, new: false, text: text.to_owned() };
    let seal =
        Delta::Seal(Seal { maker: crate::chat::Maker::Anthropic, data: "s".to_owned(), redacted: false });
    let run = |guard: &mut Guard| {
        let pieces = vec![thought("to <EMA"), thought("IL_1> c@d.com"), seal.clone()];
        match through(guard, Opening::Reasoning { id: None }, pieces) {
            Ok(Content::Reasoning(reasoning)) => reasoning.text(),
            Ok(other) => panic!("{other:?}"),
            Err(refusal) => refusal,
        }
    };
    for (action, sealed, expected) in [
        ("mask", true, "to <EMAIL_1> c@d.com"),
        ("mask", false, "to a@b.com [EMAIL]"),
        ("block", true, "which this gateway does not let through"),
    ] {
        let guardrail = guardrail(json!({"kinds": {"email": "replace"}, "output": {"email": action}}));
        let checked = guardrail.check_text(&mut "a@b.com".to_owned()).unwrap();
        let answer = run(&mut guardrail.guard(checked, sealed).unwrap());
        assert!(answer.contains(expected), "{answer}");
    }
    assert!(may_be_sealed(Dialect::Anthropic, &Quirks::default()));
    assert!(!may_be_sealed(Dialect::OpenaiChat, &Quirks::default()));
}

#[test]
fn thoughts_stay_apart_when_their_text_waits() {
    let thought = |new, text: &str| Delta::Thought { summary: true, new, text: text.to_owned() };
    let pieces =
        vec![thought(true, "<EMAIL_"), thought(false, "1>"), thought(true, "two <"), thought(true, "")];
    let Content::Reasoning(reasoning) =
        through(&mut restoring(), Opening::Reasoning { id: None }, pieces).unwrap()
    else {
        panic!("no reasoning")
    };
    let texts: Vec<&str> = reasoning.thoughts.iter().map(|thought| thought.text.as_str()).collect();
    assert_eq!(texts, ["a@b.com", "two <", ""]);
}

#[test]
fn citations_move_with_the_text_that_they_are_about() {
    let annotation = |start, end| Annotation {
        start: Some(start),
        end: Some(end),
        title: Some("of <EMAIL_1>".to_owned()),
        raw: json!({"start_index": start, "end_index": end}),
        ..Annotation::default()
    };
    let cited = |annotation: &Annotation| {
        assert_eq!(annotation.raw, json!({"start_index": annotation.start, "end_index": annotation.end}));
        (annotation.start.unwrap(), annotation.end.unwrap(), annotation.title.clone().unwrap())
    };
    // "é <EMAIL_1> said so" becomes "é a@b.com said so".
    let pieces =
        vec![Delta::Text("é <EMAIL_1> said so ".to_owned()), Delta::Annotation(Box::new(annotation(2, 16)))];
    let Content::Text(streamed) = through(&mut restoring(), Opening::Text, pieces).unwrap() else {
        panic!("no text")
    };
    assert_eq!(cited(&streamed.annotations[0]), (2, 14, "of a@b.com".to_owned()));
    let mut response = response(Content::Text(Text {
        text: "é <EMAIL_1> said so ".to_owned(),
        annotations: vec![annotation(2, 16)],
    }));
    restoring().response(&mut response, &mut Losses::default()).unwrap();
    assert_eq!(response.choices[0].parts[0].content, Content::Text(streamed));
}

fn response(content: Content) -> Response {
    let mut collector = Collector::new(Dialect::OpenaiChat);
    collector.push(&open(Opening::Text));
    let mut response = collector.finish().unwrap();
    response.choices = vec![Choice { parts: vec![Part::new(content, Pointer::ROOT)], ..Choice::default() }];
    response
}

#[test]
fn log_probabilities_do_not_spell_out_what_was_masked() {
    let at = Pointer::of("/choices/0/logprobs");
    let logprobs =
        || Event::LogProbs { choice: 0, part: 0, logprobs: crate::chat::At::new(json!({}), at.clone()) };
    let mut out = Vec::new();
    masking().push(logprobs(), &mut out).unwrap();
    restoring().push(logprobs(), &mut out).unwrap();
    assert!(matches!(&out[..], [Event::Lost(loss), Event::LogProbs { .. }] if loss.at == at), "{out:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn replaced_and_put_back_is_what_it_was_at_any_split(original in said(), cuts: Vec<prop::sample::Index>) {
        let guardrail = all("replace");
        let mut asked = original.clone();
        let checked = guardrail.check_text(&mut asked).unwrap();
        if let Some(mut guard) = guardrail.guard(checked, false) {
            prop_assert_eq!(text(&mut guard, &cut(&asked, &cuts)).unwrap(), original);
        }
    }

    #[test]
    fn a_masked_answer_is_the_same_at_any_split(original in said(), cuts: Vec<prop::sample::Index>) {
        let whole = text(&mut masking(), &[&original]).unwrap();
        prop_assert_eq!(&text(&mut masking(), &cut(&original, &cuts)).unwrap(), &whole);
        prop_assert_eq!(&text(&mut masking(), &one_by_one(&original)).unwrap(), &whole);
    }

    #[test]
    fn no_masked_value_is_in_an_answer_at_any_split((original, values) in planted(), cuts: Vec<prop::sample::Index>) {
        let answer = text(&mut masking(), &cut(&original, &cuts)).unwrap();
        prop_assert!(values.iter().all(|value| !answer.contains(value)), "{}", answer);
        let written = json!({"said": original}).to_string();
        let answer = arguments(&mut masking(), &cut(&written, &cuts));
        prop_assert!(values.iter().all(|value| !answer.contains(value)), "{}", answer);
    }

    #[test]
    fn arguments_of_an_answer_stay_json_at_any_split(said in said(), key in said(), cuts: Vec<prop::sample::Index>) {
        let written = json!({key: [said, 4_111_111_111_111_111_u64], "x": {"y": "z"}}).to_string();
        let whole = arguments(&mut masking(), &[&written]);
        prop_assert!(serde_json::from_str::<Value>(&whole).is_ok(), "{} became {}", written, whole);
        prop_assert_eq!(arguments(&mut masking(), &cut(&written, &cuts)), whole);
        let restored = arguments(&mut restoring(), &cut(&written, &cuts));
        prop_assert!(serde_json::from_str::<Value>(&restored).is_ok(), "{} became {}", written, restored);
    }

    #[test]
    fn no_more_waits_than_may(original in "[a-z0-9@.:+/-]{0,4000}", cuts: Vec<prop::sample::Index>) {
        text(&mut masking(), &cut(&original, &cuts)).unwrap();
        text(&mut restoring(), &cut(&original, &cuts)).unwrap();
    }
}
