//! The usage block of an answer, read and written as a whole.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{At, ENVELOPE, Extra, Losses, Pointer, UsageReport};

/// Where an answer's usage block stands.
const PLACE: Pointer = Pointer::of("/usage");

/// Members of the block that are read into typed fields.
const TYPED: [&str; 7] = [
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "cache_creation",
    "output_tokens",
    "output_tokens_details",
    "service_tier",
];

/// What `inference_geo` says where nothing is known of it.
const UNKNOWN: &str = "not_available";

/// Members that only this dialect has.
const OWN: [&str; 7] = [
    "server_tool_use",
    "inference_geo",
    "iterations",
    "speed",
    "service_tier",
    "cache_creation",
    "output_tokens_details",
];

/// Reads the block, and the tier that is named in it.
pub fn read(block: &Map<String, Value>) -> (Option<UsageReport>, Option<At<String>>) {
    let raw = serde_json::to_vec(block).unwrap_or_default();
    let Some(reported) = super::usage(&raw, &raw) else { return (None, None) };
    let mut extra = Extra::new();
    for (key, value) in block {
        let typed = TYPED.contains(&key.as_str())
            && match key.as_str() {
                "output_tokens_details" => {
                    value.as_object().is_none_or(|of| of.keys().all(|k| k == "thinking_tokens"))
                }
                "service_tier" => value.is_string(),
                // It happens that the two disagree; the sum is what is counted.
                "cache_creation" => agrees(value, block.get("cache_creation_input_tokens")),
                _ => true,
            };
        if key == "inference_geo" && value == UNKNOWN {
            extra.insert(ENVELOPE.to_owned(), json!({ "inference_geo": UNKNOWN }));
        } else if !typed && !empty(value) {
            extra.insert(key.clone(), value.clone());
        }
    }
    let tier = reported.service_tier.map(|tier| {
        let tier = if tier == "standard" { "default".to_owned() } else { tier };
        At::new(tier, PLACE.key("service_tier"))
    });
    (Some(UsageReport { usage: reported.usage, cost: None, extra, at: PLACE }), tier)
}

fn agrees(by_age: &Value, sum: Option<&Value>) -> bool {
    let Value::Object(by_age) = by_age else { return true };
    let total: u64 = by_age.values().filter_map(Value::as_u64).sum();
    sum.and_then(Value::as_u64).is_none_or(|sum| sum == total)
}

/// Nothing was counted.
fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Object(map) => map.values().all(empty),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// Writes the block. The counts that every client expects are always there.
pub fn write(report: Option<&UsageReport>, tier: Option<&At<String>>, losses: &mut Losses) -> Value {
    let empty = UsageReport::default();
    let report = report.unwrap_or(&empty);
    let usage = &report.usage;
    let written = usage.cache_write_5m_tokens.saturating_add(usage.cache_write_1h_tokens);
    let fresh = usage.input_tokens.saturating_sub(usage.cached_input_tokens).saturating_sub(written);
    let mut block = Map::new();
    block.insert("input_tokens".into(), fresh.into());
    block.insert("cache_creation_input_tokens".into(), written.into());
    block.insert("cache_read_input_tokens".into(), usage.cached_input_tokens.into());
    if written > 0 {
        let by_age = json!({
            "ephemeral_5m_input_tokens": usage.cache_write_5m_tokens,
            "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens,
        });
        block.insert("cache_creation".into(), by_age);
    }
    block.insert("output_tokens".into(), usage.output_tokens.into());
    if usage.reasoning_tokens > 0 {
        block.insert("output_tokens_details".into(), json!({"thinking_tokens": usage.reasoning_tokens}));
    }
    if let Some(tier) = tier {
        match tier.value.as_str() {
            // The second is Groq's word for it.
            "default" | "on_demand" => drop(block.insert("service_tier".into(), "standard".into())),
            "priority" | "batch" | "standard" => {
                drop(block.insert("service_tier".into(), tier.value.as_str().into()));
            }
            _ => losses.unsupported(&tier.at),
        }
    }
    let mut strange = report.extra.clone();
    let tier = strange.get("service_tier").is_some_and(Value::is_string); // of another dialect
    for key in OWN.iter().filter(|key| !(tier && **key == "service_tier")) {
        block.extend(strange.remove(*key).map(|value| ((*key).to_owned(), value)));
    }
    if let Some(Value::Object(silent)) = strange.remove(ENVELOPE) {
        block.extend(silent.into_iter().filter(|(_, value)| value == UNKNOWN));
    }
    losses.extra(&report.at, &strange);
    if let Some(cost) = &report.cost {
        losses.unsupported(&cost.at);
    }
    let elsewhere = [
        usage.audio_input_tokens,
        usage.image_input_tokens,
        usage.tool_input_tokens,
        usage.audio_output_tokens,
        usage.image_output_tokens,
    ];
    if elsewhere.iter().any(|count| *count > 0) {
        losses.unsupported(&report.at);
    }
    Value::Object(block)
}
