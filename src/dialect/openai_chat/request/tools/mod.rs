//! Tools and the choice among them.

mod render;

pub(super) use render::{fitted, render};

use serde_json::Value;
use tollgate_filters::chat::{At, Cache, Extra, Pointer, Request, ServerTool, Tool, ToolChoice, ToolKind};
use tollgate_filters::error::Error;

use crate::dialect::fields::{Fields, missing, wrong_type};
use crate::dialect::openai_chat::content::keep;

/// Where a search that is a parameter and not a tool stands.
const SEARCH: &str = "/web_search_options";

pub(super) fn parse(
    fields: &mut Fields,
    request: &mut Request,
    nested: &mut Vec<At<Extra>>,
) -> Result<(), Error> {
    let at = fields.at("tools");
    for (i, value) in fields.list("tools")?.unwrap_or_default().into_iter().enumerate() {
        request.tools.push(tool(value, at.index(i), nested)?);
    }
    let at = fields.at("functions");
    for (i, value) in fields.list("functions")?.unwrap_or_default().into_iter().enumerate() {
        let mut function = Fields::new(value, at.index(i))?;
        let kind = self::function(&mut function)?;
        request.tools.push(Tool { kind, at: at.index(i), cache: None, extra: function.rest() });
    }
    if let Some(options) = fields.object("web_search_options")? {
        let kind = ToolKind::Server { tool: ServerTool::WebSearch, raw: Value::Object(options.rest()) };
        request.tools.push(Tool { kind, at: Pointer::of(SEARCH), cache: None, extra: Extra::new() });
    }
    let key = fields.either("tool_choice", "function_call");
    let choice = fields.take(key).map(|value| choice(value, &fields.at(key))).transpose()?;
    request.tool_choice = fields.placed(key, choice);
    let parallel = fields.boolean("parallel_tool_calls")?;
    request.parallel_tool_calls = fields.placed("parallel_tool_calls", parallel);
    Ok(())
}

fn function(fields: &mut Fields) -> Result<ToolKind, Error> {
    Ok(ToolKind::Function {
        name: fields.string("name")?.ok_or_else(|| missing(&fields.at("name")))?,
        description: fields.string("description")?,
        parameters: fields.take("parameters"),
        strict: fields.boolean("strict")?,
    })
}

fn tool(value: Value, at: Pointer, nested: &mut Vec<At<Extra>>) -> Result<Tool, Error> {
    let word = value.get("type").and_then(Value::as_str);
    let kind = match word {
        None | Some("function") => "function",
        Some("custom") => "custom",
        Some(other) => {
            let tool = server_tool(other);
            let kind = ToolKind::Server { tool, raw: value };
            return Ok(Tool { kind, at, cache: None, extra: Extra::new() });
        }
    };
    let mut fields = Fields::new(value, at.clone())?;
    fields.string("type")?;
    let mut inner = fields.object(kind)?.ok_or_else(|| missing(&at.key(kind)))?;
    let kind = if kind == "custom" {
        ToolKind::Custom {
            name: inner.string("name")?.ok_or_else(|| missing(&inner.at("name")))?,
            description: inner.string("description")?,
            format: inner.take("format"),
        }
    } else {
        function(&mut inner)?
    };
    keep(inner, nested);
    let cache = fields.take("cache_control").map(|raw| Cache { raw, at: fields.at("cache_control") });
    Ok(Tool { kind, at, cache, extra: fields.rest() })
}

/// The vendors' words for tools that they run themselves.
fn server_tool(word: &str) -> ServerTool {
    match word.rsplit(':').next().unwrap_or(word) {
        "web_search" | "web_search_preview" | "web_search_premium" | "browser_search" => {
            ServerTool::WebSearch
        }
        "web_fetch" | "visit_website" => ServerTool::WebFetch,
        "code_interpreter" | "code_execution" => ServerTool::CodeExecution,
        "file_search" | "document_library" => ServerTool::FileSearch,
        "image_generation" => ServerTool::ImageGeneration,
        "mcp" => ServerTool::Mcp,
        _ => ServerTool::Other(word.to_owned()),
    }
}

fn choice(value: Value, at: &Pointer) -> Result<ToolChoice, Error> {
    let name =
        |key: &str| value.get(key).and_then(|f| f.get("name")).and_then(Value::as_str).map(str::to_owned);
    match &value {
        Value::String(word) => Ok(match word.as_str() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" | "any" => ToolChoice::Required,
            _ => ToolChoice::Opaque(value),
        }),
        Value::Object(object) => {
            let found = match object.get("type").and_then(Value::as_str) {
                Some(kind @ ("function" | "custom")) => name(kind).map(ToolChoice::Function),
                Some("allowed_tools") => value.get("allowed_tools").and_then(allowed),
                // The legacy `function_call`.
                None => {
                    object.get("name").and_then(Value::as_str).map(|n| ToolChoice::Function(n.to_owned()))
                }
                _ => None,
            };
            Ok(found.unwrap_or(ToolChoice::Opaque(value)))
        }
        _ => Err(wrong_type(at, "a string or an object")),
    }
}

/// `None` where one of the tools has no name.
fn allowed(value: &Value) -> Option<ToolChoice> {
    let required = match value.get("mode")?.as_str()? {
        "auto" => false,
        "required" => true,
        _ => return None,
    };
    let name = |tool: &Value| {
        let kind = tool.get("type")?.as_str()?;
        Some(tool.get(kind)?.get("name")?.as_str()?.to_owned())
    };
    let names = value.get("tools")?.as_array()?.iter().map(name).collect::<Option<_>>()?;
    Some(ToolChoice::Allowed { required, names })
}
