//! Reading parts.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{
    At, Content, Extra, Media, MediaKind, MediaSource, Part, Pointer, Reasoning, Seal, ServerTool, ServerUse,
    Stage, Thought, ToolCall, ToolResult,
};
use tollgate_filters::error::Error;

use super::server_tool;
use crate::dialect::fields::{Fields, missing, wrong_type};
use crate::dialect::gemini::seal;
use crate::dialect::gemini::spelling::{member, spelled};
use crate::dialect::media::{kind_of, mime_of};

/// Reads parts one after the other and keeps beside them what has no place in them.
#[derive(Debug, Default)]
pub struct Reader {
    /// A request is refused for a value of the wrong type; an answer never is.
    strict: bool,
    /// Members that only Gemini knows of objects inside parts (requests only).
    pub inner: Vec<At<Extra>>,
    /// Spellings; see `Request::forms`.
    pub forms: Vec<At<Value>>,
}

impl Reader {
    pub fn strict() -> Self {
        Self { strict: true, ..Self::default() }
    }

    pub fn lenient() -> Self {
        Self::default()
    }

    /// Reads the part that stood at `at`. A signature that is not a thought's own becomes a part of its own, before
    /// the part that it signs.
    pub fn part(&mut self, value: Value, at: Pointer, out: &mut Vec<Part>) -> Result<(), Error> {
        if !value.is_object() && !self.strict {
            out.push(Part::new(Content::Opaque(value), at));
            return Ok(());
        }
        let mut fields = Fields::new(value, at.clone())?;
        let thought = self.soft(fields.boolean("thought"))?;
        let key = spelled(&fields, "thoughtSignature").into_owned();
        let signature = self.soft(fields.string(&key))?.filter(|text| !text.is_empty());
        let signature = match signature {
            // Says that there is none.
            Some(text) if self.strict && seal::is_placeholder(&text) => {
                self.forms.push(At::new(json!(text), at.key(&key)));
                None
            }
            other => other,
        };
        let seal = signature.as_deref().map(seal::read);
        let mut extra = Extra::new();
        let content = self.data(&mut fields, &mut extra)?;
        extra.extend(fields.rest());
        let content = match (content, thought) {
            (Some(Content::Text(text)), Some(true)) => thoughts(text.text, seal),
            (None, Some(true)) if extra.is_empty() => thoughts(String::new(), seal),
            (content, thought) => {
                if thought == Some(true) {
                    extra.insert("thought".to_owned(), Value::Bool(true));
                }
                let signed = seal.is_some();
                if let Some(seal) = seal {
                    let reasoning = Reasoning { seal: Some(seal), ..Reasoning::default() };
                    out.push(Part::new(Content::Reasoning(reasoning), at.key(&key)));
                }
                match content {
                    // An empty text is only there to carry the signature.
                    Some(Content::Text(text)) if signed && text.text.is_empty() && extra.is_empty() => {
                        return Ok(());
                    }
                    None if signed && extra.is_empty() => return Ok(()),
                    Some(content) => content,
                    None => Content::Opaque(Value::Object(std::mem::take(&mut extra))),
                }
            }
        };
        out.push(Part { content, at, cache: None, extra });
        Ok(())
    }

    fn soft<T: Default>(&self, read: Result<T, Error>) -> Result<T, Error> {
        if self.strict { read } else { Ok(read.unwrap_or_default()) }
    }

    /// The one member that says what the part is.
    fn data(&mut self, fields: &mut Fields, extra: &mut Extra) -> Result<Option<Content>, Error> {
        if let Some(text) = self.soft(fields.string("text"))? {
            return Ok(Some(Content::Text(tollgate_filters::chat::Text { text, annotations: Vec::new() })));
        }
        for camel in [
            "functionCall",
            "functionResponse",
            "inlineData",
            "fileData",
            "executableCode",
            "codeExecutionResult",
            "toolCall",
            "toolResponse",
        ] {
            let key = spelled(fields, camel).into_owned();
            let Some(mut inner) = self.soft(fields.object(&key).map(Some))?.flatten() else { continue };
            let content = match camel {
                "functionCall" => Content::ToolCall(self.call(&mut inner)?),
                "functionResponse" => Content::ToolResult(self.result(&mut inner)?),
                "inlineData" => Content::Media(self.inline(&mut inner)?),
                "fileData" => Content::Media(self.file(&mut inner)?),
                _ => return Ok(Some(Content::Server(served(camel, inner)))),
            };
            self.leave(inner, &key, extra);
            return Ok(Some(content));
        }
        Ok(None)
    }

    /// Keeps what nobody took of an object inside a part.
    fn leave(&mut self, inner: Fields, key: &str, extra: &mut Extra) {
        let at = inner.here().clone();
        let rest = inner.rest();
        if rest.is_empty() {
            return;
        }
        if self.strict {
            self.inner.push(At::new(rest, at));
        } else {
            extra.insert(key.to_owned(), Value::Object(rest));
        }
    }

    fn call(&mut self, call: &mut Fields) -> Result<ToolCall, Error> {
        let name = self.soft(call.string("name"))?;
        if name.is_none() && self.strict {
            return Err(missing(&call.at("name")));
        }
        let arguments = match call.peek("args") {
            Some(Value::Object(_)) => call.take("args").map(|args| args.to_string()),
            Some(_) if self.strict => return Err(wrong_type(&call.at("args"), "an object")),
            _ => None,
        };
        if arguments.is_none() && self.strict {
            self.forms.push(At::new(Value::Null, call.at("args")));
        }
        Ok(ToolCall {
            id: self.soft(call.string("id"))?.unwrap_or_default(),
            name: name.unwrap_or_default(),
            arguments: arguments.unwrap_or_else(|| "{}".to_owned()),
            custom: false,
            item_id: None,
        })
    }

