//! Tools, and which of them the model may or has to call.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{At, Cache, Losses, Request, ServerTool, Tool, ToolChoice, ToolKind};
use tollgate_filters::error::Error;
use tollgate_filters::exchange::Dialect;

use super::choice::{choice, simplest};
use super::format;
use super::parse::keep;
use crate::dialect::anthropic::block::MAX_NAME;
use crate::dialect::fields::{Fields, missing};
use crate::dialect::names::fitting;

pub fn read(fields: &mut Fields, request: &mut Request) -> Result<(), Error> {
    let place = fields.at("tools");
    for (i, value) in fields.list("tools")?.unwrap_or_default().into_iter().enumerate() {
        request.tools.push(tool(Fields::new(value, place.index(i))?)?);
    }
    let Some(mut choice) = fields.object("tool_choice")? else { return Ok(()) };
    let at = choice.here().clone();
    let parallel = choice.boolean("disable_parallel_tool_use")?.map(|disabled| !disabled);
    request.parallel_tool_calls = choice.placed("disable_parallel_tool_use", parallel);
    let read = match choice.string("type")?.as_deref() {
        Some("auto") => ToolChoice::Auto,
        Some("any") => ToolChoice::Required,
        Some("none") => ToolChoice::None,
        Some("tool") => {
            let name = choice.string("name")?;
            ToolChoice::Function(name.ok_or_else(|| missing(&choice.at("name")))?)
        }
        Some(other) => {
            let mut raw = Map::new();
            raw.insert("type".into(), other.into());
            raw.extend(choice.rest());
            request.tool_choice = Some(At::new(ToolChoice::Opaque(Value::Object(raw)), at));
            return Ok(());
        }
        None => return Err(missing(&choice.at("type"))),
    };
    request.tool_choice = Some(At::new(read, at));
    keep(request, choice);
    Ok(())
}

fn tool(mut fields: Fields) -> Result<Tool, Error> {
    let at = fields.here().clone();
    let place = fields.at("cache_control");
    let kind = fields.string("type")?;
    if let Some(kind) = kind.filter(|kind| kind != "custom") {
        let cache = fields.peek("cache_control").map(|raw| Cache { raw: raw.clone(), at: place });
        let mut raw = Map::new();
        raw.insert("type".into(), kind.as_str().into());
        raw.extend(fields.rest());
        let kind = ToolKind::Server { tool: server_tool(&kind), raw: Value::Object(raw) };
        return Ok(Tool { kind, at, cache, extra: Map::new() });
    }
    let cache = fields.take("cache_control").map(|raw| Cache { raw, at: place });
    let name = fields.string("name")?.ok_or_else(|| missing(&fields.at("name")))?;
    let kind = ToolKind::Function {
        name,
        description: fields.string("description")?,
        parameters: fields.take("input_schema"),
        strict: fields.boolean("strict")?,
    };
    Ok(Tool { kind, at, cache, extra: fields.rest() })
}

/// A type is a word and the date of its version.
fn server_tool(kind: &str) -> ServerTool {
    match kind.rsplit_once('_').map_or(kind, |(word, _)| word) {
        "web_search" => ServerTool::WebSearch,
        "web_fetch" => ServerTool::WebFetch,
        "code_execution" => ServerTool::CodeExecution,
        "computer" | "computer_toolset" => ServerTool::Computer,
        _ if kind == "mcp_toolset" => ServerTool::Mcp,
        _ => ServerTool::Other(kind.to_owned()),
    }
}

/// Writes `tools` and `tool_choice`. `free` says that no call may be forced, since the model thinks.
pub fn write(request: &Request, free: bool, body: &mut Map<String, Value>, losses: &mut Losses) {
    let own = request.source == Dialect::Anthropic;
    let asked =
        request.tool_choice.as_ref().map(|asked| At::new(simplest(&asked.value, request), asked.at.clone()));
    let only = match &asked {
        Some(At { value: ToolChoice::Allowed { names, .. }, .. }) => Some(names),
        _ => None,
    };
    let mut tools = Vec::with_capacity(request.tools.len());
    for tool in &request.tools {
        if let (Some(only), ToolKind::Function { name, .. } | ToolKind::Custom { name, .. }) =
            (only, &tool.kind)
            && !only.contains(name)
        {
            continue; // it comes to the same
        }
        let written = if own { Some(own_tool(tool)) } else { foreign_tool(request.source, tool, losses) };
        let Some(mut written) = written else { continue };
        if let (Some(cache), false) = (&tool.cache, own) {
            if cache.raw.get("type").and_then(Value::as_str) == Some("ephemeral") {
                written.insert("cache_control".into(), cache.raw.clone());
            } else {
                losses.unsupported(&cache.at);
            }
        }
        tools.push(Value::Object(written));
    }
    let none = tools.is_empty();
    if !none {
        body.insert("tools".into(), Value::Array(tools));
    }
    if let Some(choice) = choice(request, asked.as_ref(), none, free, losses) {
        body.insert("tool_choice".into(), Value::Object(choice));
    }
}

fn own_tool(tool: &Tool) -> Map<String, Value> {
    let mut written = Map::new();
    match &tool.kind {
        ToolKind::Server { raw, .. } => {
            if let Value::Object(raw) = raw {
                written.extend(raw.clone());
            }
        }
        ToolKind::Function { name, description, parameters, strict } => {
            written.insert("name".into(), name.as_str().into());
            if let Some(description) = description {
                written.insert("description".into(), description.as_str().into());
            }
            if let Some(parameters) = parameters {
                written.insert("input_schema".into(), parameters.clone());
            }
            if let Some(strict) = strict {
                written.insert("strict".into(), (*strict).into());
            }
            if let Some(cache) = &tool.cache {
                written.insert("cache_control".into(), cache.raw.clone());
            }
        }
        ToolKind::Custom { name, .. } => {
            written.insert("name".into(), name.as_str().into());
        }
    }
    written.extend(tool.extra.clone());
    written
}

