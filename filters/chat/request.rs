//! What a client asks of a model.

use serde_json::{Map, Number, Value};

use super::loss::{At, Extra, Pointer};
use super::part::{Cache, Content, Part};
use crate::exchange::Dialect;

/// A request. Fields that are `None` were not sent (or were `null`).
#[derive(Debug, Clone)]
pub struct Request {
    /// The dialect that it was read from. [`Extra`] and raw values are in it, and pointers lead into it.
    pub source: Dialect,
    /// As the body names it; Gemini's body names none.
    pub model: Option<String>,
    pub stream: bool,
    /// Instructions, in the order in which they were given among the messages.
    pub messages: Vec<Message>,
    pub tools: Vec<Tool>,
    pub tool_choice: Option<At<ToolChoice>>,
    /// Whether the model may call several tools in one turn.
    pub parallel_tool_calls: Option<At<bool>>,
    pub format: Option<At<Format>>,
    pub thinking: Thinking,
    pub max_tokens: Option<At<u64>>,
    pub temperature: Option<At<Number>>,
    pub top_p: Option<At<Number>>,
    pub top_k: Option<At<Number>>,
    pub stop: Option<At<Vec<String>>>,
    pub seed: Option<At<Number>>,
    pub frequency_penalty: Option<At<Number>>,
    pub presence_penalty: Option<At<Number>>,
    pub logprobs: Option<At<LogProbs>>,
    /// How many answers.
    pub n: Option<At<u64>>,
    /// `low`, `medium`, `high`: how much is said.
    pub verbosity: Option<At<String>>,
    /// Text, image, audio, in lower case.
    pub modalities: Option<At<Vec<String>>>,
    /// An id of the end user.
    pub user: Option<At<String>>,
    pub safety_identifier: Option<At<String>>,
    pub metadata: Option<At<Map<String, Value>>>,
    pub prompt_cache_key: Option<At<String>>,
    pub prompt_cache_retention: Option<At<String>>,
    /// In OpenAI's words: `auto`, `default`, `flex`, `priority`; others as they came.
    pub service_tier: Option<At<String>>,
    /// Whether the provider is to keep the answer (OpenAI).
    pub store: Option<At<bool>>,
    /// Whether a chat stream is to end with its usage.
    pub stream_usage: Option<At<bool>>,
    pub state: State,
    /// Top-level members that only the source dialect knows.
    pub extra: Extra,
    /// Members of other objects that only the source dialect knows, with the pointer of that object:
    /// `/generationConfig` with `speechConfig`, `/reasoning` with `generate_summary`.
    pub nested: Vec<At<Extra>>,
    /// How the source dialect wrote what the neutral form says as well: another spelling of the same, by the place
    /// where it stood. Only the dialect itself looks at it, and nothing is lost without it.
    pub forms: Vec<At<Value>>,
}

impl Request {
    pub fn new(source: Dialect) -> Self {
        Self {
            source,
            model: None,
            stream: false,
            messages: Vec::new(),
            tools: Vec::new(),
            tool_choice: None,
            parallel_tool_calls: None,
            format: None,
            thinking: Thinking::default(),
            max_tokens: None,
            temperature: None,
            top_p: None,
            top_k: None,
            stop: None,
            seed: None,
            frequency_penalty: None,
            presence_penalty: None,
            logprobs: None,
            n: None,
            verbosity: None,
            modalities: None,
            user: None,
            safety_identifier: None,
            metadata: None,
            prompt_cache_key: None,
            prompt_cache_retention: None,
            service_tier: None,
            store: None,
            stream_usage: None,
            state: State::default(),
            extra: Extra::new(),
            nested: Vec::new(),
            forms: Vec::new(),
        }
    }

    /// The name of the tool that the call `id` asked for.
    pub fn tool_name(&self, id: &str) -> Option<&str> {
        self.messages.iter().flat_map(|m| &m.parts).find_map(|part| match &part.content {
            Content::ToolCall(call) if call.id == id => Some(call.name.as_str()),
            _ => None,
        })
    }

    /// How the source dialect wrote what stood at `at`, where that is not plain.
    pub fn form(&self, at: &Pointer) -> Option<&Value> {
        self.forms.iter().find(|form| form.at == *at).map(|form| &form.value)
    }

    /// Extra members of the object at `at`.
    pub fn nested(&self, at: &str) -> Option<&Extra> {
        self.nested.iter().find(|extra| extra.at.as_str() == at).map(|extra| &extra.value)
    }
}

