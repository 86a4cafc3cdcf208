//! Content blocks, written from parts.

use std::borrow::Cow;

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{
    Annotation, Client, Content, Losses, Maker, Part, Reasoning, Text, ToolCall, ToolResult, Why,
};
use tollgate_filters::exchange::Dialect;

use super::server;
use crate::dialect::names::fitting;

/// How long the name of a tool may be.
pub const MAX_NAME: usize = 128;

/// Whom blocks are written for.
#[derive(Debug, Clone, Copy)]
pub enum Aim<'a> {
    /// The provider: nothing that it would refuse.
    Request,
    /// A client: everything that can be shown to it.
    Answer(&'a Client),
}

/// Writes parts of a document that was read from `source`.
#[derive(Debug)]
pub struct Writer<'a> {
    pub source: Dialect,
    pub aim: Aim<'a>,
    pub losses: &'a mut Losses,
    /// How many tool calls without an id there were.
    pub nameless: u32,
    /// How many uses of a server tool without an id there were.
    pub servers: u32,
    /// Names of the request's tools: how they had to be changed is reported there.
    pub named: Vec<String>,
    /// White space may stand alone in a block: the provider takes it from the model, and from nobody else.
    pub blank: bool,
}

impl<'a> Writer<'a> {
    pub fn new(source: Dialect, aim: Aim<'a>, losses: &'a mut Losses) -> Self {
        Self { source, aim, losses, nameless: 0, servers: 0, named: Vec::new(), blank: false }
    }

    /// What is written was read from this dialect.
    pub fn own(&self) -> bool {
        self.source == Dialect::Anthropic
    }

    /// Writes the blocks that a part becomes: usually one, none where it cannot be carried.
    pub fn part(&mut self, part: &Part, out: &mut Vec<Value>) {
        let block = match &part.content {
            Content::Text(text) => self.text(part, text),
            Content::Refusal(text) => {
                self.losses.approximated(&part.at);
                self.words(part, text)
            }
            Content::Media(_) if matches!(self.aim, Aim::Answer(_)) && !self.own() => {
                self.losses.unsupported(&part.at);
                None
            }
            Content::Media(media) => self.media(part, media),
            Content::Reasoning(reasoning) => self.reasoning(part, reasoning),
            Content::ToolCall(call) => Some(self.tool_use(part, call)),
            Content::ToolResult(result) => Some(self.tool_result(result)),
            Content::Server(used) if self.own() => return out.push(used.raw.clone()),
            Content::Server(used) => {
                let blocks = match self.aim {
                    Aim::Answer(client) => server::shown(used, &client.id, &mut self.servers),
                    Aim::Request => Vec::new(),
                };
                let why = if blocks.is_empty() { Why::Unsupported } else { Why::Approximated };
                self.losses.push(&part.at, why);
                return out.extend(blocks);
            }
            Content::Opaque(raw) if self.own() => return out.push(raw.clone()),
            Content::Opaque(_) => {
                self.losses.unsupported(&part.at);
                None
            }
        };
        if let Some(block) = block {
            out.push(self.finished(part, block));
        }
    }

    /// Adds what stands beside a block's content.
    fn finished(&mut self, part: &Part, mut block: Map<String, Value>) -> Value {
        if self.own() {
            block.extend(part.extra.clone());
        } else {
            self.losses.extra(&part.at, &part.extra);
        }
        if let Some(cache) = &part.cache {
            let known = cache.raw.get("type").and_then(Value::as_str) == Some("ephemeral");
            // The provider refuses breakpoints on reasoning.
            if self.own() || (known && !matches!(part.content, Content::Reasoning(_))) {
                block.insert("cache_control".into(), cache.raw.clone());
            } else {
                self.losses.unsupported(&cache.at);
            }
        }
        Value::Object(block)
    }

    fn text(&mut self, part: &Part, text: &Text) -> Option<Map<String, Value>> {
        let mut block = self.words(part, &text.text)?;
        let mut citations = Vec::new();
        for annotation in &text.annotations {
            match self.aim {
                _ if self.own() => citations.push(annotation.raw.clone()),
                Aim::Answer(_) => citations.extend(citation(annotation, self.losses)),
                // The provider wants back what only it can have written.
                Aim::Request => self.losses.unsupported(&annotation.at),
            }
        }
        if !citations.is_empty() {
            block.insert("citations".into(), Value::Array(citations));
        }
        Some(block)
    }

    /// A block of text. The provider refuses text without a visible character, so it is left out.
    fn words(&mut self, part: &Part, text: &str) -> Option<Map<String, Value>> {
        if !self.own() && text.is_empty() {
            return None; // clients give back what they got, and the provider would refuse it
        }
        if !self.own() && !self.blank && matches!(self.aim, Aim::Request) && text.trim().is_empty() {
            self.losses.push(&part.at, Why::Model);
            return None;
        }
        Some(object(json!({"type": "text", "text": text})))
    }

