//! What a model answers: one or several choices, usage, or a failure.

use rust_decimal::Decimal;
use serde_json::Value;

use super::loss::{At, Extra, Pointer};
use super::part::Part;
use crate::exchange::Dialect;
use crate::usage::Usage;

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The dialect that it was read from.
    pub source: Dialect,
    pub id: Option<String>,
    /// The model that says it answered.
    pub model: Option<String>,
    /// Seconds since 1970.
    pub created: Option<u64>,
    /// At least one, except where the provider refused the prompt as a whole.
    pub choices: Vec<Choice>,
    pub usage: Option<UsageReport>,
    /// In OpenAI's words; others as they came.
    pub service_tier: Option<At<String>>,
    /// Members that only the source dialect knows. What merely names the document (`object`, `type`, `created`)
    /// is not among them.
    pub extra: Extra,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choice {
    pub index: u32,
    pub parts: Vec<Part>,
    pub finish: Option<Finish>,
    /// Log-probabilities of the text's tokens in the form of OpenAI Chat: `{"content": [...], "refusal": [...]}`.
    pub logprobs: Option<At<Value>>,
    pub at: Pointer,
    pub extra: Extra,
}

/// Why generation ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Finish {
    pub kind: FinishKind,
    /// The source dialect's own word.
    pub word: String,
    /// The stop sequence that was met, where the dialect says so (Anthropic).
    pub stop_sequence: Option<String>,
    pub at: Pointer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FinishKind {
    /// The model had said what it had to say, or met a stop sequence.
    Stop,
    StopSequence,
    /// The limit of output tokens.
    Length,
    /// The context window is full.
    ContextWindow,
    /// Tools are to be run.
    ToolCalls,
    /// A filter of the provider's cut it off.
    ContentFilter,
    /// The model declined.
    Refusal,
    /// The provider pauses a long turn and wants to be asked to go on (Anthropic).
    Pause,
    /// The provider failed; a call it could not parse, for one.
    Error,
    /// Whatever else; see the word.
    Other,
}

/// Usage as a provider reported it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UsageReport {
    pub usage: Usage,
    /// US dollars, where the provider says so (OpenRouter).
    pub cost: Option<At<Decimal>>,
    /// Members of the usage block that have no typed field.
    pub extra: Extra,
    pub at: Pointer,
}

/// A provider's error answer, or an error in mid-stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Failure {
    /// The HTTP status; 0 where an event in a stream names none.
    pub status: u16,
    pub message: String,
    /// The source dialect's word for the kind of error (`invalid_request_error`, `RESOURCE_EXHAUSTED`).
    pub kind: Option<String>,
    /// A stable word for programs (`context_length_exceeded`).
    pub code: Option<String>,
    /// The field that it is about, in the source dialect.
    pub param: Option<String>,
    pub request_id: Option<String>,
}
