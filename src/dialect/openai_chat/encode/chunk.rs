//! The chunks of a stream as bytes: what all have in common, and those that hold thoughts and their seals.

use std::io::Write;

use serde_json::json;
use tollgate_filters::chat::Seal;

use super::Encoder;
use crate::dialect::openai_chat::reasoning;

impl Encoder {
    /// Writes what every chunk begins with.
    pub(super) fn head(&mut self, out: &mut Vec<u8>) {
        if self.head.is_empty() {
            let id = self.start.id.as_ref().filter(|id| !self.client.own_id && !id.is_empty());
            let mut head = json!({
                "id": id.map_or_else(|| format!("chatcmpl-{}", self.client.id), Clone::clone),
                "object": "chat.completion.chunk",
                "created": self.start.created.unwrap_or(self.client.created),
                "model": self.start.model.as_ref().unwrap_or(&self.client.model),
            });
            if let Some(tier) = &self.tier {
                head["service_tier"] = json!(tier);
            }
            self.head = format!("data: {head}").into_bytes();
            self.head.pop();
        }
        out.extend_from_slice(&self.head);
    }

    /// Writes a chunk. `delta` is JSON.
    pub(super) fn chunk(
        &mut self,
        at: usize,
        delta: &[u8],
        logprobs: Option<&str>,
        finish: Option<&str>,
        out: &mut Vec<u8>,
    ) {
        self.head(out);
        let index = self.choices[at].index;
        // Writing to a vector cannot fail.
        let _ = write!(out, r#","choices":[{{"index":{index},"delta":"#);
        out.extend_from_slice(delta);
        let _ = write!(out, r#","logprobs":{},"finish_reason":"#, logprobs.unwrap_or("null"));
        match finish {
            Some(word) => text(out, word),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b"}]}\n\n");
    }

    /// Writes a chunk whose delta is one string.
    pub(super) fn string(&mut self, at: usize, before: &[u8], more: &str, after: &[u8], out: &mut Vec<u8>) {
        self.head(out);
        let _ = write!(out, r#","choices":[{{"index":{},"delta":"#, self.choices[at].index);
        out.extend_from_slice(before);
        text(out, more);
        out.extend_from_slice(after);
        out.extend_from_slice(b",\"logprobs\":null,\"finish_reason\":null}]}\n\n");
    }

    pub(super) fn thought(
        &mut self,
        place: usize,
        block: usize,
        id: Option<&str>,
        summary: bool,
        more: &str,
        out: &mut Vec<u8>,
    ) {
        let mut delta = Vec::with_capacity(more.len() * 2 + 128);
        delta.extend_from_slice(br#"{"reasoning_content":"#);
        text(&mut delta, more);
        delta.extend_from_slice(if summary {
            br#","reasoning_details":[{"type":"reasoning.summary","summary":"#.as_slice()
        } else {
            br#","reasoning_details":[{"type":"reasoning.text","text":"#.as_slice()
        });
        text(&mut delta, more);
        if let Some(id) = id {
            delta.extend_from_slice(br#","id":"#);
            text(&mut delta, id);
        }
        let _ = write!(delta, r#","index":{block}}}]}}"#);
        self.chunk(place, &delta, None, None, out);
    }

    pub(super) fn seal(
        &mut self,
        place: usize,
        block: usize,
        id: Option<&str>,
        seal: &Seal,
        thoughts: bool,
        out: &mut Vec<u8>,
    ) {
        let format = reasoning::format_of(seal.maker);
        let mut detail = if reasoning::signs(seal, thoughts) {
            json!({ "type": "reasoning.text", "signature": seal.data, "format": format, "index": block })
        } else {
            json!({ "type": "reasoning.encrypted", "data": seal.data, "format": format, "index": block })
        };
        if let Some(id) = id {
            detail["id"] = json!(id);
        }
        let delta = json!({ "reasoning_details": [detail] }).to_string();
        self.chunk(place, delta.as_bytes(), None, None, out);
    }

    /// Writes the signature that was held back; `call` is the tool call that follows it.
    pub(super) fn release(&mut self, place: usize, call: Option<&str>, out: &mut Vec<u8>) {
        if let Some(seal) = self.choices[place].seal.take() {
            let block = self.choices[place].blocks.saturating_sub(1);
            self.seal(place, block, call, &seal.value, false, out);
        }
    }
}

/// Writes a string as JSON.
fn text(out: &mut Vec<u8>, text: &str) {
    // A string always has a JSON form, and writing to a vector cannot fail.
    let _ = serde_json::to_writer(out, text);
}
