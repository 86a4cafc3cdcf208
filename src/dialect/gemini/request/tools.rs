//! Tools, and how the model is to choose among them.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{At, Losses, Pointer, Request, ServerTool, Tool, ToolChoice, ToolKind};
use tollgate_filters::error::Error;
use tollgate_filters::exchange::Dialect;

use crate::dialect::fields::{Fields, missing};
use crate::dialect::gemini::part::name::function_name;
use crate::dialect::gemini::part::server_tool;
use crate::dialect::gemini::part::write::merge;
use crate::dialect::gemini::schema;
use crate::dialect::gemini::spelling::{camel, last, member, places, spelled};

/// Gemini 3 takes functions and its own tools together only with this member of `toolConfig`.
const BOTH: &str = "includeServerSideToolInvocations";

pub fn parse(fields: &mut Fields, request: &mut Request) -> Result<(), Error> {
    match fields.take("tools") {
        Some(Value::Array(list)) => {
            for (i, tool) in list.into_iter().enumerate() {
                parse_tool(Fields::new(tool, fields.at("tools").index(i))?, request)?;
            }
        }
        Some(tool) => parse_tool(Fields::new(tool, fields.at("tools"))?, request)?,
        None => {}
    }
    let key = spelled(fields, "toolConfig").into_owned();
    let Some(mut config) = fields.object(&key)? else { return Ok(()) };
    let key = spelled(&config, "functionCallingConfig").into_owned();
    if let Some(calling) = config.object(&key)? {
        let value = Value::Object(calling.entries());
        let at = config.at(&key);
        if let Some(choice) = parse_choice(&value) {
            request.tool_choice = Some(At::new(choice, at.clone()));
        }
        request.forms.push(At::new(value, at));
    }
    let at = config.here().clone();
    let key = spelled(&config, BOTH).into_owned();
    let functions = |tool: &Tool| matches!(tool.kind, ToolKind::Function { .. });
    let both = request.tools.iter().any(functions) && !request.tools.iter().all(functions);
    if both && config.peek(&key) == Some(&Value::Bool(true)) {
        // It follows from the tools.
        request.forms.extend(config.take(&key).map(|flag| At::new(flag, config.at(&key))));
    }
    let rest = config.rest();
    if !rest.is_empty() {
        request.nested.push(At::new(rest, at));
    }
    Ok(())
}

/// One tool object holds any number of functions and of Google's own tools.
fn parse_tool(mut tool: Fields, request: &mut Request) -> Result<(), Error> {
    let key = spelled(&tool, "functionDeclarations").into_owned();
    match tool.take(&key) {
        Some(Value::Array(list)) => {
            for (i, function) in list.into_iter().enumerate() {
                parse_function(Fields::new(function, tool.at(&key).index(i))?, request)?;
            }
        }
        Some(function) => parse_function(Fields::new(function, tool.at(&key))?, request)?,
        None => {}
    }
    let at = tool.here().clone();
    for (name, raw) in tool.entries() {
        let kind = ToolKind::Server { tool: server_tool(&camel(&name)), raw };
        request.tools.push(Tool { kind, at: at.key(&name), cache: None, extra: Map::new() });
    }
    Ok(())
}

fn parse_function(mut function: Fields, request: &mut Request) -> Result<(), Error> {
    let name = function.string("name")?.ok_or_else(|| missing(&function.at("name")))?;
    let description = function.string("description")?;
    let key = spelled(&function, "parametersJsonSchema").into_owned();
    let parameters = match function.take(&key) {
        Some(schema) => Some(schema),
        None => function.take("parameters").map(|original| {
            let schema = schema::from_gemini(&original);
            request.forms.push(At::new(original, function.at("parameters")));
            schema
        }),
    };
    let at = function.here().clone();
    let kind = ToolKind::Function { name, description, parameters, strict: None };
    request.tools.push(Tool { kind, at, cache: None, extra: function.rest() });
    Ok(())
}

