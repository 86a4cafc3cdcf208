//! A document of a stream, as far as it is needed; borrowed, because most are a few letters of text.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

#[derive(Debug, Deserialize)]
pub(super) struct Document<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Cow<'a, str>,
    #[serde(default)]
    pub(super) output_index: usize,
    #[serde(default)]
    pub(super) content_index: usize,
    #[serde(default)]
    pub(super) summary_index: usize,
    #[serde(default)]
    pub(super) annotation_index: usize,
    #[serde(default)]
    pub(super) delta: Option<String>,
    #[serde(default, borrow)]
    pub(super) logprobs: Option<&'a RawValue>,
    #[serde(default, borrow)]
    item: Option<&'a RawValue>,
    #[serde(default, borrow)]
    part: Option<&'a RawValue>,
    #[serde(default, borrow)]
    annotation: Option<&'a RawValue>,
    #[serde(default, borrow)]
    response: Option<&'a RawValue>,
}

impl Document<'_> {
    pub(super) fn item(&self) -> Option<Value> {
        read(self.item)
    }

    pub(super) fn part(&self) -> Option<Value> {
        read(self.part)
    }

    pub(super) fn annotation(&self) -> Option<Value> {
        read(self.annotation)
    }

    pub(super) fn response(&self) -> Option<Value> {
        read(self.response)
    }

    /// The log-probabilities of a delta, where there are any.
    pub(super) fn logprobs(&self) -> Option<Vec<Value>> {
        let raw = self.logprobs.filter(|raw| raw.get() != "[]")?;
        serde_json::from_str(raw.get()).ok().filter(|list: &Vec<Value>| !list.is_empty())
    }
}

fn read(raw: Option<&RawValue>) -> Option<Value> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
}
