//! Tools that a provider runs itself, as this API has the like of them.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{Losses, Pointer, ServerTool};

/// The tool of this API that does what the one at `at` does at another provider. `None` where there is none.
pub(super) fn equivalent(
    tool: &ServerTool,
    raw: &Value,
    at: &Pointer,
    losses: &mut Losses,
) -> Option<Map<String, Value>> {
    let mut carried = vec!["type", "name"];
    let object = match tool {
        ServerTool::WebSearch => search(raw, &mut carried),
        ServerTool::CodeExecution => json!({"type": "code_interpreter", "container": {"type": "auto"}}),
        ServerTool::ImageGeneration => json!({"type": "image_generation"}),
        _ => return None,
    };
    let members = raw.as_object().into_iter().flatten();
    for (name, value) in members.filter(|(name, value)| !value.is_null() && !carried.contains(&name.as_str()))
    {
        let nothing = value.as_object().is_some_and(Map::is_empty);
        if !nothing {
            losses.unsupported(&at.key(name));
        }
    }
    if let Value::Object(object) = object { Some(object) } else { None }
}

fn search(raw: &Value, carried: &mut Vec<&str>) -> Value {
    let mut object = json!({"type": "web_search"});
    if let Some(domains @ Value::Array(_)) = raw.get("allowed_domains") {
        object["filters"] = json!({"allowed_domains": domains});
        carried.push("allowed_domains");
    }
    if let Some(size @ Value::String(_)) = raw.get("search_context_size") {
        object["search_context_size"] = size.clone();
        carried.push("search_context_size");
    }
    if let Some(place) = raw.get("user_location").and_then(location) {
        object["user_location"] = Value::Object(place);
        carried.push("user_location");
    }
    object
}

/// Chat nests the place under `approximate`; here, and in Anthropic's dialect, it is flat.
fn location(place: &Value) -> Option<Map<String, Value>> {
    let mut flat = place.get("approximate").unwrap_or(place).as_object()?.clone();
    flat.insert("type".to_owned(), "approximate".into());
    Some(flat)
}
