//! Images and documents: blocks with a `source`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tollgate_filters::chat::{Content, Media, MediaKind, MediaSource, Part, Pointer};
use tollgate_filters::error::Error;
use tollgate_filters::exchange::Dialect;

use super::read::{done, opened};
use super::write::Writer;
use crate::dialect::fields::Fields;
use crate::dialect::media::{data_url, mime_of};

/// The image types that the API reads.
const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// Reads an `image`, a `document` or a `search_result`. One whose source has members nobody here knows is kept whole.
pub fn read(kind: &str, value: Value, at: Pointer) -> Result<Part, Error> {
    if kind == "search_result" {
        return search_result(value, at);
    }
    let Some((source, mime)) = value.get("source").and_then(source) else {
        if let Some(text) = value.get("source").and_then(written_out) {
            return document_of_blocks(value, at, text);
        }
        return Ok(Part::new(Content::Opaque(value), at));
    };
    let mut fields = opened(value, at)?;
    fields.take("source");
    let (kind, name) = match kind {
        "image" => (MediaKind::Image, None),
        _ => (MediaKind::Document, fields.string("title")?),
    };
    Ok(done(Content::Media(Media { kind, source, mime, name, detail: None }), fields))
}

fn source(value: &Value) -> Option<(MediaSource, Option<String>)> {
    let source = value.as_object()?;
    let word = |key: &str| source.get(key).and_then(Value::as_str).map(str::to_owned);
    let only = |known: &[&str]| source.keys().all(|key| known.contains(&key.as_str()));
    match source.get("type")?.as_str()? {
        "base64" if only(&["type", "media_type", "data"]) => {
            Some((MediaSource::Base64(word("data")?), word("media_type")))
        }
        "text" if only(&["type", "media_type", "data"]) => {
            Some((MediaSource::Text(word("data")?), word("media_type")))
        }
        "url" if only(&["type", "url"]) => Some((MediaSource::Url(word("url")?), None)),
        "file" if only(&["type", "file_id"]) => Some((MediaSource::File(word("file_id")?), None)),
        _ => None,
    }
}

/// The text of a source of the type `content`, where it consists of text alone.
fn written_out(source: &Value) -> Option<String> {
    if source.get("type")?.as_str()? != "content" {
        return None;
    }
    match source.get("content")? {
        Value::String(text) => Some(text.clone()),
        blocks => texts(blocks),
    }
}

fn texts(blocks: &Value) -> Option<String> {
    let text = |block: &Value| block.get("text").and_then(Value::as_str).map(str::to_owned);
    Some(blocks.as_array()?.iter().map(text).collect::<Option<Vec<_>>>()?.join("\n\n"))
}

/// A document that is given as blocks of text. Its source stays beside it, since the blocks are what citations name.
fn document_of_blocks(value: Value, at: Pointer, text: String) -> Result<Part, Error> {
    let mut fields = opened(value, at)?;
    let name = fields.string("title")?;
    Ok(done(plain_document(text, name), fields))
}

/// A search result is a document with a title; what it is beside that (`source`, its blocks) stays, its type included.
fn search_result(value: Value, at: Pointer) -> Result<Part, Error> {
    let Some(text) = value.get("content").and_then(texts) else {
        return Ok(Part::new(Content::Opaque(value), at));
    };
    let mut fields = Fields::new(value, at)?;
    let name = fields.string("title")?;
    Ok(done(plain_document(text, name), fields))
}

fn plain_document(text: String, name: Option<String>) -> Content {
    Content::Media(Media {
        kind: MediaKind::Document,
        source: MediaSource::Text(text),
        mime: Some("text/plain".to_owned()),
        name,
        detail: None,
    })
}

impl Writer<'_> {
    /// The block that shows `media`, without the part's extra members. `None` (and a report) where there is none.
    pub(super) fn media(&mut self, part: &Part, media: &Media) -> Option<Map<String, Value>> {
        let source =
            if self.own() { Some(own_source(part, media)) } else { self.foreign_source(part, media) };
        let Some(source) = source else {
            self.losses.unsupported(&part.at);
            return None;
        };
        let mut block = Map::new();
        block.insert("type".into(), if media.kind == MediaKind::Image { "image" } else { "document" }.into());
        block.insert("source".into(), source);
        match &media.name {
            Some(name) if media.kind == MediaKind::Document => {
                block.insert("title".into(), name.as_str().into());
            }
            Some(_) => self.losses.approximated(&part.at), // an image has no name here
            None => {}
        }
        if media.detail.as_deref().is_some_and(|detail| detail != "auto") {
            let holder = match self.source {
                Dialect::OpenaiChat => part.at.key("image_url"),
                _ => part.at.clone(),
            };
            self.losses.unsupported(&holder.key("detail"));
        }
        Some(block)
    }

    fn foreign_source(&mut self, part: &Part, media: &Media) -> Option<Value> {
        match media.kind {
            MediaKind::Image => image(media),
            MediaKind::Document => {
                let (source, exact) = document(media)?;
                if !exact {
                    self.losses.approximated(&part.at);
                }
                Some(source)
            }
            MediaKind::Audio | MediaKind::Video => None,
        }
    }
}

