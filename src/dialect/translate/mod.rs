//! From one dialect into another, by way of the neutral conversation. No pair of dialects knows of each other.

mod stream;
mod translator;

use serde_json::Value;
use tollgate_filters::chat::{Client, Failure, Losses, Request, Response, Target};
use tollgate_filters::error::Error;
use tollgate_filters::exchange::Dialect;

use super::fields::unescape;
use super::{anthropic, gemini, openai_chat, openai_responses};
pub use stream::{Decoder, Encoder};
pub use translator::{Form, Output, Translator, Understood};

/// Reads a request's body.
pub fn parse_request(dialect: Dialect, body: &[u8]) -> Result<Request, Error> {
    let body: Value = serde_json::from_slice(body).map_err(|e| {
        Error::invalid(format!("The request body is not valid JSON: {e}.")).code("invalid_json")
    })?;
    match dialect {
        Dialect::OpenaiChat => openai_chat::request::parse(body),
        Dialect::OpenaiResponses => openai_responses::request::parse(body),
        Dialect::Anthropic => anthropic::request::parse(body),
        Dialect::Gemini => gemini::request::parse(body),
    }
}

/// Writes the body that `target` is asked with. What of the request it leaves behind is added to `losses`.
pub fn render_request(dialect: Dialect, request: &Request, target: &Target, losses: &mut Losses) -> Value {
    let mut body = match dialect {
        Dialect::OpenaiChat => openai_chat::request::render(request, target, losses),
        Dialect::OpenaiResponses => openai_responses::request::render(request, target, losses),
        Dialect::Anthropic => anthropic::request::render(request, target, losses),
        Dialect::Gemini => gemini::request::render(request, target, losses),
    };
    if request.source == dialect {
        unescape(&mut body);
    }
    body
}

/// Reads an answer that is no stream.
pub fn parse_response(dialect: Dialect, body: Value) -> Result<Response, Error> {
    match dialect {
        Dialect::OpenaiChat => openai_chat::response::parse(body),
        Dialect::OpenaiResponses => openai_responses::response::parse(body),
        Dialect::Anthropic => anthropic::response::parse(body),
        Dialect::Gemini => gemini::response::parse(body),
    }
}

/// Writes an answer that is no stream.
pub fn render_response(dialect: Dialect, response: &Response, client: &Client, losses: &mut Losses) -> Value {
    let mut body = match dialect {
        Dialect::OpenaiChat => openai_chat::response::render(response, client, losses),
        Dialect::OpenaiResponses => openai_responses::response::render(response, client, losses),
        Dialect::Anthropic => anthropic::response::render(response, client, losses),
        Dialect::Gemini => gemini::response::render(response, client, losses),
    };
    if response.source == dialect {
        unescape(&mut body);
    }
    body
}

/// Reads an error answer.
pub fn parse_error(dialect: Dialect, status: u16, body: &[u8]) -> Failure {
    match dialect {
        Dialect::OpenaiChat => openai_chat::error::parse(status, body),
        Dialect::OpenaiResponses => openai_responses::error::parse(status, body),
        Dialect::Anthropic => anthropic::error::parse(status, body),
        Dialect::Gemini => gemini::error::parse(status, body),
    }
}

/// Writes an error answer.
pub fn render_error(dialect: Dialect, failure: &Failure, request_id: &str) -> Value {
    match dialect {
        Dialect::OpenaiChat => openai_chat::error::render(failure, request_id),
        Dialect::OpenaiResponses => openai_responses::error::render(failure, request_id),
        Dialect::Anthropic => anthropic::error::render(failure, request_id),
        Dialect::Gemini => gemini::error::render(failure, request_id),
    }
}
