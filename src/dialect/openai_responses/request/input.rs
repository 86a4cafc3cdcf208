//! The input of a request, read: items become turns.

use serde_json::Value;
use tollgate_filters::chat::{Content, Message, Part, Pointer, Request, Role};
use tollgate_filters::error::Error;

use super::tools;
use crate::dialect::fields::{Fields, wrong_type};
use crate::dialect::openai_responses::item::{self, Side, enclose};

/// Reads `input`. Consecutive items of the assistant's (reasoning, calls, messages) are one turn.
pub(super) fn read(fields: &mut Fields, request: &mut Request) -> Result<(), Error> {
    let at = fields.at("input");
    match fields.take("input") {
        None => {}
        Some(Value::String(text)) => {
            let mut message = Message::new(Role::User, vec![Part::text(text, at.clone())], at);
            message.plain = true;
            request.messages.push(message);
        }
        Some(Value::Array(list)) => {
            let mut assistant = false;
            for (i, value) in list.into_iter().enumerate() {
                assistant = read_item(value, at.index(i), request, assistant)?;
            }
        }
        Some(_) => return Err(wrong_type(&at, "a string or a list")),
    }
    Ok(())
}

/// Whose an item is.
fn role(kind: &str, role: Option<&str>, at: &Pointer) -> Result<Role, Error> {
    let said = match role {
        Some("user") => Some(Role::User),
        Some("system") => Some(Role::System),
        Some("developer") => Some(Role::Developer),
        Some("assistant") => Some(Role::Assistant),
        _ => None,
    };
    match kind {
        "message" => {
            said.ok_or_else(|| wrong_type(&at.key("role"), "`user`, `assistant`, `system` or `developer`"))
        }
        "additional_tools" => Ok(said.unwrap_or(Role::Developer)),
        // Searched for by whoever runs the search, but part of what the model looked up.
        "tool_search_output" => Ok(Role::Assistant),
        kind if kind.ends_with("_output") || kind.ends_with("_response") => Ok(Role::User),
        _ => Ok(Role::Assistant),
    }
}

/// Reads one item; `assistant` says that the last one was the assistant's. Gives whether this one is.
fn read_item(value: Value, at: Pointer, request: &mut Request, assistant: bool) -> Result<bool, Error> {
    let mut fields = Fields::new(value, at.clone())?;
    // An item reference may leave out its type.
    let reference = fields.peek("id").is_some() && fields.peek("role").is_none();
    let kind = fields.string("type")?;
    let word = kind.as_deref().unwrap_or(if reference { "item_reference" } else { "message" }).to_owned();
    let role = role(&word, fields.word("role"), &at)?;
    if word == "message" && role != Role::Assistant {
        request.messages.push(message(fields, role, kind)?);
        return Ok(false);
    }
    let mut object = fields.rest();
    if let Some(kind) = kind {
        object.insert("type".to_owned(), kind.into());
    }
    fields = Fields::new(Value::Object(object), at.clone())?;
    let parts = if kind_is_known(&word) {
        item::parse(Value::Object(fields.rest()), at.clone(), Side::Request)?
    } else {
        if word == "additional_tools" {
            let item = Value::Object(fields.rest());
            request.tools.extend(tools::brought(&item, &at));
            fields = Fields::new(item, at.clone())?;
        }
        vec![Part::new(Content::Opaque(Value::Object(fields.rest())), at.clone())]
    };
    match request.messages.last_mut() {
        Some(last) if assistant && role == Role::Assistant => last.parts.extend(parts),
        _ => request.messages.push(Message::new(role, parts, at)),
    }
    Ok(role == Role::Assistant)
}

fn kind_is_known(word: &str) -> bool {
    matches!(
        word,
        "message"
            | "function_call"
            | "custom_tool_call"
            | "function_call_output"
            | "custom_tool_call_output"
            | "reasoning"
            | "image_generation_call"
    ) || item::hosted(word).is_some()
}

/// A message that is not the assistant's.
fn message(mut fields: Fields, role: Role, kind: Option<String>) -> Result<Message, Error> {
    fields.take("role");
    let (parts, plain) = item::content(&mut fields, role, Side::Request)?;
    let mut message = Message::new(role, parts, fields.here().clone());
    message.plain = plain;
    message.extra = fields.rest();
    if let Some(kind) = kind {
        message.extra.insert("type".to_owned(), kind.into());
    }
    enclose(&mut message.extra, &["id", "type", "status"]);
    Ok(message)
}
