//! What is rendered in the dialect it was read from is what was read.

use serde_json::{Map, Value};

use super::form::same;

/// Where two documents differ, but for what means the same in every dialect: members that are `null` or say
/// nothing, and a text alone in a list of parts.
pub fn differences(one: &Value, other: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    walk(one, other, &mut String::new(), &mut found);
    found
}

fn walk(one: &Value, other: &Value, at: &mut String, found: &mut Vec<(String, String)>) {
    if same(one, other) || same(&in_parts(at, one), &in_parts(at, other)) {
        return;
    }
    // To a provider that keeps nothing, that is said.
    if at == "/store" && one.is_null() && *other == Value::Bool(false) {
        return;
    }
    if at.starts_with("/usageMetadata/") && same(&details(at, one), &details(at, other)) {
        return;
    }
    if at == "/systemInstruction/parts" && *other == Value::Array(vec![one.clone()]) {
        return;
    }
    // What is so by default may be said.
    let usual = |end: &str, word: &Value| at.ends_with(end) && one.is_null() && other == word;
    if usual("/type", &"function".into()) || (at.contains("/reasoningDetails/") && usual("/index", &0.into()))
        // Where the client left out who made it, the gateway says so.
        || (at.contains("/reasoningDetails/") && at.ends_with("/format") && one.is_null())
    {
        return;
    }
    // One stop sequence, or a list of one; a picture's address, or an object of it; two names of one count.
    if at == "/stop" && *other == Value::Array(vec![one.clone()])
        || at.ends_with("/imageUrl") && one.is_string() && other.get("url") == Some(one)
        || (at == "/usageMetadata/totalTokenCount" && one.is_null())
        || at == "/usage/numCachedTokens"
        || (at == "/usage/promptTokensDetails" && one.is_null())
    {
        return;
    }
    // How much of what was written to the cache was written for how long is spelled out.
    if silent(at, one) && (silent(at, other) || at.starts_with("/usage/cacheCreation")) {
        return;
    }
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            // Google takes its names in both spellings.
            let find = |map: &Map<String, Value>, key: &str| {
                let found =
                    map.get(key).or_else(|| map.iter().find(|(k, _)| camel(k) == camel(key)).map(|(_, v)| v));
                found.cloned().unwrap_or_default()
            };
            let twin = |key: &String| a.keys().any(|k| camel(k) == camel(key));
            for key in a.keys().chain(b.keys().filter(|key| !twin(key))) {
                let length = at.len();
                at.push('/');
                at.push_str(&camel(key));
                walk(&find(a, key), &find(b, key), at, found);
                at.truncate(length);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                let length = at.len();
                at.push('/');
                at.push_str(&index.to_string());
                walk(a, b, at, found);
                at.truncate(length);
            }
        }
        _ => {
            let short = |value: &Value| value.to_string().chars().take(200).collect::<String>();
            found.push((at.clone(), format!("`{at}`: {} -> {}", short(one), short(other))));
        }
    }
}

fn camel(key: &str) -> String {
    let mut words = key.split('_');
    let mut text = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        text.extend(letters.next().map(|c| c.to_ascii_uppercase()));
        text.extend(letters);
    }
    text
}

/// Counts by modality, without those that only say again how much text there is.
fn details(at: &str, value: &Value) -> Value {
    let list = value.as_array().cloned().unwrap_or_default();
    let mut list: Vec<Value> = list.into_iter().filter(|entry| entry["modality"] != "TEXT").collect();
    list.sort_by_key(ToString::to_string);
    if at.ends_with("Details") { Value::Array(list) } else { value.clone() }
}

/// Says no more than a member that is not there: nothing, a list of nothing, a stream that is not wanted, a count of 0.
fn silent(at: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        // Anthropic's word for a call that no program of the provider's made, as every call was before.
        Value::Object(map) if at.ends_with("/caller") => {
            map.len() == 1 && map.get("type") == Some(&"direct".into())
        }
        Value::Object(map) => map.values().all(|value| silent(at, value)),
        Value::Bool(flag) => {
            !flag
                && (["/stream", "/background", "/logprobs"].contains(&at)
                    || at.ends_with("/isError")
                    || at.starts_with("/usage"))
        }
        Value::Number(number) => {
            // A call's place in a list that has an order.
            at.contains("/toolCalls/") && at.ends_with("/index")
                || number.as_f64() == Some(0.0)
                    && (at.starts_with("/usage") || at == "/topLogprobs" || at.ends_with("/index"))
        }
        Value::String(word) => {
            at == "/serviceTier" && word == "auto" || at.ends_with("/message/content") && word.is_empty()
        }
    }
}

/// `"text"` is the same as `[{"type": "text", "text": "text"}]`, where a message has its content.
fn in_parts(at: &str, value: &Value) -> Value {
    let content = ["/content", "/system", "/input", "/output", "/systemInstruction"];
    let part = match value {
        Value::Array(list) if list.len() == 1 => &list[0],
        _ => return value.clone(),
    };
    let text = part.get("text").and_then(Value::as_str);
    let plain = part.as_object().is_some_and(|part| {
        part.iter().all(|(key, value)| key == "text" || key == "type" || value.is_null())
    });
    match text {
        Some(text) if plain && content.iter().any(|end| at.ends_with(end)) => Value::from(text),
        _ => value.clone(),
    }
}
