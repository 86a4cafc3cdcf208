//! Parts of messages, laid out flat.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tollgate_filters::chat::{
    Annotation, Content, Media, MediaKind, MediaSource, Part, Reasoning, ServerTool, ServerUse, Stage, Text,
    ToolCall, ToolResult,
};

use super::form::{Facts, Item, loose};

/// Which call an id means: calls are counted, because a provider may want ids of its own making.
#[derive(Debug, Default)]
pub struct Calls {
    by_id: HashMap<String, (usize, String)>,
    count: usize,
    /// Ids are to stay as they are, and are compared (in answers).
    exact: bool,
}

impl Calls {
    pub fn exact() -> Self {
        Self { exact: true, ..Self::default() }
    }

    fn call(&mut self, call: &ToolCall) -> Value {
        let number = self.count;
        self.count += 1;
        self.by_id.insert(call.id.clone(), (number, call.name.clone()));
        match (self.exact, call.id.as_str()) {
            (true, "") => Value::Null,
            // Made by the gateway where the source gave none.
            (true, id) if id.starts_with("call_tg_") => Value::Null,
            (true, id) => {
                let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
                json!(id.chars().map(plain).collect::<String>())
            }
            (false, _) => json!(number),
        }
    }

    fn result(&self, result: &ToolResult) -> (Value, Option<String>) {
        match self.by_id.get(&result.call) {
            Some((number, name)) => (json!(number), Some(name.clone())),
            None => (json!("a call that is not there"), result.name.clone()),
        }
    }
}

/// Adds a part, and what is within it, to `items`.
pub fn lay_out(role: &str, part: &Part, calls: &mut Calls, items: &mut Vec<Item>) {
    let (mut facts, before) = (Facts::default(), items.len());
    facts.cache(part.cache.as_ref());
    facts.extra("extra", &part.at, &part.extra);
    let (kind, key) = match &part.content {
        Content::Text(text) => ("text", lay_text(text, role, part, &mut facts)),
        Content::Refusal(text) => ("refusal", json!(text)),
        Content::Media(media) => ("media", lay_media(media, part, &mut facts)),
        Content::Reasoning(reasoning) => ("reasoning", lay_reasoning(reasoning, part, &mut facts)),
        Content::ToolCall(call) => ("call", lay_call(call, part, calls, &mut facts)),
        Content::ToolResult(result) => ("result", lay_result(result, part, calls, &mut facts)),
        Content::Server(used) => ("server", lay_server(used, part, &mut facts)),
        Content::Opaque(value) => ("opaque", value.clone()),
    };
    // Spaces alone say nothing, and some providers refuse it.
    let spaces = key.as_str().is_some_and(|text| text.trim().is_empty());
    let silent = kind == "text" && spaces && facts.0.iter().all(|fact| fact.path == "text");
    let sealed = kind != "reasoning" || key != json!(["", null]);
    if !silent && sealed {
        items.push(Item { role: role.to_owned(), kind, key, at: part.at.clone(), facts: facts.0 });
    }
    if let Content::ToolResult(result) = &part.content {
        for part in &result.parts {
            lay_out("result", part, calls, items);
        }
        lower_cache(items, before);
    }
}

/// A breakpoint behind a result is one behind the last of its parts.
fn lower_cache(items: &mut [Item], result: usize) {
    let of = |item: &Item| item.facts.iter().position(|fact| fact.path == "cache");
    let Some((result, parts)) = items.get_mut(result..).and_then(<[Item]>::split_first_mut) else { return };
    if let (Some(at), Some(last)) = (of(result), parts.last_mut())
        && of(last).is_none()
    {
        let cache = result.facts.remove(at);
        last.facts.push(cache);
    }
}

fn lay_text(text: &Text, role: &str, part: &Part, facts: &mut Facts) -> Value {
    // What a tool gave may be an object in one dialect and its text in another.
    let said = if role == "result" && !text.text.is_empty() { loose(&text.text) } else { json!(text.text) };
    if !text.text.is_empty() {
        facts.add("text", &part.at, &["text", "content", "parts"], said.clone());
    }
    let mut seen: HashMap<String, usize> = HashMap::new();
    for annotation in &text.annotations {
        let name = annotation_name(annotation);
        let count = seen.entry(name.clone()).or_default();
        *count += 1;
        let path = format!("annotation `{name} {count}`");
        facts.add(&*path, &annotation.at, &[], true);
        let cited = annotation.cited.as_ref().filter(|cited| !cited.is_empty());
        let mut add =
            |what: &str, words, value| facts.add(format!("{path} {what}"), &annotation.at, words, value);
        add("url", &["url", "uri", "source"], json!(annotation.url));
        add("title", &["title"], json!(annotation.title));
        add(
            "start",
            &["start", "start_index", "startIndex", "segment", "start_char_index"],
            json!(annotation.start),
        );
        add("end", &["end", "end_index", "endIndex", "segment", "end_char_index"], json!(annotation.end));
        add("cited", &["cited_text", "content", "text", "quote"], json!(cited));
        facts.own(format!("{path} raw"), &annotation.at, annotation.raw.clone());
    }
    said
}

fn annotation_name(annotation: &Annotation) -> String {
    let named = annotation.url.clone().or(annotation.title.clone()).or(annotation.cited.clone());
    named.unwrap_or_else(|| annotation.raw.to_string())
}

