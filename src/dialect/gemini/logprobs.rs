//! Log-probabilities: `logprobsResult`, and the form of `OpenAI` Chat.

use serde_json::{Map, Value, json};

/// `chosenCandidates` and `topCandidates` as `{"content": [...]}`.
pub fn read(result: &Value) -> Option<Value> {
    let chosen = result.get("chosenCandidates")?.as_array()?;
    let tops = result.get("topCandidates").and_then(Value::as_array);
    let content = chosen.iter().enumerate().map(|(i, chosen)| {
        let mut entry = token(chosen);
        let top =
            tops.and_then(|tops| tops.get(i)).and_then(|top| top.get("candidates")).and_then(Value::as_array);
        let top: Vec<Value> = top.into_iter().flatten().map(|one| Value::Object(token(one))).collect();
        entry.insert("top_logprobs".to_owned(), Value::Array(top));
        Value::Object(entry)
    });
    Some(json!({ "content": content.collect::<Vec<_>>() }))
}

fn token(candidate: &Value) -> Map<String, Value> {
    let text = candidate.get("token").and_then(Value::as_str).unwrap_or_default();
    let mut entry = Map::new();
    entry.insert("token".to_owned(), json!(text));
    entry
        .insert("logprob".to_owned(), candidate.get("logProbability").cloned().unwrap_or_else(|| json!(0.0)));
    entry.insert("bytes".to_owned(), json!(text.as_bytes()));
    entry
}

/// Whether it says more than [`read`] keeps: ids of tokens, for one.
pub fn has_more(result: &Value) -> bool {
    let more = |candidate: &Value| candidate.get("tokenId").is_some();
    let list = |name: &str| result.get(name).and_then(Value::as_array).into_iter().flatten();
    list("chosenCandidates").any(more)
        || list("topCandidates")
            .any(|top| top.get("candidates").and_then(Value::as_array).into_iter().flatten().any(more))
}

/// The same the other way round.
pub fn write(logprobs: &Value) -> Option<Value> {
    let content = logprobs.get("content")?.as_array().filter(|list| !list.is_empty())?;
    let one = |entry: &Value| json!({ "token": entry["token"], "logProbability": entry["logprob"] });
    let chosen: Vec<Value> = content.iter().map(one).collect();
    let mut result = json!({ "chosenCandidates": chosen });
    let top = |entry: &Value| entry["top_logprobs"].as_array().cloned().unwrap_or_default();
    if content.iter().any(|entry| !top(entry).is_empty()) {
        let tops = content
            .iter()
            .map(|entry| json!({ "candidates": top(entry).iter().map(one).collect::<Vec<_>>() }));
        result["topCandidates"] = tops.collect();
    }
    Some(result)
}

/// Whether it holds log-probabilities of a refusal, for which Gemini has no place.
pub fn has_refusal(logprobs: &Value) -> bool {
    logprobs.get("refusal").and_then(Value::as_array).is_some_and(|list| !list.is_empty())
}
