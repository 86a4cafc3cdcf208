//! `GET /v1/models` as Anthropic writes it: <https://docs.anthropic.com/en/api/models-list>.

use serde_json::{Map, Value, json};
use tollgate_filters::catalogue::{Capability, Kind, Model};
use tollgate_filters::chat::{Effort, ThinkingStyle};
use tollgate_filters::error::Error;

use super::{Entry, page_size, parameter, position, put};

pub(super) fn list(entries: &[Entry], query: &str) -> Result<Value, Error> {
    let limit = page_size(query, "limit", 20)?;
    let (page, has_more) = if let Some(id) = parameter(query, "before_id") {
        let before = entries.get(..position(entries, &id, "before_id")?).unwrap_or_default();
        let (rest, page) = before.split_at(before.len().saturating_sub(limit));
        (page, !rest.is_empty())
    } else {
        let start = match parameter(query, "after_id") {
            Some(id) => position(entries, &id, "after_id")? + 1,
            None => 0,
        };
        let after = entries.get(start..).unwrap_or_default();
        let (page, rest) = after.split_at(after.len().min(limit));
        (page, !rest.is_empty())
    };
    let models: Vec<Value> = page.iter().map(model).collect();
    Ok(json!({
        "data": models,
        "has_more": has_more,
        "first_id": page.first().map(|entry| entry.id.as_str()),
        "last_id": page.last().map(|entry| entry.id.as_str()),
    }))
}

pub(super) fn model(entry: &Entry) -> Value {
    let retires = entry.model.and_then(|model| model.retires.as_deref());
    let mut object = Map::new();
    put(&mut object, "type", Some("model"));
    put(&mut object, "id", Some(entry.id.as_str()));
    put(&mut object, "display_name", Some(entry.name()));
    // The SDKs want a time; theirs for one that is not known is the epoch as well.
    put(&mut object, "created_at", Some(rfc3339(entry.created.unwrap_or_default())));
    put(&mut object, "lifecycle", Some(if retires.is_some() { "deprecated" } else { "active" }));
    put(&mut object, "retires_at", Some(retires.map(|day| format!("{day}T00:00:00Z"))));
    if let Some(model) = entry.model {
        put(&mut object, "max_input_tokens", Some(model.max_input_tokens));
        put(&mut object, "max_tokens", Some(model.max_output_tokens));
        put(&mut object, "capabilities", Some(capabilities(entry, model)));
    }
    Value::Object(object)
}

/// The SDKs expect every key, so what is not known is written as not supported.
fn capabilities(entry: &Entry, model: &Model) -> Value {
    let supported = |yes: bool| json!({"supported": yes});
    let can = |capability| supported(model.can(capability) == Some(true));
    let style = model.thinking();
    let effort = |effort: Effort| supported(model.efforts().contains(&effort));
    json!({
        "batch": supported(false),
        "citations": supported(false),
        "code_execution": supported(false),
        "context_management": supported(false),
        "effort": {
            "supported": !model.efforts().is_empty(),
            "low": effort(Effort::Low),
            "medium": effort(Effort::Medium),
            "high": effort(Effort::High),
            "xhigh": effort(Effort::XHigh),
            "max": effort(Effort::Max),
        },
        "image_input": can(Capability::Image),
        "pdf_input": can(Capability::Pdf),
        "server_tools": {"supported": false, "code_execution": supported(false), "web_search": supported(false)},
        "structured_outputs": can(Capability::StructuredOutput),
        "thinking": {
            "supported": entry.thinks() == Some(true),
            "types": {
                // For a model that takes words, a budget is translated.
                "enabled": supported(matches!(style, ThinkingStyle::Budget | ThinkingStyle::Effort)),
                "adaptive": supported(matches!(style, ThinkingStyle::Adaptive | ThinkingStyle::Effort)),
                "disabled": supported(entry.kind() != Kind::Embedding && !model.lacks(Capability::ThinkingOff)),
                "between_tools": supported(false),
            },
        },
    })
}

/// Seconds since 1970 as `2026-07-24T00:00:00Z`, by the calendar that has always been in force.
fn rfc3339(seconds: u64) -> String {
    // Counted from the first of March of the year 0, so that a leap day is the last of its year: an era has 400
    // years and 146,097 days.
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_a_date() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(rfc3339(1_784_851_200), "2026-07-24T00:00:00Z");
        assert_eq!(rfc3339(4_107_542_399), "2100-02-28T23:59:59Z");
    }
}
