//! Writing tools and the choice among them.

use std::borrow::Cow;

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{
    At, Extra, Losses, ReasoningField, Request, ServerTool, Target, Tool, ToolChoice, ToolKind,
};
use tollgate_filters::exchange::Dialect;

use super::SEARCH;
use crate::dialect::names::fitting;

/// Writes `tools`, `tool_choice` and what goes with them.
pub(in crate::dialect::openai_chat::request) fn render(
    request: &Request,
    target: &Target,
    body: &mut Map<String, Value>,
    losses: &mut Losses,
) {
    let same = request.source == Dialect::OpenaiChat;
    let mut writer = Writer { request, target, same, losses, tools: Vec::new(), functions: Vec::new() };
    for tool in &request.tools {
        writer.tool(tool, body);
    }
    let choice = request.tool_choice.as_ref().and_then(|choice| writer.choice(choice));
    let Writer { tools, functions, .. } = writer;
    let any = !tools.is_empty() || !functions.is_empty();
    for (key, list) in [("tools", tools), ("functions", functions)] {
        if !list.is_empty() {
            body.insert(key.to_owned(), Value::Array(list));
        }
    }
    if let (Some(choice), Some(asked)) = (choice, &request.tool_choice) {
        let legacy = same && asked.at.as_str() == "/function_call";
        // Without tools there is nothing to choose, and providers refuse a choice.
        if same || any {
            body.insert(if legacy { "function_call" } else { "tool_choice" }.to_owned(), choice);
        } else if !matches!(asked.value, ToolChoice::Auto | ToolChoice::None) {
            losses.unsupported(&asked.at);
        }
    }
    if let Some(parallel) = &request.parallel_tool_calls
        && (same || any)
    {
        body.insert("parallel_tool_calls".to_owned(), json!(parallel.value));
    }
}

/// A name that the target takes; `OpenRouter` hands on longer ones.
pub(in crate::dialect::openai_chat::request) fn fitted<'n>(name: &'n str, target: &Target) -> Cow<'n, str> {
    fitting(name, if target.quirks.reasoning == ReasoningField::Details { 128 } else { 64 })
}

struct Writer<'a> {
    request: &'a Request,
    target: &'a Target,
    same: bool,
    losses: &'a mut Losses,
    tools: Vec<Value>,
    functions: Vec<Value>,
}

