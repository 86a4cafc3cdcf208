//! Content blocks, read into parts.

use serde_json::{Map, Value};
use tollgate_filters::chat::{
    Annotation, Cache, Content, Maker, Part, Pointer, Reasoning, Seal, Text, Thought, ToolCall, ToolResult,
};
use tollgate_filters::error::Error;

use super::{media, server};
use crate::dialect::fields::{Fields, missing, wrong_type};

/// Reads a block of a request. A known member of a wrong type is an error; a block of an unknown type is kept whole.
pub fn part(value: Value, at: Pointer) -> Result<Part, Error> {
    let kind = match value.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        Some(_) => return Err(wrong_type(&at.key("type"), "a string")),
        None if value.is_object() => return Err(missing(&at.key("type"))),
        None => return Err(wrong_type(&at, "an object")),
    };
    match kind.as_str() {
        "text" => text(opened(value, at)?),
        "image" | "document" | "search_result" => media::read(&kind, value, at),
        "tool_use" => tool_use(opened(value, at)?),
        "tool_result" => tool_result(opened(value, at)?),
        "thinking" => thinking(opened(value, at)?),
        "redacted_thinking" => redacted(opened(value, at)?),
        "server_tool_use" | "mcp_tool_use" => Ok(Part::new(server::call(value), at)),
        result if result.ends_with("_tool_result") => Ok(Part::new(server::result(value), at)),
        _ => Ok(Part::new(Content::Opaque(value), at)),
    }
}

/// Reads a block of an answer: what is not as it should be is kept whole.
pub fn lenient(value: Value, at: Pointer) -> Part {
    part(value.clone(), at.clone()).unwrap_or_else(|_| Part::new(Content::Opaque(value), at))
}

/// A citation of a text block. What it says of places is about the source; it stands for the block's whole text.
pub fn annotation(raw: Value, at: Pointer) -> Annotation {
    let word = |key: &str| raw.get(key).and_then(Value::as_str).map(str::to_owned);
    let link = |text: &String| text.starts_with("http://") || text.starts_with("https://");
    Annotation {
        url: word("url").or_else(|| word("source").filter(link)),
        title: word("title").or_else(|| word("document_title")),
        start: None,
        end: None,
        cited: word("cited_text"),
        raw,
        at,
    }
}

/// A member that means the same as if it were not there: a tool was called by the model itself, which is what it
/// always does unless code of a server tool called it.
fn says_nothing(key: &str, value: &Value) -> bool {
    key == "caller" && value.get("type").and_then(Value::as_str) == Some("direct")
}

pub(super) fn opened(value: Value, at: Pointer) -> Result<Fields, Error> {
    let mut fields = Fields::new(value, at)?;
    fields.take("type");
    Ok(fields)
}

pub(super) fn done(content: Content, mut fields: Fields) -> Part {
    let at = fields.here().clone();
    let place = fields.at("cache_control");
    let cache = fields.take("cache_control").map(|raw| Cache { raw, at: place });
    let mut extra = fields.rest();
    extra.retain(|key, value| !says_nothing(key, value));
    Part { content, at, cache, extra }
}

pub(super) fn required(fields: &mut Fields, key: &str) -> Result<String, Error> {
    fields.string(key)?.ok_or_else(|| missing(&fields.at(key)))
}

fn text(mut fields: Fields) -> Result<Part, Error> {
    let text = required(&mut fields, "text")?;
    let place = fields.at("citations");
    let citations = fields.list("citations")?.unwrap_or_default();
    let annotations =
        citations.into_iter().enumerate().map(|(i, raw)| annotation(raw, place.index(i))).collect();
    Ok(done(Content::Text(Text { text, annotations }), fields))
}

fn tool_use(mut fields: Fields) -> Result<Part, Error> {
    let id = required(&mut fields, "id")?;
    let name = required(&mut fields, "name")?;
    let arguments = match fields.take("input") {
        None => Value::Object(Map::new()).to_string(),
        Some(input) => input.to_string(),
    };
    Ok(done(Content::ToolCall(ToolCall { id, name, arguments, ..ToolCall::default() }), fields))
}

fn tool_result(mut fields: Fields) -> Result<Part, Error> {
    let call = required(&mut fields, "tool_use_id")?;
    let is_error = fields.boolean("is_error")?.unwrap_or_default();
    let place = fields.at("content");
    let parts = match fields.peek("content") {
        None => Vec::new(),
        Some(Value::String(text)) => {
            let parts = vec![Part::text(text.clone(), place)];
            fields.take("content");
            parts
        }
        Some(Value::Array(_)) => {
            let list = fields.list("content")?.unwrap_or_default();
            let parts = list.into_iter().enumerate().map(|(i, value)| part(value, place.index(i)));
            parts.collect::<Result<_, _>>()?
        }
        Some(_) => return Err(wrong_type(&place, "a string or a list of content blocks")),
    };
    let result = ToolResult { call, parts, is_error, ..ToolResult::default() };
    Ok(done(Content::ToolResult(result), fields))
}

fn thinking(mut fields: Fields) -> Result<Part, Error> {
    let text = fields.string("thinking")?.unwrap_or_default();
    let signature = fields.string("signature")?.unwrap_or_default();
    let thoughts = if text.is_empty() { Vec::new() } else { vec![Thought { summary: false, text }] };
    let seal = (!signature.is_empty()).then(|| Seal::arriving(&signature, Maker::Anthropic, false));
    Ok(done(Content::Reasoning(Reasoning { id: None, thoughts, seal }), fields))
}

fn redacted(mut fields: Fields) -> Result<Part, Error> {
    let data = required(&mut fields, "data")?;
    let seal = Some(Seal::arriving(&data, Maker::Anthropic, true));
    Ok(done(Content::Reasoning(Reasoning { id: None, thoughts: Vec::new(), seal }), fields))
}
