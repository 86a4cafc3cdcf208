//! The built-in provider `demo`: it answers in every dialect when a newcomer has no provider key yet.
//!
//! It is reached like any other provider, over HTTP/1.1, so that whatever the gateway does to an exchange
//! can be seen without an account anywhere. It is deterministic: the same request gets the same answer, ids
//! included. It counts by its own rule, one token per word or run of punctuation: the input is all the text
//! of the system prompt, the messages and the tools, the output is the text or the arguments it wrote.

mod anthropic;
mod count;
mod embedding;
mod gemini;
mod http1;
mod openai;
mod openai_chat;
mod openai_responses;
mod prompt;
mod sample;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::Value;
use std::time::{Duration, SystemTime};
use tokio::net::TcpListener;

/// The one model there is.
const MODEL: &str = "demo";

/// Accepts connections for as long as it is polled, each served by a task of its own.
pub async fn serve(listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(http1::connection(stream));
            }
            // Out of file descriptors, most likely: trying again at once would only burn a core.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// What is known of one request once it has been read.
#[derive(Debug)]
struct Request {
    method: Method,
    path: String,
    query: String,
    /// Who is asking, where a header tells; `/v1/models` is a path of all three.
    sender: Option<Dialect>,
    body: Bytes,
}

/// One answer, complete before its first byte is written.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    content_type: &'static str,
    pieces: Vec<Bytes>,
    /// Whether the pieces go out one by one, with a moment between them.
    streamed: bool,
}

impl Answer {
    fn json(status: StatusCode, body: &Value) -> Self {
        Self {
            status,
            content_type: "application/json",
            pieces: vec![Bytes::from(body.to_string())],
            streamed: false,
        }
    }

    fn ok(body: &Value) -> Self {
        Self::json(StatusCode::OK, body)
    }

    fn stream(content_type: &'static str, pieces: Vec<Bytes>) -> Self {
        Self { status: StatusCode::OK, content_type, pieces, streamed: true }
    }
}

/// Whose error shape and model list a request expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    OpenAi,
    Anthropic,
    Gemini,
}

impl Dialect {
    fn of(request: &Request) -> Self {
        if request.path.starts_with("/v1beta/") || gemini::call(&request.path).is_some() {
            Self::Gemini
        } else if request.path.starts_with("/v1/messages") {
            Self::Anthropic
        } else {
            request.sender.unwrap_or(Self::OpenAi)
        }
    }

    fn error(self, status: StatusCode, message: &str) -> Answer {
        match self {
            Self::OpenAi => openai::error(status, message),
            Self::Anthropic => anthropic::error(status, message),
            Self::Gemini => gemini::error(status, message),
        }
    }

    fn unknown_model(self, model: &str) -> Answer {
        let message =
            format!("The model `{model}` does not exist: the only model of the demo provider is `{MODEL}`.");
        match self {
            Self::OpenAi => openai::unknown_model(&message),
            _ => self.error(StatusCode::NOT_FOUND, &message),
        }
    }
}

/// Answers a request, whatever it is.
fn answer(request: &Request) -> Answer {
    let dialect = Dialect::of(request);
    let found = match request.method {
        Method::POST => post(&request.path, &request.query).map(|handler| ask(request, handler)),
        Method::GET | Method::HEAD => get(&request.path, dialect),
        _ => None,
    };
    found.unwrap_or_else(|| {
        let message = format!("Invalid URL ({} {})", request.method, request.path);
        dialect.error(StatusCode::NOT_FOUND, &message)
    })
}

fn ask(request: &Request, handler: Handler) -> Answer {
    let dialect = Dialect::of(request);
    let parsed = serde_json::from_slice(&request.body).ok();
    let Some(body) = parsed.filter(Value::is_object) else {
        let message = "The request body is not a JSON object.";
        return dialect.error(StatusCode::BAD_REQUEST, message);
    };
    // Gemini names the model in the path.
    let in_path = gemini::call(&request.path).map(|(model, _)| model);
    match in_path.or_else(|| body["model"].as_str()) {
        Some(model) if model != MODEL => dialect.unknown_model(model),
        _ => handler(&body),
    }
}

type Handler = fn(&Value) -> Answer;

fn post(path: &str, query: &str) -> Option<Handler> {
    match path {
        "/v1/chat/completions" => Some(openai_chat::answer),
        "/v1/responses" => Some(openai_responses::answer),
        "/v1/embeddings" => Some(embedding::openai),
        "/v1/messages" => Some(anthropic::answer),
        "/v1/messages/count_tokens" => Some(anthropic::count),
        _ => gemini::handler(path, query),
    }
}

fn get(path: &str, dialect: Dialect) -> Option<Answer> {
    let (list, one) = match dialect {
        Dialect::OpenAi => openai::models(),
        Dialect::Anthropic => anthropic::models(),
        Dialect::Gemini => gemini::models(),
    };
    match path {
        "/v1/models" | "/v1beta/models" => Some(Answer::ok(&list)),
        "/v1/models/demo" | "/v1beta/models/demo" => Some(Answer::ok(&one)),
        _ => None,
    }
}

/// An id that the same request always gets: FNV-1a over its body.
fn id(prefix: &str, request: &Value) -> String {
    format!("{prefix}{:016x}", count::hash(request.to_string().as_bytes()))
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |age| age.as_secs())
}

/// The items of an array, none if it is anything else.
fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// One server-sent event that is named after its own `type`, as Anthropic and the Responses API do.
fn named_event(data: &Value) -> Bytes {
    let name = data["type"].as_str().unwrap_or_default();
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

#[cfg(test)]
mod tests;
