//! Parts of messages: text, media and files, as far as the target takes them.

use serde_json::{Value, json};
use tollgate_filters::chat::{Content, Media, MediaKind, MediaSource, Part};
use tollgate_filters::exchange::Dialect;

use super::Writer;
use crate::dialect::media::mime_of;
use crate::dialect::openai_chat::content::{audio_format, url_of};

impl Writer<'_> {
    pub(super) fn text(&mut self, part: &Part, text: &str) -> Value {
        let value = json!({ "type": "text", "text": text });
        self.dress(part, value)
    }

    /// Adds what a part has beside its content.
    pub(super) fn dress(&mut self, part: &Part, mut value: Value) -> Value {
        if let Some(cache) = &part.cache {
            if self.same || self.quirks.cache_control {
                value["cache_control"] = cache.raw.clone();
            } else {
                self.losses.unsupported(&cache.at);
            }
        }
        if !self.same {
            self.losses.extra(&part.at, &part.extra);
        } else if let Some(object) = value.as_object_mut() {
            object.extend(part.extra.clone());
        }
        value
    }

    /// A part of a user's message.
    pub(super) fn input(&mut self, part: &Part) -> Option<Value> {
        let value = match &part.content {
            Content::Text(text) => return Some(self.text(part, &text.text)),
            Content::Refusal(text) => {
                self.losses.approximated(&part.at);
                return Some(self.text(part, text));
            }
            Content::Media(media) => self.media(part, media),
            _ => None,
        };
        if value.is_none() {
            self.losses.unsupported(&part.at);
        }
        value.map(|value| self.dress(part, value))
    }

    pub(super) fn media(&mut self, part: &Part, media: &Media) -> Option<Value> {
        let quirks = self.quirks;
        // A picture with a name came as a file.
        let file = self.same && media.name.is_some();
        match media.kind {
            MediaKind::Image if !file => {
                let mut image = json!({ "url": url_of(media)? });
                if let Some(detail) = &media.detail {
                    let known = self.same || matches!(detail.as_str(), "auto" | "low" | "high");
                    if !known {
                        self.losses.approximated(&part.at);
                    }
                    image["detail"] = json!(if known { detail } else { "high" });
                }
                Some(json!({ "type": "image_url", "image_url": image }))
            }
            MediaKind::Audio if !file => {
                if !self.same && !quirks.audio {
                    return None;
                }
                let format = audio_format(media);
                match &media.source {
                    MediaSource::Base64(data) if quirks.mistral => {
                        // It listens to the data itself, and has no place for the type.
                        if !self.same && media.mime.is_some() {
                            self.losses.approximated(&part.at);
                        }
                        Some(json!({ "type": "input_audio", "input_audio": data }))
                    }
                    MediaSource::Base64(_)
                        if !self.same && quirks.openai_params && !matches!(format, "wav" | "mp3") =>
                    {
                        None
                    }
                    MediaSource::Base64(data) => Some(
                        json!({ "type": "input_audio", "input_audio": { "data": data, "format": format } }),
                    ),
                    MediaSource::Url(url) if self.same || quirks.mistral => {
                        Some(json!({ "type": "input_audio", "input_audio": url }))
                    }
                    _ => None,
                }
            }
            MediaKind::Video if !file => {
                let url = url_of(media).filter(|_| self.same || quirks.video)?;
                Some(json!({ "type": "video_url", "video_url": { "url": url } }))
            }
            _ => self.document(part, media),
        }
    }

    fn document(&mut self, part: &Part, media: &Media) -> Option<Value> {
        let quirks = self.quirks;
        match &media.source {
            MediaSource::Text(text) => {
                self.losses.approximated(&part.at);
                Some(json!({ "type": "text", "text": text }))
            }
            MediaSource::File(id) => {
                // Both of OpenAI's APIs see the same files.
                let shared = self.request.source == Dialect::OpenaiResponses && quirks.openai_params;
                if !self.same && !shared {
                    return None;
                }
                if quirks.mistral {
                    return Some(json!({ "type": "file", "file_id": id }));
                }
                let mut file = json!({ "file_id": id });
                if let Some(name) = &media.name {
                    file["filename"] = json!(name);
                }
                Some(json!({ "type": "file", "file": file }))
            }
            _ if !self.same && !quirks.files => None,
            // OpenAI fetches no files.
            MediaSource::Url(_) if !self.same && quirks.openai_params => None,
            MediaSource::Url(_) | MediaSource::Base64(_) if quirks.mistral => {
                let mut document = json!({ "type": "document_url", "document_url": url_of(media)? });
                if let Some(name) = &media.name {
                    document["document_name"] = json!(name);
                }
                Some(document)
            }
            // Whatever stands there without a scheme would be taken for the content itself.
            MediaSource::Url(url) if !url.contains("://") && !url.starts_with("data:") => None,
            MediaSource::Url(_) | MediaSource::Base64(_) => {
                let mut file = json!({ "file_data": file_data(media)? });
                if let Some(name) = media.name.as_deref().or((!self.same).then_some("document.pdf")) {
                    file["filename"] = json!(name);
                }
                Some(json!({ "type": "file", "file": file }))
            }
        }
    }
}

fn file_data(media: &Media) -> Option<String> {
    let named = || media.name.as_deref().and_then(mime_of).map(str::to_owned);
    url_of(&Media { mime: media.mime.clone().or_else(named), ..media.clone() })
}
