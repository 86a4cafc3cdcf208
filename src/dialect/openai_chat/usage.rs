//! Usage in chat answers: the neutral counts out of a block, and a block out of them.

use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use tollgate_filters::chat::{At, Extra, Losses, Pointer, UsageReport};

/// Mistral's word for the usual tier.
const STANDARD: &str = "standard";

/// Members of a block that have typed fields, and of which objects.
const TYPED: [(&str, &[&str]); 5] = [
    (
        "",
        &["prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "num_cached_tokens", "cost"],
    ),
    ("prompt_tokens_details", &["cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens"]),
    ("prompt_token_details", &["cached_tokens"]),
    ("completion_tokens_details", &["reasoning_tokens", "audio_tokens", "image_tokens"]),
    ("input_tokens_details", &["cached_tokens"]),
];

/// Reads a usage block that stood at `at`; `None` where it is none.
pub(super) fn parse(value: &Value, at: &Pointer) -> Option<UsageReport> {
    let reported = super::usage(value.to_string().as_bytes())?;
    let mut extra = Extra::new();
    for (key, member) in value.as_object()? {
        let typed = TYPED[0].1.contains(&key.as_str()) && (key != "cost" || reported.cost.is_some())
            || key == "total_tokens" && !reported.total_disagrees;
        let known = TYPED[1..].iter().find(|(object, _)| object == key).map(|(_, members)| members);
        let kept = match (member, known) {
            _ if typed => None,
            (Value::Object(object), Some(known)) => {
                let rest: Map<String, Value> = object
                    .iter()
                    .filter(|(key, value)| !known.contains(&key.as_str()) && says(value))
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect();
                (!rest.is_empty()).then_some(Value::Object(rest))
            }
            (member, _) => says(member).then(|| member.clone()),
        };
        if let Some(kept) = kept {
            extra.insert(key.clone(), kept);
        }
    }
    let cost = reported.cost.map(|cost| At::new(cost, at.key("cost")));
    Some(UsageReport { usage: reported.usage, cost, extra, at: at.clone() })
}

/// Takes the tier out of a report: Mistral names it among the counts.
pub(super) fn tier(report: &mut UsageReport) -> Option<At<String>> {
    if report.extra.get("service_tier").and_then(Value::as_str) != Some(STANDARD) {
        return None;
    }
    report.extra.shift_remove("service_tier");
    Some(At::new("default".to_owned(), report.at.key("service_tier")))
}

/// Puts the tier where [`tier`] took it from; `false` where it was not taken from the counts.
pub(super) fn restore_tier(usage: &mut Value, tier: &At<String>) -> bool {
    let taken = tier.at.as_str().ends_with("usage/service_tier") && usage.is_object();
    if taken {
        usage["service_tier"] = json!(STANDARD);
    }
    taken
}

/// Whether a member says anything: not `null`, not `false`, not a count of nothing.
fn says(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Number(number) => number.as_u64() != Some(0),
        Value::Object(object) => !object.is_empty(),
        _ => true,
    }
}

/// Writes a usage block. `same`: it was read from this dialect, so its extra members go back into it.
pub(super) fn render(report: &UsageReport, same: bool, losses: &mut Losses) -> Value {
    let usage = &report.usage;
    let mut prompt = json!({ "cached_tokens": usage.cached_input_tokens });
    let written = usage.cache_write_5m_tokens.saturating_add(usage.cache_write_1h_tokens);
    let mut completion = json!({ "reasoning_tokens": usage.reasoning_tokens });
    let audio_in = ("audio_tokens", usage.audio_input_tokens);
    let audio_out = ("audio_tokens", usage.audio_output_tokens);
    add(&mut prompt, [("cache_write_tokens", written), audio_in, ("image_tokens", usage.image_input_tokens)]);
    add(&mut completion, [audio_out, ("image_tokens", usage.image_output_tokens)]);
    // For how long a cache was written, and what a provider's own tools brought in, has no member.
    if usage.cache_write_1h_tokens > 0 || usage.tool_input_tokens > 0 {
        losses.approximated(&report.at);
    }
    let mut value = json!({
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens.saturating_add(usage.output_tokens),
        "prompt_tokens_details": prompt,
        "completion_tokens_details": completion,
    });
    if let Some(cost) = &report.cost
        && let Ok(number) = serde_json::from_str::<Value>(&charged(cost.value, &report.extra).to_string())
    {
        value["cost"] = number;
    }
    if !same {
        losses.extra(&report.at, &report.extra);
        return value;
    }
    for (key, member) in &report.extra {
        match (&mut value[key], member) {
            (Value::Object(object), Value::Object(more)) => object.extend(more.clone()),
            (place, member) => *place = member.clone(),
        }
    }
    value
}

fn add<const N: usize>(object: &mut Value, counts: [(&str, u64); N]) {
    for (key, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        object[key] = json!(count);
    }
}

/// With a key of one's own, `OpenRouter` writes its own fee and the provider's charge apart.
fn charged(cost: Decimal, extra: &Extra) -> Decimal {
    let own_key = extra.get("is_byok") == Some(&Value::Bool(true));
    let upstream = extra.get("cost_details").and_then(|d| d.get("upstream_inference_cost"));
    let upstream = upstream.filter(|_| own_key).map(Value::to_string);
    let upstream = upstream
        .and_then(|text| Decimal::from_str_exact(&text).or_else(|_| Decimal::from_scientific(&text)).ok());
    upstream.and_then(|upstream| cost.checked_sub(upstream)).unwrap_or(cost)
}
