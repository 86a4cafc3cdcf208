//! The comparison can fail: what is changed behind its back is found, and told only by a loss at its place.

use serde_json::{Value, json};
use tollgate::dialect::translate::parse_request;
use tollgate_filters::chat::{Losses, Pointer};
use tollgate_filters::exchange::Dialect;

use super::diff::{Difference, compare};
use super::lay;
use super::verdict::Trip;

fn chat() -> Value {
    json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": "https://a.example/b.png", "detail": "high"}},
                {"type": "text", "text": "b"},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
                {"id": "c2", "type": "function", "function": {"name": "f", "arguments": "{\"x\":2}"}},
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": "one"},
            {"role": "tool", "tool_call_id": "c2", "content": "two"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "integer", "minimum": 1}}}}}],
        "temperature": 0.5,
        "seed": 1,
    })
}

fn differences(one: &Value, other: &Value) -> Vec<Difference> {
    let read = |body: &Value| {
        lay::request(&parse_request(Dialect::OpenaiChat, body.to_string().as_bytes()).unwrap())
    };
    compare(&read(one), &read(other), true)
}

#[test]
fn every_change_is_found_where_it_was_made() {
    let changes = [
        ("/temperature", json!(0.25), "/temperature"),
        ("/seed", Value::Null, "/seed"),
        ("/messages/0/content", json!("t"), "/messages/0"),
        ("/messages/1/content/1/image_url/detail", Value::Null, "/messages/1/content/1"),
        ("/messages/1/content/2/text", json!("c"), "/messages/1/content/2"),
        ("/messages/2/tool_calls/1/function/arguments", json!("{\"x\":3}"), "/messages/2/tool_calls/1"),
        ("/messages/3/tool_call_id", json!("c2"), "/messages/3"),
        ("/messages/4/content", json!("three"), "/messages/4"),
        ("/tools/0/function/parameters/properties/x/minimum", json!(2), "/tools/0"),
    ];
    assert!(differences(&chat(), &chat()).is_empty());
    for (pointer, value, at) in changes {
        let mut other = chat();
        *other.pointer_mut(pointer).unwrap() = value;
        let found = differences(&chat(), &other);
        let there = |d: &Difference| d.at.as_ref().is_some_and(|place| place.as_str().starts_with(at));
        assert!(found.iter().any(there), "{pointer}: {found:?}");
    }
}

#[test]
fn a_part_that_is_gone_or_elsewhere_is_found() {
    let mut other = chat();
    other["messages"][1]["content"].as_array_mut().unwrap().remove(1);
    let found = differences(&chat(), &other);
    assert_eq!(found[0].what, "lost user media", "{found:?}");
    let mut other = chat();
    other["messages"][1]["content"].as_array_mut().unwrap().swap(0, 2);
    assert!(!differences(&chat(), &other).is_empty());
}

#[test]
fn only_a_loss_at_its_place_tells_a_difference() {
    let read = |body: &Value| {
        lay::request(&parse_request(Dialect::OpenaiChat, body.to_string().as_bytes()).unwrap())
    };
    let mut other = chat();
    other["tools"][0]["function"]["parameters"]["properties"]["x"]["minimum"] = json!(2);
    other["seed"] = Value::Null;
    let (source, changed) = (read(&chat()), read(&other));
    let judge = |places: &[&'static str]| {
        let (mut losses, none) = (Losses::default(), Losses::default());
        for place in places {
            losses.unsupported(&Pointer::of(place));
        }
        let (from, to) = (Dialect::OpenaiChat, Dialect::Gemini);
        let trip = Trip {
            from,
            to,
            source: &source,
            there: &changed,
            home: &changed,
            losses: &losses,
            losses_back: &none,
        };
        let (failures, idle) = trip.judge();
        (failures.len(), idle.len())
    };
    let minimum = "/tools/0/function/parameters/properties/x/minimum";
    assert_eq!(judge(&[minimum, "/seed"]), (0, 0));
    assert_eq!(judge(&["/tools/0", "/seed"]), (0, 0));
    assert_eq!(judge(&["/tools/0/function/strict", "/seed"]), (1, 1));
    assert_eq!(judge(&[minimum]), (1, 0));
    assert_eq!(judge(&[minimum, "/seed", "/temperature"]), (0, 1));
    assert_eq!(judge(&["/see"]), (2, 1));
}
