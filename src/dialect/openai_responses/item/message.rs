//! Messages: their text parts, with citations and log-probabilities.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{Annotation, Content, Losses, Part, Pointer, Role, Text};
use tollgate_filters::error::Error;

use super::{Side, enclose, envelope, keep_members, media, restore};
use crate::dialect::fields::{Fields, wrong_type};

/// Reads the parts of a message's `content`.
pub fn content(fields: &mut Fields, role: Role, side: Side) -> Result<(Vec<Part>, bool), Error> {
    let at = fields.at("content");
    match fields.take("content") {
        Some(Value::String(text)) => Ok((vec![Part::text(text, at)], true)),
        Some(Value::Array(list)) => {
            let parts = list.into_iter().enumerate();
            let parts = parts.map(|(i, value)| part(value, at.index(i), role, side));
            Ok((parts.collect::<Result<_, _>>()?, false))
        }
        None => Ok((Vec::new(), false)),
        Some(_) => Err(wrong_type(&at, "a string or a list")),
    }
}

/// Reads one part of a message's or a tool output's content.
pub(super) fn part(value: Value, at: Pointer, role: Role, side: Side) -> Result<Part, Error> {
    let fields = Fields::new(value, at)?;
    match fields.word("type") {
        Some("input_text" | "output_text") => text(fields, role, side),
        Some("refusal") if fields.word("refusal").is_some() => {
            let mut fields = fields;
            let refusal = fields.string("refusal")?.unwrap_or_default();
            let at = fields.here().clone();
            fields.take("type");
            let mut part = Part::new(Content::Refusal(refusal), at);
            part.extra = fields.rest();
            Ok(part)
        }
        Some("input_image" | "input_file" | "input_audio") => media::read(fields),
        None if side == Side::Request && fields.peek("type").is_some() => {
            Err(wrong_type(&fields.at("type"), "a string"))
        }
        _ => {
            let at = fields.here().clone();
            Ok(Part::new(Content::Opaque(Value::Object(fields.rest())), at))
        }
    }
}

fn text(mut fields: Fields, role: Role, side: Side) -> Result<Part, Error> {
    let expected = if role == Role::Assistant { "output_text" } else { "input_text" };
    if fields.word("type") == Some(expected) {
        fields.take("type");
    }
    let words = fields.string("text")?.unwrap_or_default();
    let mut part = Part::text(words, fields.here().clone());
    let annotations = match fields.peek("annotations") {
        Some(Value::Array(list)) if !list.is_empty() => fields.list("annotations")?.unwrap_or_default(),
        _ => Vec::new(),
    };
    let at = fields.at("annotations");
    part.extra = fields.rest();
    if let Content::Text(text) = &mut part.content {
        let annotations = annotations.into_iter().enumerate();
        text.annotations = annotations.map(|(i, raw)| read_annotation(raw, at.index(i))).collect();
    }
    let empty = |value: Option<&Value>| value.and_then(Value::as_array).is_some_and(Vec::is_empty);
    let mut nothing = vec!["type"];
    nothing.extend(["annotations", "logprobs"].into_iter().filter(|name| empty(part.extra.get(*name))));
    if side == Side::Answer {
        for name in nothing {
            part.extra.shift_remove(name);
        }
    } else {
        enclose(&mut part.extra, &nothing);
    }
    Ok(part)
}

/// Reads a citation. What of it has no typed field is in `raw`.
pub fn read_annotation(raw: Value, at: Pointer) -> Annotation {
    let word = |key: &str| raw.get(key).and_then(Value::as_str).map(str::to_owned);
    let number = |key: &str| raw.get(key).and_then(Value::as_u64);
    Annotation {
        url: word("url"),
        title: word("title").or_else(|| word("filename")),
        start: number("start_index"),
        end: number("end_index"),
        cited: None,
        at,
        raw,
    }
}

/// Writes a citation. `None` (and a loss) where it names no URL.
pub fn annotation(annotation: &Annotation, text: &str, own: bool, losses: &mut Losses) -> Option<Value> {
    if own && !annotation.raw.is_null() {
        return Some(annotation.raw.clone());
    }
    let Some(url) = &annotation.url else {
        losses.unsupported(&annotation.at);
        return None;
    };
    if annotation.start.is_none() || annotation.end.is_none() || annotation.cited.is_some() {
        losses.approximated(&annotation.at);
    }
    let length = || u64::try_from(text.chars().count()).unwrap_or_default();
    Some(json!({
        "type": "url_citation",
        "url": url,
        "title": annotation.title.as_deref().unwrap_or_default(),
        "start_index": annotation.start.unwrap_or_default(),
        "end_index": annotation.end.unwrap_or_else(length),
    }))
}

/// An `output_text` part.
pub fn output_text(text: &str, annotations: Vec<Value>, logprobs: Vec<Value>) -> Map<String, Value> {
    Map::from_iter([
        ("type".to_owned(), Value::from("output_text")),
        ("annotations".to_owned(), Value::Array(annotations)),
        ("logprobs".to_owned(), Value::Array(logprobs)),
        ("text".to_owned(), Value::from(text)),
    ])
}

/// Writes a text as a part of an assistant's message in the input.
pub(super) fn assistant_text(part: &Part, text: &Text, own: bool, losses: &mut Losses) -> Value {
    let list = text.annotations.iter().filter_map(|a| annotation(a, &text.text, own, losses)).collect();
    let mut object = output_text(&text.text, list, Vec::new());
    if own {
        // What the client did not write is not added.
        let kept = |name: &str| envelope(&part.extra).is_some_and(|kept| kept.contains_key(name));
        if text.annotations.is_empty() && !kept("annotations") {
            object.shift_remove("annotations");
        }
        object.shift_remove("logprobs");
        let mut extra = part.extra.clone();
        extra.retain(|key, _| !key.starts_with("~/"));
        restore(&mut object, &extra);
    }
    Value::Object(object)
}

/// Keeps what an assistant's message says beside its content. `Err` gives the item back where it has no part to keep it.
pub(super) fn keep(parts: &mut [Part], at: &Pointer, mut members: Map<String, Value>, side: Side) {
    if side == Side::Answer {
        for (name, usual) in [("type", "message"), ("status", "completed"), ("role", "assistant")] {
            if members.get(name).and_then(Value::as_str) == Some(usual) {
                members.shift_remove(name);
            }
        }
    }
    if let Some(first) = parts.first_mut() {
        keep_members(first, at, members);
    }
}
