//! Pictures, files and recordings in the input, and pictures that a model made.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tollgate_filters::chat::{Content, Losses, Media, MediaKind, MediaSource, Part};
use tollgate_filters::error::Error;

use super::{enclose, restore};
use crate::dialect::fields::Fields;
use crate::dialect::media::{data_url, mime_of, to_data_url};

/// Reads a part of the kind `input_image`, `input_file` or `input_audio`. `None` where it names no source.
pub(super) fn read(mut fields: Fields) -> Result<Part, Error> {
    let at = fields.here().clone();
    let media = match fields.word("type") {
        Some("input_image") => image(&mut fields)?,
        Some("input_file") => file(&mut fields)?,
        _ => audio(&mut fields)?,
    };
    let Some(media) = media else { return Ok(Part::new(Content::Opaque(Value::Object(fields.rest())), at)) };
    fields.take("type");
    let mut part = Part::new(Content::Media(media), at);
    part.extra = fields.rest();
    Ok(part)
}

fn image(fields: &mut Fields) -> Result<Option<Media>, Error> {
    let source = if let Some(url) = fields.string("image_url")? {
        from_url(url)
    } else if let Some(id) = fields.string("file_id")? {
        (MediaSource::File(id), None)
    } else {
        return Ok(None);
    };
    let detail = fields.string("detail")?;
    Ok(Some(Media { kind: MediaKind::Image, source: source.0, mime: source.1, name: None, detail }))
}

fn file(fields: &mut Fields) -> Result<Option<Media>, Error> {
    let (source, mime) = if let Some(data) = fields.string("file_data")? {
        match from_url(data) {
            (MediaSource::Url(data), _) if !data.starts_with("data:") => (MediaSource::Base64(data), None),
            other => other,
        }
    } else if let Some(url) = fields.string("file_url")? {
        let mime = mime_of(&url).map(str::to_owned);
        (MediaSource::Url(url), mime)
    } else if let Some(id) = fields.string("file_id")? {
        (MediaSource::File(id), None)
    } else {
        return Ok(None);
    };
    let name = fields.string("filename")?;
    Ok(Some(Media { kind: MediaKind::Document, source, mime, name, detail: None }))
}

fn audio(fields: &mut Fields) -> Result<Option<Media>, Error> {
    let Some(mut inner) = fields.object("input_audio")? else { return Ok(None) };
    let (Some(data), format) = (inner.string("data")?, inner.string("format")?) else { return Ok(None) };
    let mime = format.map(|format| format!("audio/{format}"));
    Ok(Some(Media {
        kind: MediaKind::Audio,
        source: MediaSource::Base64(data),
        mime,
        name: None,
        detail: None,
    }))
}

/// A `data:` URL becomes its content where it can be put together again as it was.
fn from_url(url: String) -> (MediaSource, Option<String>) {
    if let Some((mime, data)) = data_url(&url)
        && to_data_url(mime, data).len() == url.len()
    {
        return (MediaSource::Base64(data.to_owned()), Some(mime.to_owned()));
    }
    let mime = mime_of(&url).map(str::to_owned);
    (MediaSource::Url(url), mime)
}

/// An `image_generation_call` that has a result.
pub(super) fn generated(mut fields: Fields) -> Result<Part, Error> {
    let at = fields.here().clone();
    let data = fields.string("result")?.unwrap_or_default();
    let format = fields.word("output_format").unwrap_or("png").to_owned();
    let media = Media {
        kind: MediaKind::Image,
        source: MediaSource::Base64(data),
        mime: Some(format!("image/{format}")),
        name: None,
        detail: None,
    };
    let mut part = Part::new(Content::Media(media), at);
    fields.take("type");
    part.extra = fields.rest();
    enclose(&mut part.extra, &["id", "status", "output_format"]);
    Ok(part)
}

/// Writes a picture that a model made. `None` where it is none that this API could have made.
pub(super) fn write_generated(part: &Part, media: &Media, id: String) -> Option<Value> {
    let (MediaKind::Image, MediaSource::Base64(data)) = (media.kind, &media.source) else { return None };
    let mut item = Map::new();
    item.insert("type".to_owned(), "image_generation_call".into());
    item.insert("id".to_owned(), id.into());
    item.insert("status".to_owned(), "completed".into());
    item.insert("result".to_owned(), data.clone().into());
    if super::item_of(&part.at).is_some() {
        restore(&mut item, &part.extra);
    } else if let Some(format) = media.mime.as_deref().and_then(|mime| mime.strip_prefix("image/")) {
        item.insert("output_format".to_owned(), format.into());
    }
    Some(Value::Object(item))
}

