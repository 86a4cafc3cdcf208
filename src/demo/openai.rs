//! What the Chat Completions and Responses dialects share: errors, the model list, and how a tool is chosen.

use super::prompt::{Choice, Prompt};
use super::{Answer, MODEL, items};
use http::StatusCode;
use serde_json::{Value, json};

pub(super) fn error(status: StatusCode, message: &str) -> Answer {
    coded(status, message, None)
}

pub(super) fn unknown_model(message: &str) -> Answer {
    coded(StatusCode::NOT_FOUND, message, Some("model_not_found"))
}

fn coded(status: StatusCode, message: &str, code: Option<&str>) -> Answer {
    let error = json!({
        "message": message, "type": "invalid_request_error", "param": null, "code": code,
    });
    Answer::json(status, &json!({"error": error}))
}

pub(super) fn bad(message: &str) -> Answer {
    error(StatusCode::BAD_REQUEST, message)
}

/// The list of models and the one model.
pub(super) fn models() -> (Value, Value) {
    let one = json!({"id": MODEL, "object": "model", "created": 1_735_689_600, "owned_by": "tollgate"});
    (json!({"object": "list", "data": [one]}), one)
}

/// Takes `tool_choice`, which names tools in both dialects' ways.
pub(super) fn choose(prompt: &mut Prompt, choice: &Value) {
    let name = |tool: &Value| {
        let function = tool.get("function").unwrap_or(tool);
        function["name"].as_str().map(str::to_owned)
    };
    match choice["type"].as_str().or(choice.as_str()) {
        Some("none") => prompt.choose(Choice::Never),
        Some("required") => prompt.choose(Choice::Must),
        Some("function") => {
            prompt.choose(Choice::Must);
            prompt.allow(&name(choice).iter().map(String::as_str).collect::<Vec<_>>());
        }
        Some("allowed_tools") => {
            let allowed = choice.get("allowed_tools").unwrap_or(choice);
            if allowed["mode"] == "required" {
                prompt.choose(Choice::Must);
            }
            let names: Vec<String> = items(&allowed["tools"]).iter().filter_map(name).collect();
            prompt.allow(&names.iter().map(String::as_str).collect::<Vec<_>>());
        }
        _ => {}
    }
}