    fn result(&mut self, result: &mut Fields) -> Result<ToolResult, Error> {
        let mut read = ToolResult {
            call: self.soft(result.string("id"))?.unwrap_or_default(),
            name: self.soft(result.string("name"))?,
            ..ToolResult::default()
        };
        let at = result.at("response");
        match result.peek("response") {
            Some(Value::Object(_)) => {
                if let Some(Value::Object(response)) = result.take("response") {
                    let key = response_text(response, &mut read, &at);
                    if key == "result" {
                        self.forms.push(At::new(json!(key), at));
                    }
                }
            }
            Some(_) if self.strict => return Err(wrong_type(&at, "an object")),
            _ => {}
        }
        for (i, part) in self.soft(result.list("parts"))?.unwrap_or_default().into_iter().enumerate() {
            let at = result.at("parts").index(i);
            self.part(part, at, &mut read.parts)?;
        }
        Ok(read)
    }

    fn inline(&mut self, blob: &mut Fields) -> Result<Media, Error> {
        let key = spelled(blob, "mimeType").into_owned();
        let mime = self.soft(blob.string(&key))?;
        let data = self.soft(blob.string("data"))?;
        if data.is_none() && self.strict {
            return Err(missing(&blob.at("data")));
        }
        let mut data = data.unwrap_or_default();
        if data.bytes().any(|b| b == b'-' || b == b'_') {
            // Google's Python SDK writes the URL-safe alphabet.
            data = data.replace('-', "+").replace('_', "/");
            self.forms.push(At::new(json!("base64url"), blob.at("data")));
        }
        let kind = mime.as_deref().map_or(MediaKind::Document, kind_of);
        let name = self.name(blob)?;
        Ok(Media { kind, source: MediaSource::Base64(data), mime, name, detail: None })
    }

    fn file(&mut self, file: &mut Fields) -> Result<Media, Error> {
        let key = spelled(file, "mimeType").into_owned();
        let mime = self.soft(file.string(&key))?;
        let key = spelled(file, "fileUri").into_owned();
        let uri = self.soft(file.string(&key))?;
        if uri.is_none() && self.strict {
            return Err(missing(&file.at(&key)));
        }
        let uri = uri.unwrap_or_default();
        let kind = match mime.as_deref().or_else(|| mime_of(&uri)) {
            Some(mime) => kind_of(mime),
            None if is_youtube(&uri) => MediaKind::Video,
            None => MediaKind::Document,
        };
        let source = if is_upload(&uri) { MediaSource::File(uri) } else { MediaSource::Url(uri) };
        Ok(Media { kind, source, mime, name: self.name(file)?, detail: None })
    }

    fn name(&self, media: &mut Fields) -> Result<Option<String>, Error> {
        let key = spelled(media, "displayName").into_owned();
        self.soft(media.string(&key))
    }
}

/// `{"output": "…"}` and `{"result": "…"}` are plain text, `{"error": "…"}` an error's; anything else is an object.
fn response_text(mut response: Map<String, Value>, read: &mut ToolResult, at: &Pointer) -> &'static str {
    for key in ["output", "result", "error"] {
        if response.len() == 1
            && let Some(Value::String(text)) = response.get_mut(key)
        {
            read.is_error = key == "error";
            read.parts.push(Part::text(std::mem::take(text), at.key(key)));
            return key;
        }
    }
    read.object = true;
    read.parts.push(Part::text(Value::Object(response).to_string(), at.clone()));
    ""
}

fn thoughts(text: String, seal: Option<Seal>) -> Content {
    // Gemini shows summaries of its thoughts, never the thoughts themselves.
    Content::Reasoning(Reasoning { id: None, thoughts: vec![Thought { summary: true, text }], seal })
}

/// A file at Google's: of the Files API, or in Cloud Storage.
fn is_upload(uri: &str) -> bool {
    uri.starts_with("files/")
        || uri.starts_with("gs://")
        || uri.starts_with("https://generativelanguage.googleapis.com/")
}

pub fn is_youtube(uri: &str) -> bool {
    let rest = uri.trim_start_matches("https://").trim_start_matches("http://").trim_start_matches("www.");
    ["youtube.com/", "m.youtube.com/", "youtu.be/"].iter().any(|host| rest.starts_with(host))
}

fn served(camel: &str, inner: Fields) -> ServerUse {
    let raw = Value::Object(inner.rest());
    let text = |key: &str| raw.get(key).and_then(Value::as_str).map(str::to_owned);
    let word = raw.as_object().and_then(|raw| member(raw, "toolType")).and_then(Value::as_str);
    let kind = word.map_or_else(|| ServerTool::Other(camel.to_owned()), server_tool);
    let (tool, stage, input, output) = match camel {
        "executableCode" => (ServerTool::CodeExecution, Stage::Call, text("code"), None),
        "codeExecutionResult" => (ServerTool::CodeExecution, Stage::Result, None, text("output")),
        "toolCall" => (kind, Stage::Call, raw.get("args").map(query), None),
        _ => (kind, Stage::Result, None, None),
    };
    let id = text("id");
    ServerUse { tool, stage, id, input: input.unwrap_or_default(), output, raw: json!({ camel: raw }) }
}

/// What a tool of Google's was asked: its queries or URLs, one a line, or else the arguments as they are.
fn query(args: &Value) -> String {
    for key in ["queries", "urls"] {
        if let Some(Value::Array(list)) = args.get(key) {
            let lines: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            return lines.join("\n");
        }
    }
    args.to_string()
}