/// State that a provider keeps between requests (OpenAI Responses).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    pub previous_response_id: Option<At<String>>,
    /// `include`, as it came.
    pub include: Option<At<Vec<String>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Instructions of the platform or the developer.
    System,
    /// Instructions under that name (OpenAI's reasoning models).
    Developer,
    /// What comes from outside: the user's words, and results of tools.
    User,
    /// What the model said, thought and asked for.
    Assistant,
}

/// One turn. Results of tools are parts of a user's turn, whatever a dialect makes of them: a chat message with the
/// role `tool` is a turn of [`Role::User`] with one [`Content::ToolResult`].
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub role: Role,
    pub parts: Vec<Part>,
    /// The participant's name (OpenAI Chat).
    pub name: Option<String>,
    /// Where it stood. Several messages may come from one place (an Anthropic turn with results and text).
    pub at: Pointer,
    /// Its text was a plain string and not a list of parts.
    pub plain: bool,
    pub extra: Extra,
}

impl Message {
    pub fn new(role: Role, parts: Vec<Part>, at: Pointer) -> Self {
        Self { role, parts, name: None, at, plain: false, extra: Extra::new() }
    }
}

/// A tool that the model may use.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    pub kind: ToolKind,
    pub at: Pointer,
    pub cache: Option<Cache>,
    pub extra: Extra,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ToolKind {
    /// Run by the client.
    Function {
        name: String,
        description: Option<String>,
        /// JSON Schema of the arguments. Gemini's own kind of schema is turned into it when it is read.
        parameters: Option<Value>,
        strict: Option<bool>,
    },
    /// Run by the client, with free text as its input (OpenAI). `format` as it came.
    Custom { name: String, description: Option<String>, format: Option<Value> },
    /// Run by the provider. `raw` is the whole tool as the source dialect wrote it.
    Server { tool: ServerTool, raw: Value },
}

/// Tools that providers run themselves, as far as more than one has them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServerTool {
    WebSearch,
    WebFetch,
    CodeExecution,
    FileSearch,
    ImageGeneration,
    Computer,
    Mcp,
    /// Any other, by its dialect's word.
    Other(String),
}

#[derive(Debug, Clone, PartialEq)]
pub enum ToolChoice {
    Auto,
    None,
    /// Some tool has to be called.
    Required,
    /// This function has to be called.
    Function(String),
    /// One of these, or (`required`) one of these for certain.
    Allowed {
        required: bool,
        names: Vec<String>,
    },
    /// What only the source dialect knows, as it came.
    Opaque(Value),
}

/// What shape the answer's text is to have.
#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    Text,
    /// Any JSON object.
    JsonObject,
    JsonSchema(Schema),
    /// What only the source dialect knows, as it came (a grammar, another MIME type).
    Opaque(Value),
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Schema {
    pub name: Option<String>,
    pub description: Option<String>,
    /// JSON Schema. Gemini's own kind of schema is turned into it when it is read.
    pub schema: Value,
    pub strict: Option<bool>,
}

/// How much the model is to think, as the client said it. Which of these a target understands differs; what it
/// does not, is derived from the others and reported as approximated.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Thinking {
    pub mode: Option<At<ThinkingMode>>,
    pub effort: Option<At<Effort>>,
    /// In tokens.
    pub budget: Option<At<u64>>,
    /// Whether, and how, thoughts are shown.
    pub summary: Option<At<Summary>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThinkingMode {
    Off,
    On,
    /// The model decides (Anthropic's `adaptive`, Gemini's budget of -1).
    Adaptive,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
    Max,
    Other(String),
}

impl Effort {
    pub fn parse(word: &str) -> Self {
        match word {
            "none" => Self::None,
            "minimal" => Self::Minimal,
            "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            "xhigh" => Self::XHigh,
            "max" => Self::Max,
            other => Self::Other(other.to_owned()),
        }
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
            Self::Other(word) => word,
        }
    }

    /// The budget that stands for it where a target knows only budgets.
    pub fn budget(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Minimal | Self::Low => 1024,
            Self::Medium | Self::Other(_) => 8192,
            Self::High => 24_576,
            Self::XHigh | Self::Max => 32_768,
        }
    }

    /// The effort that stands for a budget where a target knows only efforts.
    pub fn of_budget(tokens: u64) -> Self {
        match tokens {
            0 => Self::None,
            1..=2048 => Self::Low,
            2049..=16_384 => Self::Medium,
            _ => Self::High,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Summary {
    /// Thoughts are left out of the answer.
    Hidden,
    /// They are in it.
    Shown,
    /// In the source dialect's words: `auto`, `concise`, `detailed`.
    Detail(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogProbs {
    /// How many alternatives for each token.
    pub top: Option<u64>,
}
