//! Tools and the choice among them, read and written.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{At, Losses, Pointer, Request, ServerTool, Tool, ToolChoice, ToolKind};
use tollgate_filters::error::Error;
use tollgate_filters::exchange::Dialect;

use super::hosted;
use crate::dialect::fields::{Fields, missing, wrong_type};

pub(super) fn read(fields: &mut Fields) -> Result<Vec<Tool>, Error> {
    let at = fields.at("tools");
    let list = fields.list("tools")?.unwrap_or_default().into_iter().enumerate();
    list.map(|(i, value)| tool(Fields::new(value, at.index(i))?)).collect()
}

/// The functions of an `additional_tools` item, which is a message of the client's that brings tools along. Here they
/// stay in the item; elsewhere they are tools like any other.
pub(super) fn brought(item: &Value, at: &Pointer) -> Vec<Tool> {
    let list = item.get("tools").and_then(Value::as_array).into_iter().flatten().enumerate();
    let read =
        list.filter_map(|(i, value)| tool(Fields::new(value.clone(), at.key("tools").index(i)).ok()?).ok());
    read.filter(|tool| matches!(tool.kind, ToolKind::Function { .. })).collect()
}

/// Whether a tool stands in an item of the input.
pub(super) fn is_brought(tool: &Tool) -> bool {
    tool.at.as_str().starts_with("/input/")
}

fn tool(mut fields: Fields) -> Result<Tool, Error> {
    let at = fields.here().clone();
    let kind = match fields.word("type") {
        Some("function") => {
            let Some(name) = fields.string("name")? else { return Err(missing(&fields.at("name"))) };
            ToolKind::Function {
                name,
                description: fields.string("description")?,
                parameters: fields.take("parameters"),
                strict: fields.boolean("strict")?,
            }
        }
        Some("custom") => {
            let Some(name) = fields.string("name")? else { return Err(missing(&fields.at("name"))) };
            ToolKind::Custom {
                name,
                description: fields.string("description")?,
                format: fields.take("format"),
            }
        }
        Some(word) => {
            let tool = server(word);
            let raw = Value::Object(fields.rest());
            return Ok(Tool { kind: ToolKind::Server { tool, raw }, at, cache: None, extra: Map::new() });
        }
        None => return Err(missing(&fields.at("type"))),
    };
    fields.take("type");
    Ok(Tool { kind, at, cache: None, extra: fields.rest() })
}

fn server(word: &str) -> ServerTool {
    match word {
        _ if word.starts_with("web_search") => ServerTool::WebSearch,
        "code_interpreter" => ServerTool::CodeExecution,
        "file_search" => ServerTool::FileSearch,
        "image_generation" => ServerTool::ImageGeneration,
        "mcp" => ServerTool::Mcp,
        _ if word.starts_with("computer") => ServerTool::Computer,
        other => ServerTool::Other(other.to_owned()),
    }
}

pub(super) fn choice(fields: &mut Fields, tools: &[Tool]) -> Result<Option<At<ToolChoice>>, Error> {
    let at = fields.at("tool_choice");
    let choice = match fields.take("tool_choice") {
        None => return Ok(None),
        Some(Value::String(word)) => match word.as_str() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" => ToolChoice::Required,
            _ => ToolChoice::Opaque(word.into()),
        },
        Some(object @ Value::Object(_)) => {
            named(&object, tools).or_else(|| allowed(&object, tools)).unwrap_or(ToolChoice::Opaque(object))
        }
        Some(_) => return Err(wrong_type(&at, "a string or an object")),
    };
    Ok(Some(At::new(choice, at)))
}

/// `{"type": "function", "name": ...}`, or the same of a custom tool that is there.
fn named(object: &Value, tools: &[Tool]) -> Option<ToolChoice> {
    let name = object.get("name")?.as_str()?;
    let exact = *object == reference(name, tools);
    exact.then(|| ToolChoice::Function(name.to_owned()))
}

fn allowed(object: &Value, tools: &[Tool]) -> Option<ToolChoice> {
    let required = match object.get("mode")?.as_str()? {
        "required" => true,
        "auto" => false,
        _ => return None,
    };
    let list = object.get("tools")?.as_array()?;
    let name = |tool: &Value| match named(tool, tools) {
        Some(ToolChoice::Function(name)) => Some(name),
        _ => None,
    };
    let names: Vec<String> = list.iter().map(name).collect::<Option<_>>()?;
    let known = object.get("type")?.as_str()? == "allowed_tools" && object.as_object()?.len() == 3;
    known.then_some(ToolChoice::Allowed { required, names })
}

/// How a choice names a tool.
fn reference(name: &str, tools: &[Tool]) -> Value {
    let custom = |tool: &Tool| matches!(&tool.kind, ToolKind::Custom { name: n, .. } if n == name);
    let kind = if tools.iter().any(custom) { "custom" } else { "function" };
    json!({"type": kind, "name": name})
}

pub(super) fn write_choice(request: &Request, losses: &mut Losses) -> Option<Value> {
    let At { value, at } = request.tool_choice.as_ref()?;
    Some(match value {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Function(name) => reference(name, &request.tools),
        ToolChoice::Allowed { required, names } => json!({
            "type": "allowed_tools",
            "mode": if *required { "required" } else { "auto" },
            "tools": names.iter().map(|name| reference(name, &request.tools)).collect::<Vec<_>>(),
        }),
        ToolChoice::Opaque(raw) if request.source == Dialect::OpenaiResponses => raw.clone(),
        ToolChoice::Opaque(_) => {
            losses.unsupported(at);
            return None;
        }
    })
}

pub(super) fn write(tool: &Tool, own: bool, losses: &mut Losses) -> Option<Value> {
    let mut object = match &tool.kind {
        ToolKind::Function { name, description, parameters, strict } => {
            let mut object = Map::new();
            object.insert("type".to_owned(), "function".into());
            object.insert("name".to_owned(), name.clone().into());
            insert(&mut object, "description", description.clone().map(Value::from));
            let none = || (!own).then(|| json!({"type": "object", "properties": {}}));
            insert(&mut object, "parameters", parameters.clone().or_else(none));
            // Left out, it would mean true here and false in every other dialect.
            insert(&mut object, "strict", strict.or((!own).then_some(false)).map(Value::from));
            object
        }
        ToolKind::Custom { name, description, format } => {
            let mut object = Map::new();
            object.insert("type".to_owned(), "custom".into());
            object.insert("name".to_owned(), name.clone().into());
            insert(&mut object, "description", description.clone().map(Value::from));
            insert(&mut object, "format", format.clone());
            object
        }
        ToolKind::Server { raw, .. } if own => return Some(raw.clone()),
        ToolKind::Server { tool: kind, raw } => {
            let Some(object) = hosted::equivalent(kind, raw, &tool.at, losses) else {
                losses.unsupported(&tool.at);
                return None;
            };
            object
        }
    };
    if own {
        object.extend(tool.extra.clone());
    } else {
        losses.extra(&tool.at, &tool.extra);
        if let Some(cache) = &tool.cache {
            losses.unsupported(&cache.at);
        }
    }
    Some(Value::Object(object))
}

fn insert(object: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        object.insert(key.to_owned(), value);
    }
}
