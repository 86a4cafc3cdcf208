//! Usage blocks, read and written.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{At, ENVELOPE, Losses, Pointer, UsageReport};
use tollgate_filters::exchange::Dialect;

use super::item::envelope;

/// Members that typed fields stand for.
const KNOWN: [&str; 5] =
    ["input_tokens", "output_tokens", "total_tokens", "input_tokens_details", "output_tokens_details"];

/// Reads a usage block. `None` where it is none.
pub fn parse(raw: Value, at: Pointer) -> Option<UsageReport> {
    let bytes = serde_json::to_vec(&raw).ok()?;
    let reported = crate::dialect::usage(Dialect::OpenaiResponses, &bytes, &bytes)?;
    let Value::Object(map) = &raw else { return None };
    let mut report = UsageReport {
        usage: reported.usage,
        cost: reported.cost.map(|cost| At::new(cost, at.key("cost"))),
        extra: map
            .iter()
            .filter(|(key, value)| !KNOWN.contains(&key.as_str()) && !value.is_null())
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        at,
    };
    if report.cost.is_some() {
        report.extra.shift_remove("cost");
        report.extra.retain(|_, value| *value != Value::Bool(false));
    }
    // What the typed fields cannot say again (zeros, the digits of a cost) is kept as it was.
    report.extra.insert(ENVELOPE.to_owned(), raw);
    Some(report)
}

/// Writes a usage block.
pub fn render(report: &UsageReport, losses: &mut Losses) -> Value {
    if let Some(raw) = envelope(&report.extra).filter(|raw| raw.contains_key("input_tokens_details")) {
        return Value::Object(raw.clone());
    }
    let usage = &report.usage;
    let writes = usage.cache_write_5m_tokens.saturating_add(usage.cache_write_1h_tokens);
    // The first counts are always there.
    let details = |always: &[(&str, u64)], others: &[(&str, u64)]| -> Map<String, Value> {
        let more = others.iter().filter(|(_, count)| *count > 0);
        always.iter().chain(more).map(|(name, count)| ((*name).to_owned(), (*count).into())).collect()
    };
    let input = details(
        &[("cached_tokens", usage.cached_input_tokens), ("cache_write_tokens", writes)],
        &[("audio_tokens", usage.audio_input_tokens), ("image_tokens", usage.image_input_tokens)],
    );
    let output = details(
        &[("reasoning_tokens", usage.reasoning_tokens)],
        &[("audio_tokens", usage.audio_output_tokens), ("image_tokens", usage.image_output_tokens)],
    );
    if usage.cache_write_1h_tokens > 0 {
        // For how long the cache was written cannot be said.
        losses.approximated(&report.at);
    }
    if usage.tool_input_tokens > 0 {
        losses.unsupported(&report.at);
    }
    losses.extra(&report.at, &report.extra);
    let mut block = json!({
        "input_tokens": usage.input_tokens,
        "input_tokens_details": input,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": output,
        "total_tokens": usage.input_tokens.saturating_add(usage.output_tokens),
    });
    if let Some(cost) = &report.cost
        && let Ok(number) = serde_json::from_str::<serde_json::Number>(&cost.value.to_string())
    {
        block["cost"] = number.into();
    }
    block
}
