//! How a chat stream ends that reached its limit, and a stream of the older completions.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tollgate_filters::usage::Usage;

use super::{MAX_NAME, MAX_OPEN, Note, members, positive};

#[derive(Debug, Default)]
pub(super) struct Chat {
    completions: bool,
    /// What all chunks say beside their choices.
    head: Map<String, Value>,
    choices: Vec<Choice>,
    usage: bool,
    over: bool,
}

#[derive(Debug)]
struct Choice {
    index: u32,
    finished: bool,
}

/// Members that a chunk says again, in their order.
const HEAD: [&str; 7] =
    ["id", "object", "created", "model", "provider", "service_tier", "system_fingerprint"];

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Option<Vec<ChunkChoice<'a>>>,
    #[serde(default)]
    usage: Option<IgnoredAny>,
    #[serde(default)]
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct ChunkChoice<'a> {
    #[serde(default)]
    index: Option<u32>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
}

impl Chat {
    pub(super) fn new(completions: bool) -> Self {
        Self { completions, ..Self::default() }
    }

    pub(super) fn read(&mut self, data: &[u8]) {
        if data == b"[DONE]" {
            self.over = true;
            return;
        }
        let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) else { return };
        self.over |= chunk.error.is_some();
        self.usage |= chunk.usage.is_some();
        let choices = chunk.choices.unwrap_or_default();
        // Azure's first chunk names nothing.
        if self.head.is_empty() && !choices.is_empty() {
            self.read_head(data);
        }
        let full = self.choices.len() >= MAX_OPEN;
        for choice in choices.into_iter().take(MAX_OPEN) {
            let (index, finished) = (choice.index.unwrap_or_default(), choice.finish_reason.is_some());
            match self.choices.iter_mut().find(|known| known.index == index) {
                // OpenRouter sends one more without a reason, with the usage.
                Some(known) => known.finished |= finished,
                None if !full => self.choices.push(Choice { index, finished }),
                None => {}
            }
        }
    }

    fn read_head(&mut self, data: &[u8]) {
        let Ok(document) =
            serde_json::from_slice::<std::collections::BTreeMap<Cow<'_, str>, &RawValue>>(data)
        else {
            return;
        };
        for key in HEAD {
            let Some(raw) = document.get(key).filter(|raw| raw.get().len() <= MAX_NAME) else { continue };
            if let Ok(value) = serde_json::from_str::<Value>(raw.get()) {
                self.head.insert(key.to_owned(), value);
            }
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.over || (!self.choices.is_empty() && self.choices.iter().all(|choice| choice.finished))
    }

    /// Members of a chunk that says nothing.
    pub(super) fn neutral(&self) -> String {
        let open = self.choices.iter().find(|choice| !choice.finished).map_or(0, |choice| choice.index);
        let choice = if self.completions {
            json!({"text": "", "index": open, "logprobs": null, "finish_reason": null})
        } else {
            json!({"index": open, "delta": self.delta(), "finish_reason": null})
        };
        let mut chunk = self.named();
        chunk.insert("choices".to_owned(), json!([choice]));
        chunk.insert("usage".to_owned(), Value::Null);
        members(chunk)
    }

    /// A choice's first delta names its role: the SDKs insist on that.
    fn delta(&self) -> Value {
        if self.choices.is_empty() { json!({"role": "assistant", "content": ""}) } else { json!({}) }
    }

    pub(super) fn write(&mut self, usage: &Usage, wants_usage: bool, note: &Note<'_>, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        self.over = true;
        let delta = self.delta();
        if self.choices.is_empty() {
            self.choices.push(Choice { index: 0, finished: false });
        }
        let open: Vec<u32> = self.choices.iter().filter(|c| !c.finished).map(|c| c.index).collect();
        for index in open {
            let choice = if self.completions {
                json!({"text": "", "index": index, "logprobs": null, "finish_reason": "length"})
            } else {
                json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": "length"})
            };
            // Where no usage is wanted, the note has no other place.
            let last = if wants_usage { ("usage", Value::Null) } else { (super::NOTE, note.value()) };
            self.chunk(json!([choice]), last, out);
        }
        if wants_usage && !self.usage {
            let mut usage = counts(usage);
            usage[super::NOTE] = note.value();
            self.chunk(json!([]), ("usage", usage), out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    /// The head of a chunk. What no chunk has said yet is made up.
    fn named(&self) -> Map<String, Value> {
        let mut chunk = self.head.clone();
        let (object, id) = if self.completions {
            ("text_completion", "cmpl-stopped")
        } else {
            ("chat.completion.chunk", "chatcmpl-stopped")
        };
        for (key, value) in
            [("id", id.into()), ("object", object.into()), ("created", 0.into()), ("model", "".into())]
        {
            chunk.entry(key).or_insert(value);
        }
        chunk
    }

    fn chunk(&self, choices: Value, last: (&str, Value), out: &mut Vec<u8>) {
        let mut chunk = self.named();
        chunk.insert("choices".to_owned(), choices);
        chunk.insert(last.0.to_owned(), last.1);
        out.extend_from_slice(format!("data: {}\n\n", Value::Object(chunk)).as_bytes());
    }
}

fn counts(usage: &Usage) -> Value {
    let written = usage.cache_write_5m_tokens.saturating_add(usage.cache_write_1h_tokens);
    let prompt = positive(
        &["cached_tokens"],
        [
            ("cached_tokens", usage.cached_input_tokens),
            ("cache_write_tokens", written),
            ("audio_tokens", usage.audio_input_tokens),
            ("image_tokens", usage.image_input_tokens),
        ],
    );
    let completion = positive(
        &["reasoning_tokens"],
        [
            ("reasoning_tokens", usage.reasoning_tokens),
            ("audio_tokens", usage.audio_output_tokens),
            ("image_tokens", usage.image_output_tokens),
        ],
    );
    json!({
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens.saturating_add(usage.output_tokens),
        "prompt_tokens_details": prompt,
        "completion_tokens_details": completion,
    })
}
