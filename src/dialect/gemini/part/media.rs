//! Writing media: bytes in place, or a file that Google fetches.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tollgate_filters::chat::{Media, MediaKind, MediaSource, Part};
use tollgate_filters::exchange::Dialect;

use super::read::is_youtube;
use super::write::Writer;
use crate::dialect::media::mime_of;

impl Writer<'_> {
    pub(super) fn media(&mut self, media: &Media, part: &Part) -> Option<Value> {
        // `auto` says no more than nothing.
        if media.detail.as_ref().is_some_and(|detail| detail != "auto") && !self.same() {
            self.losses.unsupported(&match self.source {
                Dialect::OpenaiChat => part.at.key("image_url").key("detail"),
                _ => part.at.key("detail"),
            });
        }
        let uri = match &media.source {
            MediaSource::Base64(data) => return Some(self.inline(media, data, part)),
            MediaSource::Text(text) => return Some(self.inline(media, &STANDARD.encode(text), part)),
            MediaSource::File(_) if !self.same() => {
                self.losses.unsupported(&part.at);
                return None;
            }
            MediaSource::File(uri) | MediaSource::Url(uri) => uri,
        };
        let mut file = Map::new();
        let guessed = media.mime.clone().or_else(|| mime_of(uri).map(str::to_owned));
        let known = self.same() || is_youtube(uri);
        let mime = if known { media.mime.clone() } else { guessed.or_else(|| Some(usual(media.kind))) };
        if let Some(mime) = mime {
            file.insert("mimeType".to_owned(), json!(mime));
        }
        file.insert("fileUri".to_owned(), json!(uri));
        self.title(media, &mut file, part, "fileData");
        Some(json!({ "fileData": file }))
    }

    fn inline(&mut self, media: &Media, data: &str, part: &Part) -> Value {
        let mut blob = Map::new();
        let name = media.name.as_deref().and_then(mime_of).map(str::to_owned);
        let text = matches!(media.source, MediaSource::Text(_)).then(|| "text/plain".to_owned());
        let mime = media.mime.clone().or(text);
        let mime = if self.same() { mime } else { mime.or(name).or_else(|| Some(usual(media.kind))) };
        if let Some(mime) = mime {
            blob.insert("mimeType".to_owned(), json!(mime));
        }
        let at = self.place(&part.at, "inlineData");
        let url_safe = self.request.is_some_and(|request| request.form(&at.key("data")).is_some());
        let data = if url_safe { data.replace('+', "-").replace('/', "_") } else { data.to_owned() };
        blob.insert("data".to_owned(), Value::String(data));
        self.title(media, &mut blob, part, "inlineData");
        json!({ "inlineData": blob })
    }

    /// `displayName` is not taken by the Gemini API outside of function responses, so others' names stay behind.
    fn title(&mut self, media: &Media, object: &mut Map<String, Value>, part: &Part, key: &str) {
        if let Some(name) = &media.name {
            if self.same() {
                object.insert("displayName".to_owned(), json!(name));
            } else {
                self.losses.unsupported(&match self.source {
                    Dialect::OpenaiChat => part.at.key("file").key("filename"),
                    Dialect::OpenaiResponses => part.at.key("filename"),
                    Dialect::Anthropic | Dialect::Gemini => part.at.key("title"),
                });
            }
        }
        if self.same() {
            let at = self.place(&part.at, key);
            self.restore(object, &at);
        }
    }
}

/// Gemini wants to be told a type; this is the likeliest of a kind.
fn usual(kind: MediaKind) -> String {
    let mime = match kind {
        MediaKind::Image => "image/jpeg",
        MediaKind::Audio => "audio/wav",
        MediaKind::Video => "video/mp4",
        MediaKind::Document => "application/pdf",
    };
    mime.to_owned()
}
