//! Reading a Chat Completions answer.

use serde_json::Value;
use tollgate_filters::chat::{
    Choice, Content, Extra, Finish, FinishKind, Media, MediaKind, MediaSource, Part, Pointer, Response, Text,
    ToolCall,
};
use tollgate_filters::error::Error;
use tollgate_filters::exchange::Dialect;

use crate::dialect::fields::Fields;
use crate::dialect::openai_chat::{content, reasoning, usage};

/// Reads an answer that is no stream. What is not as it should be stays as an extra member.
pub fn parse(body: Value) -> Result<Response, Error> {
    let mut fields = Fields::new(body, Pointer::ROOT)?;
    fields.take("object");
    let id = fields.string("id").unwrap_or_default();
    let model = fields.string("model").unwrap_or_default();
    let created = fields.unsigned("created").unwrap_or_default();
    let tier = fields.string("service_tier").unwrap_or_default();
    let mut service_tier = fields.placed("service_tier", tier);
    let list = fields.list("choices").unwrap_or_default().unwrap_or_default();
    let at = fields.at("choices");
    let each = list.into_iter().enumerate();
    let choices = each.map(|(i, value)| choice(value, at.index(i), i)).collect();
    let mut report = fields.peek("usage").and_then(|value| usage::parse(value, &fields.at("usage")));
    if let Some(report) = &mut report {
        fields.take("usage");
        service_tier = service_tier.or_else(|| usage::tier(report));
    }
    Ok(Response {
        source: Dialect::OpenaiChat,
        id,
        model,
        created,
        choices,
        usage: report,
        service_tier,
        extra: telling(fields.rest()),
    })
}

/// Without members that say nothing.
fn telling(mut extra: Extra) -> Extra {
    extra.retain(|_, value| match value {
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.values().all(Value::is_null),
        _ => true,
    });
    extra
}

fn choice(value: Value, at: Pointer, place: usize) -> Choice {
    let whole =
        if value.is_object() { None } else { Some(Part::new(Content::Opaque(value.clone()), at.clone())) };
    let Ok(mut fields) = Fields::new(value, at.clone()) else {
        return Choice { parts: whole.into_iter().collect(), at, ..Choice::default() };
    };
    let index = fields.unsigned("index").unwrap_or_default().and_then(|index| u32::try_from(index).ok());
    let index = index.or_else(|| u32::try_from(place).ok()).unwrap_or_default();
    let word = fields.string("finish_reason").unwrap_or_default();
    let finish = word.map(|word| finish(word, fields.at("finish_reason")));
    let logprobs = fields.take("logprobs");
    let logprobs = fields.placed("logprobs", logprobs);
    let parts = match fields.object("message") {
        Ok(Some(message)) => message_parts(message),
        _ => Vec::new(),
    };
    Choice { index, parts, finish, logprobs, at, extra: telling(fields.rest()) }
}

/// Reads a `finish_reason`.
pub(in crate::dialect::openai_chat) fn finish(word: String, at: Pointer) -> Finish {
    let kind = match word.as_str() {
        "stop" => FinishKind::Stop,
        "length" => FinishKind::Length,
        "tool_calls" | "function_call" => FinishKind::ToolCalls,
        "content_filter" => FinishKind::ContentFilter,
        // Mistral.
        "model_length" => FinishKind::ContextWindow,
        "error" => FinishKind::Error,
        _ => FinishKind::Other,
    };
    Finish { kind, word, stop_sequence: None, at }
}

fn message_parts(mut message: Fields) -> Vec<Part> {
    message.take("role");
    let mut said = contents(&mut message);
    let calls = calls(&mut message);
    if let Ok(Some(refusal)) = message.string("refusal")
        && !refusal.is_empty()
    {
        said.push(Part::new(Content::Refusal(refusal), message.at("refusal")));
    }
    annotations(&mut message, &mut said);
    if let Ok(Some(list)) = message.list("images") {
        said.extend(images(list, &message.at("images")));
    }
    if let Some(part) = message.object("audio").unwrap_or_default().and_then(audio) {
        said.push(part);
    }
    let (mut parts, signatures) = reasoning::gather(&mut message).finish(&calls);
    parts.append(&mut said);
    parts.append(&mut reasoning::sign(calls, signatures));
    let here = message.here().clone();
    for (key, value) in telling(message.rest()) {
        parts.push(Part::new(Content::Opaque(value), here.key(&key)));
    }
    parts
}

