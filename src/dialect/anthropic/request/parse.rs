//! Messages requests, read into the neutral conversation.

use serde_json::Value;
use tollgate_filters::chat::{At, Content, Extra, Message, Part, Pointer, Request, Role};
use tollgate_filters::error::Error;
use tollgate_filters::exchange::Dialect;

use super::{format, thinking, tools};
use crate::dialect::anthropic::block;
use crate::dialect::fields::{Fields, missing, wrong_type};

/// Reads the body of a request.
pub fn parse(body: Value) -> Result<Request, Error> {
    let mut fields = Fields::new(body, Pointer::ROOT)?;
    let mut request = Request::new(Dialect::Anthropic);
    request.model = fields.string("model")?;
    request.stream = fields.boolean("stream")?.unwrap_or_default();
    messages(&mut fields, &mut request)?;
    tools::read(&mut fields, &mut request)?;
    thinking::read(&mut fields, &mut request)?;
    format::read(&mut fields, &mut request)?;
    settings(&mut fields, &mut request)?;
    request.extra = fields.rest();
    Ok(request)
}

/// Keeps what nobody took of an inner object.
pub(super) fn keep(request: &mut Request, inner: Fields) {
    let at = inner.here().clone();
    let rest: Extra = inner.rest();
    if !rest.is_empty() {
        request.nested.push(At::new(rest, at));
    }
}

fn settings(fields: &mut Fields, request: &mut Request) -> Result<(), Error> {
    let max_tokens = fields.unsigned("max_tokens")?;
    request.max_tokens = fields.placed("max_tokens", max_tokens);
    for (key, place) in [
        ("temperature", &mut request.temperature),
        ("top_p", &mut request.top_p),
        ("top_k", &mut request.top_k),
    ] {
        let number = fields.number(key)?;
        *place = fields.placed(key, number);
    }
    let stop = fields.strings("stop_sequences")?.filter(|stop| !stop.is_empty());
    request.stop = fields.placed("stop_sequences", stop);
    let tier = fields.string("service_tier")?.map(|tier| match tier.as_str() {
        "standard_only" => "default".to_owned(),
        _ => tier,
    });
    request.service_tier = fields.placed("service_tier", tier);
    if let Some(mut metadata) = fields.object("metadata")? {
        let user = metadata.string("user_id")?;
        request.user = metadata.placed("user_id", user);
        keep(request, metadata);
    }
    Ok(())
}

fn messages(fields: &mut Fields, request: &mut Request) -> Result<(), Error> {
    let system = message(Role::System, fields, "system")?;
    request.messages.extend(system.filter(|system| !system.parts.is_empty()));
    let place = fields.at("messages");
    let list = fields.list("messages")?.ok_or_else(|| missing(&place))?;
    for (i, value) in list.into_iter().enumerate() {
        let mut turn = Fields::new(value, place.index(i))?;
        let role = match turn.string("role")?.as_deref() {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            // In mid-conversation; newer models take it.
            Some("system") => Role::System,
            Some(_) => return Err(wrong_type(&turn.at("role"), "`user`, `assistant` or `system`")),
            None => return Err(missing(&turn.at("role"))),
        };
        let Some(mut message) = message(role, &mut turn, "content")? else {
            return Err(missing(&turn.at("content")));
        };
        message.at = turn.here().clone();
        message.extra = turn.rest();
        request.messages.push(message);
    }
    Ok(())
}

/// A text, or a list of blocks, under `key`.
fn message(role: Role, fields: &mut Fields, key: &str) -> Result<Option<Message>, Error> {
    let at = fields.at(key);
    let (plain, parts) = match fields.take(key) {
        None => return Ok(None),
        Some(Value::String(text)) => (true, vec![Part::text(text, at.clone())]),
        Some(Value::Array(list)) => {
            let parts = list.into_iter().enumerate().map(|(i, value)| block::part(value, at.index(i)));
            (false, parts.collect::<Result<Vec<_>, _>>()?)
        }
        Some(_) => return Err(wrong_type(&at, "a string or a list of content blocks")),
    };
    if role != Role::User
        && let Some(odd) = parts.iter().find(|part| matches!(part.content, Content::ToolResult(_)))
    {
        return Err(wrong_type(&odd.at, "in a turn of the role `user`"));
    }
    let mut message = Message::new(role, parts, at);
    message.plain = plain;
    Ok(Some(message))
}
