//! How a Messages stream ends that reached its limit.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tollgate_filters::usage::Usage;

use super::{MAX_OPEN, Note, named};

#[derive(Debug, Default)]
pub(super) struct Anthropic {
    begun: bool,
    /// Blocks that have begun and not ended: at most one, as the API has it.
    open: Vec<u32>,
    finished: bool,
    over: bool,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    index: u32,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Stop<'a> {
    #[serde(borrow, default)]
    stop_reason: Option<Cow<'a, str>>,
}

impl Anthropic {
    pub(super) fn read(&mut self, data: &[u8]) {
        let Ok(event) = serde_json::from_slice::<Wire<'_>>(data) else { return };
        match event.kind.as_ref() {
            "message_start" => self.begun = true,
            "content_block_start" if self.open.len() < MAX_OPEN => self.open.push(event.index),
            "content_block_stop" => self.open.retain(|index| *index != event.index),
            "message_delta" => {
                let stop = event.delta.and_then(|delta| serde_json::from_str::<Stop<'_>>(delta.get()).ok());
                self.finished |= stop.is_some_and(|stop| stop.stop_reason.is_some());
            }
            "message_stop" | "error" => self.over = true,
            _ => {}
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished || self.over
    }

    pub(super) fn write(&mut self, usage: &Usage, note: &Note<'_>, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        if !self.begun {
            let message = json!({
                "id": "msg_stopped", "type": "message", "role": "assistant", "model": "", "content": [],
                "stop_reason": null, "stop_sequence": null,
                "usage": counts(&Usage { output_tokens: 0, ..*usage }),
            });
            named(out, "message_start", &json!({"type": "message_start", "message": message}));
        }
        for index in self.open.drain(..) {
            named(out, "content_block_stop", &json!({"type": "content_block_stop", "index": index}));
        }
        if !self.finished {
            let mut usage = counts(usage);
            usage.insert(super::NOTE.to_owned(), note.value());
            let delta = json!({"stop_reason": "max_tokens", "stop_sequence": null});
            named(out, "message_delta", &json!({"type": "message_delta", "delta": delta, "usage": usage}));
        }
        named(out, "message_stop", &json!({"type": "message_stop"}));
    }
}

fn counts(usage: &Usage) -> Map<String, Value> {
    let written = usage.cache_write_5m_tokens.saturating_add(usage.cache_write_1h_tokens);
    let fresh = usage.input_tokens.saturating_sub(usage.cached_input_tokens).saturating_sub(written);
    let mut block = Map::new();
    block.insert("input_tokens".to_owned(), fresh.into());
    block.insert("cache_creation_input_tokens".to_owned(), written.into());
    block.insert("cache_read_input_tokens".to_owned(), usage.cached_input_tokens.into());
    block.insert("output_tokens".to_owned(), usage.output_tokens.into());
    if usage.reasoning_tokens > 0 {
        let details = json!({"thinking_tokens": usage.reasoning_tokens});
        block.insert("output_tokens_details".to_owned(), details);
    }
    block
}
