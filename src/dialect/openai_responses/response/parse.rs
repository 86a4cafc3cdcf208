//! Answers, read.

use serde_json::{Map, Value};
use tollgate_filters::chat::{At, Choice, Content, ENVELOPE, Extra, Part, Pointer, Response, UsageReport};
use tollgate_filters::error::Error;
use tollgate_filters::exchange::Dialect;

use super::finish;
use crate::dialect::fields::Fields;
use crate::dialect::openai_responses::item::{self, Side};
use crate::dialect::openai_responses::usage;

/// Members that repeat the request, or only name the document.
pub(super) const ECHO: [&str; 31] = [
    "background",
    "completed_at",
    "context_management",
    "conversation",
    "frequency_penalty",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "moderation",
    "object",
    "output_text",
    "parallel_tool_calls",
    "presence_penalty",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "store",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// Everything of a `response` object but its output.
#[derive(Debug)]
pub struct Head {
    pub id: Option<String>,
    pub model: Option<String>,
    pub created: Option<u64>,
    pub status: Option<String>,
    pub reason: Option<String>,
    pub usage: Option<UsageReport>,
    pub service_tier: Option<At<String>>,
    /// With the envelope.
    pub extra: Extra,
}

/// Reads everything but the output, which is left in `fields`.
pub fn head(mut fields: Fields) -> (Head, Option<Value>) {
    let text = |fields: &mut Fields, key: &str| fields.string(key).unwrap_or_default();
    let id = text(&mut fields, "id");
    let model = text(&mut fields, "model");
    let created = created(&mut fields);
    let status = text(&mut fields, "status");
    let reason = fields.peek("incomplete_details").and_then(|details| details.get("reason"));
    let reason = reason.and_then(Value::as_str).map(str::to_owned);
    if status.as_deref() == Some("incomplete") && reason.is_some() {
        fields.take("incomplete_details");
    }
    let usage = read_usage(&mut fields);
    let tier = text(&mut fields, "service_tier");
    let service_tier = fields.placed("service_tier", tier);
    let output = fields.take("output");
    let mut extra = fields.rest();
    let mut envelope = Map::new();
    for name in ECHO {
        // Moderation that was only asked for is an echo, and results of it are not.
        if name == "moderation" && extra.get(name).is_some_and(|it| it.get("input").is_some()) {
            continue;
        }
        if let Some(value) = extra.shift_remove(name) {
            envelope.insert(name.to_owned(), value);
        }
    }
    for name in ["billing", "tool_usage"] {
        if extra.get(name).is_some_and(is_usual) {
            envelope.extend(extra.shift_remove(name).map(|value| (name.to_owned(), value)));
        }
    }
    extra.insert(ENVELOPE.to_owned(), Value::Object(envelope));
    (Head { id, model, created, status, reason, usage, service_tier, extra }, output)
}

/// Counts of nothing, and that the answer is paid for by whoever asked for it.
fn is_usual(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(word) => word == "developer",
        Value::Object(map) => map.values().all(is_usual),
        Value::Array(list) => list.iter().all(is_usual),
        Value::Bool(true) => false,
    }
}

/// Some send fractions of a second.
fn created(fields: &mut Fields) -> Option<u64> {
    let seconds = fields.unsigned("created_at").unwrap_or_default();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates
    seconds
        .or_else(|| fields.take("created_at").and_then(|value| value.as_f64()).map(|seconds| seconds as u64))
}

pub fn read_usage(fields: &mut Fields) -> Option<UsageReport> {
    let raw = fields.peek("usage")?.clone();
    let report = usage::parse(raw, Pointer::of("/usage"))?;
    fields.take("usage");
    Some(report)
}

/// Reads an answer that is no stream. What is not as it should be stays as an extra member.
pub fn parse(body: Value) -> Result<Response, Error> {
    let fields = Fields::new(body, Pointer::ROOT)?;
    let (head, output) = head(fields);
    let at = Pointer::of("/output");
    let mut parts = Vec::new();
    if let Some(Value::Array(list)) = output {
        for (i, value) in list.into_iter().enumerate() {
            parts.extend(read_item(value, at.index(i)));
        }
    }
    let calls = parts.iter().any(|part| matches!(part.content, Content::ToolCall(_)));
    let mut choice = Choice { parts, ..Choice::default() };
    choice.finish = finish::read(head.status.as_deref(), head.reason.as_deref(), calls);
    take_logprobs(&mut choice);
    Ok(Response {
        source: Dialect::OpenaiResponses,
        id: head.id,
        model: head.model,
        created: head.created,
        choices: vec![choice],
        usage: head.usage,
        service_tier: head.service_tier,
        extra: head.extra,
    })
}

/// Reads an item; one that is not as it should be is opaque.
pub(in crate::dialect::openai_responses) fn read_item(value: Value, at: Pointer) -> Vec<Part> {
    let whole = value.clone();
    item::parse(value, at.clone(), Side::Answer)
        .unwrap_or_else(|_| vec![Part::new(Content::Opaque(whole), at)])
}

/// Log-probabilities stand beside each text; the neutral form has them beside the whole.
fn take_logprobs(choice: &mut Choice) {
    for part in &mut choice.parts {
        let Some(Value::Array(tokens)) = part.extra.get_mut("logprobs") else { continue };
        let tokens = std::mem::take(tokens);
        part.extra.shift_remove("logprobs");
        match &mut choice.logprobs {
            Some(sum) => {
                if let Some(Value::Array(list)) = sum.value.get_mut("content") {
                    list.extend(tokens);
                }
            }
            none => {
                *none = Some(At::new(serde_json::json!({ "content": tokens }), part.at.key("logprobs")));
            }
        }
    }
}
