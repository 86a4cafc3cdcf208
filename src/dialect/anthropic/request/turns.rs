//! Messages as the API wants them: instructions apart, and the turns of user and assistant one after the other.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{Content, Losses, Message, Part, Request, Role, Tool, ToolKind, Why};
use tollgate_filters::exchange::Dialect;

use crate::dialect::anthropic::block::{Aim, Writer};

/// Writes `system` and `messages`.
pub fn write(request: &Request, body: &mut Map<String, Value>, losses: &mut Losses) {
    let mut writer = Writer::new(request.source, Aim::Request, losses);
    let name = |tool: &Tool| match &tool.kind {
        ToolKind::Function { name, .. } | ToolKind::Custom { name, .. } => Some(name.clone()),
        ToolKind::Server { .. } => None,
    };
    writer.named = request.tools.iter().filter_map(name).collect();
    if request.source == Dialect::Anthropic {
        own(request, &mut writer, body);
    } else {
        foreign(request, &mut writer, body);
    }
}

/// Everything goes back to where it was.
fn own(request: &Request, writer: &mut Writer, body: &mut Map<String, Value>) {
    let mut turns = Vec::with_capacity(request.messages.len());
    for message in &request.messages {
        let content = content(message, writer);
        if message.at.as_str() == "/system" {
            body.insert("system".into(), content);
            continue;
        }
        let role = match message.role {
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::System | Role::Developer => "system",
        };
        let mut turn = Map::new();
        turn.insert("role".into(), role.into());
        turn.insert("content".into(), content);
        turn.extend(message.extra.clone());
        turns.push(Value::Object(turn));
    }
    body.insert("messages".into(), Value::Array(turns));
}

fn content(message: &Message, writer: &mut Writer) -> Value {
    if let ([part], true) = (message.parts.as_slice(), message.plain)
        && let Content::Text(text) = &part.content
    {
        return text.text.as_str().into();
    }
    let mut blocks = Vec::with_capacity(message.parts.len());
    for part in &message.parts {
        writer.part(part, &mut blocks);
    }
    Value::Array(blocks)
}

/// A turn in the making.
struct Turn {
    role: Role,
    blocks: Vec<Value>,
}

/// Neighbouring turns of one role become one, which begins with the results of the tools that the turn before
/// called: the API refuses them anywhere else. A conversation begins with the user.
fn foreign(request: &Request, writer: &mut Writer, body: &mut Map<String, Value>) {
    let mut system = Vec::new();
    let mut turns: Vec<Turn> = Vec::new();
    let mut leading = true;
    for message in &request.messages {
        writer.losses.extra(&message.at, &message.extra);
        if message.name.is_some() {
            writer.losses.unsupported(&message.at.key("name"));
        }
        if matches!(message.role, Role::System | Role::Developer) {
            if !leading {
                writer.losses.approximated(&message.at);
            }
            write_parts(message, writer, &mut system);
            continue;
        }
        leading = false;
        let mut blocks = Vec::new();
        write_parts(message, writer, &mut blocks);
        match turns.last_mut() {
            _ if blocks.is_empty() => {}
            Some(last) if last.role == message.role => last.blocks.append(&mut blocks),
            _ => turns.push(Turn { role: message.role, blocks }),
        }
    }
    if turns.first().is_none_or(|first| first.role == Role::Assistant) {
        let blocks = vec![json!({"type": "text", "text": "."})];
        turns.insert(0, Turn { role: Role::User, blocks });
    }
    trim_end(&mut turns, request, writer);
    let mut messages = Vec::with_capacity(turns.len());
    for Turn { role, mut blocks } in turns {
        if role == Role::User {
            blocks.sort_by_key(|block| block["type"] != "tool_result"); // a stable sort
            messages.push(json!({"role": "user", "content": shortened(blocks)}));
        } else {
            messages.push(json!({"role": "assistant", "content": shortened(blocks)}));
        }
    }
    if !system.is_empty() {
        body.insert("system".into(), shortened(system));
    }
    body.insert("messages".into(), Value::Array(messages));
}

fn write_parts(message: &Message, writer: &mut Writer, out: &mut Vec<Value>) {
    let said = |part: &Part| match &part.content {
        Content::Text(text) => !text.text.trim().is_empty(),
        _ => true,
    };
    writer.blank = message.role == Role::Assistant && message.parts.iter().any(said);
    for part in &message.parts {
        // The user alone can show something; instructions are text.
        let fits = match (&part.content, message.role) {
            (Content::Text(_) | Content::Refusal(_), _) | (_, Role::User) => true,
            (Content::Media(_) | Content::ToolResult(_), _) | (_, Role::System | Role::Developer) => false,
            (_, Role::Assistant) => true,
        };
        if fits {
            writer.part(part, out);
        } else {
            writer.losses.unsupported(&part.at);
        }
    }
}

/// The API refuses an assistant's words at the very end that end in white space.
fn trim_end(turns: &mut Vec<Turn>, request: &Request, writer: &mut Writer) {
    let Some(Turn { role: Role::Assistant, blocks }) = turns.last_mut() else { return };
    let Some(Value::String(text)) = blocks.last_mut().and_then(|block| block.get_mut("text")) else { return };
    let kept = text.trim_end().len();
    if kept < text.len() {
        text.truncate(kept);
        if kept == 0 {
            blocks.pop();
        }
        if blocks.is_empty() {
            turns.pop();
        }
        let part = request.messages.iter().rev().flat_map(|m| m.parts.iter().rev()).next();
        if let Some(part) = part {
            writer.losses.push(&part.at, Why::Model);
        }
    }
}

/// One plain text needs no list.
fn shortened(mut blocks: Vec<Value>) -> Value {
    match blocks.as_mut_slice() {
        [Value::Object(block)] if block.len() == 2 && block["type"] == "text" => block["text"].take(),
        _ => Value::Array(blocks),
    }
}
