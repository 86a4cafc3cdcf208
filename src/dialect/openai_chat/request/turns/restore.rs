//! Messages of this dialect, written again as they were.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{Content, Media, MediaSource, Message, Part, Role, ToolResult};

use super::Writer;
use crate::dialect::openai_chat::reasoning::{details, restore};
use crate::dialect::openai_chat::request::message::LEGACY;

impl Writer<'_> {
    /// Writes a message of this dialect as it was.
    pub(super) fn restore(&mut self, message: &Message) {
        let mut value = match message.parts.as_slice() {
            [Part { content: Content::ToolResult(result), .. }] => self.restore_result(message, result),
            _ if message.role == Role::Assistant => self.restore_assistant(message),
            parts => {
                let role = match message.role {
                    Role::System => "system",
                    Role::Developer => "developer",
                    _ => "user",
                };
                let content = self.restore_parts(parts.iter(), message.plain);
                Map::from_iter([("role".to_owned(), json!(role)), ("content".to_owned(), content)])
            }
        };
        if let Some(name) = &message.name {
            value.insert("name".to_owned(), json!(name));
        }
        value.extend(message.extra.clone());
        self.out.push(Value::Object(value));
    }

    fn restore_parts<'p>(&mut self, parts: impl Iterator<Item = &'p Part>, plain: bool) -> Value {
        let mut list = Vec::new();
        for part in parts {
            let value = match &part.content {
                Content::Text(text) if plain => return json!(text.text),
                Content::Text(text) => json!({ "type": "text", "text": text.text }),
                Content::Refusal(text) => json!({ "type": "refusal", "refusal": text }),
                Content::Media(media) => {
                    let Some(value) = self.media(part, media) else {
                        self.losses.unsupported(&part.at);
                        continue;
                    };
                    value
                }
                Content::Reasoning(reasoning) => {
                    let thinking = [json!({ "type": "text", "text": reasoning.text() })];
                    json!({ "type": "thinking", "thinking": thinking })
                }
                Content::Opaque(value) => value.clone(),
                _ => continue,
            };
            list.push(self.dress(part, value));
        }
        match (plain, list.is_empty()) {
            (true, true) => json!(""),
            (false, true) => Value::Null,
            _ => Value::Array(list),
        }
    }

    fn restore_result(&mut self, message: &Message, result: &ToolResult) -> Map<String, Value> {
        let content = self.restore_parts(result.parts.iter(), message.plain);
        let mut value = Map::from_iter([("role".to_owned(), json!("tool")), ("content".to_owned(), content)]);
        if result.call.starts_with(LEGACY) {
            value.insert("role".to_owned(), json!("function"));
        } else {
            value.insert("tool_call_id".to_owned(), json!(result.call));
        }
        if let Some(name) = &result.name {
            value.insert("name".to_owned(), json!(name));
        }
        value
    }

    fn restore_assistant(&mut self, message: &Message) -> Map<String, Value> {
        let mut value = Map::from_iter([("role".to_owned(), json!("assistant"))]);
        let mut calls = Vec::new();
        let mut lists: Map<String, Value> = Map::new();
        let (content, other): (Vec<&Part>, Vec<&Part>) =
            message.parts.iter().partition(|part| key(message, part) == Some("content"));
        let written = self.restore_parts(content.iter().copied(), message.plain);
        value.insert("content".to_owned(), written);
        let mut push = |key: &str, mut more: Vec<Value>| {
            if !more.is_empty()
                && let Value::Array(list) = lists.entry(key).or_insert_with(|| json!([]))
            {
                list.append(&mut more);
            }
        };
        let mut blocks = 0;
        for part in other {
            let key = key(message, part).unwrap_or_default();
            match &part.content {
                Content::Reasoning(reasoning) if key == "reasoning_details" => {
                    let call = message.parts.iter().skip_while(|p| *p != part).nth(1).and_then(|next| {
                        match &next.content {
                            Content::ToolCall(call) => Some(call.id.as_str()),
                            _ => None,
                        }
                    });
                    let mut list = details(reasoning, blocks, call);
                    blocks += 1;
                    restore(&mut list, part);
                    push(key, list);
                }
                Content::Reasoning(reasoning) => drop(value.insert(key.to_owned(), json!(reasoning.text()))),
                Content::Refusal(text) => drop(value.insert(key.to_owned(), json!(text))),
                Content::ToolCall(call) if key == "function_call" => {
                    let call = json!({ "name": call.name, "arguments": call.arguments });
                    value.insert(key.to_owned(), call);
                }
                Content::ToolCall(_) => calls.push(self.call(part)),
                Content::Media(Media { source: MediaSource::File(id), .. }) if key == "audio" => {
                    value.insert(key.to_owned(), json!({ "id": id }));
                }
                Content::Media(media) => {
                    let image = self.media(part, media).unwrap_or_default();
                    push(key, vec![self.dress(part, image)]);
                }
                Content::Opaque(raw) => push(key, vec![raw.clone()]),
                _ => {}
            }
        }
        let annotations: Vec<Value> = message.parts.iter().flat_map(annotations).collect();
        if !annotations.is_empty() {
            push("annotations", annotations);
        }
        if !calls.is_empty() {
            push("tool_calls", calls);
        }
        value.extend(lists);
        value
    }
}

fn annotations(part: &Part) -> Vec<Value> {
    match &part.content {
        Content::Text(text) => text.annotations.iter().map(|a| a.raw.clone()).collect(),
        _ => Vec::new(),
    }
}

/// Which member of its message a part stood in.
fn key<'p>(message: &Message, part: &'p Part) -> Option<&'p str> {
    let rest = part.at.as_str().strip_prefix(message.at.as_str())?;
    rest.strip_prefix('/')?.split('/').next()
}