fn contents(message: &mut Fields) -> Vec<Part> {
    let at = message.at("content");
    match message.take("content") {
        Some(Value::String(text)) if !text.is_empty() => vec![Part::text(text, at)],
        None | Some(Value::String(_)) => Vec::new(),
        Some(Value::Array(list)) => {
            list.into_iter().enumerate().map(|(i, v)| lenient(v, at.index(i))).collect()
        }
        Some(other) => vec![Part::new(Content::Opaque(other), at)],
    }
}

/// A part of a list; what is odd stays whole.
fn lenient(value: Value, at: Pointer) -> Part {
    let mut nested = Vec::new();
    match content::part(value.clone(), at.clone(), &mut nested) {
        Ok(part) if nested.is_empty() => part,
        _ => Part::new(Content::Opaque(value), at),
    }
}

fn calls(message: &mut Fields) -> Vec<Part> {
    let at = message.at("tool_calls");
    let list = message.list("tool_calls").unwrap_or_default().unwrap_or_default();
    let mut calls: Vec<Part> =
        list.into_iter().enumerate().map(|(i, value)| call(value, at.index(i), i)).collect();
    if let Ok(Some(mut legacy)) = message.object("function_call") {
        let call = ToolCall {
            name: legacy.string("name").unwrap_or_default().unwrap_or_default(),
            arguments: arguments(&mut legacy, "arguments"),
            ..ToolCall::default()
        };
        calls.push(Part::new(Content::ToolCall(call), legacy.here().clone()));
    }
    calls
}

fn call(value: Value, at: Pointer, place: usize) -> Part {
    let custom = value.get("custom").is_some_and(Value::is_object);
    let Ok(mut fields) = Fields::new(value, at.clone()) else {
        return Part::new(Content::Opaque(Value::Null), at);
    };
    fields.take("type");
    if fields.peek("index").and_then(Value::as_u64) == u64::try_from(place).ok() {
        fields.take("index");
    }
    let inner = fields.object(if custom { "custom" } else { "function" }).unwrap_or_default();
    let (name, arguments) = inner.map_or_else(Default::default, |mut inner| {
        let name = inner.string("name").unwrap_or_default().unwrap_or_default();
        (name, arguments(&mut inner, if custom { "input" } else { "arguments" }))
    });
    let id = fields.string("id").unwrap_or_default().unwrap_or_default();
    let call = ToolCall { id, name, arguments, custom, item_id: None };
    Part { extra: telling(fields.rest()), ..Part::new(Content::ToolCall(call), at) }
}

/// Some vendors send an object where a string of JSON belongs.
fn arguments(fields: &mut Fields, key: &str) -> String {
    match fields.take(key) {
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

/// Citations belong to the first text.
fn annotations(message: &mut Fields, said: &mut Vec<Part>) {
    let at = message.at("annotations");
    let list = message.list("annotations").unwrap_or_default().unwrap_or_default();
    if list.is_empty() {
        return;
    }
    if !said.iter().any(|part| matches!(part.content, Content::Text(_))) {
        said.insert(0, Part::new(Content::Text(Text::default()), message.at("content")));
    }
    let text = said.iter_mut().find_map(|part| match &mut part.content {
        Content::Text(text) => Some(text),
        _ => None,
    });
    if let Some(text) = text {
        let each = list.into_iter().enumerate();
        text.annotations = each.map(|(i, raw)| content::annotation(raw, at.index(i))).collect();
    }
}

/// Pictures that the model made, as `OpenRouter` sends them.
pub(in crate::dialect::openai_chat) fn images(list: Vec<Value>, at: &Pointer) -> Vec<Part> {
    list.into_iter().enumerate().map(|(i, value)| lenient(value, at.index(i))).collect()
}

/// What the model spoke. What was said in words, and until when the provider keeps it, are extra members.
fn audio(mut audio: Fields) -> Option<Part> {
    let data = audio.string("data").unwrap_or_default()?;
    let media = Media {
        kind: MediaKind::Audio,
        source: MediaSource::Base64(data),
        mime: None,
        name: None,
        detail: None,
    };
    let at = audio.here().clone();
    Some(Part { extra: telling(audio.rest()), ..Part::new(Content::Media(media), at) })
}
