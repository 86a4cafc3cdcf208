//! OpenAI Chat Completions, and what all of OpenAI's APIs share: the shape of errors and of usage.

mod content;
pub mod decode;
pub mod encode;
pub mod error;
mod reasoning;
pub mod request;
pub mod response;
mod usage;

use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tollgate_filters::error::{Error, Kind};
use tollgate_filters::usage::{Reported, Usage};

use super::Count;

pub(super) fn error(error: &Error) -> Value {
    json!({ "error": {
        "message": error.message,
        "type": error_type(error.kind),
        "param": error.param,
        "code": error.code,
    }})
}

pub(super) fn error_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Unauthenticated => "authentication_error",
        Kind::Forbidden => "permission_error",
        // The SDKs tell these two apart by `code` and `type`.
        Kind::RateLimited => "rate_limit_error",
        Kind::OutOfBudget => "insufficient_quota",
        Kind::Invalid | Kind::NotFound | Kind::MethodNotAllowed | Kind::TooLarge | Kind::SlowClient => {
            "invalid_request_error"
        }
        Kind::BadGateway | Kind::GatewayTimeout | Kind::Unavailable | Kind::Internal => "server_error",
    }
}

/// A usage block, with the names of Chat Completions (`prompt_…`, `completion_…`) or of the newer
/// APIs (`input_…`, `output_…`). Embeddings, images, transcriptions and the vendors that speak this
/// dialect use subsets of either.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Wire<'a> {
    prompt_tokens: Count,
    input_tokens: Count,
    completion_tokens: Count,
    output_tokens: Count,
    total_tokens: Count,
    #[serde(alias = "input_tokens_details", alias = "input_token_details")]
    prompt_tokens_details: Option<Details>,
    /// Sent beside `prompt_tokens_details` by Mistral, as `null`; alone by OpenAI's assistants.
    prompt_token_details: Option<Details>,
    #[serde(alias = "output_tokens_details", alias = "output_token_details")]
    completion_tokens_details: Option<Details>,
    /// Mistral.
    num_cached_tokens: Count,
    /// OpenRouter: US dollars charged to the account.
    #[serde(borrow)]
    cost: Option<&'a RawValue>,
    is_byok: Option<bool>,
    #[serde(borrow)]
    cost_details: Option<CostDetails<'a>>,
    service_tier: Option<String>,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(default)]
#[allow(clippy::struct_field_names)] // the wire's own names
struct Details {
    cached_tokens: Count,
    /// OpenAI and OpenRouter do not say for how long the cache was written.
    cache_write_tokens: Count,
    audio_tokens: Count,
    image_tokens: Count,
    reasoning_tokens: Count,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct CostDetails<'a> {
    #[serde(borrow)]
    upstream_inference_cost: Option<&'a RawValue>,
}

pub(super) fn usage(raw: &[u8]) -> Option<Reported> {
    let mut wire: Wire<'_> = serde_json::from_slice(raw).ok()?;
    // Some vendors send both names of a count.
    wire.prompt_tokens = wire.prompt_tokens.or(wire.input_tokens);
    wire.completion_tokens = wire.completion_tokens.or(wire.output_tokens);
    let input = wire.prompt_tokens_details.or(wire.prompt_token_details).unwrap_or_default();
    let output = wire.completion_tokens_details.unwrap_or_default();
    wire.prompt_tokens.or(wire.completion_tokens).or(wire.total_tokens).0?;
    let only_total = wire.prompt_tokens.or(wire.completion_tokens).0.is_none();
    let usage = Usage {
        input_tokens: if only_total { wire.total_tokens.get() } else { wire.prompt_tokens.get() },
        cached_input_tokens: input.cached_tokens.or(wire.num_cached_tokens).get(),
        cache_write_5m_tokens: input.cache_write_tokens.get(),
        audio_input_tokens: input.audio_tokens.get(),
        image_input_tokens: input.image_tokens.get(),
        output_tokens: wire.completion_tokens.get(),
        reasoning_tokens: output.reasoning_tokens.get(),
        audio_output_tokens: output.audio_tokens.get(),
        image_output_tokens: output.image_tokens.get(),
        ..Usage::default()
    };
    let sum = usage.input_tokens.saturating_add(usage.output_tokens);
    Some(Reported {
        usage,
        cost: wire.cost.and_then(|charged| total_cost(charged, wire.is_byok, wire.cost_details.as_ref())),
        service_tier: wire.service_tier,
        total_disagrees: wire.total_tokens.0.is_some_and(|total| total != sum),
    })
}

/// With a key of one's own (`is_byok`), OpenRouter charges its fee and the provider charges the rest.
fn total_cost(
    charged: &RawValue,
    is_byok: Option<bool>,
    details: Option<&CostDetails<'_>>,
) -> Option<Decimal> {
    let charged = decimal(charged)?;
    let upstream = details.and_then(|d| d.upstream_inference_cost).and_then(decimal);
    match (is_byok, upstream) {
        (Some(true), Some(upstream)) => charged.checked_add(upstream),
        _ => Some(charged),
    }
}

/// The number as it was written: no binary fraction ever stands between the bill and the ledger.
fn decimal(raw: &RawValue) -> Option<Decimal> {
    let text = raw.get();
    let cost = Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text)).ok();
    cost.filter(|cost| !cost.is_sign_negative())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_openrouter_cost_is_taken_digit_by_digit() {
        let cost = |raw: &str| usage(raw.as_bytes()).unwrap().cost.map(|c| c.to_string());
        assert_eq!(cost(r#"{"prompt_tokens":1,"cost":0.0000123}"#).unwrap(), "0.0000123");
        assert_eq!(cost(r#"{"prompt_tokens":1,"cost":1.23e-5}"#).unwrap(), "0.0000123");
        assert_eq!(cost(r#"{"prompt_tokens":1,"cost":null}"#), None);
        let byok =
            r#"{"prompt_tokens":1,"cost":0.1,"is_byok":true,"cost_details":{"upstream_inference_cost":2}}"#;
        assert_eq!(cost(byok).unwrap(), "2.1");
    }

    #[test]
    fn an_odd_field_does_not_cost_the_others() {
        let reported =
            usage(br#"{"prompt_tokens":3,"completion_tokens":{},"total_tokens":"x","queue_time":0.1}"#)
                .unwrap();
        assert_eq!(reported.usage.input_tokens, 3);
        assert_eq!(reported.usage.output_tokens, 0);
    }

    #[test]
    fn both_names_of_a_count_are_one_count() {
        let both = br#"{"prompt_tokens":3,"input_tokens":3,"completion_tokens":4,"output_tokens":4,"total_tokens":7}"#;
        let reported = usage(both).unwrap();
        assert_eq!((reported.usage.input_tokens, reported.usage.output_tokens), (3, 4));
    }

    #[test]
    fn a_total_that_does_not_add_up_is_noticed() {
        assert!(
            usage(br#"{"prompt_tokens":3,"completion_tokens":4,"total_tokens":8}"#).unwrap().total_disagrees
        );
        assert!(
            !usage(br#"{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}"#).unwrap().total_disagrees
        );
        assert!(usage(br#"{"seconds":3}"#).is_none());
    }
}
