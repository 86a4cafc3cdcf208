//! The commonest document of a stream, read without a detour.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// One piece of text of one choice, and what each document repeats. Anything else is not this.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plain<'a> {
    #[serde(rename = "id")]
    _id: Option<IgnoredAny>,
    #[serde(rename = "object")]
    _object: Option<IgnoredAny>,
    #[serde(rename = "created")]
    _created: Option<IgnoredAny>,
    #[serde(rename = "model")]
    _model: Option<IgnoredAny>,
    /// The length of these tells nothing (OpenAI, Mistral).
    #[serde(rename = "obfuscation")]
    _obfuscation: Option<IgnoredAny>,
    #[serde(rename = "p")]
    _p: Option<IgnoredAny>,
    pub service_tier: Option<&'a str>,
    pub system_fingerprint: Option<IgnoredAny>,
    pub provider: Option<IgnoredAny>,
    #[serde(rename = "usage")]
    _usage: Option<()>,
    pub choices: [Choice; 1],
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Choice {
    pub index: u32,
    pub delta: Delta,
    #[serde(rename = "finish_reason")]
    _finish_reason: Option<()>,
    #[serde(rename = "native_finish_reason")]
    _native_finish_reason: Option<()>,
    #[serde(rename = "logprobs")]
    _logprobs: Option<()>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Delta {
    pub content: String,
    #[serde(rename = "role")]
    _role: Option<IgnoredAny>,
    #[serde(rename = "refusal")]
    _refusal: Option<()>,
    #[serde(rename = "reasoning")]
    _reasoning: Option<()>,
    #[serde(rename = "reasoning_content")]
    _reasoning_content: Option<()>,
    #[serde(rename = "tool_calls")]
    _tool_calls: Option<()>,
}
