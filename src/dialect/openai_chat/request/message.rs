//! Reading the messages of a Chat Completions request.

use std::collections::VecDeque;

use serde_json::Value;
use tollgate_filters::chat::{
    At, Content, Extra, Media, MediaKind, MediaSource, Message, Part, Pointer, Role, ToolCall, ToolResult,
};
use tollgate_filters::error::Error;

use crate::dialect::fields::{Fields, missing, wrong_type};
use crate::dialect::openai_chat::content::{self, keep};
use crate::dialect::openai_chat::reasoning;

/// What the ids of legacy function calls begin with, which have none by themselves.
pub(super) const LEGACY: &str = "call_tg_fn";

/// Calls of the legacy `function_call`, whose results have not come yet.
#[derive(Debug, Default)]
struct Legacy {
    calls: usize,
    open: VecDeque<(String, String)>,
}

impl Legacy {
    fn id(&mut self) -> String {
        self.calls += 1;
        format!("{LEGACY}{}", self.calls)
    }

    fn call(&mut self, name: &str) -> String {
        let id = self.id();
        self.open.push_back((name.to_owned(), id.clone()));
        id
    }

    fn result(&mut self, name: &str) -> String {
        match self.open.iter().position(|(called, _)| called == name) {
            Some(found) => self.open.remove(found).map(|(_, id)| id).unwrap_or_default(),
            None => self.id(),
        }
    }
}

pub(super) fn parse(list: Vec<Value>, nested: &mut Vec<At<Extra>>) -> Result<Vec<Message>, Error> {
    let mut legacy = Legacy::default();
    let mut messages = Vec::with_capacity(list.len());
    for (i, value) in list.into_iter().enumerate() {
        let fields = Fields::new(value, Pointer::of("/messages").index(i))?;
        messages.push(message(fields, nested, &mut legacy)?);
    }
    Ok(messages)
}

fn message(mut fields: Fields, nested: &mut Vec<At<Extra>>, legacy: &mut Legacy) -> Result<Message, Error> {
    let role = fields.string("role")?.ok_or_else(|| missing(&fields.at("role")))?;
    let here = fields.here().clone();
    let (role, parts, plain) = match role.as_str() {
        "tool" | "function" => {
            let (result, plain) = tool(&mut fields, role == "function", nested, legacy)?;
            let part = Part::new(Content::ToolResult(result), here.clone());
            (Role::User, vec![part], plain)
        }
        "assistant" => {
            let (parts, plain) = assistant(&mut fields, nested, legacy)?;
            (Role::Assistant, parts, plain)
        }
        word => {
            let role = match word {
                "system" => Role::System,
                "developer" => Role::Developer,
                "user" => Role::User,
                _ => {
                    let known = "one of system, developer, user, assistant, tool and function";
                    return Err(wrong_type(&fields.at("role"), known));
                }
            };
            let (parts, plain) = contents(&mut fields, nested)?;
            (role, parts, plain)
        }
    };
    let name = fields.string("name")?;
    Ok(Message { role, parts, name, at: here, plain, extra: fields.rest() })
}

/// The parts of `content`, and whether it was a plain string.
fn contents(fields: &mut Fields, nested: &mut Vec<At<Extra>>) -> Result<(Vec<Part>, bool), Error> {
    let at = fields.at("content");
    match fields.take("content") {
        None => Ok((Vec::new(), false)),
        Some(Value::String(text)) => Ok((vec![Part::text(text, at)], true)),
        Some(Value::Array(list)) => {
            let each = list.into_iter().enumerate();
            let parts: Result<_, _> = each.map(|(i, v)| content::part(v, at.index(i), nested)).collect();
            Ok((parts?, false))
        }
        Some(_) => Err(wrong_type(&at, "a string or a list of parts")),
    }
}

fn tool(
    fields: &mut Fields,
    function: bool,
    nested: &mut Vec<At<Extra>>,
    legacy: &mut Legacy,
) -> Result<(ToolResult, bool), Error> {
    let name = fields.string("name")?;
    let call = if function {
        legacy.result(name.as_deref().unwrap_or_default())
    } else {
        fields.string("tool_call_id")?.ok_or_else(|| missing(&fields.at("tool_call_id")))?
    };
    let (parts, plain) = contents(fields, nested)?;
    Ok((ToolResult { call, name, parts, ..ToolResult::default() }, plain))
}

