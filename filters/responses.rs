//! Answers that the gateway keeps for providers that keep none: OpenAI's `store` and `previous_response_id`.

use serde_json::Value;

/// The longest conversation that `previous_response_id` may lead through, in answers.
pub const MAX_CHAIN: usize = 1000;
/// The largest one, by [`Stored::size`].
pub const MAX_CHAIN_SIZE: usize = 64 * 1024 * 1024;

/// One answer, and what it answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    pub org: String,
    /// `resp_…`, as the client knows it.
    pub id: String,
    /// Seconds since 1970.
    pub created: u64,
    /// Seconds since 1970. The store sets it, from its retention.
    pub expires: u64,
    pub model: String,
    /// The answer that the request went on from.
    pub previous: Option<String>,
    /// The items of this request alone, without those of the answers before: an array.
    pub input: Value,
    /// The items of the answer: an array.
    pub output: Value,
    /// The whole Response object, as the client got it.
    pub response: Value,
}

impl Stored {
    /// About how many bytes of memory it takes.
    pub fn size(&self) -> usize {
        let names = self.org.len() + self.id.len() + self.model.len();
        size_of::<Self>() + names + size(&self.input) + size(&self.output) + size(&self.response)
    }

    pub fn input_items(&self) -> &[Value] {
        self.input.as_array().map_or(&[], Vec::as_slice)
    }

    pub fn output_items(&self) -> &[Value] {
        self.output.as_array().map_or(&[], Vec::as_slice)
    }
}

/// Text is what it is; beside it, each value and each key has its own place in memory, however short it is.
fn size(value: &Value) -> usize {
    const MEMBER: usize = 48;
    let inner = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(members) => members.iter().map(|(key, value)| MEMBER + key.len() + size(value)).sum(),
    };
    size_of::<Value>() + inner
}

/// Why an answer cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is none, or it has expired, or it is another organisation's. In a chain, `id` is the missing link.
    #[error("There is no response with the id {id:?}. It was not stored, was deleted, or has expired.")]
    NotFound { id: String },
    #[error("The conversation has more than {MAX_CHAIN} responses.")]
    ChainTooLong,
    #[error("The stored conversation is larger than {} MiB.", MAX_CHAIN_SIZE / 1024 / 1024)]
    ChainTooLarge,
    /// For the operator: why the store does not answer.
    #[error("the response store does not work: {0}")]
    Unavailable(String),
}

/// Why an answer was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    #[error("it takes {size} bytes, and more than {limit} are not stored")]
    TooLarge { size: usize, limit: usize },
    /// The disk has not taken anything for a while, and no more can wait.
    #[error("the response store takes no more")]
    Full,
}
