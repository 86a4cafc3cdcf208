//! What the tools of a request cost.
//!
//! OpenAI's models are shown functions as TypeScript, in a namespace; the text is put together here and counted.
//! Anthropic shows JSON, under instructions of its own.

use serde_json::{Value, json};
use tollgate_filters::chat::{Request, Tool, ToolKind};

use super::tokens::Tokens;

/// A tool that the provider runs is described by the provider; the texts are not published and differ widely.
const SERVER_TOOL: u64 = 300;
/// What stands around OpenAI's namespace.
const NAMESPACE: u64 = 9;
/// Anthropic's instructions on how tools are called: between 500 and 590 tokens, going by recorded counts of
/// the models from 4.5 to 5.
const ANTHROPIC: u64 = 530;
/// How deep objects within objects are followed.
const MAX_DEPTH: usize = 32;

pub(super) fn count(request: &Request, tokens: Tokens, anthropic: bool) -> u64 {
    let mut text = String::new();
    let mut others = 0;
    for tool in &request.tools {
        match &tool.kind {
            ToolKind::Function { name, description, parameters, .. } if anthropic => {
                let tool = json!({ "name": name, "description": description, "input_schema": parameters });
                others += tokens.count(&tool.to_string());
            }
            ToolKind::Function { .. } => function(tool, &mut text),
            ToolKind::Custom { name, description, format } => {
                let description = description.as_deref().unwrap_or_default();
                let format = format.as_ref().map(Value::to_string).unwrap_or_default();
                others += tokens.count(&format!("{name}\n{description}\n{format}"));
            }
            ToolKind::Server { .. } => others += SERVER_TOOL,
        }
    }
    if !text.is_empty() {
        text = format!("namespace functions {{\n\n{text}}} // namespace functions");
        others += NAMESPACE;
    }
    let instructions = if anthropic && !request.tools.is_empty() { ANTHROPIC } else { 0 };
    tokens.count(&text) + others + instructions
}

fn function(tool: &Tool, text: &mut String) {
    let ToolKind::Function { name, description, parameters, .. } = &tool.kind else { return };
    comment(description.as_deref(), text);
    let has_some = parameters.as_ref().and_then(|schema| schema["properties"].as_object());
    match (parameters, has_some.is_some_and(|properties| !properties.is_empty())) {
        (Some(schema), true) => {
            text.extend(["type ", name, " = (_: {\n"]);
            properties(schema, 0, text);
            text.push_str("}) => any;\n\n");
        }
        _ => text.extend(["type ", name, " = () => any;\n\n"]),
    }
}

fn comment(description: Option<&str>, text: &mut String) {
    for line in description.into_iter().flat_map(str::lines) {
        text.push_str("// ");
        text.push_str(line);
        text.push('\n');
    }
}

fn properties(schema: &Value, depth: usize, text: &mut String) {
    let required = |name: &str| {
        schema["required"]
            .as_array()
            .is_some_and(|required| required.iter().any(|r| r.as_str() == Some(name)))
    };
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        comment(property["description"].as_str(), text);
        text.push_str(name);
        text.push_str(if required(name) { ": " } else { "?: " });
        kind(property, depth, text);
        text.push_str(",\n");
    }
}

fn kind(schema: &Value, depth: usize, text: &mut String) {
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<String> = words.iter().map(Value::to_string).collect();
        text.push_str(&words.join(" | "));
        return;
    }
    let inside = depth < MAX_DEPTH;
    match schema["type"].as_str() {
        Some("integer") => text.push_str("number"),
        Some("array") if inside && schema["items"].is_object() => {
            kind(&schema["items"], depth + 1, text);
            text.push_str("[]");
        }
        Some("object") if inside && schema["properties"].is_object() => {
            text.push_str("{\n");
            properties(schema, depth + 1, text);
            text.push('}');
        }
        Some(word) => text.push_str(word),
        // `anyOf`, `$ref` and the like.
        None => text.push_str(&schema.to_string()),
    }
}
