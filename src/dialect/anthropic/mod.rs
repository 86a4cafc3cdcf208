//! Anthropic Messages: requests, answers, streams, errors and usage.

mod block;
pub mod decode;
pub mod encode;
pub mod error;
mod report;
pub mod request;
pub mod response;
mod stop;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod usage_tests;

use serde::Deserialize;
use serde_json::{Value, json};
use tollgate_filters::error::{Error, Kind};
use tollgate_filters::usage::{Reported, Usage};

use super::Count;

pub(super) fn error(error: &Error, request_id: &str) -> Value {
    let mut body = json!({
        "type": "error",
        "error": { "type": error_type(error.kind), "message": error.message },
        "request_id": request_id,
    });
    if let Some(code) = error.code {
        body["error"]["details"] = json!({ "error_code": code });
    }
    body
}

fn error_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid | Kind::MethodNotAllowed | Kind::SlowClient => "invalid_request_error",
        Kind::Unauthenticated => "authentication_error",
        Kind::Forbidden => "permission_error",
        Kind::RateLimited | Kind::OutOfBudget => "rate_limit_error",
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
