//! The `response` object without its output: what is repeated of the request, with OpenAI's defaults.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::Client;

use super::parse::ECHO;

/// Members that a request and a response spell alike but mean otherwise.
const NOT_REPEATED: [&str; 3] = ["moderation", "object", "stream_options"];

/// The object that a client sees. `provider` are the members that the provider itself repeated, where it speaks this
/// dialect. What the client asked for goes before it where the gateway keeps the answers, for then the provider was
/// asked otherwise.
pub fn skeleton(
    client: &Client,
    id: Option<&str>,
    provider: Option<&Map<String, Value>>,
) -> Map<String, Value> {
    let mut object = defaults();
    let id = match id {
        Some(id) if !client.own_id => id.to_owned(),
        _ => format!("resp_{}", client.id),
    };
    object.insert("id".to_owned(), id.into());
    overlay(&mut object, &client.echo);
    if let Some(provider) = provider {
        for (key, value) in provider {
            let asked = client.own_id && client.echo.contains_key(key);
            let kept = client.own_id && key == "previous_response_id";
            if !asked && !kept {
                object.insert(key.clone(), value.clone());
            }
        }
    }
    object
}

fn overlay(object: &mut Map<String, Value>, echo: &Map<String, Value>) {
    let repeated = |key: &str| ECHO.contains(&key) && !NOT_REPEATED.contains(&key);
    for (key, value) in echo.iter().filter(|(key, _)| repeated(key)) {
        match (object.get_mut(key), value) {
            (_, Value::Null) => {}
            (_, Value::String(id)) if key == "conversation" => {
                object.insert(key.clone(), json!({ "id": id }));
            }
            (Some(Value::Object(own)), Value::Object(more)) if key == "text" || key == "reasoning" => {
                own.extend(more.clone());
            }
            _ => {
                object.insert(key.clone(), value.clone());
            }
        }
    }
}

fn defaults() -> Map<String, Value> {
    let object = json!({
        "id": null,
        "object": "response",
        "created_at": 0,
        "status": "in_progress",
        "background": false,
        "error": null,
        "incomplete_details": null,
        "instructions": null,
        "max_output_tokens": null,
        "max_tool_calls": null,
        "model": null,
        "output": [],
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "prompt_cache_key": null,
        "reasoning": {"effort": null, "summary": null},
        "safety_identifier": null,
        "service_tier": "auto",
        "store": true,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": null,
        "metadata": {},
    });
    if let Value::Object(object) = object { object } else { Map::new() }
}