fn lay_media(media: &Media, part: &Part, facts: &mut Facts) -> Value {
    let kind = match media.kind {
        MediaKind::Image => "image",
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
        MediaKind::Document => "document",
    };
    facts.add("media kind", &part.at, &[], kind);
    let source = match &media.source {
        MediaSource::Url(url) => json!(["url", url]),
        MediaSource::Base64(data) => plain_text(media, data).unwrap_or_else(|| json!(["base64", data])),
        MediaSource::Text(text) => json!(["text", text]),
        MediaSource::File(id) => json!(["file", id]),
    };
    facts.add("media source", &part.at, &[], source.clone());
    const MIME: &[&str] =
        &["mime_type", "mimeType", "media_type", "format", "inlineData", "inline_data", "fileData"];
    // An address leads to what tells its type itself, and a text is a text.
    let open = matches!(source[0].as_str(), Some("base64" | "file"));
    facts.add("media mime", &part.at, MIME, json!(media.mime.as_deref().filter(|_| open).map(plain_mime)));
    const NAME: &[&str] = &["filename", "name", "title", "displayName", "display_name"];
    facts.add("media name", &part.at, NAME, json!(media.name));
    // `auto` is what no word at all means.
    let detail = media.detail.as_ref().filter(|detail| *detail != "auto");
    facts.add("media detail", &part.at, &["detail", "mediaResolution"], json!(detail));
    source
}

/// One name for each of the types that have several.
fn plain_mime(mime: &str) -> &str {
    match mime {
        "audio/x-wav" | "audio/wave" => "audio/wav",
        "audio/mp3" => "audio/mpeg",
        other => other,
    }
}

/// A text is the same text in base64.
fn plain_text(media: &Media, base64: &str) -> Option<Value> {
    let mime = media.mime.as_deref().filter(|mime| mime.starts_with("text/"))?;
    let text = String::from_utf8(STANDARD.decode(base64).ok()?).ok()?;
    (mime == "text/plain").then(|| json!(["text", text]))
}

fn lay_reasoning(reasoning: &Reasoning, part: &Part, facts: &mut Facts) -> Value {
    // Several thoughts may become one with paragraphs, and a summary of thinking is thinking to those who have one word
    // for both.
    let texts = reasoning.thoughts.iter().map(|t| t.text.as_str()).filter(|text| !text.is_empty());
    let thoughts = texts.collect::<Vec<_>>().join("\n\n");
    const SEAL: &[&str] = &[
        "signature",
        "data",
        "encrypted_content",
        "thoughtSignature",
        "thought_signature",
        "reasoning_details",
    ];
    let seal = reasoning.seal.as_ref().filter(|s| !s.data.is_empty());
    let seal = seal.map(|s| json!([format!("{:?}", s.maker), s.data, s.redacted]));
    let key = json!([thoughts, seal]);
    if !thoughts.is_empty() {
        facts.add(
            "thoughts",
            &part.at,
            &[
                "summary",
                "thinking",
                "content",
                "text",
                "reasoning",
                "reasoning_content",
                "reasoning_details",
            ],
            json!(thoughts),
        );
    }
    facts.add("seal", &part.at, SEAL, json!(seal));
    key
}

fn lay_call(call: &ToolCall, part: &Part, calls: &mut Calls, facts: &mut Facts) -> Value {
    let id = calls.call(call);
    facts.add("call id", &part.at, &["id", "call_id"], id.clone());
    facts.add("call name", &part.at, &["name"], call.name.clone());
    let arguments = loose(&call.arguments);
    facts.add("call arguments", &part.at, &["arguments", "input", "args"], arguments.clone());
    facts.add(
        "call custom",
        &part.at,
        &["type", "custom"],
        if call.custom { json!(true) } else { Value::Null },
    );
    json!([id, call.name, arguments])
}

fn lay_result(result: &ToolResult, part: &Part, calls: &Calls, facts: &mut Facts) -> Value {
    let (call, name) = calls.result(result);
    facts.add("result call", &part.at, &["tool_call_id", "call_id", "tool_use_id", "id"], call.clone());
    facts.add("result name", &part.at, &["name"], json!(name));
    let error = if result.is_error { json!(true) } else { Value::Null };
    facts.add("result is error", &part.at, &["is_error", "error", "response"], error);
    call
}

fn lay_server(used: &ServerUse, part: &Part, facts: &mut Facts) -> Value {
    let stage = match used.stage {
        Stage::Call => "call",
        Stage::Result => "result",
        Stage::Both => "both",
    };
    facts.add("server id", &part.at, &["id", "tool_use_id"], json!(used.id));
    if !used.input.is_empty() {
        facts.add("server input", &part.at, &["input", "action", "code", "queries"], used.input.clone());
    }
    let output = used.output.as_ref().filter(|output| !output.is_empty());
    facts.add("server output", &part.at, &["content", "output", "outputs", "results"], json!(output));
    facts.own("server raw", &part.at, used.raw.clone());
    json!([server_tool(&used.tool), stage, used.id])
}

pub fn server_tool(tool: &ServerTool) -> String {
    match tool {
        ServerTool::Other(word) => format!("other {word}"),
        known => format!("{known:?}"),
    }
}
