//! `GET /v1beta/models` as Gemini writes it: <https://ai.google.dev/api/models>.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use tollgate_filters::catalogue::Kind;
use tollgate_filters::error::Error;

use super::{Entry, page_size, parameter, position, put};

pub(super) fn list(entries: &[Entry], query: &str) -> Result<Value, Error> {
    let size = page_size(query, "pageSize", 50)?;
    let start = match parameter(query, "pageToken") {
        Some(token) => {
            // A token that does not decode names no model either.
            let last =
                URL_SAFE_NO_PAD.decode(token.as_bytes()).ok().and_then(|id| String::from_utf8(id).ok());
            position(entries, &last.unwrap_or_default(), "pageToken")? + 1
        }
        None => 0,
    };
    let rest = entries.get(start..).unwrap_or_default();
    let page = rest.get(..size).unwrap_or(rest);
    let mut object = Map::new();
    put(&mut object, "models", Some(page.iter().map(model).collect::<Vec<Value>>()));
    if page.len() < rest.len() {
        let token = page.last().map(|last| URL_SAFE_NO_PAD.encode(&last.id));
        put(&mut object, "nextPageToken", token);
    }
    Ok(Value::Object(object))
}

pub(super) fn model(entry: &Entry) -> Value {
    let methods: &[&str] = match entry.kind() {
        Kind::Chat | Kind::Responses => &["generateContent", "countTokens"],
        Kind::Embedding => &["embedContent", "countTokens"],
    };
    let mut object = Map::new();
    put(&mut object, "name", Some(format!("models/{}", entry.id)));
    put(&mut object, "displayName", Some(entry.name()));
    if let Some(model) = entry.model {
        put(&mut object, "inputTokenLimit", model.max_input_tokens);
        put(&mut object, "outputTokenLimit", model.max_output_tokens);
    }
    put(&mut object, "supportedGenerationMethods", Some(methods));
    put(&mut object, "thinking", entry.thinks().filter(|thinks| *thinks));
    Value::Object(object)
}