/// Writes a text or media part of the input. `own` says that it was read from this dialect, and `ids` that file ids are
/// OpenAI's. `None` (and a loss) where this API cannot take it.
pub fn input_part(part: &Part, own: bool, ids: bool, losses: &mut Losses) -> Option<Value> {
    let mut object = match &part.content {
        Content::Text(text) => Map::from_iter([
            ("type".to_owned(), Value::from("input_text")),
            ("text".to_owned(), text.text.clone().into()),
        ]),
        Content::Refusal(text) => Map::from_iter([
            ("type".to_owned(), Value::from("refusal")),
            ("refusal".to_owned(), text.clone().into()),
        ]),
        Content::Media(media) => {
            let Some(object) = write(media, own, ids) else {
                losses.unsupported(&part.at);
                return None;
            };
            object
        }
        Content::Opaque(raw) if own => return Some(raw.clone()),
        _ => {
            losses.unsupported(&part.at);
            return None;
        }
    };
    if own {
        restore(&mut object, &part.extra);
    } else {
        losses.extra(&part.at, &part.extra);
        if let Some(cache) = &part.cache {
            losses.unsupported(&cache.at);
        }
    }
    Some(Value::Object(object))
}

fn write(media: &Media, own: bool, ids: bool) -> Option<Map<String, Value>> {
    let object = match (media.kind, &media.source) {
        (_, MediaSource::File(_)) if !(own || ids) => return None,
        (MediaKind::Image, MediaSource::File(id)) => json!({"type": "input_image", "file_id": id}),
        (MediaKind::Image, source) => json!({"type": "input_image", "image_url": url(media, source)?}),
        (MediaKind::Document, MediaSource::File(id)) => json!({"type": "input_file", "file_id": id}),
        (MediaKind::Document, MediaSource::Url(url)) if !url.starts_with("data:") => {
            json!({"type": "input_file", "file_url": url})
        }
        (MediaKind::Document, source) => json!({"type": "input_file", "file_data": url(media, source)?}),
        (MediaKind::Audio, MediaSource::Base64(data)) if own => {
            let mut audio = json!({"data": data});
            if let Some(format) = media.mime.as_deref().and_then(|mime| mime.strip_prefix("audio/")) {
                audio["format"] = format.into();
            }
            json!({"type": "input_audio", "input_audio": audio})
        }
        _ => return None,
    };
    let Value::Object(mut object) = object else { return None };
    match &media.detail {
        Some(detail) => {
            object.insert("detail".to_owned(), detail.clone().into());
        }
        None if !own && media.kind == MediaKind::Image => {
            object.insert("detail".to_owned(), "auto".into());
        }
        None => {}
    }
    if media.kind == MediaKind::Document {
        let needed = !own && object.contains_key("file_data");
        if let Some(name) = media.name.clone().or_else(|| needed.then(|| default_name(media))) {
            object.insert("filename".to_owned(), name.into());
        }
    }
    Some(object)
}

fn url(media: &Media, source: &MediaSource) -> Option<String> {
    let mime = media.mime.as_deref();
    Some(match source {
        MediaSource::Url(url) => url.clone(),
        MediaSource::Base64(data) => match (mime, media.kind) {
            (Some(mime), _) => to_data_url(mime, data),
            (None, MediaKind::Image) => to_data_url("image/png", data),
            (None, _) => data.clone(),
        },
        MediaSource::Text(text) => to_data_url(mime.unwrap_or("text/plain"), &STANDARD.encode(text)),
        MediaSource::File(_) => return None,
    })
}

/// The API wants a file's content to have a name with an ending.
fn default_name(media: &Media) -> String {
    let ending = match (media.mime.as_deref(), &media.source) {
        (Some("application/pdf"), _) => "pdf",
        (Some("text/markdown"), _) => "md",
        (Some("text/html"), _) => "html",
        (Some("text/csv"), _) => "csv",
        (Some("application/json"), _) => "json",
        (Some("text/xml"), _) => "xml",
        (Some(mime), _) if mime.starts_with("text/") => "txt",
        (_, MediaSource::Text(_)) => "txt",
        _ => "pdf",
    };
    format!("document.{ending}")
}
