//! What a choice's deltas say of thinking: plain strings, `reasoning_details`, Mistral's lists of parts.

use serde_json::Value;
use tollgate_filters::chat::{At, Delta, ENVELOPE, Event, Extra, Maker, Opening, Pointer};

use super::{Choice, Open};
use crate::dialect::openai_chat::content::thinking_text;
use crate::dialect::openai_chat::decode::wire::Word;
use crate::dialect::openai_chat::reasoning;

impl Choice {
    /// Content as a list of parts (Mistral).
    pub(super) fn list(&mut self, list: Vec<Value>, events: &mut Vec<Event>) {
        for (i, mut value) in list.into_iter().enumerate() {
            match value.get("type").and_then(Value::as_str) {
                Some("text") => {
                    if let Some(Value::String(text)) = value.get_mut("text").map(Value::take) {
                        self.text(text, "content", events);
                    }
                }
                Some("thinking") if let Some(text) = thinking_text(&value) => {
                    let at = self.message("content").index(0);
                    self.thought(text, at, events);
                }
                _ => {
                    let at = self.message("content").index(i);
                    self.whole(Opening::Opaque(value), at, events);
                }
            }
        }
    }

    fn thought(&mut self, text: String, at: Pointer, events: &mut Vec<Event>) {
        if !matches!(self.open, Some(Open::Reasoning { sealed: false, .. })) {
            let open = Open::Reasoning { index: None, id: None, sealed: false };
            self.begin(open, Opening::Reasoning { id: None }, at, events);
        }
        self.more(Delta::Thought { summary: false, new: false, text }, events);
    }

    pub(super) fn thoughts(
        &mut self,
        content: Word,
        reasoning: Word,
        details: Word,
        extras: &mut Vec<At<Extra>>,
        events: &mut Vec<Event>,
    ) {
        let details = match details {
            Word::Other(Value::Array(list)) => list,
            _ => Vec::new(),
        };
        // The details tell the same text again.
        if !details.iter().any(reasoning::tells) {
            let (key, text) = match content.text() {
                Some(text) => ("reasoning_content", Some(text)),
                None => ("reasoning", reasoning.text()),
            };
            if let Some(text) = text {
                self.thought(text, self.message(key), events);
            }
        }
        for value in details {
            self.detail(value, extras, events);
        }
    }

    fn detail(&mut self, value: Value, extras: &mut Vec<At<Extra>>, events: &mut Vec<Event>) {
        let at = self.message("reasoning_details");
        let mut detail = match reasoning::detail(value) {
            Ok(detail) => detail,
            Err(value) => return self.whole(Opening::Opaque(value), at.index(0), events),
        };
        let place = at.index(detail.index.and_then(|index| usize::try_from(index).ok()).unwrap_or_default());
        detail.extra.shift_remove(ENVELOPE);
        if !detail.extra.is_empty() {
            extras.push(At::new(std::mem::take(&mut detail.extra), place.clone()));
        }
        let text = detail.text.as_ref().filter(|text| !text.is_empty());
        if text.is_none() && detail.seal.is_none() {
            return;
        }
        let goes_on = match &self.open {
            Some(Open::Reasoning { index, id, sealed: false }) => {
                // An id cannot be told of a part that is open already.
                (id.is_some() || detail.id.is_none()) && reasoning::belongs(id.as_deref(), *index, &detail)
            }
            _ => false,
        };
        if !goes_on {
            let signature = detail.seal.as_ref().is_some_and(|seal| seal.maker == Maker::Gemini);
            let id = detail.id.clone().filter(|_| !signature);
            let open = Open::Reasoning { index: detail.index, id: id.clone(), sealed: false };
            self.begin(open, Opening::Reasoning { id }, place, events);
        }
        if let Some(text) = text {
            self.more(Delta::Thought { summary: detail.summary, new: false, text: text.clone() }, events);
        }
        if let Some(seal) = detail.seal {
            self.more(Delta::Seal(seal), events);
            if let Some(Open::Reasoning { sealed, .. }) = &mut self.open {
                *sealed = true;
            }
        }
    }
}
