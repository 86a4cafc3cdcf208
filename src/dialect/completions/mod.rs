//! The legacy `POST /v1/completions` on top of a conversation: the prompt becomes a user's message.

mod answer;
pub mod encode;
mod request;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{At, Finish, FinishKind, Losses, UsageReport};
use tollgate_filters::exchange::Dialect;

pub use answer::render;
pub use request::parse;

/// What of the request the gateway does itself when it writes the answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// The prompt stands in front of each answer (`echo`).
    pub echo: Option<String>,
}

impl Wanted {
    fn echoed(&self) -> &str {
        self.echo.as_deref().unwrap_or_default()
    }
}

/// The three words that there are for the end of a text.
fn finish_word(finish: &Finish, losses: &mut Losses) -> &'static str {
    if finish.stop_sequence.is_some() {
        losses.unsupported(&finish.at.key("stop_sequence"));
    }
    let (word, exact) = match finish.kind {
        FinishKind::Stop | FinishKind::StopSequence => ("stop", true),
        FinishKind::Length => ("length", true),
        FinishKind::ContentFilter => ("content_filter", true),
        FinishKind::ContextWindow => ("length", false),
        FinishKind::Refusal => ("content_filter", false),
        FinishKind::ToolCalls | FinishKind::Pause | FinishKind::Error | FinishKind::Other => ("stop", false),
    };
    if !exact {
        losses.approximated(&finish.at);
    }
    word
}

/// A `CompletionUsage`.
fn usage(report: &UsageReport, source: Dialect, losses: &mut Losses) -> Value {
    let usage = &report.usage;
    let counts = |counts: &[(&str, u64)]| -> Map<String, Value> {
        counts
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(key, count)| ((*key).to_owned(), json!(count)))
            .collect()
    };
    let mut body = Map::new();
    body.insert("prompt_tokens".to_owned(), json!(usage.input_tokens));
    body.insert("completion_tokens".to_owned(), json!(usage.output_tokens));
    body.insert("total_tokens".to_owned(), json!(usage.input_tokens.saturating_add(usage.output_tokens)));
    let input =
        counts(&[("cached_tokens", usage.cached_input_tokens), ("audio_tokens", usage.audio_input_tokens)]);
    let output =
        counts(&[("reasoning_tokens", usage.reasoning_tokens), ("audio_tokens", usage.audio_output_tokens)]);
    for (key, details) in [("prompt_tokens_details", input), ("completion_tokens_details", output)] {
        if !details.is_empty() {
            body.insert(key.to_owned(), Value::Object(details));
        }
    }
    let homeless = [
        usage.cache_write_5m_tokens,
        usage.cache_write_1h_tokens,
        usage.image_input_tokens,
        usage.tool_input_tokens,
        usage.image_output_tokens,
    ];
    if homeless.iter().any(|count| *count > 0) {
        losses.unsupported(&report.at);
    }
    if let Some(cost) = &report.cost {
        losses.unsupported(&cost.at);
    }
    if source == Dialect::OpenaiChat {
        body.extend(report.extra.clone());
    } else {
        losses.extra(&report.at, &report.extra);
    }
    Value::Object(body)
}

/// Chat's log-probabilities (`content`: a list of tokens) in the older form: parallel lists, and where in the text each
/// token begins. `offset` is where the first begins, and then where the next will.
fn logprobs(chat: &At<Value>, offset: &mut u64, losses: &mut Losses) -> Value {
    let (mut tokens, mut chosen, mut top, mut offsets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (i, token) in chat.value["content"].as_array().into_iter().flatten().enumerate() {
        let text = token["token"].as_str().unwrap_or_default();
        tokens.push(json!(text));
        chosen.push(token["logprob"].clone());
        offsets.push(json!(*offset));
        *offset += text.chars().count() as u64;
        let of = |other: &Value| Some((other["token"].as_str()?.to_owned(), other["logprob"].clone()));
        let others = token["top_logprobs"].as_array().into_iter().flatten().filter_map(of);
        top.push(Value::Object(others.collect()));
        if token["bytes"].as_array().is_some_and(|bytes| bytes != text.as_bytes()) {
            losses.unsupported(&chat.at.key("content").index(i).key("bytes"));
        }
    }
    if chat.value["refusal"].as_array().is_some_and(|list| !list.is_empty()) {
        losses.unsupported(&chat.at.key("refusal"));
    }
    json!({ "tokens": tokens, "token_logprobs": chosen, "top_logprobs": top, "text_offset": offsets })
}
