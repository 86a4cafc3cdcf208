//! The input of a request, written: turns become items.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{Content, Losses, Message, Part, Request, Role, ToolResult};
use tollgate_filters::exchange::Dialect;

use crate::dialect::openai_responses::item::{self, Side, Writer, item_of, restore};

/// `instructions` and `input`.
pub(super) fn write(request: &Request, body: &mut Map<String, Value>, losses: &mut Losses) {
    let mut items = Vec::new();
    let first = instructions(request);
    if let Some(message) = first
        && let Some(text) = only_text(message)
    {
        body.insert("instructions".to_owned(), text.into());
    }
    let rest = &request.messages[usize::from(first.is_some())..];
    for message in rest {
        if message.name.is_some() {
            losses.unsupported(&message.at.key("name"));
        }
        match message.role {
            Role::Assistant => {
                if !own(&message.at) {
                    losses.extra(&message.at, &message.extra);
                }
                let id = format!("tg_{}", items.len());
                let mut writer = Writer::new(Side::Request, &id, losses);
                message.parts.iter().for_each(|part| writer.part(part, Vec::new()));
                items.extend(writer.finish());
            }
            role => other(message, role, request.source, &mut items, losses),
        }
    }
    if let [message] = rest
        && message.at.as_str() == "/input"
        && let Some(text) = only_text(message)
    {
        body.insert("input".to_owned(), text.into());
    } else if !(items.is_empty() && request.source == Dialect::OpenaiResponses) {
        body.insert("input".to_owned(), Value::Array(items));
    }
}

fn own(at: &tollgate_filters::chat::Pointer) -> bool {
    item_of(at).is_some() || matches!(at.as_str(), "/input" | "/instructions")
}

/// Whether file ids of this dialect are OpenAI's.
fn knows_ids(source: Dialect) -> bool {
    matches!(source, Dialect::OpenaiResponses | Dialect::OpenaiChat)
}

/// The first message, where it can be `instructions`: it was, or it is the only one of its kind and plain text.
fn instructions(request: &Request) -> Option<&Message> {
    let first = request.messages.first()?;
    if request.source == Dialect::OpenaiResponses {
        return (first.at.as_str() == "/instructions").then_some(first);
    }
    let instructs = |message: &Message| matches!(message.role, Role::System | Role::Developer);
    let others = request.messages[1..].iter().any(instructs);
    let bare = first.extra.is_empty() && first.name.is_none();
    let simple = first.role == Role::System && !others && bare && only_text(first).is_some();
    simple.then_some(first)
}

/// The text of a message that is nothing else.
fn only_text(message: &Message) -> Option<&str> {
    match message.parts.as_slice() {
        [Part { content: Content::Text(text), extra, cache: None, .. }] if extra.is_empty() => {
            Some(&text.text)
        }
        _ => None,
    }
}

/// A turn that is not the assistant's: a message, and an item for each result of a tool in it.
fn other(message: &Message, role: Role, source: Dialect, items: &mut Vec<Value>, losses: &mut Losses) {
    let is_own = own(&message.at);
    let mut content = Vec::new();
    for part in &message.parts {
        match &part.content {
            Content::ToolResult(result) => {
                flush(message, role, &mut content, items);
                items.push(result_item(part, result, source, losses));
            }
            Content::Opaque(raw) if item_of(&part.at) == Some(part.at.as_str()) => {
                flush(message, role, &mut content, items);
                items.push(raw.clone());
            }
            _ => content.extend(item::input_part(part, own(&part.at), knows_ids(source), losses)),
        }
    }
    if is_own && message.parts.is_empty() {
        items.push(envelop(message, role, json!([])));
    }
    flush(message, role, &mut content, items);
    if !is_own {
        losses.extra(&message.at, &message.extra);
    }
}

fn flush(message: &Message, role: Role, content: &mut Vec<Value>, items: &mut Vec<Value>) {
    let content = std::mem::take(content);
    if content.is_empty() {
        return;
    }
    let plain = content.len() == 1 && message.plain && content[0].as_object().is_some_and(|c| c.len() == 2);
    let text = if plain { content[0].get("text").cloned() } else { None };
    items.push(envelop(message, role, text.unwrap_or(Value::Array(content))));
}

fn envelop(message: &Message, role: Role, content: Value) -> Value {
    let role = match role {
        Role::System => "system",
        Role::Developer => "developer",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let mut item = Map::new();
    item.insert("role".to_owned(), role.into());
    item.insert("content".to_owned(), content);
    if own(&message.at) {
        restore(&mut item, &message.extra);
    }
    Value::Object(item)
}

fn result_item(part: &Part, result: &ToolResult, source: Dialect, losses: &mut Losses) -> Value {
    let ids = knows_ids(source);
    let is_own = own(&part.at);
    let kind = if result.custom { "custom_tool_call_output" } else { "function_call_output" };
    let mut item = Map::new();
    item.insert("type".to_owned(), kind.into());
    item.insert("call_id".to_owned(), result.call.clone().into());
    let mut output: Vec<Value> = Vec::new();
    for inner in &result.parts {
        output.extend(item::input_part(inner, is_own, ids, losses));
    }
    // A list that the client wrote stays one, even of a single text.
    let listed = is_own && part.extra.contains_key(tollgate_filters::chat::ENVELOPE);
    let text = match output.as_slice() {
        [] if !listed => Some(Value::from("")),
        [Value::Object(one)] if !listed && one.len() == 2 => one.get("text").cloned(),
        _ => None,
    };
    item.insert("output".to_owned(), text.unwrap_or(Value::Array(output)));
    if is_own {
        restore(&mut item, &part.extra);
    } else {
        losses.extra(&part.at, &part.extra);
        if let Some(cache) = &part.cache {
            losses.unsupported(&cache.at);
        }
    }
    if result.is_error {
        // Gemini says it by where the text stands.
        let said = result.parts.first().filter(|_| source == Dialect::Gemini);
        losses.unsupported(&said.map_or_else(|| part.at.key("is_error"), |text| text.at.clone()));
    }
    Value::Object(item)
}
