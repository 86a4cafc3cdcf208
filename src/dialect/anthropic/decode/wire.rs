//! The documents of a stream as they are sent, and what a block begins with.

use serde::Deserialize;
use serde_json::{Map, Value};
use tollgate_filters::chat::{Content, Delta, Opening, ToolCall};

/// The one document that comes again and again. Others are read as a whole.
#[derive(Deserialize)]
pub(super) struct Hot {
    pub r#type: Type,
    #[serde(default)]
    pub index: usize,
    #[serde(default)]
    pub delta: Piece,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Type {
    ContentBlockDelta,
    #[serde(other)]
    Other,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Piece {
    pub r#type: PieceType,
    pub text: String,
    pub thinking: String,
    pub partial_json: String,
    pub signature: String,
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum PieceType {
    TextDelta,
    InputJsonDelta,
    ThinkingDelta,
    SignatureDelta,
    #[default]
    #[serde(other)]
    Other,
}

/// How a part begins that holds `content` from the start, and what follows at once.
pub(super) fn begun(content: Content) -> (Opening, Vec<Delta>) {
    let mut deltas = Vec::new();
    let opening = match content {
        Content::Text(text) => {
            if !text.text.is_empty() {
                deltas.push(Delta::Text(text.text));
            }
            deltas.extend(text.annotations.into_iter().map(|one| Delta::Annotation(Box::new(one))));
            Opening::Text
        }
        Content::Reasoning(reasoning) => {
            for thought in reasoning.thoughts {
                deltas.push(Delta::Thought { summary: thought.summary, new: true, text: thought.text });
            }
            deltas.extend(reasoning.seal.map(Delta::Seal));
            Opening::Reasoning { id: None }
        }
        Content::ToolCall(call) => {
            if call.arguments != "{}" {
                deltas.push(Delta::Arguments(call.arguments));
            }
            Opening::ToolCall(ToolCall { arguments: String::new(), ..call })
        }
        Content::Server(used) => Opening::Server(Box::new(used)),
        Content::Media(media) => Opening::Media(Box::new(media)),
        Content::Opaque(raw) => Opening::Opaque(raw),
        Content::Refusal(_) => Opening::Refusal,
        Content::ToolResult(_) => Opening::Opaque(Value::Null),
    };
    (opening, deltas)
}

/// Adds a delta's members to those of a block: texts grow, whatever else is replaced.
pub(super) fn merge(block: &mut Map<String, Value>, delta: Map<String, Value>) {
    for (key, value) in delta {
        match (block.get_mut(&key), value) {
            (Some(Value::String(text)), Value::String(more)) => text.push_str(&more),
            (_, value) => drop(block.insert(key, value)),
        }
    }
}
