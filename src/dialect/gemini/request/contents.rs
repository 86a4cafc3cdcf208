//! Messages as `systemInstruction` and `contents`.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{Content, Losses, Message, Request, Role, Target, ThinkingStyle};
use tollgate_filters::exchange::Dialect;

use crate::dialect::gemini::part::write::{Writer, merge};
use crate::dialect::gemini::seal;

pub fn render(request: &Request, target: &Target, body: &mut Map<String, Value>, losses: &mut Losses) {
    if request.source == Dialect::Gemini {
        own(request, body, losses);
    } else {
        translated(request, body, losses);
        if target.rules.thinking == ThinkingStyle::Effort {
            sign(body);
        }
    }
}

/// Gemini 3 refuses a turn whose first call is not signed. For calls that another model made, Google documents a word to
/// put there.
fn sign(body: &mut Map<String, Value>) {
    let contents = body.get_mut("contents").and_then(Value::as_array_mut);
    for content in contents.into_iter().flatten() {
        let parts = content.get_mut("parts").and_then(Value::as_array_mut);
        let call = parts.into_iter().flatten().find(|part| part.get("functionCall").is_some());
        if let Some(Value::Object(call)) = call {
            call.entry("thoughtSignature").or_insert_with(|| json!(seal::PLACEHOLDER));
        }
    }
}

/// A Gemini client's contents, one for one.
fn own(request: &Request, body: &mut Map<String, Value>, losses: &mut Losses) {
    let mut contents = Vec::new();
    for message in &request.messages {
        let mut writer = Writer::new(request.source, Some(request), losses);
        message.parts.iter().for_each(|part| writer.part(part));
        let mut content = Map::new();
        content.insert("parts".to_owned(), Value::Array(writer.finish()));
        let form = request.form(&message.at.key("role"));
        let role = match message.role {
            Role::System | Role::Developer => form.cloned(),
            Role::User => Some(form.cloned().unwrap_or_else(|| json!("user"))),
            Role::Assistant => Some(json!("model")),
        };
        content.extend(role.filter(|role| !role.is_null()).map(|role| ("role".to_owned(), role)));
        merge(&mut content, &message.extra);
        if matches!(message.role, Role::System | Role::Developer) {
            body.insert("systemInstruction".to_owned(), Value::Object(content));
        } else {
            contents.push(Value::Object(content));
        }
    }
    body.insert("contents".to_owned(), Value::Array(contents));
}

fn translated(request: &Request, body: &mut Map<String, Value>, losses: &mut Losses) {
    let mut system = Vec::new();
    let mut contents: Vec<Value> = Vec::new();
    let mut rest = request.messages.as_slice();
    let mut leading = true;
    while let Some(first) = rest.first() {
        if matches!(first.role, Role::System | Role::Developer) {
            if !leading {
                losses.approximated(&first.at);
            }
            instructions(request, first, &mut system, losses);
            rest = &rest[1..];
            continue;
        }
        leading = false;
        // Instructions that stand between two turns of one role do not part them, as they are moved away.
        let length = rest
            .iter()
            .position(|message| message.role != first.role && !instructs(message))
            .unwrap_or(rest.len());
        let (turn, others) = rest.split_at(length);
        for message in turn.iter().filter(|message| instructs(message)) {
            losses.approximated(&message.at);
            instructions(request, message, &mut system, losses);
        }
        let messages: Vec<&Message> = turn.iter().filter(|message| !instructs(message)).collect();
        if let Some(content) = content(request, &messages, losses) {
            append(&mut contents, content);
        }
        rest = others;
    }
    // Gemini wants a turn to answer, and in it more than an empty text.
    if contents.is_empty() {
        let only = !system.is_empty() && request.messages.iter().all(instructs);
        let parts = if only {
            request.messages.iter().take(1).for_each(|first| losses.approximated(&first.at));
            std::mem::take(&mut system)
        } else {
            vec![json!({ "text": "." })]
        };
        contents.push(json!({ "role": "user", "parts": parts }));
    }
    if !system.is_empty() {
        body.insert("systemInstruction".to_owned(), json!({ "parts": system }));
    }
    body.insert("contents".to_owned(), Value::Array(contents));
}

/// Adds a turn. Where nothing was left of the turn before it, it joins the one before that.
fn append(contents: &mut Vec<Value>, mut content: Value) {
    match contents.last_mut() {
        Some(last) if last["role"] == content["role"] => {
            if let (Value::Array(parts), Value::Array(more)) = (&mut last["parts"], &mut content["parts"]) {
                parts.append(more);
            }
        }
        _ => contents.push(content),
    }
}

fn instructs(message: &Message) -> bool {
    matches!(message.role, Role::System | Role::Developer)
}

fn own_losses(message: &Message, losses: &mut Losses) {
    losses.extra(&message.at, &message.extra);
    if message.name.is_some() {
        losses.unsupported(&message.at.key("name"));
    }
}

fn instructions(request: &Request, message: &Message, system: &mut Vec<Value>, losses: &mut Losses) {
    own_losses(message, losses);
    let mut writer = Writer::new(request.source, Some(request), losses);
    for part in &message.parts {
        if matches!(part.content, Content::Text(_) | Content::Refusal(_)) {
            writer.part(part);
        } else {
            writer.losses.unsupported(&part.at);
        }
    }
    system.extend(writer.finish());
}

/// One turn out of all the messages in a row that have its role.
fn content(request: &Request, messages: &[&Message], losses: &mut Losses) -> Option<Value> {
    let role = messages.first()?.role;
    for message in messages {
        own_losses(message, losses);
    }
    let mut writer = Writer::new(request.source, Some(request), losses);
    for part in messages.iter().flat_map(|message| &message.parts) {
        writer.part(part);
    }
    let parts = writer.finish();
    let role = if role == Role::Assistant { "model" } else { "user" };
    (!parts.is_empty()).then(|| json!({ "role": role, "parts": parts }))
}
