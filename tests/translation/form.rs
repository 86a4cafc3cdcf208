//! The neutral conversation laid out flat: facts and items, each with the place it was read from, so that two
//! conversations can be compared and each difference has a pointer.

use serde_json::{Value, json};
use tollgate_filters::chat::{At, Cache, ENVELOPE, Extra, Pointer};

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every dialect can say it, or has to say that it cannot.
    Shared,
    /// Only the source dialect knows it: it is compared when a conversation has come home.
    Own,
}

/// One thing that a conversation says.
#[derive(Debug, Clone)]
pub struct Fact {
    pub path: String,
    pub at: Pointer,
    /// What stands below `at` for this fact, in any dialect's spelling. A loss below `at` is of this fact only if
    /// its pointer has one of these. Empty: any.
    pub words: &'static [&'static str],
    pub scope: Scope,
    pub value: Value,
}

/// A member of an ordered list: a part of a message, a tool.
#[derive(Debug, Clone)]
pub struct Item {
    /// Where it belongs: `user`, `assistant`, `instruction`, `result`, `tool`, `choice 0`.
    pub role: String,
    pub kind: &'static str,
    /// What tells it from others of its kind.
    pub key: Value,
    pub at: Pointer,
    pub facts: Vec<Fact>,
}

/// A conversation or an answer.
#[derive(Debug, Clone, Default)]
pub struct Form {
    pub facts: Facts,
    pub lists: Vec<(&'static str, Vec<Item>)>,
}

/// Collects facts.
#[derive(Debug, Clone, Default)]
pub struct Facts(pub Vec<Fact>);

impl Facts {
    pub fn add(
        &mut self,
        path: impl Into<String>,
        at: &Pointer,
        words: &'static [&'static str],
        value: impl Into<Value>,
    ) {
        let value = value.into();
        if !value.is_null() {
            self.0.push(Fact { path: path.into(), at: at.clone(), words, scope: Scope::Shared, value });
        }
    }

    pub fn placed<T>(&mut self, path: &str, value: Option<&At<T>>, of: impl Fn(&T) -> Value) {
        if let Some(value) = value {
            self.add(path, &value.at, &[], of(&value.value));
        }
    }

    /// What only the source dialect knows.
    pub fn own(&mut self, path: impl Into<String>, at: &Pointer, value: Value) {
        let says_nothing = match &value {
            Value::Null => true,
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        if !says_nothing {
            let fact = Fact { path: path.into(), at: at.clone(), words: &[], scope: Scope::Own, value };
            self.0.push(fact);
        }
    }

    /// Extra members. Those of [`ENVELOPE`] say nothing or name the document, and only they; those of `~/output/0` stood at
    /// that pointer.
    pub fn extra(&mut self, path: &str, at: &Pointer, extra: &Extra) {
        for (key, value) in extra {
            let (place, members) = match key.strip_prefix(ENVELOPE) {
                None => (at.clone(), vec![(key, value)]),
                Some("") => (at.clone(), value.as_object().into_iter().flatten().collect()),
                Some(place) => (pointer(place), value.as_object().into_iter().flatten().collect()),
            };
            let kept = key.starts_with(ENVELOPE);
            for (key, value) in members {
                if !kept || !silent(path, key, value) {
                    self.own(format!("{path}.{key}"), &place.key(key), value.clone());
                }
            }
        }
    }

    pub fn cache(&mut self, cache: Option<&Cache>) {
        if let Some(cache) = cache {
            self.add("cache", &cache.at, &[], cache.raw.clone());
        }
    }
}

/// What an envelope may hold without a word: names of things, what is so by default, and what an answer repeats of
/// its request.
fn silent(path: &str, key: &str, value: &Value) -> bool {
    NAMES.contains(&key)
        || *value == json!(false)
        || *value == json!("disabled")
        // Anthropic's `inference_geo`.
        || *value == json!("not_available")
        // Whose thoughts those are that nobody sealed (`reasoning_details`).
        || (key == "format" && path == "extra")
        // Encrypted reasoning is asked for of OpenAI alone; the others send theirs unasked.
        || (key == "include" && *value == json!(["reasoning.encrypted_content"]))
        || (path == "answer" && REPEATED.contains(&key))
        // That nothing was used up, that the one who asks pays, and Google's sentence beside each call.
        || (path == "answer" && ["billing", "tool_usage"].contains(&key))
        || *value == json!("Model generated function call(s).")
}

const NAMES: &[&str] = &["id", "status", "type", "role", "object"];

/// Members of a Responses object that say what the request said, and when the answer was done.
const REPEATED: &[&str] = &[
    "background",
    "completed_at",
    "context_management",
    "conversation",
    "frequency_penalty",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "moderation",
    "output_text",
    "parallel_tool_calls",
    "presence_penalty",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "store",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

fn pointer(text: &str) -> Pointer {
    let step = |at: Pointer, key: &str| at.key(&key.replace("~1", "/").replace("~0", "~"));
    text.split('/').skip(1).fold(Pointer::ROOT, step)
}

/// The pointer of a member beside the one at `at`.
pub fn beside(at: &Pointer, from: &str, to: &str) -> Pointer {
    pointer(&at.as_str().replace(from, to))
}

/// Equal as JSON: `1` and `1.0` are the same number, and `null` is the same as nothing.
pub fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            let null = Value::Null;
            a.iter().all(|(key, value)| same(value, b.get(key).unwrap_or(&null)))
                && b.iter().all(|(key, value)| a.contains_key(key) || value.is_null())
        }
        _ => one == other,
    }
}

/// Text that is JSON, as JSON: how it is spaced is nobody's business.
pub fn loose(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => value,
        _ if text.trim().is_empty() => json!({}),
        _ => json!(text),
    }
}
