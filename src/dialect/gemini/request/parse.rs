//! Reading a request.

use std::collections::VecDeque;

use serde_json::{Value, json};
use tollgate_filters::chat::{At, Content, Extra, Message, Pointer, Request, Role};
use tollgate_filters::error::Error;
use tollgate_filters::exchange::Dialect;

use super::{config, tools};
use crate::dialect::fields::{Fields, missing, wrong_type};
use crate::dialect::gemini::part::read::Reader;
use crate::dialect::gemini::part::{MADE, nameless, pieces};
use crate::dialect::gemini::spelling::spelled;

/// Reads the body of a request.
pub fn parse(body: Value) -> Result<Request, Error> {
    let mut fields = Fields::new(body, Pointer::ROOT)?;
    let mut request = Request::new(Dialect::Gemini);
    let mut reader = Reader::strict();
    request.model = fields.string("model")?;
    let key = spelled(&fields, "systemInstruction").into_owned();
    if let Some(content) = fields.object(&key)? {
        message(content, Some(Role::System), &mut reader, &mut request)?;
    }
    match fields.take("contents") {
        Some(Value::Array(contents)) => {
            for (i, content) in contents.into_iter().enumerate() {
                let content = Fields::new(content, fields.at("contents").index(i))?;
                message(content, None, &mut reader, &mut request)?;
            }
        }
        // Proto JSON reads a single element as a list of one.
        Some(content) => {
            let content = Fields::new(content, fields.at("contents"))?;
            message(content, None, &mut reader, &mut request)?;
        }
        None => return Err(missing(&fields.at("contents"))),
    }
    request.nested.append(&mut reader.inner);
    request.forms.append(&mut reader.forms);
    tools::parse(&mut fields, &mut request)?;
    config::parse(&mut fields, &mut request)?;
    envelope(&mut fields, &mut request)?;
    request.extra = fields.rest();
    pair(&mut request);
    Ok(request)
}

fn message(
    mut content: Fields,
    role: Option<Role>,
    reader: &mut Reader,
    request: &mut Request,
) -> Result<(), Error> {
    let at = content.here().clone();
    let word = content.string("role")?;
    let mut extra = Extra::new();
    let role = match (role, word.as_deref()) {
        // Google reads no role here, and its SDKs send one.
        (Some(role), word) => {
            request.forms.extend(word.map(|word| At::new(json!(word), at.key("role"))));
            role
        }
        (None, Some("user")) => Role::User,
        (None, Some("model")) => Role::Assistant,
        (None, word @ (Some("function") | None)) => {
            request.forms.push(At::new(json!(word), at.key("role")));
            Role::User
        }
        (None, Some(_)) => {
            let error = Error::invalid(format!("`{}` must be `user` or `model`.", at.key("role")));
            return Err(error.param(at.key("role").to_string()).code("invalid_value"));
        }
    };
    let mut parts = Vec::new();
    let place = content.at("parts");
    match content.take("parts") {
        Some(Value::Array(list)) => {
            for (i, part) in list.into_iter().enumerate() {
                reader.part(part, place.index(i), &mut parts)?;
            }
        }
        Some(part @ Value::Object(_)) => reader.part(part, place, &mut parts)?,
        Some(_) => return Err(wrong_type(&place, "a list")),
        None => {}
    }
    extra.extend(content.rest());
    if role == Role::Assistant {
        pieces::join(&mut parts, &mut reader.forms);
    }
    request.messages.push(Message { extra, ..Message::new(role, parts, at) });
    Ok(())
}

fn envelope(fields: &mut Fields, request: &mut Request) -> Result<(), Error> {
    let key = spelled(fields, "serviceTier").into_owned();
    if let Some(word) = fields.string(&key)? {
        request.forms.push(At::new(json!(word), fields.at(&key)));
        request.service_tier = fields.placed(&key, Some(tier(&word)));
    }
    let store = fields.boolean("store")?;
    request.store = fields.placed("store", store);
    if let Some(labels) = fields.object("labels")? {
        request.metadata = fields.placed("labels", Some(labels.entries()));
    }
    Ok(())
}

/// A tier in `OpenAI`'s words.
pub fn tier(word: &str) -> String {
    let lower = word.to_ascii_lowercase();
    match lower.strip_prefix("service_tier_").unwrap_or(&lower) {
        "standard" => "default".to_owned(),
        other => other.to_owned(),
    }
}

/// Gives calls without an id one, and results without one that of the call that they answer: by name, in their order.
fn pair(request: &mut Request) {
    let mut open: VecDeque<(String, String)> = VecDeque::new();
    let mut count = 0_usize;
    let mut make = || {
        count += 1;
        format!("{MADE}{}", count - 1)
    };
    let mut last = Role::System;
    for message in &mut request.messages {
        if message.role == Role::Assistant && last != Role::Assistant {
            open.clear();
        }
        last = message.role;
        for part in &mut message.parts {
            match &mut part.content {
                Content::ToolCall(call) => {
                    if call.id.is_empty() {
                        call.id = make();
                    }
                    open.push_back((call.name.clone(), call.id.clone()));
                }
                Content::ToolResult(result) if result.call.is_empty() => {
                    let fits = |(name, _): &(String, String)| Some(name.as_str()) == result.name.as_deref();
                    let found = open.iter().position(fits).and_then(|i| open.remove(i));
                    result.call = found.map_or_else(&mut make, |(_, id)| id);
                    // Google's SDK calls functions by itself and answers without the id.
                    request.forms.push(At::new(Value::Null, nameless(&part.at)));
                }
                Content::ToolResult(result) => open.retain(|(_, id)| *id != result.call),
                _ => {}
            }
        }
    }
}
