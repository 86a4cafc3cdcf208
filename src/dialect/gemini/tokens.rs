//! `usageMetadata`, read and written.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{At, Extra, Losses, Pointer, UsageReport};
use tollgate_filters::exchange::Dialect;
use tollgate_filters::usage::Usage;

use super::part::write::merge;
use crate::dialect::fields::Fields;

/// The counts that `Usage` holds.
const COUNTS: [&str; 5] = [
    "promptTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
    "toolUsePromptTokenCount",
    "cachedContentTokenCount",
];

/// Reads a usage block, and the tier that it names, in `OpenAI`'s words.
pub fn read(block: Value, at: Pointer) -> Option<(UsageReport, Option<At<String>>)> {
    let reported = super::usage(block.to_string().as_bytes())?;
    let mut fields = Fields::new(block, at.clone()).ok()?;
    let tier = fields.string("serviceTier").unwrap_or_default();
    let tier = fields.placed("serviceTier", tier.map(|word| super::request::tier(&word)));
    for (list, count) in [
        ("promptTokensDetails", "promptTokenCount"),
        ("candidatesTokensDetails", "candidatesTokenCount"),
        ("toolUsePromptTokensDetails", "toolUsePromptTokenCount"),
        ("cacheTokensDetails", "cachedContentTokenCount"),
    ] {
        let total = fields.peek(count).and_then(Value::as_u64).unwrap_or_default();
        // Modalities that have a count of their own in `Usage`; the rest of the total is text.
        let known: &[&str] = match list {
            "promptTokensDetails" | "candidatesTokensDetails" => &["TEXT", "AUDIO", "IMAGE"],
            _ => &["TEXT"],
        };
        if fields.peek(list).is_some_and(|list| says_nothing_new(list, known, total)) {
            fields.take(list);
        }
    }
    for count in COUNTS {
        if fields.peek(count).is_some_and(Value::is_u64) {
            fields.take(count);
        }
    }
    if !reported.total_disagrees && fields.peek("totalTokenCount").is_some_and(Value::is_u64) {
        fields.take("totalTokenCount");
    }
    Some((UsageReport { usage: reported.usage, cost: None, extra: fields.rest(), at }, tier))
}

fn says_nothing_new(list: &Value, known: &[&str], total: u64) -> bool {
    let Some(list) = list.as_array() else { return false };
    let mut sum: u64 = 0;
    for entry in list {
        let word = entry.get("modality").and_then(Value::as_str).unwrap_or_default();
        if !known.contains(&word) || entry.as_object().is_none_or(|entry| entry.len() > 2) {
            return false;
        }
        let count = entry.get("tokenCount").and_then(Value::as_u64).unwrap_or_default();
        sum = count.saturating_add(sum);
    }
    sum == total
}

/// Writes a usage block that came from `source`.
pub fn write(
    report: Option<&UsageReport>,
    tier: Option<&At<String>>,
    source: Dialect,
    losses: &mut Losses,
) -> Option<Value> {
    let tier_word = tier.map(|tier| match tier.value.as_str() {
        "default" | "on_demand" => "standard",
        other => other,
    });
    let Some(report) = report else {
        if let Some(tier) = tier {
            losses.unsupported(&tier.at);
        }
        return None;
    };
    let mut block = counts(&report.usage);
    if let Some(word) = tier_word {
        block.insert("serviceTier".to_owned(), json!(word));
    }
    if source == Dialect::Gemini {
        merge(&mut block, &report.extra);
    } else {
        left_behind(report, source, losses);
    }
    Some(Value::Object(block))
}

fn counts(usage: &Usage) -> Map<String, Value> {
    let thoughts = usage.reasoning_tokens.min(usage.output_tokens);
    let tool = usage.tool_input_tokens.min(usage.input_tokens);
    let prompt = usage.input_tokens - tool;
    let candidates = usage.output_tokens - thoughts;
    let total = usage.input_tokens.saturating_add(usage.output_tokens);
    let mut block = Map::new();
    let mut put = |name: &str, count: u64| {
        // Google leaves out what is zero; a block without anything would say nothing at all.
        if count > 0 || (total == 0 && matches!(name, "promptTokenCount" | "totalTokenCount")) {
            block.insert(name.to_owned(), json!(count));
        }
    };
    put("promptTokenCount", prompt);
    put("candidatesTokenCount", candidates);
    put("thoughtsTokenCount", thoughts);
    put("toolUsePromptTokenCount", tool);
    put("cachedContentTokenCount", usage.cached_input_tokens);
    put("totalTokenCount", total);
    let details = |total: u64, audio: u64, image: u64| -> Value {
        let text = total.saturating_sub(audio).saturating_sub(image);
        [("TEXT", text), ("AUDIO", audio), ("IMAGE", image)]
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(modality, count)| json!({ "modality": modality, "tokenCount": count }))
            .collect()
    };
    if prompt > 0 {
        let list = details(prompt, usage.audio_input_tokens, usage.image_input_tokens);
        block.insert("promptTokensDetails".to_owned(), list);
    }
    if usage.audio_output_tokens > 0 || usage.image_output_tokens > 0 {
        let list = details(candidates, usage.audio_output_tokens, usage.image_output_tokens);
        block.insert("candidatesTokensDetails".to_owned(), list);
    }
    block
}

fn left_behind(report: &UsageReport, source: Dialect, losses: &mut Losses) {
    if let Some(cost) = &report.cost {
        losses.unsupported(&cost.at);
    }
    let usage = &report.usage;
    if usage.cache_write_5m_tokens > 0 || usage.cache_write_1h_tokens > 0 {
        losses.unsupported(&match source {
            Dialect::OpenaiChat => report.at.key("prompt_tokens_details").key("cache_write_tokens"),
            Dialect::OpenaiResponses => report.at.key("input_tokens_details").key("cache_write_tokens"),
            Dialect::Anthropic | Dialect::Gemini => report.at.key("cache_creation_input_tokens"),
        });
    }
    let saying: Extra =
        report.extra.iter().filter(|(_, v)| says_something(v)).map(|(k, v)| (k.clone(), v.clone())).collect();
    losses.extra(&report.at, &saying);
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Object(map) => map.values().any(says_something),
        Value::Array(list) => list.iter().any(says_something),
        _ => true,
    }
}
