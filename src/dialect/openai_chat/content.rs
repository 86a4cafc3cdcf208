//! Parts of a chat message: text, pictures, sound, files, and what vendors added to them.

use serde_json::{Value, json};
use tollgate_filters::chat::{
    Annotation, At, Cache, Content, Extra, Losses, Media, MediaKind, MediaSource, Part, Pointer, Reasoning,
    Text, Thought,
};
use tollgate_filters::error::Error;

use crate::dialect::fields::{Fields, missing, wrong_type};
use crate::dialect::media::{data_url, kind_of, mime_of, to_data_url};

/// Reads one element of a `content` list. What inner objects hold beside the known goes to `nested`.
pub(super) fn part(value: Value, at: Pointer, nested: &mut Vec<At<Extra>>) -> Result<Part, Error> {
    if let Value::String(text) = value {
        return Ok(Part::text(text, at));
    }
    let kind = value.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    if kind == "thinking" && thinking_text(&value).is_none() {
        return Ok(Part::new(Content::Opaque(value), at));
    }
    let mut fields = Fields::new(value, at.clone())?;
    let content = match kind.as_str() {
        "text" => Content::Text(Text { text: required(&mut fields, "text")?, annotations: Vec::new() }),
        "refusal" => Content::Refusal(required(&mut fields, "refusal")?),
        "image_url" => Content::Media(linked(&mut fields, "image_url", MediaKind::Image, nested)?),
        "video_url" => Content::Media(linked(&mut fields, "video_url", MediaKind::Video, nested)?),
        "document_url" => Content::Media(Media {
            name: fields.string("document_name")?,
            ..linked(&mut fields, "document_url", MediaKind::Document, nested)?
        }),
        "input_audio" => Content::Media(sound(&mut fields, nested)?),
        "file" => match file(&mut fields, nested)? {
            Some(media) => Content::Media(media),
            None => return Ok(Part::new(Content::Opaque(Value::Object(fields.rest())), at)),
        },
        "thinking" => {
            let thinking = fields.take("thinking").map(|list| json!({ "thinking": list }));
            let text = thinking.as_ref().and_then(thinking_text).unwrap_or_default();
            if fields.peek("closed") == Some(&Value::Bool(true)) {
                fields.take("closed"); // the default
            }
            let thoughts = vec![Thought { summary: false, text }];
            Content::Reasoning(Reasoning { thoughts, ..Reasoning::default() })
        }
        _ => return Ok(Part::new(Content::Opaque(Value::Object(fields.rest())), at)),
    };
    fields.take("type");
    let cache = fields.take("cache_control").map(|raw| Cache { raw, at: fields.at("cache_control") });
    Ok(Part { content, at, cache, extra: fields.rest() })
}

fn required(fields: &mut Fields, key: &str) -> Result<String, Error> {
    fields.string(key)?.ok_or_else(|| missing(&fields.at(key)))
}

/// The text of one of Mistral's `thinking` parts; `None` where it holds something else than text.
pub(super) fn thinking_text(part: &Value) -> Option<String> {
    let mut text = String::new();
    match part.get("thinking")? {
        Value::String(whole) => text.push_str(whole),
        Value::Array(list) => {
            for piece in list {
                let object = piece.as_object()?;
                if object.get("type").and_then(Value::as_str) != Some("text") || object.len() != 2 {
                    return None;
                }
                text.push_str(object.get("text")?.as_str()?);
            }
        }
        _ => return None,
    }
    Some(text)
}

/// `{"url": …, "detail": …}`, or the URL alone as Mistral takes it.
fn linked(
    fields: &mut Fields,
    key: &str,
    kind: MediaKind,
    nested: &mut Vec<At<Extra>>,
) -> Result<Media, Error> {
    let at = fields.at(key);
    match fields.take(key) {
        Some(Value::String(url)) => Ok(of_url(kind, url)),
        Some(value @ Value::Object(_)) => {
            let mut inner = Fields::new(value, at.clone())?;
            let url = required(&mut inner, "url")?;
            let detail = inner.string("detail")?;
            keep(inner, nested);
            Ok(Media { detail, ..of_url(kind, url) })
        }
        Some(_) => Err(wrong_type(&at, "an object with a `url`")),
        None => Err(missing(&at)),
    }
}

/// Keeps what nobody took of an inner object.
pub(super) fn keep(inner: Fields, nested: &mut Vec<At<Extra>>) {
    let at = inner.here().clone();
    let rest = inner.rest();
    if !rest.is_empty() {
        nested.push(At::new(rest, at));
    }
}

pub(super) fn of_url(kind: MediaKind, url: String) -> Media {
    let (source, mime) = match data_url(&url) {
        Some((mime, data)) => (MediaSource::Base64(data.to_owned()), Some(mime.to_owned())),
        None => (MediaSource::Url(url), None),
    };
    Media { kind, source, mime, name: None, detail: None }
}

