//! Gemini (`generateContent`): requests, answers, streams, errors and usage.

pub mod decode;
pub mod encode;
pub mod error;
mod finish;
mod grounding;
mod logprobs;
mod part;
pub use part::name::function_name;
pub mod request;
pub mod response;
mod schema;
mod seal;
mod spelling;
mod tokens;

use serde::Deserialize;
use serde_json::{Value, json};
use tollgate_filters::error::{Error, Kind};
use tollgate_filters::usage::{Reported, Usage};

use super::Count;

/// A `google.rpc.Status`; its place for a request id is a `RequestInfo` detail.
pub(super) fn error(error: &Error, request_id: &str) -> Value {
    json!({ "error": {
        "code": error.kind.status(),
        "message": error.message,
        "status": status(error.kind),
        "details": [{ "@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": request_id }],
    }})
}

fn status(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid | Kind::TooLarge | Kind::SlowClient => "INVALID_ARGUMENT",
        Kind::Unauthenticated => "UNAUTHENTICATED",
        Kind::Forbidden => "PERMISSION_DENIED",
        Kind::NotFound => "NOT_FOUND",
        Kind::RateLimited | Kind::OutOfBudget => "RESOURCE_EXHAUSTED",
        Kind::MethodNotAllowed => "UNIMPLEMENTED",
        Kind::BadGateway | Kind::Unavailable => "UNAVAILABLE",
        Kind::GatewayTimeout => "DEADLINE_EXCEEDED",
        Kind::Internal => "INTERNAL",
    }
}

/// `usageMetadata`, or the `usage` of the Interactions API (`total_…`).
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Wire {
    #[serde(alias = "total_input_tokens")]
    prompt_token_count: Count,
    #[serde(alias = "total_output_tokens")]
    candidates_token_count: Count,
    #[serde(alias = "total_thought_tokens")]
    thoughts_token_count: Count,
    #[serde(alias = "total_tool_use_tokens")]
    tool_use_prompt_token_count: Count,
    #[serde(alias = "total_cached_tokens")]
    cached_content_token_count: Count,
    #[serde(alias = "total_tokens")]
    total_token_count: Count,
    /// Embeddings spell it `promptTokenDetails`.
    #[serde(alias = "promptTokenDetails", alias = "input_tokens_by_modality")]
    prompt_tokens_details: Vec<Modality>,
    tool_use_prompt_tokens_details: Vec<Modality>,
    #[serde(alias = "output_tokens_by_modality")]
    candidates_tokens_details: Vec<Modality>,
    service_tier: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Modality {
    modality: String,
    #[serde(alias = "tokens")]
    token_count: Count,
}

pub(super) fn usage(raw: &[u8]) -> Option<Reported> {
    let wire: Wire = serde_json::from_slice(raw).ok()?;
    let parts = wire.prompt_token_count.or(wire.candidates_token_count);
    parts.or(wire.total_token_count).0?;
    let tool = wire.tool_use_prompt_token_count.get();
    let thoughts = wire.thoughts_token_count.get();
    let usage = Usage {
        // What tools brought in and what was thought are counted beside the prompt and the candidates.
        input_tokens: if parts.0.is_none() {
            wire.total_token_count.get()
        } else {
            wire.prompt_token_count.get().saturating_add(tool)
        },
        cached_input_tokens: wire.cached_content_token_count.get(),
        audio_input_tokens: of("audio", [&wire.prompt_tokens_details, &wire.tool_use_prompt_tokens_details]),
        image_input_tokens: of("image", [&wire.prompt_tokens_details, &wire.tool_use_prompt_tokens_details]),
        tool_input_tokens: tool,
        output_tokens: wire.candidates_token_count.get().saturating_add(thoughts),
        reasoning_tokens: thoughts,
        audio_output_tokens: of("audio", [&wire.candidates_tokens_details, &Vec::new()]),
        image_output_tokens: of("image", [&wire.candidates_tokens_details, &Vec::new()]),
        ..Usage::default()
    };
    let sum = usage.input_tokens.saturating_add(usage.output_tokens);
    Some(Reported {
        usage,
        cost: None,
        service_tier: wire.service_tier.map(|tier| tier.to_ascii_lowercase()),
        total_disagrees: wire.total_token_count.0.is_some_and(|total| total != sum),
    })
}

fn of(modality: &str, details: [&Vec<Modality>; 2]) -> u64 {
    let fits = |m: &&Modality| m.modality.eq_ignore_ascii_case(modality);
    details.into_iter().flatten().filter(fits).map(|m| m.token_count.get()).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_and_tool_prompts_are_added_in() {
        let raw = br#"{"promptTokenCount":10,"candidatesTokenCount":5,"thoughtsTokenCount":7,"toolUsePromptTokenCount":3,
            "totalTokenCount":25,"promptTokensDetails":[{"modality":"TEXT","tokenCount":6},{"modality":"IMAGE","tokenCount":4}]}"#;
        let reported = usage(raw).unwrap();
        assert_eq!((reported.usage.input_tokens, reported.usage.output_tokens), (13, 12));
        assert_eq!((reported.usage.tool_input_tokens, reported.usage.reasoning_tokens), (3, 7));
        assert_eq!(reported.usage.image_input_tokens, 4);
        assert!(!reported.total_disagrees);
    }
}
