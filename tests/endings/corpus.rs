//! The recorded streams.

use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;
use tollgate_filters::exchange::Dialect;

pub struct Stream {
    pub name: String,
    pub dialect: Dialect,
    pub completions: bool,
    pub array: bool,
    /// It ends with an error.
    pub fails: bool,
    pub bytes: Vec<u8>,
}

/// All of them, or `None` where the corpus is not beside the checkout.
pub fn streams() -> Option<&'static [Stream]> {
    static STREAMS: OnceLock<Option<Vec<Stream>>> = OnceLock::new();
    STREAMS.get_or_init(read).as_deref()
}

fn read() -> Option<Vec<Stream>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let mut streams = Vec::new();
    for provider in std::fs::read_dir(folder).ok()?.flatten().filter(|entry| entry.path().is_dir()) {
        for api in std::fs::read_dir(provider.path()).unwrap().flatten() {
            for file in std::fs::read_dir(api.path()).unwrap().flatten() {
                let document: Value = serde_json::from_slice(&std::fs::read(file.path()).unwrap()).unwrap();
                streams.extend(stream(&document));
            }
        }
    }
    streams.sort_by(|a, b| a.name.cmp(&b.name));
    Some(streams)
}

fn stream(document: &Value) -> Option<Stream> {
    let body = &document["response"]["body"];
    let (bytes, array) = match (body["sse"].as_str(), body.as_array()) {
        (Some(sse), _) => (sse.to_owned(), false),
        (None, Some(list)) if document["api"] == "streamGenerateContent" => {
            let list: Vec<String> = list.iter().map(Value::to_string).collect();
            (format!("[{}\n]", list.join("\n,\r\n")), true)
        }
        _ => return None,
    };
    let completions = bytes.contains("\"text_completion\"");
    let dialect = match document["api"].as_str()? {
        "chat" if !completions => Dialect::OpenaiChat,
        "other" if completions => Dialect::OpenaiChat,
        "responses" => Dialect::OpenaiResponses,
        "messages" => Dialect::Anthropic,
        "streamGenerateContent" => Dialect::Gemini,
        _ => return None,
    };
    let fails =
        bytes.contains("event: error") || bytes.contains("\"error\":{") || bytes.contains("\"error\": {");
    let name = document["id"].as_str()?.to_owned();
    Some(Stream { name, dialect, completions, array, fails, bytes: bytes.into_bytes() })
}
