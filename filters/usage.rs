//! What an attempt used: tokens by kind, meaning the same for every provider, and the ledger's row.

use std::sync::Arc;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::exchange::{Dialect, Operation};

/// Tokens by kind. `input_tokens` is everything that went in and `output_tokens` everything that was
/// generated; the other kinds are parts of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub input_tokens: u64,
    pub cached_input_tokens: u64,
    pub cache_write_5m_tokens: u64,
    pub cache_write_1h_tokens: u64,
    pub audio_input_tokens: u64,
    pub image_input_tokens: u64,
    pub tool_input_tokens: u64,
    pub output_tokens: u64,
    pub reasoning_tokens: u64,
    pub audio_output_tokens: u64,
    pub image_output_tokens: u64,
}

/// Usage as a provider reported it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reported {
    pub usage: Usage,
    /// What the provider says the exchange cost in US dollars (OpenRouter).
    pub cost: Option<Decimal>,
    /// The tier that served it (`flex`, `priority`, `batch`), where the usage block says so.
    pub service_tier: Option<String>,
    /// The reported total differs from the sum of the parts; the parts were believed.
    pub total_disagrees: bool,
}

/// What became of an attempt whose client left before its answer had ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientLeft {
    /// The provider was let go at once.
    Cancelled,
    /// The provider's answer was read to its end.
    Drained,
    /// It was read until the time for that was over.
    DrainDeadline,
    /// It was being read, and broke off: the row's `error` says why.
    DrainBroken,
}

impl ClientLeft {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Drained => "drained",
            Self::DrainDeadline => "drain_deadline",
            Self::DrainBroken => "drain_broken",
        }
    }
}

/// One attempt that reached a provider, as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub request_id: String,
    /// Counts from 1.
    pub attempt: u32,
    /// When the attempt began, in milliseconds since 1970.
    pub time: u64,
    pub org: Arc<str>,
    pub user: Option<Arc<str>>,
    pub key: Option<Arc<str>>,
    pub dialect: Dialect,
    pub operation: Operation,
    pub provider: Arc<str>,
    /// The model as the client named it.
    pub model_asked: Option<Arc<str>>,
    /// The model that the provider was asked for.
    pub model: Option<Arc<str>>,
    /// The model that the provider says answered.
    pub model_answered: Option<Arc<str>>,
    /// The provider's HTTP status; 0 where it sent none.
    pub status: u16,
    pub stream: bool,
    pub finish_reason: Option<Arc<str>>,
    /// What broke the attempt off, if something did.
    pub error: Option<Arc<str>>,
    #[serde(flatten)]
    pub usage: Usage,
    /// Whether the tokens are the provider's own count; otherwise they are an estimate.
    pub measured: bool,
    /// US dollars; `None` where no price is known.
    #[serde(with = "rust_decimal::serde::str_option")]
    pub cost: Option<Decimal>,
    /// From the attempt's start to the first byte of the answer's body.
    pub ttfb_ms: Option<f64>,
    pub duration_ms: f64,
    pub request_bytes: u64,
    pub response_bytes: u64,
    /// The dialect that the provider was asked in, where it is not the client's.
    #[serde(default)]
    pub translated_to: Option<Dialect>,
    /// What the translation could not carry: JSON pointers into the client's request, comma-separated.
    #[serde(default)]
    pub request_losses: Option<Arc<str>>,
    /// And into the provider's answer.
    #[serde(default)]
    pub answer_losses: Option<Arc<str>>,
    /// What became of it when its client left; `None` where the client stayed.
    #[serde(default)]
    pub client_left: Option<ClientLeft>,
    /// The bridge that the request named.
    #[serde(default)]
    pub bridge: Option<Arc<str>>,
}