fn parse_choice(config: &Value) -> Option<ToolChoice> {
    let config = config.as_object()?;
    let mode = config.get("mode").and_then(Value::as_str).map(str::to_ascii_uppercase);
    let names = match member(config, "allowedFunctionNames") {
        Some(Value::Array(list)) => list.iter().filter_map(|n| n.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    };
    Some(match (mode.as_deref(), names.len()) {
        (None, 0) if config.is_empty() => return None,
        (Some("AUTO"), 0) => ToolChoice::Auto,
        (Some("NONE"), _) => ToolChoice::None,
        (Some("ANY"), 0) => ToolChoice::Required,
        (Some("ANY"), 1) => ToolChoice::Function(names.into_iter().next()?),
        (Some("ANY"), _) => ToolChoice::Allowed { required: true, names },
        (Some("AUTO" | "VALIDATED"), 1..) => ToolChoice::Allowed { required: false, names },
        _ => ToolChoice::Opaque(Value::Object(config.clone())),
    })
}

/// Writes `tools` and `toolConfig`.
pub fn render(request: &Request, body: &mut Map<String, Value>, losses: &mut Losses) {
    let tools =
        if request.source == Dialect::Gemini { grouped(request) } else { translated(request, losses) };
    let functions = tools.iter().any(|tool| tool.get("functionDeclarations").is_some());
    let own = tools
        .iter()
        .any(|tool| tool.as_object().is_some_and(|t| t.keys().any(|k| k != "functionDeclarations")));
    if !tools.is_empty() {
        body.insert("tools".to_owned(), Value::Array(tools));
    }
    let mut config = Map::new();
    if let Some(choice) = &request.tool_choice {
        let names = functions || request.source == Dialect::Gemini;
        if let Some(calling) = render_choice(request, choice, names, losses) {
            config.insert("functionCallingConfig".to_owned(), calling);
        }
    }
    if request.source == Dialect::Gemini {
        for name in ["toolConfig", "tool_config"] {
            if let Some(extra) = request.nested(Pointer::ROOT.key(name).as_str()) {
                merge(&mut config, extra);
            }
            for at in places(&Pointer::ROOT.key(name), BOTH) {
                config.extend(request.form(&at).map(|flag| (BOTH.to_owned(), flag.clone())));
            }
        }
    } else if functions && own {
        config.insert(BOTH.to_owned(), Value::Bool(true));
    }
    if !config.is_empty() {
        body.insert("toolConfig".to_owned(), Value::Object(config));
    }
}

/// Gemini's own tools as they were: which object each stood in, its place tells.
fn grouped(request: &Request) -> Vec<Value> {
    let mut groups: Vec<(&str, Map<String, Value>)> = Vec::new();
    for tool in &request.tools {
        let at = tool.at.as_str();
        let (group, key, value) = if let ToolKind::Server { raw, .. } = &tool.kind {
            let name = last(&tool.at).replace("~1", "/").replace("~0", "~");
            (at.rsplit_once('/').map_or(at, |(group, _)| group), name, raw.clone())
        } else {
            let group = at.split("/functionDeclarations").next().unwrap_or(at);
            let group = group.split("/function_declarations").next().unwrap_or(group);
            (group, "functionDeclarations".to_owned(), function(request, tool))
        };
        if groups.last().is_none_or(|(last, _)| *last != group) {
            groups.push((group, Map::new()));
        }
        let Some((_, map)) = groups.last_mut() else { continue };
        if key == "functionDeclarations" {
            match map.entry(key).or_insert_with(|| json!([])) {
                Value::Array(list) => list.push(value),
                other => *other = value,
            }
        } else {
            map.insert(key, value);
        }
    }
    groups.into_iter().map(|(_, map)| Value::Object(map)).collect()
}

fn function(request: &Request, tool: &Tool) -> Value {
    let ToolKind::Function { name, description, parameters, .. } = &tool.kind else { return Value::Null };
    let mut out = Map::new();
    out.insert("name".to_owned(), json!(name));
    if let Some(description) = description {
        out.insert("description".to_owned(), json!(description));
    }
    if let Some(parameters) = parameters {
        match request.form(&tool.at.key("parameters")) {
            Some(original) if schema::from_gemini(original) == *parameters => {
                out.insert("parameters".to_owned(), original.clone());
            }
            _ => {
                out.insert("parametersJsonSchema".to_owned(), parameters.clone());
            }
        }
    }
    merge(&mut out, &tool.extra);
    Value::Object(out)
}

fn translated(request: &Request, losses: &mut Losses) -> Vec<Value> {
    let mut functions = Vec::new();
    let mut own = Vec::new();
    for tool in &request.tools {
        losses.extra(&tool.at, &tool.extra);
        if let Some(cache) = &tool.cache {
            losses.unsupported(&cache.at);
        }
        match &tool.kind {
            ToolKind::Function { name, description, parameters, strict } => {
                let at = inner(request.source, &tool.at);
                if *strict == Some(true) && may_be_called(request, name) {
                    losses.unsupported(&at.key("strict"));
                }
                let name = limited_name(name, &at, losses);
                let mut out = json!({ "name": name });
                if let Some(description) = description {
                    out["description"] = json!(description);
                }
                if let Some(parameters) = parameters {
                    let word = match request.source {
                        Dialect::Anthropic => "input_schema",
                        _ => "parameters",
                    };
                    out["parametersJsonSchema"] = schema::limited(parameters, &at.key(word), losses);
                }
                functions.push(out);
            }
            ToolKind::Custom { name, description, .. } => {
                losses.approximated(&tool.at);
                let mut out = json!({ "name": limited_name(name, &tool.at, losses) });
                if let Some(description) = description {
                    out["description"] = json!(description);
                }
                out["parametersJsonSchema"] = json!({
                    "type": "object", "properties": { "input": { "type": "string" } }, "required": ["input"],
                });
                functions.push(out);
            }
            ToolKind::Server { tool: kind, raw } => own.extend(server(kind, raw, &tool.at, losses)),
        }
    }
    if !functions.is_empty() {
        own.insert(0, json!({ "functionDeclarations": functions }));
    }
    own
}

/// What the choice shuts out is not there for the model.
fn may_be_called(request: &Request, name: &String) -> bool {
    match request.tool_choice.as_ref().map(|choice| &choice.value) {
        Some(ToolChoice::Allowed { names, .. }) => names.contains(name),
        _ => true,
    }
}

fn limited_name(name: &str, at: &Pointer, losses: &mut Losses) -> String {
    let limited = function_name(name);
    if limited != name {
        losses.approximated(&at.key("name"));
    }
    limited
}

/// The object that holds a function's members: chat keeps them one level deeper.
fn inner(source: Dialect, at: &Pointer) -> Pointer {
    match source {
        Dialect::OpenaiChat if last(at) != "function" => at.key("function"),
        _ => at.clone(),
    }
}

fn server(kind: &ServerTool, raw: &Value, at: &Pointer, losses: &mut Losses) -> Option<Value> {
    let word = match kind {
        ServerTool::WebSearch => "googleSearch",
        ServerTool::WebFetch => "urlContext",
        ServerTool::CodeExecution => "codeExecution",
        _ => {
            losses.unsupported(at);
            return None;
        }
    };
    for (name, value) in raw.as_object().into_iter().flatten() {
        let usual = name == "container" && *value == json!({"type": "auto"});
        if !matches!(name.as_str(), "type" | "name") && !value.is_null() && !usual {
            losses.unsupported(&at.key(name));
        }
    }
    Some(json!({ word: {} }))
}

fn render_choice(
    request: &Request,
    choice: &At<ToolChoice>,
    functions: bool,
    losses: &mut Losses,
) -> Option<Value> {
    if let Some(original) = request.form(&choice.at)
        && parse_choice(original).as_ref() == Some(&choice.value)
    {
        return Some(original.clone());
    }
    if !functions {
        // Google refuses a choice where there is nothing to choose among.
        if !matches!(choice.value, ToolChoice::Auto | ToolChoice::None) {
            losses.unsupported(&choice.at);
        }
        return None;
    }
    let names = |names: &[String]| names.iter().map(|name| function_name(name)).collect::<Vec<_>>();
    Some(match &choice.value {
        ToolChoice::Auto => json!({ "mode": "AUTO" }),
        ToolChoice::None => json!({ "mode": "NONE" }),
        ToolChoice::Required => json!({ "mode": "ANY" }),
        ToolChoice::Function(name) => {
            json!({ "mode": "ANY", "allowedFunctionNames": [function_name(name)] })
        }
        ToolChoice::Allowed { required: true, names: list } => {
            json!({ "mode": "ANY", "allowedFunctionNames": names(list) })
        }
        // With `AUTO` names are not allowed; `VALIDATED` is free to answer in words as well.
        ToolChoice::Allowed { required: false, names: list } => {
            json!({ "mode": "VALIDATED", "allowedFunctionNames": names(list) })
        }
        ToolChoice::Opaque(value) if request.source == Dialect::Gemini => value.clone(),
        ToolChoice::Opaque(_) => {
            losses.unsupported(&choice.at);
            return None;
        }
    })
}