    fn reasoning(&mut self, part: &Part, reasoning: &Reasoning) -> Option<Map<String, Value>> {
        let seal = reasoning.seal.as_ref();
        if matches!(self.aim, Aim::Request) {
            match seal {
                Some(seal) if seal.maker != Maker::Anthropic => {
                    self.losses.push(&part.at, Why::Foreign);
                    return None;
                }
                None if !self.own() => {
                    if !reasoning.thoughts.is_empty() {
                        self.losses.unsupported(&part.at);
                    }
                    return None;
                }
                _ => {}
            }
        }
        if let Some(seal) = seal.filter(|seal| seal.redacted && reasoning.thoughts.is_empty()) {
            let data = seal.travelling(Maker::Anthropic);
            return Some(object(json!({"type": "redacted_thinking", "data": data})));
        }
        if seal.is_none() && reasoning.thoughts.is_empty() && !self.own() {
            return None;
        }
        let signature = seal.map(|seal| seal.travelling(Maker::Anthropic)).unwrap_or_default();
        Some(object(json!({"type": "thinking", "thinking": reasoning.text(), "signature": signature})))
    }

    fn tool_use(&mut self, part: &Part, call: &ToolCall) -> Map<String, Value> {
        let (input, exact) = input(call);
        if !exact {
            self.losses.approximated(&part.at);
        }
        let id = self.call_id(&call.id);
        let name = match self.aim {
            Aim::Request if !self.own() => fitting(&call.name, MAX_NAME),
            _ => Cow::Borrowed(call.name.as_str()),
        };
        if name != call.name && !self.named.contains(&call.name) {
            self.losses.approximated(&part.at);
        }
        object(json!({"type": "tool_use", "id": id, "name": name, "input": input}))
    }

    fn call_id(&mut self, id: &str) -> String {
        match self.aim {
            _ if self.own() => id.to_owned(),
            Aim::Request => clean_id(id),
            Aim::Answer(client) if id.is_empty() => {
                self.nameless += 1;
                format!("call_tg_{}_{}", client.id, self.nameless - 1)
            }
            Aim::Answer(_) => id.to_owned(),
        }
    }

    fn tool_result(&mut self, result: &ToolResult) -> Map<String, Value> {
        let mut block = Map::new();
        block.insert("type".into(), "tool_result".into());
        block.insert("tool_use_id".into(), self.call_id(&result.call).into());
        match result.parts.as_slice() {
            [] => {}
            [Part { content: Content::Text(text), cache: None, extra, .. }]
                if extra.is_empty() && text.annotations.is_empty() =>
            {
                block.insert("content".into(), text.text.as_str().into());
            }
            parts => {
                let mut content = Vec::with_capacity(parts.len());
                for part in parts {
                    self.part(part, &mut content);
                }
                block.insert("content".into(), Value::Array(content));
            }
        }
        if result.is_error && !self.own() && block.get("content").is_none_or(nothing) {
            block.insert("content".into(), "Error".into()); // refused without
        }
        if result.is_error {
            block.insert("is_error".into(), true.into());
        }
        block
    }
}

fn nothing(content: &Value) -> bool {
    content.as_str().is_some_and(str::is_empty) || content.as_array().is_some_and(Vec::is_empty)
}

/// The citation that shows a client what another provider's text rests on. What only this provider could say is empty.
/// `None` where there is no address: such a citation is of a document that the client gave.
pub fn citation(annotation: &Annotation, losses: &mut Losses) -> Option<Value> {
    let Some(url) = &annotation.url else {
        losses.unsupported(&annotation.at);
        return None;
    };
    losses.approximated(&annotation.at);
    Some(json!({
        "type": "web_search_result_location",
        "url": url,
        "title": annotation.title,
        "cited_text": annotation.cited.as_deref().unwrap_or_default(),
        "encrypted_index": "",
    }))
}

/// Ids of calls may hold letters, digits, `_` and `-`.
pub fn clean_id(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

/// The arguments of a call as the object that this dialect wants, and whether that says the same. What is no JSON goes
/// under the name that Anthropic's documentation proposes for it.
fn input(call: &ToolCall) -> (Value, bool) {
    if call.custom {
        return (json!({"input": call.arguments}), false);
    }
    match serde_json::from_str(&call.arguments) {
        Ok(Value::Object(input)) => (Value::Object(input), true),
        Ok(Value::Null) => (json!({}), true),
        _ if call.arguments.trim().is_empty() => (json!({}), true),
        _ => (json!({"INVALID_JSON": call.arguments}), false),
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