impl Writer<'_> {
    fn tool(&mut self, tool: &Tool, body: &mut Map<String, Value>) {
        let mut value = match &tool.kind {
            ToolKind::Function { name, description, parameters, strict } => {
                let mut function = json!({ "name": self.name(tool, name) });
                for (key, member) in [
                    ("description", description.as_ref().map(|d| json!(d))),
                    ("parameters", parameters.clone()),
                    ("strict", strict.map(|s| json!(s))),
                ] {
                    if let Some(member) = member {
                        function[key] = member;
                    }
                }
                if self.same && tool.at.as_str().starts_with("/functions/") {
                    self.functions.push(with_extra(function, &tool.extra));
                    return;
                }
                json!({ "type": "function", "function": function })
            }
            ToolKind::Custom { name, description, format } => {
                if !self.same && !self.target.quirks.openai_params {
                    return self.losses.unsupported(&tool.at);
                }
                let mut custom = json!({ "name": self.name(tool, name) });
                if let Some(description) = description {
                    custom["description"] = json!(description);
                }
                if let Some(format) = format {
                    custom["format"] = self.grammar(format);
                }
                json!({ "type": "custom", "custom": custom })
            }
            ToolKind::Server { tool: kind, raw } => return self.server(tool, kind, raw, body),
        };
        if self.same {
            value = with_extra(value, &tool.extra);
        } else {
            self.losses.extra(&tool.at, &tool.extra);
        }
        if let Some(cache) = &tool.cache {
            if self.same || self.target.quirks.cache_control {
                value["cache_control"] = cache.raw.clone();
            } else {
                self.losses.unsupported(&cache.at);
            }
        }
        self.tools.push(value);
    }

    /// A name that the target takes.
    fn name(&mut self, tool: &Tool, name: &str) -> String {
        if self.same {
            return name.to_owned();
        }
        let fitted = fitted(name, self.target);
        if fitted != name {
            self.losses.approximated(&tool.at.key("name"));
        }
        fitted.into_owned()
    }

    /// Responses writes a grammar's members directly into `format`, chat into an object of their own.
    fn grammar(&self, format: &Value) -> Value {
        let kind = format.get("type").and_then(Value::as_str);
        if self.same || kind != Some("grammar") || format.get("grammar").is_some() {
            return format.clone();
        }
        json!({
            "type": "grammar",
            "grammar": { "syntax": format.get("syntax"), "definition": format.get("definition") },
        })
    }

    fn server(&mut self, tool: &Tool, kind: &ServerTool, raw: &Value, body: &mut Map<String, Value>) {
        if self.same {
            if tool.at.as_str() == SEARCH {
                body.insert("web_search_options".to_owned(), raw.clone());
            } else {
                self.tools.push(raw.clone());
            }
            return;
        }
        // OpenAI searches with its search models only; OpenRouter with any.
        let quirks = &self.target.quirks;
        let searches = quirks.reasoning == ReasoningField::Details
            || quirks.openai_params && self.target.model.contains("search");
        if *kind != ServerTool::WebSearch || !searches {
            return self.losses.unsupported(&tool.at);
        }
        let mut options = Map::new();
        for (key, value) in raw.as_object().into_iter().flatten() {
            match key.as_str() {
                "type" | "name" => {}
                "search_context_size" => {
                    options.insert(key.clone(), value.clone());
                }
                "user_location" if value.is_object() => {
                    let mut place = value.clone();
                    if let Some(place) = place.as_object_mut() {
                        place.retain(|key, value| key != "type" && !value.is_null());
                    }
                    options.insert(key.clone(), json!({ "type": "approximate", "approximate": place }));
                }
                _ if value.is_null() => {}
                _ => self.losses.unsupported(&tool.at.key(key)),
            }
        }
        self.losses.extra(&tool.at, &tool.extra);
        body.insert("web_search_options".to_owned(), Value::Object(options));
    }

    fn choice(&mut self, choice: &At<ToolChoice>) -> Option<Value> {
        Some(match &choice.value {
            ToolChoice::Auto => json!("auto"),
            ToolChoice::None => json!("none"),
            ToolChoice::Required if self.target.quirks.mistral => json!("any"),
            ToolChoice::Required => json!("required"),
            ToolChoice::Function(name) if self.same && choice.at.as_str() == "/function_call" => {
                json!({ "name": name })
            }
            ToolChoice::Function(name) => self.named(name),
            ToolChoice::Allowed { required, names } if self.same || self.target.quirks.openai_params => {
                let tools: Vec<Value> = names.iter().map(|name| self.named(name)).collect();
                let mode = if *required { "required" } else { "auto" };
                json!({ "type": "allowed_tools", "allowed_tools": { "mode": mode, "tools": tools } })
            }
            ToolChoice::Allowed { required: true, names } if names.len() == 1 => self.named(&names[0]),
            ToolChoice::Allowed { required, names } => {
                // The others are left out, which comes to the same. Tools of the provider's are neither.
                let known = |name: &String| {
                    self.request
                        .tools
                        .iter()
                        .any(|tool| matches!(&tool.kind, ToolKind::Function { name: own, .. } if own == name))
                };
                if !names.iter().all(known) {
                    self.losses.approximated(&choice.at);
                }
                self.tools.retain(|tool| {
                    let name = tool.pointer("/function/name").and_then(Value::as_str);
                    name.is_some_and(|name| names.iter().any(|allowed| fitted(allowed, self.target) == name))
                });
                match (required, self.target.quirks.mistral) {
                    (false, _) => json!("auto"),
                    (true, true) => json!("any"),
                    (true, false) => json!("required"),
                }
            }
            ToolChoice::Opaque(value) if self.same => value.clone(),
            ToolChoice::Opaque(_) => {
                self.losses.unsupported(&choice.at);
                return None;
            }
        })
    }

    fn named(&self, name: &str) -> Value {
        let custom = self
            .request
            .tools
            .iter()
            .any(|tool| matches!(&tool.kind, ToolKind::Custom { name: own, .. } if own == name));
        let kind = if custom { "custom" } else { "function" };
        let name = if self.same { Cow::Borrowed(name) } else { fitted(name, self.target) };
        json!({ "type": kind, kind: { "name": name } })
    }
}

fn with_extra(mut value: Value, extra: &Extra) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.extend(extra.clone());
    }
    value
}