fn assistant(
    fields: &mut Fields,
    nested: &mut Vec<At<Extra>>,
    legacy: &mut Legacy,
) -> Result<(Vec<Part>, bool), Error> {
    let (mut said, plain) = contents(fields, nested)?;
    // An empty string says nothing, and other providers refuse an empty text.
    said.retain(|part| !plain || !matches!(&part.content, Content::Text(text) if text.text.is_empty()));
    let mut calls = calls(fields, nested)?;
    if let Some(mut call) = fields.object("function_call")? {
        let name = call.string("name")?.ok_or_else(|| missing(&call.at("name")))?;
        let arguments = call.string("arguments")?.unwrap_or_default();
        let at = call.here().clone();
        keep(call, nested);
        let call = ToolCall { id: legacy.call(&name), name, arguments, ..ToolCall::default() };
        calls.push(Part::new(Content::ToolCall(call), at));
    }
    if let Some(refusal) = fields.string("refusal")? {
        said.push(Part::new(Content::Refusal(refusal), fields.at("refusal")));
    }
    annotations(fields, &mut said)?;
    let images = fields.list("images")?.unwrap_or_default();
    let at = fields.at("images");
    for (i, image) in images.into_iter().enumerate() {
        said.push(content::part(image, at.index(i), nested)?);
    }
    if let Some(mut audio) = fields.object("audio")? {
        let id = audio.string("id")?.ok_or_else(|| missing(&audio.at("id")))?;
        let media = Media {
            kind: MediaKind::Audio,
            source: MediaSource::File(id),
            mime: None,
            name: None,
            detail: None,
        };
        said.push(Part::new(Content::Media(media), audio.here().clone()));
        keep(audio, nested);
    }
    let (mut parts, signatures) = reasoning::gather(fields).finish(&calls);
    parts.append(&mut said);
    parts.append(&mut reasoning::sign(calls, signatures));
    Ok((parts, plain))
}

/// Citations belong to the first text.
fn annotations(fields: &mut Fields, said: &mut [Part]) -> Result<(), Error> {
    if fields.peek("annotations") == Some(&Value::Array(Vec::new())) {
        fields.take("annotations");
    }
    let text = said.iter_mut().find_map(|part| match &mut part.content {
        Content::Text(text) => Some(text),
        _ => None,
    });
    if let Some(text) = text {
        let list = fields.list("annotations")?.unwrap_or_default();
        let at = fields.at("annotations");
        let each = list.into_iter().enumerate();
        text.annotations = each.map(|(i, raw)| content::annotation(raw, at.index(i))).collect();
    }
    Ok(())
}

fn calls(fields: &mut Fields, nested: &mut Vec<At<Extra>>) -> Result<Vec<Part>, Error> {
    let list = fields.list("tool_calls")?.unwrap_or_default();
    let at = fields.at("tool_calls");
    let mut calls = Vec::with_capacity(list.len());
    for (i, value) in list.into_iter().enumerate() {
        let mut call = Fields::new(value, at.index(i))?;
        let kind = call.string("type")?;
        let custom = kind.as_deref() == Some("custom");
        let key = if custom { "custom" } else { "function" };
        let mut inner = call.object(key)?.ok_or_else(|| missing(&call.at(key)))?;
        let name = inner.string("name")?.ok_or_else(|| missing(&inner.at("name")))?;
        let key = if custom { "input" } else { "arguments" };
        let arguments = match inner.peek(key) {
            // Mistral takes an object as well.
            Some(Value::Object(_)) if !custom => inner.take(key).map(|object| object.to_string()),
            _ => inner.string(key)?,
        };
        keep(inner, nested);
        let tool = ToolCall {
            id: call.string("id")?.unwrap_or_default(),
            name,
            arguments: arguments.unwrap_or_default(),
            custom,
            item_id: None,
        };
        // The place in the list says the same.
        if call.peek("index").and_then(Value::as_u64) == u64::try_from(i).ok() {
            call.take("index");
        }
        let part = Part::new(Content::ToolCall(tool), call.here().clone());
        calls.push(Part { extra: call.rest(), ..part });
    }
    Ok(calls)
}
