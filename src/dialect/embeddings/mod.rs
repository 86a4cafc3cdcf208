//! Embeddings: what is asked and what comes back, for the OpenAI, Mistral and Gemini forms of it.

mod answer;
mod gemini;
mod openai;
#[cfg(test)]
mod tests;

use serde_json::Value;
use tollgate_filters::chat::{At, Extra, Losses, Pointer, UsageReport};
use tollgate_filters::error::Error;

use super::count::Tokens;

/// Whose form of the operation a document has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// `POST /v1/embeddings`, and everybody who copied it.
    Openai,
    /// The same path with `output_dimension` and `output_dtype`.
    Mistral,
    /// `embedContent` and `batchEmbedContents`.
    Gemini,
}

/// A request. Fields that are `None` were not sent (or were `null`).
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingRequest {
    pub source: Api,
    /// As the body names it, without Gemini's `models/`.
    pub model: Option<String>,
    /// One vector is asked for each.
    pub inputs: Vec<Input>,
    /// The inputs came as a list, although it may hold but one.
    pub batch: bool,
    /// How the client wants its vectors written (OpenAI).
    pub encoding: Option<At<Encoding>>,
    /// An id of the end user (OpenAI).
    pub user: Option<At<String>>,
    /// `float`, `int8`, `uint8`, `binary`, `ubinary` (Mistral).
    pub output_dtype: Option<At<String>>,
    /// Top-level members that have no typed field.
    pub extra: Extra,
}

/// What one vector is made of, and how. OpenAI says how once for all inputs, Gemini for each.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    pub content: Content,
    pub at: Pointer,
    pub dimensions: Option<At<u64>>,
    /// What the vector is for (Gemini): `RETRIEVAL_QUERY`, `RETRIEVAL_DOCUMENT`, …
    pub task_type: Option<At<String>>,
    /// The document's title (Gemini).
    pub title: Option<At<String>>,
    /// Members of Gemini's objects that have no typed field, each with its object's pointer.
    pub nested: Vec<At<Extra>>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    Text(String),
    /// Ids of tokens (OpenAI).
    Tokens(Vec<u64>),
    /// Parts of one content: text and media (Gemini).
    Parts(Vec<Value>),
    /// What only the provider knows that it was meant for.
    Opaque(Value),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encoding {
    /// A list of JSON numbers.
    #[default]
    Float,
    /// Base64 of little-endian `f32`s.
    Base64,
}

/// A request's body, and Gemini's method to call with it (`embedContent`, `batchEmbedContents`).
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    pub body: Value,
    pub method: Option<&'static str>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingAnswer {
    pub source: Api,
    pub id: Option<String>,
    /// The model that says it answered.
    pub model: Option<String>,
    /// In the order of the inputs.
    pub embeddings: Vec<Embedding>,
    /// What a provider charged (`cost`) stays in the report's `extra`, as it came.
    pub usage: Option<UsageReport>,
    pub extra: Extra,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    pub vector: Vector,
    pub at: Pointer,
    pub extra: Extra,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Vector {
    /// JSON numbers, as they came.
    Numbers(Vec<Value>),
    /// The `f32`s that came as base64.
    Bits(Vec<f32>),
    /// Something else, as it came.
    Other(Value),
}

/// What the client's form of the answer depends on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    pub encoding: Encoding,
    /// A Gemini client called `batchEmbedContents`.
    pub batch: bool,
    /// The model as the provider was asked for it, where an answer does not name one.
    pub model: String,
    /// The gateway's own count of what went in, for clients that must be told and providers that do not tell.
    pub input_tokens: u64,
}

impl EmbeddingRequest {
    pub fn wanted(&self, model: &str, input_tokens: u64) -> Wanted {
        let encoding = self.encoding.as_ref().map(|e| e.value).unwrap_or_default();
        Wanted { encoding, batch: self.batch, model: model.to_owned(), input_tokens }
    }

    /// How many tokens go in, counted by the gateway itself; media count for nothing.
    pub fn estimate(&self, model: &str) -> u64 {
        let tokens = Tokens::of(model);
        let one = |input: &Input| match &input.content {
            Content::Text(text) => tokens.count(text),
            Content::Tokens(ids) => ids.len() as u64,
            Content::Parts(parts) => {
                parts.iter().filter_map(|part| part["text"].as_str()).map(|text| tokens.count(text)).sum()
            }
            Content::Opaque(value) => tokens.count(&value.to_string()),
        };
        self.inputs.iter().map(one).sum()
    }
}

/// Reads the body of a request. The OpenAI form takes Mistral's names as well: they come by the same path.
pub fn parse_request(api: Api, body: Value) -> Result<EmbeddingRequest, Error> {
    match api {
        Api::Openai | Api::Mistral => openai::parse(api, body),
        Api::Gemini => gemini::parse(body),
    }
}

/// Writes the body that `model` is asked with, and says in `losses` what of the request it leaves behind. An input
/// of which nothing would be left is an error: a vector of something else would be worse than none.
pub fn render_request(
    api: Api,
    request: &EmbeddingRequest,
    model: &str,
    losses: &mut Losses,
) -> Result<Rendered, Error> {
    match api {
        Api::Openai | Api::Mistral => {
            Ok(Rendered { body: openai::render(api, request, model, losses)?, method: None })
        }
        Api::Gemini => gemini::render(request, model, losses),
    }
}

/// Reads an answer. Only what is no object at all is an error.
pub fn parse_answer(api: Api, body: Value) -> Result<EmbeddingAnswer, Error> {
    answer::parse(api, body)
}

/// Writes an answer for the client, and says in `losses` what of it is left behind.
pub fn render_answer(api: Api, answer: &EmbeddingAnswer, wanted: &Wanted, losses: &mut Losses) -> Value {
    answer::render(api, answer, wanted, losses)
}
