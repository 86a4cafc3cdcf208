//! `GET /v1/models` as OpenAI writes it, with what OpenRouter and this gateway add.
//!
//! OpenAI's own members are `id`, `object`, `created`, `owned_by` and `shutdown_date`. `name`, `context_length`,
//! `architecture` and `pricing` are called as OpenRouter calls them; the others are this gateway's.

use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use tollgate_filters::catalogue::{Capability, Kind, Model};
use tollgate_filters::chat::Effort;
use tollgate_filters::price::Rates;

use super::{Entry, put};

pub(super) fn list(entries: &[Entry]) -> Value {
    let models: Vec<Value> = entries.iter().map(model).collect();
    json!({"object": "list", "data": models})
}

pub(super) fn model(entry: &Entry) -> Value {
    let mut object = Map::new();
    put(&mut object, "id", Some(entry.id.as_str()));
    put(&mut object, "object", Some("model"));
    put(&mut object, "created", Some(entry.created.unwrap_or_default()));
    put(&mut object, "owned_by", Some(entry.provider));
    put(&mut object, "name", entry.name.as_deref());
    if let Some(model) = entry.model {
        put(&mut object, "shutdown_date", model.retires.as_deref());
        put(&mut object, "context_length", model.max_input_tokens);
        put(&mut object, "max_output_tokens", model.max_output_tokens);
        put(&mut object, "dimensions", model.dimensions);
        if let Some(architecture) = architecture(entry) {
            object.insert("architecture".to_owned(), architecture);
        }
        let capabilities = capabilities(model);
        if !capabilities.is_empty() {
            object.insert("capabilities".to_owned(), Value::Object(capabilities));
        }
    }
    let pricing = entry.prices.as_ref().map(pricing).filter(|pricing| !pricing.is_empty());
    put(&mut object, "pricing", pricing);
    Value::Object(object)
}

/// What is known to go in, for models of which something is known about that.
fn architecture(entry: &Entry) -> Option<Value> {
    if entry.kind() == Kind::Embedding {
        return None;
    }
    let inputs = [
        ("image", Capability::Image),
        ("file", Capability::Pdf),
        ("audio", Capability::Audio),
        ("video", Capability::Video),
    ];
    let taken = inputs.into_iter().filter(|(_, capability)| entry.can(*capability) == Some(true));
    let words: Vec<&str> = std::iter::once("text").chain(taken.map(|(word, _)| word)).collect();
    let known = inputs.iter().any(|(_, capability)| entry.can(*capability).is_some());
    known.then(|| json!({"input_modalities": words}))
}

/// Yes and no, where it is known.
fn capabilities(model: &Model) -> Map<String, Value> {
    let mut object = Map::new();
    for (word, capability) in [
        ("tools", Capability::Tools),
        ("parallel_tools", Capability::ParallelTools),
        ("structured_output", Capability::StructuredOutput),
        ("prefill", Capability::Prefill),
    ] {
        put(&mut object, word, model.can(capability));
    }
    put(&mut object, "reasoning", model.thinks());
    if !model.efforts().is_empty() {
        let off = (model.can(Capability::ThinkingOff) == Some(true)).then_some(&Effort::None);
        let efforts: Vec<&str> = off.into_iter().chain(model.efforts()).map(Effort::as_str).collect();
        put(&mut object, "reasoning_efforts", Some(efforts));
    }
    object
}

/// Dollars per token, as decimal strings.
fn pricing(rates: &Rates) -> Map<String, Value> {
    let mut object = Map::new();
    for (word, per_million) in [
        ("prompt", rates.input),
        ("completion", rates.output),
        ("input_cache_read", rates.cached_input),
        ("input_cache_write", rates.cache_write_5m),
        ("input_cache_write_1h", rates.cache_write_1h),
        ("internal_reasoning", rates.reasoning),
        ("audio", rates.audio_input),
    ] {
        let per_token = per_million.and_then(|price| price.checked_mul(Decimal::new(1, 6)));
        put(&mut object, word, per_token.map(|price| price.normalize().to_string()));
    }
    object
}
