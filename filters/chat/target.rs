//! What a renderer needs to know beside the conversation: the target of a request, the client of an answer.

use serde::Deserialize;
use serde_json::{Map, Value};

/// Whom a request is rendered for.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// The model's name at the provider.
    pub model: String,
    pub stream: bool,
    /// A chat stream carries usage only when asked, and the gateway needs it.
    pub ask_for_usage: bool,
    pub rules: Rules,
    pub quirks: Quirks,
}

/// What is known of the target's model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    pub max_output_tokens: Option<u64>,
    pub thinking: ThinkingStyle,
}

/// How a model is told how much to think.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThinkingStyle {
    /// Not known: what the client said goes up in the target dialect's most general form.
    #[default]
    Unknown,
    /// It does not think, and refuses to be told how.
    None,
    /// A number of tokens (Claude up to 4.5, Gemini 2.5).
    Budget,
    /// A word (OpenAI's models; Gemini 3's `thinkingLevel`).
    Effort,
    /// A word, or left to the model (Claude from 4.6 on: `thinking: adaptive` and `output_config.effort`).
    Adaptive,
}

/// What one provider does otherwise than the dialect that it speaks. Data: a table in `conf/providers.toml`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields, default)]
#[allow(clippy::struct_excessive_bools)] // each is one fact about a provider
pub struct Quirks {
    /// The name of the limit of output tokens in a chat request.
    pub max_tokens: MaxTokensField,
    /// A chat request may hold messages of the role `developer`; otherwise they are `system`.
    pub developer_role: bool,
    pub tool_call_ids: ToolCallIds,
    /// Where a chat message holds reasoning, if anywhere.
    pub reasoning: ReasoningField,
    /// How a chat request says how much to think.
    pub reasoning_param: ReasoningParam,
    /// A chat request may have `top_k`, `min_p` and the like.
    pub sampling: bool,
    /// Parts of chat messages may have `cache_control`.
    pub cache_control: bool,
    /// The seed is called `random_seed`, the choice `required` is called `any`, and the end user, the log-probabilities
    /// and other members of OpenAI's are not known (Mistral).
    pub mistral: bool,
    /// Messages must not go on with a user's turn directly after a tool's result, and system messages stand
    /// only at the start (Mistral).
    pub strict_order: bool,
    /// `store`, `metadata`, `prompt_cache_key`, `safety_identifier` and `verbosity` are known (OpenAI itself).
    pub openai_params: bool,
    /// A chat message may hold `file` parts, `input_audio` parts, `video_url` parts.
    pub files: bool,
    pub audio: bool,
    pub video: bool,
    /// Its Responses API keeps no state: `previous_response_id` and `store` are the gateway's.
    pub stateless_responses: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    #[default]
    MaxTokens,
    MaxCompletionTokens,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolCallIds {
    /// Any text.
    #[default]
    Any,
    /// Nine letters and digits (Mistral).
    Nine,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningField {
    /// Nowhere: it would be refused or ignored.
    #[default]
    None,
    /// `reasoning_content` (`DeepSeek`, vLLM).
    ReasoningContent,
    /// `reasoning` (Groq).
    Reasoning,
    /// `reasoning` and `reasoning_details` (OpenRouter).
    Details,
    /// A part of the type `thinking` (Mistral).
    Parts,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningParam {
    /// `reasoning_effort`.
    #[default]
    Effort,
    /// `reasoning_effort`, and `include_reasoning` for whether it is shown (Groq).
    Groq,
    /// The object `reasoning` (OpenRouter).
    Object,
    /// None.
    None,
}

/// Whom an answer is rendered for: what its dialect wants to hear again of the request.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// The gateway's id for the answer, for dialects and providers that give none: a UUID without dashes.
    pub id: String,
    /// The id of the exchange, for errors.
    pub request_id: String,
    /// The model as the provider was asked for it, where an answer does not name one.
    pub model: String,
    /// When the exchange began, in seconds since 1970.
    pub created: u64,
    /// A chat client asked for usage at the end of its stream.
    pub stream_usage: bool,
    /// A Gemini client asked for SSE; otherwise its stream is a JSON array.
    pub sse: bool,
    /// Members of the request that a Responses object repeats (`instructions`, `tools`, `temperature`, …), as the
    /// client sent them. Empty for the other dialects.
    pub echo: Map<String, Value>,
    /// The gateway keeps the answer under its own id, so the provider's must not be shown (Responses).
    pub own_id: bool,
}
