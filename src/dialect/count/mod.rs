//! Counting the tokens of a request: the operation in three dialects, and an estimate where a provider has none.

mod estimate;
mod picture;
#[cfg(test)]
mod tests;
mod tokens;
mod tools;

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{Extra, Losses, Pointer, Request, Target};
use tollgate_filters::error::Error;
use tollgate_filters::exchange::Dialect;

pub use estimate::estimate;
pub use tokens::{Tokens, decode_tokens};

use super::fields::Fields;
use super::translate::{parse_request, render_request};

/// Gemini's wrapper around a whole request.
const WRAPPER: &str = "generateContentRequest";

/// A request whose tokens are to be counted.
#[derive(Debug, Clone)]
pub struct CountRequest {
    pub request: Request,
    /// Where in the client's body the request stood: pointers of `request` lead on from there.
    pub under: Pointer,
}

/// How many tokens a request has.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Count {
    pub tokens: u64,
    /// It is the gateway's own count, and the provider's may differ.
    pub estimated: bool,
    /// What else a provider's answer says, such as Gemini's `promptTokensDetails`.
    pub extra: Extra,
}

/// Members of Anthropic's messages request that its count takes. The others do not change what goes in.
const ANTHROPIC: &[&str] = &[
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "output_format",
    "cache_control",
    "context_management",
    "mcp_servers",
    "speed",
];

/// Members of OpenAI's responses request that its count takes (`TokenCountsBody`).
const OPENAI: &[&str] = &[
    "model",
    "input",
    "previous_response_id",
    "tools",
    "text",
    "reasoning",
    "truncation",
    "instructions",
    "personality",
    "conversation",
    "tool_choice",
    "parallel_tool_calls",
];

/// Reads the body of Anthropic's `/v1/messages/count_tokens`, Gemini's `:countTokens` (contents alone, or a whole
/// request in `generateContentRequest`) or OpenAI's `/v1/responses/input_tokens`.
pub fn parse_count_request(dialect: Dialect, body: &[u8]) -> Result<CountRequest, Error> {
    let whole = |body: &[u8]| {
        let request = parse_request(dialect, body)?;
        Ok(CountRequest { request, under: Pointer::ROOT })
    };
    if dialect != Dialect::Gemini {
        return whole(body);
    }
    let Ok(Value::Object(mut wrapped)) = serde_json::from_slice::<Value>(body) else { return whole(body) };
    for name in [WRAPPER, "generate_content_request"] {
        if let Some(Value::Object(mut inner)) = wrapped.get_mut(name).map(Value::take) {
            // A body of Gemini's has no model but here.
            let model = inner.shift_remove("model");
            let mut request = parse_request(dialect, Value::Object(inner).to_string().as_bytes())?;
            let model =
                model.as_ref().and_then(Value::as_str).map(|m| m.trim_start_matches("models/").to_owned());
            request.model = model.or(request.model);
            return Ok(CountRequest { request, under: Pointer::ROOT.key(name) });
        }
    }
    whole(body)
}

impl CountRequest {
    /// Losses as pointers into the client's body.
    pub fn placed(&self, losses: &Losses) -> Losses {
        let mut placed = Losses::default();
        for loss in losses.iter() {
            let keys = loss.at.as_str().split('/').skip(1);
            let at =
                keys.fold(self.under.clone(), |at, key| at.key(&key.replace("~1", "/").replace("~0", "~")));
            placed.push(&at, loss.why);
        }
        placed
    }
}

/// Writes the body of the target's count. `None` where the dialect has no such operation (Chat Completions): then
/// [`estimate`] has to do.
pub fn render_count_request(
    dialect: Dialect,
    request: &Request,
    target: &Target,
    losses: &mut Losses,
) -> Option<Value> {
    if dialect == Dialect::OpenaiChat {
        return None;
    }
    let target = Target { stream: false, ask_for_usage: false, ..target.clone() };
    let body = render_request(dialect, request, &target, losses);
    let only = |body: Value, known: &[&str]| match body {
        Value::Object(body) => {
            Value::Object(body.into_iter().filter(|(key, _)| known.contains(&key.as_str())).collect())
        }
        other => other,
    };
    Some(match dialect {
        Dialect::Anthropic => only(body, ANTHROPIC),
        Dialect::OpenaiResponses | Dialect::OpenaiChat => only(body, OPENAI),
        Dialect::Gemini => {
            let model = format!("models/{}", target.model.trim_start_matches("models/"));
            let mut inner = Map::from_iter([("model".to_owned(), json!(model))]);
            if let Value::Object(body) = body {
                inner.extend(body.into_iter().filter(|(key, _)| key != "model"));
            }
            json!({ WRAPPER: inner })
        }
    })
}

/// Reads a provider's answer; `None` where there is no count in it.
pub fn parse_count_answer(dialect: Dialect, body: &Value) -> Option<Count> {
    let mut fields = Fields::new(body.clone(), Pointer::ROOT).ok()?;
    let tokens = fields.unsigned(counted_in(dialect)).ok()??;
    fields.take("object");
    Some(Count { tokens, estimated: false, extra: fields.rest() })
}

/// Writes the client's answer. That it is an estimate has no place in it: a header has to say so.
pub fn render_count_answer(dialect: Dialect, source: Dialect, count: &Count, losses: &mut Losses) -> Value {
    let mut body = Map::new();
    if matches!(dialect, Dialect::OpenaiResponses | Dialect::OpenaiChat) {
        body.insert("object".to_owned(), json!("response.input_tokens"));
    }
    body.insert(counted_in(dialect).to_owned(), json!(count.tokens));
    for (key, value) in &count.extra {
        if dialect == source {
            body.insert(key.clone(), value.clone());
        } else if !says_nothing(value, count.tokens) {
            losses.unsupported(&Pointer::ROOT.key(key));
        }
    }
    Value::Object(body)
}

fn counted_in(dialect: Dialect) -> &'static str {
    if dialect == Dialect::Gemini { "totalTokens" } else { "input_tokens" }
}

/// An empty or neutral value, or details that have all tokens to be text.
fn says_nothing(value: &Value, tokens: u64) -> bool {
    match value {
        Value::Array(list) => match list.as_slice() {
            [] => true,
            [one] => one["modality"] == "TEXT" && one["tokenCount"].as_u64() == Some(tokens),
            _ => false,
        },
        Value::Object(object) => object.is_empty(),
        Value::Number(number) => number.as_u64() == Some(0),
        _ => false,
    }
}
