//! How a Gemini stream ends that reached its limit.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tollgate_filters::usage::Usage;

use super::{MAX_NAME, MAX_OPEN, Note, members, positive};

#[derive(Debug, Default)]
pub(super) struct Gemini {
    model: Option<String>,
    id: Option<String>,
    candidates: Vec<Candidate>,
    /// The model says a reason in each document, as the first ones did, so none of them is the last.
    chatty: bool,
    over: bool,
}

#[derive(Debug)]
struct Candidate {
    index: u32,
    finished: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    #[serde(borrow, default)]
    candidates: Option<Vec<DocumentCandidate<'a>>>,
    #[serde(borrow, default)]
    model_version: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    response_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    prompt_feedback: Option<Feedback<'a>>,
    #[serde(default)]
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DocumentCandidate<'a> {
    #[serde(default)]
    index: Option<u32>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback<'a> {
    #[serde(borrow, default)]
    block_reason: Option<Cow<'a, str>>,
}

impl Gemini {
    pub(super) fn read(&mut self, data: &[u8]) {
        let Ok(document) = serde_json::from_slice::<Document<'_>>(data) else { return };
        let blocked = document.prompt_feedback.is_some_and(|feedback| feedback.block_reason.is_some());
        self.over |= blocked || document.error.is_some();
        for (kept, said) in [(&mut self.model, document.model_version), (&mut self.id, document.response_id)]
        {
            if kept.is_none() {
                *kept = said.filter(|name| name.len() <= MAX_NAME).map(Cow::into_owned);
            }
        }
        let full = self.candidates.len() >= MAX_OPEN;
        for candidate in document.candidates.unwrap_or_default().into_iter().take(MAX_OPEN) {
            let (index, finished) = (candidate.index.unwrap_or_default(), candidate.finish_reason.is_some());
            match self.candidates.iter_mut().find(|known| known.index == index) {
                Some(known) => {
                    self.chatty |= known.finished && candidate.content.is_some_and(|raw| says(raw.get()));
                    known.finished |= finished;
                }
                None if !full => {
                    self.candidates.push(Candidate { index, finished });
                }
                None => {}
            }
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        let all = !self.candidates.is_empty() && self.candidates.iter().all(|candidate| candidate.finished);
        self.over || (all && !self.chatty)
    }

    /// Members of a document that says nothing.
    pub(super) fn neutral(&self) -> String {
        let open = self.candidates.iter().find(|candidate| !candidate.finished);
        let mut document = self.head();
        let content = json!({"parts": [{"text": ""}], "role": "model"});
        let candidates = json!([{"content": content, "index": open.map_or(0, |open| open.index)}]);
        document.insert("candidates".to_owned(), candidates);
        members(document)
    }

    fn head(&self) -> Map<String, Value> {
        let members = [("modelVersion", &self.model), ("responseId", &self.id)];
        let known = members.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?)));
        known.map(|(key, value)| (key.to_owned(), value.into())).collect()
    }

    /// The last document, if there is to be one.
    pub(super) fn write(&mut self, usage: &Usage, note: &Note<'_>) -> Option<Value> {
        if self.is_finished() {
            self.over = true;
            return None;
        }
        self.over = true;
        if self.candidates.is_empty() {
            self.candidates.push(Candidate { index: 0, finished: false });
        }
        let open = self.candidates.iter().filter(|candidate| self.chatty || !candidate.finished);
        let candidates: Value = open
            .map(|candidate| {
                json!({
                    "content": {"parts": [{"text": ""}], "role": "model"},
                    "finishReason": "MAX_TOKENS",
                    "index": candidate.index,
                })
            })
            .collect();
        let mut usage = counts(usage);
        usage.insert(super::NOTE.to_owned(), note.value());
        let mut document = Map::new();
        document.insert("candidates".to_owned(), candidates);
        document.insert("usageMetadata".to_owned(), usage.into());
        document.extend(self.head());
        Some(document.into())
    }
}

/// Whether a content has anything but empty texts.
fn says(content: &str) -> bool {
    let Ok(content) = serde_json::from_str::<Value>(content) else { return false };
    let parts = content.get("parts").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    parts.iter().any(|part| part.get("text").is_none_or(|text| text != ""))
}

fn counts(usage: &Usage) -> Map<String, Value> {
    let tool = usage.tool_input_tokens.min(usage.input_tokens);
    let thoughts = usage.reasoning_tokens.min(usage.output_tokens);
    positive(
        &["promptTokenCount", "totalTokenCount"],
        [
            ("promptTokenCount", usage.input_tokens - tool),
            ("candidatesTokenCount", usage.output_tokens - thoughts),
            ("thoughtsTokenCount", thoughts),
            ("toolUsePromptTokenCount", tool),
            ("cachedContentTokenCount", usage.cached_input_tokens),
            ("totalTokenCount", usage.input_tokens.saturating_add(usage.output_tokens)),
        ],
    )
}