fn foreign_tool(source: Dialect, tool: &Tool, losses: &mut Losses) -> Option<Map<String, Value>> {
    losses.extra(&tool.at, &tool.extra);
    match &tool.kind {
        ToolKind::Function { name, description, parameters, strict } => {
            let mut written = named(source, tool, name, description.as_deref(), losses);
            let mut schema = object_schema(parameters.as_ref());
            if *strict == Some(true) {
                let at = match source {
                    Dialect::OpenaiChat => tool.at.key("function").key("parameters"),
                    _ => tool.at.key("parameters"),
                };
                format::narrow(&mut schema, &at, losses);
                written.insert("strict".into(), true.into());
            }
            written.insert("input_schema".into(), schema);
            Some(written)
        }
        ToolKind::Custom { name, description, .. } => {
            losses.approximated(&tool.at);
            let mut written = named(source, tool, name, description.as_deref(), losses);
            let input =
                json!({"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]});
            written.insert("input_schema".into(), input);
            Some(written)
        }
        ToolKind::Server { tool: kind, raw } => {
            let written = foreign_server_tool(tool, kind, raw, losses);
            if written.is_none() {
                losses.unsupported(&tool.at);
            }
            written
        }
    }
}

fn named(
    source: Dialect,
    tool: &Tool,
    name: &str,
    description: Option<&str>,
    losses: &mut Losses,
) -> Map<String, Value> {
    let mut written = Map::new();
    let fitted = fitting(name, MAX_NAME);
    if fitted != name {
        let holder = match (source, &tool.kind) {
            (Dialect::OpenaiChat, ToolKind::Custom { .. }) => tool.at.key("custom"),
            (Dialect::OpenaiChat, _) => tool.at.key("function"),
            _ => tool.at.clone(),
        };
        losses.approximated(&holder.key("name"));
    }
    written.insert("name".into(), fitted.into());
    if let Some(description) = description {
        written.insert("description".into(), description.into());
    }
    written
}

/// The provider takes only schemas that say `"type": "object"` at the top.
fn object_schema(parameters: Option<&Value>) -> Value {
    let mut schema = Map::new();
    schema.insert("type".into(), "object".into());
    if let Some(Value::Object(given)) = parameters {
        schema.extend(given.iter().filter(|(key, _)| *key != "type").map(|(k, v)| (k.clone(), v.clone())));
    }
    Value::Object(schema)
}

fn foreign_server_tool(
    tool: &Tool,
    kind: &ServerTool,
    raw: &Value,
    losses: &mut Losses,
) -> Option<Map<String, Value>> {
    let (word, name) = match kind {
        ServerTool::WebSearch => ("web_search_20250305", "web_search"),
        ServerTool::WebFetch => ("web_fetch_20250910", "web_fetch"),
        ServerTool::CodeExecution => ("code_execution_20250825", "code_execution"),
        _ => return None,
    };
    let mut written = Map::new();
    written.insert("type".into(), word.into());
    written.insert("name".into(), name.into());
    let Some(raw) = raw.as_object() else { return Some(written) };
    for (key, value) in raw {
        let at = tool.at.key(key);
        match (key.as_str(), value) {
            (_, Value::Null) | ("type", _) => {}
            // The tool's own word, with its settings in it (Gemini).
            (
                "googleSearch" | "google_search" | "urlContext" | "url_context" | "codeExecution"
                | "code_execution",
                Value::Object(inner),
            ) => losses.extra(&at, inner),
            // OpenAI's own default.
            ("container", Value::Object(container)) if container.get("type").is_some_and(|t| t == "auto") => {
                for key in container.keys().filter(|key| *key != "type") {
                    losses.unsupported(&at.key(key));
                }
            }
            ("max_uses" | "allowed_domains" | "blocked_domains", value)
                if *kind != ServerTool::CodeExecution =>
            {
                written.insert(key.clone(), value.clone());
            }
            ("filters", Value::Object(filters)) if *kind == ServerTool::WebSearch => {
                for (key, value) in filters {
                    match key.as_str() {
                        "allowed_domains" | "blocked_domains" => {
                            written.insert(key.clone(), value.clone());
                        }
                        _ => losses.unsupported(&at.key(key)),
                    }
                }
            }
            ("user_location", Value::Object(place)) if *kind == ServerTool::WebSearch => {
                written.insert("user_location".into(), location(place));
            }
            _ => losses.unsupported(&at),
        }
    }
    // The provider takes one of the two lists.
    if written.contains_key("allowed_domains") && written.remove("blocked_domains").is_some() {
        losses.unsupported(&tool.at.key("filters").key("blocked_domains"));
    }
    Some(written)
}

/// OpenAI's chat puts the place one object deeper than its Responses API and Anthropic do.
fn location(place: &Map<String, Value>) -> Value {
    let inner = place.get("approximate").and_then(Value::as_object).unwrap_or(place);
    let mut written = Map::new();
    written.insert("type".into(), "approximate".into());
    for key in ["city", "region", "country", "timezone"] {
        if let Some(value) = inner.get(key).filter(|value| !value.is_null()) {
            written.insert(key.into(), value.clone());
        }
    }
    Value::Object(written)
}
