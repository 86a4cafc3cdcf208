//! Anthropic Messages: errors and usage.

use serde::Deserialize;
use serde_json::{Value, json};
use tollgate_filters::error::{Error, Kind};
use tollgate_filters::usage::{Reported, Usage};

use super::Count;

pub(super) fn error(error: &Error, request_id: &str) -> Value {
    json!({
        "type": "error",
        "error": { "type": error_type(error.kind), "message": error.message },
        "request_id": request_id,
    })
}

fn error_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid | Kind::MethodNotAllowed | Kind::SlowClient => "invalid_request_error",
        Kind::Unauthenticated => "authentication_error",
        Kind::Forbidden => "permission_error",
        Kind::NotFound => "not_found_error",
        Kind::TooLarge => "request_too_large",
        Kind::GatewayTimeout => "timeout_error",
        Kind::Unavailable => "overloaded_error",
        Kind::BadGateway | Kind::Internal => "api_error",
    }
}

/// A usage block. A stream sends one with `message_start` and a later, cumulative one with each
/// `message_delta`, which may leave out what has not changed.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Wire {
    input_tokens: Count,
    cache_creation_input_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation: Option<CacheCreation>,
    output_tokens: Count,
    output_tokens_details: Option<OutputDetails>,
    service_tier: Option<String>,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(default)]
struct CacheCreation {
    ephemeral_5m_input_tokens: Count,
    ephemeral_1h_input_tokens: Count,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: Count,
}

pub(super) fn usage(first: &[u8], last: &[u8]) -> Option<Reported> {
    let first: Wire = serde_json::from_slice(first).ok()?;
    let last: Wire = serde_json::from_slice(last).ok()?;
    let fresh = last.input_tokens.or(first.input_tokens);
    let output = last.output_tokens.or(first.output_tokens);
    fresh.or(output).0?;
    let read = last.cache_read_input_tokens.or(first.cache_read_input_tokens).get();
    let by_age = last.cache_creation.or(first.cache_creation).unwrap_or_default();
    let write_1h = by_age.ephemeral_1h_input_tokens.get();
    let written = last
        .cache_creation_input_tokens
        .or(first.cache_creation_input_tokens)
        .get()
        .max(write_1h.saturating_add(by_age.ephemeral_5m_input_tokens.get()));
    let thinking =
        last.output_tokens_details.or(first.output_tokens_details).unwrap_or_default().thinking_tokens;
    let usage = Usage {
        // Anthropic counts what the cache gave and took beside the input; here it is part of it.
        input_tokens: fresh.get().saturating_add(read).saturating_add(written),
        cached_input_tokens: read,
        // What is not said to live for an hour lives for the default five minutes.
        cache_write_5m_tokens: written - write_1h,
        cache_write_1h_tokens: write_1h,
        output_tokens: output.get(),
        reasoning_tokens: thinking.get(),
        ..Usage::default()
    };
    Some(Reported { usage, service_tier: last.service_tier.or(first.service_tier), ..Reported::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_part_of_the_input() {
        let raw = br#"{"input_tokens":10,"cache_read_input_tokens":100,"cache_creation_input_tokens":30,
            "cache_creation":{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":10},"output_tokens":7}"#;
        let usage = usage(raw, raw).unwrap().usage;
        assert_eq!(usage.input_tokens, 140);
        assert_eq!(usage.cached_input_tokens, 100);
        assert_eq!((usage.cache_write_5m_tokens, usage.cache_write_1h_tokens), (20, 10));
        assert_eq!(usage.output_tokens, 7);
    }

    #[test]
    fn the_end_of_a_stream_overlays_its_start() {
        let start = br#"{"input_tokens":10,"cache_creation_input_tokens":5,"output_tokens":1,"service_tier":"standard"}"#;
        let reported = usage(start, br#"{"output_tokens":9,"input_tokens":12}"#).unwrap();
        assert_eq!((reported.usage.input_tokens, reported.usage.output_tokens), (17, 9));
        assert_eq!(reported.usage.cache_write_5m_tokens, 5);
        assert_eq!(reported.service_tier.as_deref(), Some("standard"));
    }
}
