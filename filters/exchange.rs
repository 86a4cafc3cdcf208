//! What is known of one exchange: the wire format it speaks, the operation it asks for, and who asks.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::authorize::Grant;

/// A wire format that clients and providers speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    OpenaiChat,
    OpenaiResponses,
    Anthropic,
    Gemini,
}

impl Dialect {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai_chat",
            Self::OpenaiResponses => "openai_responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The set of dialects that a provider speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dialects(u8);

impl Dialects {
    pub fn contains(self, dialect: Dialect) -> bool {
        self.0 & (1 << dialect as u8) != 0
    }

    /// Whether `operation`, asked in `dialect`, needs no translation. Operations other than generating belong to
    /// a family of dialects: files, images and embeddings are at home with both of OpenAI's.
    pub fn speak(self, dialect: Dialect, operation: Operation) -> bool {
        if operation.generates() || operation == Operation::CountTokens {
            self.contains(dialect)
        } else {
            self.contains_family(dialect)
        }
    }

    /// Whether `operation` can be done in any of these dialects, whatever the client speaks.
    pub fn can(self, dialect: Dialect, operation: Operation) -> bool {
        match operation {
            _ if self.speak(dialect, operation) => true,
            Operation::Embeddings => {
                self.contains_family(Dialect::OpenaiChat) || self.contains(Dialect::Gemini)
            }
            _ => (operation.generates() || operation == Operation::CountTokens) && self.0 != 0,
        }
    }

    /// Whether operations of the dialect's family are at home there: files, images and embeddings
    /// belong to both of OpenAI's dialects.
    pub fn contains_family(self, dialect: Dialect) -> bool {
        match dialect {
            Dialect::OpenaiChat | Dialect::OpenaiResponses => {
                self.contains(Dialect::OpenaiChat) || self.contains(Dialect::OpenaiResponses)
            }
            other => self.contains(other),
        }
    }

    pub fn iter(self) -> impl Iterator<Item = Dialect> {
        [Dialect::OpenaiChat, Dialect::OpenaiResponses, Dialect::Anthropic, Dialect::Gemini]
            .into_iter()
            .filter(move |d| self.contains(*d))
    }
}

impl FromIterator<Dialect> for Dialects {
    fn from_iter<I: IntoIterator<Item = Dialect>>(dialects: I) -> Self {
        Self(dialects.into_iter().fold(0, |set, d| set | (1 << d as u8)))
    }
}

/// What the client asks a provider to do, as far as the gateway treats it differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// OpenAI Chat Completions.
    Chat,
    /// OpenAI Responses, creating one.
    Responses,
    /// Anthropic Messages.
    Messages,
    /// Gemini `generateContent`.
    Generate,
    /// Gemini `streamGenerateContent`.
    StreamGenerate,
    /// OpenAI's older completions of a prompt.
    Completions,
    Embeddings,
    CountTokens,
    Models,
    /// Everything else, passed through as it is: files, images, audio, batches, …
    Other,
}

impl Operation {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::Generate => "generate",
            Self::StreamGenerate => "stream_generate",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::CountTokens => "count_tokens",
            Self::Models => "models",
            Self::Other => "other",
        }
    }

    /// Whether a request for it has to name a model.
    pub fn names_model(self) -> bool {
        !matches!(self, Self::Models | Self::Other)
    }

    /// Whether the model generates something, so that any dialect can stand in for any other.
    pub fn generates(self) -> bool {
        matches!(
            self,
            Self::Chat
                | Self::Responses
                | Self::Messages
                | Self::Generate
                | Self::StreamGenerate
                | Self::Completions
        )
    }

    /// Whether it uses tokens for certain, so that an answer without usage is worth an estimate.
    pub fn uses_tokens(self) -> bool {
        self.names_model() && self != Self::CountTokens
    }
}

/// Who is asking. Everything stored or counted is keyed by `org` first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub org: Arc<str>,
    pub user: Option<Arc<str>>,
    pub via: Via,
    pub role: Role,
    /// What the key or the token itself permits.
    pub grant: Grant,
    /// A translation that would lose something is refused.
    pub strict: bool,
}

/// What let the caller in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// A gateway key, by its name.
    Key(Arc<str>),
    /// A token of an issuer, by the issuer's name in the configuration.
    Token(Arc<str>),
    /// Nothing: the gateway is open.
    Nobody,
}

/// What kind of caller it is, from the weakest to the strongest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    ReadOnly,
    #[default]
    Member,
    Admin,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Member => "member",
            Self::ReadOnly => "read_only",
        }
    }

    /// The role of that name, if there is one.
    pub fn named(name: &str) -> Option<Self> {
        [Self::ReadOnly, Self::Member, Self::Admin].into_iter().find(|role| role.as_str() == name)
    }

    /// Whether it may ask this. Who only reads looks things up and counts tokens; what administers an account at a
    /// provider (`/v1/organization/…`) is for admins.
    pub fn permits(self, method: &str, operation: Operation, path: &str) -> bool {
        let administers = path.split(['/', ';']).any(|segment| {
            ["organization", "organizations"].iter().any(|word| segment.eq_ignore_ascii_case(word))
        });
        match self {
            Self::Admin => true,
            Self::Member => !administers,
            Self::ReadOnly => {
                !administers && (matches!(method, "GET" | "HEAD") || operation == Operation::CountTokens)
            }
        }
    }
}

/// The organisation of callers that were given none.
pub const DEFAULT_ORG: &str = "default";

impl Caller {
    /// The caller of a gateway that asks for no key.
    pub fn anonymous() -> Self {
        Self {
            org: Arc::from(DEFAULT_ORG),
            user: None,
            via: Via::Nobody,
            // Where nobody is asked who he is, nobody is told what he may not.
            role: Role::Admin,
            grant: Grant::default(),
            strict: false,
        }
    }

    /// The name of its gateway key, if that is how it came.
    pub fn key(&self) -> Option<&Arc<str>> {
        match &self.via {
            Via::Key(name) => Some(name),
            Via::Token(_) | Via::Nobody => None,
        }
    }
}
