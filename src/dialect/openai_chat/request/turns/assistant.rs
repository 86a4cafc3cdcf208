//! The assistant's messages: what it said, thought and called.

use std::borrow::Cow;

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{
    Content, MediaKind, Part, Reasoning, ReasoningField, Tool, ToolCallIds, ToolKind, Why,
};

use super::{Writer, fitted, joined};
use crate::dialect::openai_chat::reasoning::{details, of_nothing};

impl Writer<'_> {
    /// A message of the assistant's; `None` where nothing of it is left.
    pub(super) fn assistant(&mut self, parts: &[&Part]) -> Option<Value> {
        let mut message = Map::from_iter([("role".to_owned(), json!("assistant"))]);
        let mut content = Vec::new();
        let mut calls = Vec::new();
        let mut images = Vec::new();
        let mut thoughts = Thoughts::default();
        for (i, part) in parts.iter().enumerate() {
            match &part.content {
                // The last piece of a stream may be empty, and says nothing in a list of parts.
                Content::Text(text) if text.text.is_empty() && parts.len() > 1 => {}
                Content::Text(text) => {
                    for annotation in &text.annotations {
                        self.losses.unsupported(&annotation.at);
                    }
                    content.push(self.text(part, &text.text));
                }
                Content::Refusal(text) if self.quirks.openai_params => {
                    message.insert("refusal".to_owned(), json!(text));
                }
                Content::Refusal(text) => {
                    self.losses.approximated(&part.at);
                    content.push(self.text(part, text));
                }
                Content::Reasoning(reasoning) if of_nothing(reasoning, parts.get(i + 1).copied()) => {
                    self.losses.unsupported(&part.at);
                }
                Content::Reasoning(reasoning) => {
                    let call = parts.get(i + 1).and_then(|next| match &next.content {
                        Content::ToolCall(call) => Some(self.id(&call.id)),
                        _ => None,
                    });
                    self.reasoning(part, reasoning, call.as_deref(), &mut thoughts);
                    self.losses.extra(&part.at, &part.extra);
                }
                Content::ToolCall(_) => calls.push(self.call(part)),
                Content::Media(media)
                    if media.kind == MediaKind::Image && self.quirks.reasoning == ReasoningField::Details =>
                {
                    match self.media(part, media) {
                        Some(image) => images.push(image),
                        None => self.losses.unsupported(&part.at),
                    }
                }
                _ => self.losses.unsupported(&part.at),
            }
        }
        thoughts.write(self.quirks.reasoning, &mut message, &mut content);
        if !images.is_empty() {
            message.insert("images".to_owned(), Value::Array(images));
        }
        let content = joined(content);
        if content.is_none() && calls.is_empty() && message.len() == 1 {
            return None;
        }
        message.insert("content".to_owned(), content.unwrap_or_default());
        if !calls.is_empty() {
            message.insert("tool_calls".to_owned(), Value::Array(calls));
        }
        Some(Value::Object(message))
    }

    fn reasoning(&mut self, part: &Part, reasoning: &Reasoning, call: Option<&str>, thoughts: &mut Thoughts) {
        if self.quirks.reasoning == ReasoningField::Details {
            let mut list = details(reasoning, thoughts.blocks, call);
            thoughts.blocks += 1;
            thoughts.details.append(&mut list);
        } else if reasoning.seal.is_some() {
            self.losses.push(&part.at, Why::Foreign);
        } else if self.quirks.reasoning == ReasoningField::None {
            self.losses.unsupported(&part.at);
        } else if !reasoning.thoughts.is_empty() {
            thoughts.texts.push(reasoning.text());
        }
    }

    pub(super) fn call(&mut self, part: &Part) -> Value {
        let Content::ToolCall(call) = &part.content else { return Value::Null };
        let id = self.id(&call.id);
        let name =
            if self.same { Cow::Borrowed(call.name.as_str()) } else { fitted(&call.name, self.target) };
        let tool = |tool: &Tool| match &tool.kind {
            ToolKind::Function { name, .. } | ToolKind::Custom { name, .. } => *name == call.name,
            ToolKind::Server { .. } => false,
        };
        // Of a tool of the request's it is told there.
        if name != call.name && !self.request.tools.iter().any(tool) {
            self.losses.approximated(&part.at);
        }
        let value = if call.custom && (self.same || self.quirks.openai_params) {
            json!({ "id": id, "type": "custom", "custom": { "name": name, "input": call.arguments } })
        } else {
            let arguments = match call.arguments.as_str() {
                "" if !self.same => "{}".to_owned(),
                input if call.custom => {
                    self.losses.approximated(&part.at);
                    json!({ "input": input }).to_string()
                }
                arguments => arguments.to_owned(),
            };
            json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } })
        };
        self.dress(part, value)
    }

    pub(super) fn id(&self, id: &str) -> String {
        let nine = id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric());
        match self.quirks.tool_call_ids {
            ToolCallIds::Nine if !self.same && !nine => nine_of(id),
            _ if id.is_empty() => "call_tg_0".to_owned(),
            _ => id.to_owned(),
        }
    }
}

/// Reasoning on its way into a message.
#[derive(Default)]
struct Thoughts {
    texts: Vec<String>,
    details: Vec<Value>,
    blocks: usize,
}

impl Thoughts {
    pub(super) fn write(
        self,
        field: ReasoningField,
        message: &mut Map<String, Value>,
        content: &mut Vec<Value>,
    ) {
        if !self.details.is_empty() {
            message.insert("reasoning_details".to_owned(), Value::Array(self.details));
        }
        if self.texts.is_empty() {
            return;
        }
        let text = self.texts.join("\n\n");
        let key = match field {
            ReasoningField::ReasoningContent => "reasoning_content",
            ReasoningField::Reasoning => "reasoning",
            ReasoningField::Parts => {
                let thinking = [json!({ "type": "text", "text": text })];
                return content.insert(0, json!({ "type": "thinking", "thinking": thinking }));
            }
            ReasoningField::None | ReasoningField::Details => return,
        };
        message.insert(key.to_owned(), json!(text));
    }
}

/// Nine letters and digits that stand for an id: the same for the same id.
fn nine_of(id: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    // FNV-1a.
    let mut hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut nine = String::with_capacity(9);
    for _ in 0..9 {
        nine.push(char::from(DIGITS[usize::try_from(hash % 62).unwrap_or_default()]));
        hash /= 62;
    }
    nine
}