fn sound(fields: &mut Fields, nested: &mut Vec<At<Extra>>) -> Result<Media, Error> {
    let at = fields.at("input_audio");
    let (data, format) = match fields.take("input_audio") {
        Some(Value::String(data)) => (data, None),
        Some(value @ Value::Object(_)) => {
            let mut inner = Fields::new(value, at.clone())?;
            let data = required(&mut inner, "data")?;
            let format = inner.string("format")?;
            keep(inner, nested);
            (data, format)
        }
        Some(_) => return Err(wrong_type(&at, "an object with `data` and `format`")),
        None => return Err(missing(&at)),
    };
    let mut media = of_url(MediaKind::Audio, data);
    if let MediaSource::Url(data) = &media.source
        && !data.contains("://")
    {
        media.source = MediaSource::Base64(data.clone());
    }
    media.mime = format.map(|format| format!("audio/{format}")).or(media.mime);
    Ok(media)
}

/// `None` where it is none of the known forms.
fn file(fields: &mut Fields, nested: &mut Vec<At<Extra>>) -> Result<Option<Media>, Error> {
    let document = |source, name| Media { kind: MediaKind::Document, source, mime: None, name, detail: None };
    // Mistral's form.
    if fields.peek("file").is_none() {
        return Ok(fields.string("file_id")?.map(|id| document(MediaSource::File(id), None)));
    }
    let known = |file: &Value| {
        file.get("file_data").is_some_and(Value::is_string)
            != file.get("file_id").is_some_and(Value::is_string)
    };
    if !fields.peek("file").is_some_and(known) {
        return Ok(None);
    }
    let Some(mut inner) = fields.object("file")? else { return Ok(None) };
    let name = inner.string("filename")?;
    let media = if let Some(id) = inner.string("file_id")? {
        document(MediaSource::File(id), name)
    } else {
        let data = inner.string("file_data")?.unwrap_or_default();
        let mut media = of_url(MediaKind::Document, data);
        if let MediaSource::Url(data) = &media.source
            && !data.contains("://")
        {
            media.source = MediaSource::Base64(data.clone());
            media.mime = name.as_deref().and_then(mime_of).map(str::to_owned);
        }
        if let Some(mime) = &media.mime {
            media.kind = kind_of(mime);
        }
        Media { name, ..media }
    };
    keep(inner, nested);
    Ok(Some(media))
}

/// The URL that stands for a picture or a film; `None` where it is a file of another provider's, or text.
pub(super) fn url_of(media: &Media) -> Option<String> {
    match &media.source {
        MediaSource::Url(url) => Some(url.clone()),
        MediaSource::Base64(data) => {
            let fallback = match media.kind {
                MediaKind::Image => "image/png",
                MediaKind::Audio => "audio/wav",
                MediaKind::Video => "video/mp4",
                MediaKind::Document => "application/pdf",
            };
            Some(to_data_url(media.mime.as_deref().unwrap_or(fallback), data))
        }
        MediaSource::Text(_) | MediaSource::File(_) => None,
    }
}

/// The word for an audio file's type in `input_audio`.
pub(super) fn audio_format(media: &Media) -> &str {
    match media.mime.as_deref().and_then(|mime| mime.split_once('/')).map(|(_, kind)| kind) {
        Some("mpeg") => "mp3",
        Some("x-wav" | "wave") | None => "wav",
        Some(kind) => kind,
    }
}

/// Reads one element of `annotations`: OpenAI's `url_citation`, or whatever a vendor has beside it.
pub(super) fn annotation(raw: Value, at: Pointer) -> Annotation {
    let cited = raw.get("url_citation");
    let text = |key| cited.and_then(|c| c.get(key)).and_then(Value::as_str).map(str::to_owned);
    let number = |key| cited.and_then(|c| c.get(key)).and_then(Value::as_u64);
    Annotation {
        url: text("url"),
        title: text("title"),
        start: number("start_index"),
        end: number("end_index"),
        cited: text("content"),
        at,
        raw,
    }
}

/// Writes a citation; `before` is how many characters of the answer's text stand before its part. `None` where it
/// has no URL: chat knows no other citations.
pub(super) fn citation(annotation: &Annotation, before: u64, losses: &mut Losses) -> Option<Value> {
    if annotation.raw.get("url_citation").is_some() {
        let mut raw = annotation.raw.clone();
        if before > 0 {
            for key in ["start_index", "end_index"] {
                if let Some(index) = raw.pointer(&format!("/url_citation/{key}")).and_then(Value::as_u64) {
                    raw["url_citation"][key] = json!(index + before);
                }
            }
        }
        return Some(raw);
    }
    let url = annotation.url.as_ref()?;
    // The last two are Gemini's, whose sources are apart.
    let carried = [
        "type",
        "url",
        "title",
        "start_index",
        "end_index",
        "cited_text",
        "segment",
        "groundingChunkIndices",
    ];
    let mut left = annotation.raw.as_object().into_iter().flatten();
    let mut left = left.by_ref().filter(|(key, value)| !value.is_null() && !carried.contains(&key.as_str()));
    match (left.next(), left.next()) {
        (None, _) => {}
        (Some((key, _)), None) => losses.unsupported(&annotation.at.key(key)),
        _ => losses.approximated(&annotation.at),
    }
    let mut cited = json!({
        "url": url,
        "title": annotation.title.as_deref().unwrap_or(url),
        "start_index": annotation.start.unwrap_or(0) + before,
        "end_index": annotation.end.unwrap_or(0) + before,
    });
    if let Some(words) = &annotation.cited {
        cited["content"] = json!(words);
    }
    Some(json!({"type": "url_citation", "url_citation": cited}))
}
