//! Tool calls, their results, and reasoning.

use serde_json::Value;
use tollgate_filters::chat::{
    Content, ENVELOPE, Maker, Part, Reasoning, Role, Seal, Thought, ToolCall, ToolResult,
};
use tollgate_filters::error::Error;

use super::{Side, keep_members, message};
use crate::dialect::fields::{Fields, missing, wrong_type};

/// A `function_call` or a `custom_tool_call`.
pub(super) fn call(mut fields: Fields, custom: bool, side: Side) -> Result<Part, Error> {
    let at = fields.here().clone();
    fields.take("type");
    let arguments = if custom { "input" } else { "arguments" };
    let Some(name) = fields.string("name")? else { return Err(missing(&fields.at("name"))) };
    let call = ToolCall {
        id: fields.string("call_id")?.unwrap_or_default(),
        name,
        arguments: fields.string(arguments)?.unwrap_or_default(),
        custom,
        item_id: fields.string("id")?,
    };
    let mut part = Part::new(Content::ToolCall(call), at);
    status(&mut fields, &mut part, side);
    part.extra.extend(fields.rest());
    Ok(part)
}

/// Keeps an item's `status`; a provider's `completed` need not be kept.
fn status(fields: &mut Fields, part: &mut Part, side: Side) {
    if side == Side::Answer && fields.word("status") == Some("completed") {
        fields.take("status");
    }
    if let Some(status) = fields.take("status") {
        let at = fields.here().clone();
        keep_members(part, &at, std::iter::once(("status".to_owned(), status)).collect());
    }
}

/// A `function_call_output` or a `custom_tool_call_output`.
pub(super) fn output(mut fields: Fields, custom: bool) -> Result<Part, Error> {
    let at = fields.here().clone();
    fields.take("type");
    let place = fields.at("output");
    let mut plain = true;
    let parts = match fields.take("output") {
        Some(Value::String(text)) => vec![Part::text(text, place)],
        Some(Value::Array(list)) => {
            plain = false;
            let parts = list.into_iter().enumerate();
            let part = |(i, value)| message::part(value, place.index(i), Role::User, Side::Request);
            parts.map(part).collect::<Result<_, _>>()?
        }
        None => return Err(missing(&place)),
        Some(_) => return Err(wrong_type(&place, "a string or a list")),
    };
    let result = ToolResult {
        call: fields.string("call_id")?.unwrap_or_default(),
        parts,
        custom,
        ..ToolResult::default()
    };
    let mut part = Part::new(Content::ToolResult(result), at.clone());
    let mut members = serde_json::Map::new();
    for name in ["id", "status"] {
        if let Some(value) = fields.take(name) {
            members.insert(name.to_owned(), value);
        }
    }
    keep_members(&mut part, &at, members);
    part.extra.extend(fields.rest());
    if !plain {
        part.extra.insert(ENVELOPE.to_owned(), serde_json::json!({}));
    }
    Ok(part)
}

/// A `reasoning` item.
pub(super) fn reasoning(mut fields: Fields, side: Side) -> Result<Part, Error> {
    let at = fields.here().clone();
    fields.take("type");
    let mut thoughts = Vec::new();
    for (list, kind, summary) in [("summary", "summary_text", true), ("content", "reasoning_text", false)] {
        let place = fields.at(list);
        for (i, value) in fields.list(list)?.unwrap_or_default().into_iter().enumerate() {
            let text = value.get("text").and_then(Value::as_str);
            match (value.get("type").and_then(Value::as_str), text) {
                (Some(word), Some(text)) if word == kind => {
                    thoughts.push(Thought { summary, text: text.to_owned() });
                }
                _ => return Err(wrong_type(&place.index(i), &format!("a part of the type `{kind}`"))),
            }
        }
    }
    let seal = fields.string("encrypted_content")?.filter(|seal| !seal.is_empty());
    let seal = seal.map(|seal| Seal::arriving(&seal, Maker::Openai, false));
    let reasoning = Reasoning { id: fields.string("id")?, thoughts, seal };
    let mut part = Part::new(Content::Reasoning(reasoning), at);
    status(&mut fields, &mut part, side);
    part.extra.extend(fields.rest());
    Ok(part)
}