fn own_source(part: &Part, media: &Media) -> Value {
    if part.extra.contains_key("source") {
        return Value::Null; // the part's own members write it
    }
    let mime = |otherwise: &str| media.mime.clone().unwrap_or_else(|| otherwise.to_owned());
    match &media.source {
        MediaSource::Base64(data) => {
            let mut source = Map::new();
            source.insert("type".into(), "base64".into());
            if let Some(mime) = &media.mime {
                source.insert("media_type".into(), mime.as_str().into());
            }
            source.insert("data".into(), data.as_str().into());
            Value::Object(source)
        }
        MediaSource::Text(text) => json!({"type": "text", "media_type": mime("text/plain"), "data": text}),
        MediaSource::Url(url) => json!({"type": "url", "url": url}),
        MediaSource::File(id) => json!({"type": "file", "file_id": id}),
    }
}

fn base64_source(mime: &str, data: &str) -> Value {
    json!({"type": "base64", "media_type": mime, "data": data})
}

fn image(media: &Media) -> Option<Value> {
    match &media.source {
        MediaSource::Base64(data) => {
            let mime = image_type(media.mime.as_deref(), data)?;
            Some(base64_source(mime, data))
        }
        MediaSource::Url(url) => match data_url(url) {
            Some((mime, data)) => Some(base64_source(image_type(Some(mime), data)?, data)),
            None => web(url).map(|url| json!({"type": "url", "url": url})),
        },
        MediaSource::Text(_) | MediaSource::File(_) => None,
    }
}

/// The type of an image that the API reads; where none is said, the first bytes tell it.
fn image_type(said: Option<&str>, data: &str) -> Option<&'static str> {
    let said = match said {
        Some("image/jpg") => Some("image/jpeg"),
        Some("" | "image/*" | "application/octet-stream") => None,
        said => said,
    };
    if let Some(said) = said {
        return IMAGES.into_iter().find(|known| *known == said);
    }
    let starts =
        [("iVBOR", "image/png"), ("/9j/", "image/jpeg"), ("R0lGOD", "image/gif"), ("UklGR", "image/webp")];
    starts.into_iter().find(|(start, _)| data.starts_with(start)).map(|(_, mime)| mime)
}

/// The source of a document, and whether it says the same as before.
fn document(media: &Media) -> Option<(Value, bool)> {
    let said = media.mime.as_deref().or_else(|| media.name.as_deref().and_then(mime_of));
    match &media.source {
        MediaSource::Text(text) => {
            let exact = said.is_none_or(|mime| mime == "text/plain");
            Some((text_source(text), exact))
        }
        MediaSource::Base64(data) => document_of_bytes(said, data),
        MediaSource::Url(url) => {
            if let Some((mime, data)) = data_url(url) {
                return document_of_bytes(Some(mime), data);
            }
            let mime = said.or_else(|| mime_of(url)).unwrap_or("application/pdf");
            let url = web(url).filter(|_| mime == "application/pdf")?;
            Some((json!({"type": "url", "url": url}), true))
        }
        MediaSource::File(_) => None,
    }
}

/// PDF goes as it is; what is text goes as plain text, the only type of text that the API knows.
fn document_of_bytes(mime: Option<&str>, data: &str) -> Option<(Value, bool)> {
    let mime = mime.unwrap_or(if data.starts_with("JVBER") { "application/pdf" } else { "" });
    let is_text = mime.starts_with("text/")
        || mime.ends_with("+json")
        || mime.ends_with("+xml")
        || ["application/json", "application/xml", "application/yaml", "application/javascript"]
            .contains(&mime);
    if mime == "application/pdf" {
        return Some((base64_source(mime, data), true));
    }
    if !is_text {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(data).ok()?).ok()?;
    Some((text_source(&text), mime == "text/plain"))
}

fn text_source(text: &str) -> Value {
    json!({"type": "text", "media_type": "text/plain", "data": text})
}

fn web(url: &str) -> Option<&str> {
    (url.starts_with("https://") || url.starts_with("http://")).then_some(url)
}
