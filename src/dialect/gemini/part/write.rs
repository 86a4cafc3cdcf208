//! Writing parts.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{
    Content, Extra, Losses, Maker, Part, Pointer, Reasoning, Request, ServerTool, ServerUse, Stage, Text,
    Tool, ToolCall, ToolKind, ToolResult, Why,
};
use tollgate_filters::exchange::Dialect;

use super::name::function_name;
use super::{MADE, nameless, pieces};
use crate::dialect::gemini::seal;
use crate::dialect::gemini::spelling::places;

/// Writes the parts of one content.
#[derive(Debug)]
pub struct Writer<'a> {
    pub source: Dialect,
    /// The request that is written, for Gemini to read; `None` where an answer is written for a client.
    pub request: Option<&'a Request>,
    pub losses: &'a mut Losses,
    /// Function responses, which have to come first in their content.
    pub results: Vec<Value>,
    pub parts: Vec<Value>,
    /// A signature for the next part, and where it stood.
    pending: Option<(String, Pointer)>,
}

impl<'a> Writer<'a> {
    pub fn new(source: Dialect, request: Option<&'a Request>, losses: &'a mut Losses) -> Self {
        Self { source, request, losses, results: Vec::new(), parts: Vec::new(), pending: None }
    }

    /// The parts so far. What signs a part that never came is put on an empty text.
    pub fn finish(&mut self) -> Vec<Value> {
        self.flush();
        let mut parts = std::mem::take(&mut self.results);
        parts.append(&mut self.parts);
        parts
    }

    pub(super) fn same(&self) -> bool {
        self.source == Dialect::Gemini
    }

    pub fn part(&mut self, part: &Part) {
        let at = &part.at;
        if !self.same() {
            self.losses.extra(at, &part.extra);
        }
        if let Some(cache) = &part.cache {
            self.losses.unsupported(&cache.at);
        }
        match &part.content {
            Content::Text(text) => self.text(text, part),
            Content::Refusal(text) => {
                self.losses.approximated(at);
                self.put(json!({ "text": text }), part);
            }
            Content::Media(media) => {
                if let Some(value) = self.media(media, part) {
                    self.put(value, part);
                }
            }
            Content::Reasoning(reasoning) => self.reasoning(reasoning, part),
            Content::ToolCall(call) => {
                let value = self.call(call, at);
                self.put(value, part);
            }
            Content::ToolResult(result) => self.result(result, part),
            Content::Server(used) => self.served(used, part),
            Content::Opaque(value) if self.same() => self.put(value.clone(), part),
            Content::Opaque(_) => self.losses.unsupported(at),
        }
    }

    /// Adds a part, with the signature that waits for it.
    fn put(&mut self, mut value: Value, part: &Part) {
        if let Value::Object(object) = &mut value {
            if let Some((_, signed)) = &self.pending
                && self.same()
                && !places(&part.at, "thoughtSignature").contains(signed)
            {
                self.flush();
            }
            if let Some((signature, _)) = self.pending.take() {
                object.insert("thoughtSignature".to_owned(), Value::String(signature));
            }
            if self.same() {
                for at in places(&part.at, "thoughtSignature") {
                    let form = self.request.and_then(|request| request.form(&at)).cloned();
                    object.extend(form.map(|placeholder| ("thoughtSignature".to_owned(), placeholder)));
                }
                merge(object, &part.extra);
            }
        }
        self.parts.push(value);
    }

    fn flush(&mut self) {
        if let Some((signature, _)) = self.pending.take() {
            self.parts.push(json!({ "text": "", "thoughtSignature": signature }));
        }
    }

    fn text(&mut self, text: &Text, part: &Part) {
        if self.request.is_some() {
            for annotation in &text.annotations {
                self.losses.unsupported(&annotation.at);
            }
        }
        // Gemini refuses an empty text where others send one beside tool calls.
        if !self.same() && text.text.is_empty() {
            return;
        }
        for piece in pieces::split(&text.text, part, self.own_request()) {
            self.put(json!({ "text": piece }), part);
        }
    }

    fn reasoning(&mut self, reasoning: &Reasoning, part: &Part) {
        let foreign = reasoning.seal.as_ref().is_some_and(|seal| seal.maker != Maker::Gemini);
        if self.request.is_some() && foreign {
            self.losses.push(&part.at, Why::Foreign);
            return;
        }
        let signature = reasoning.seal.as_ref().map(seal::write);
        if reasoning.thoughts.is_empty() {
            if let Some(signature) = signature {
                self.flush();
                self.pending = Some((signature, part.at.clone()));
            }
            return;
        }
        self.flush();
        // Gemini signs what follows the thoughts, and other dialects know only one place for both.
        let (signature, next) =
            if self.request.is_some() && !self.same() { (None, signature) } else { (signature, None) };
        let own = self.own_request();
        let texts = reasoning.thoughts.iter().flat_map(|thought| pieces::split(&thought.text, part, own));
        let texts: Vec<&str> = texts.collect();
        let last = texts.len() - 1;
        for (i, text) in texts.into_iter().enumerate() {
            let mut object = Map::new();
            let signature = signature.as_ref().filter(|_| i == last);
            if signature.is_none() || !text.is_empty() {
                object.insert("text".to_owned(), json!(text));
            }
            object.insert("thought".to_owned(), Value::Bool(true));
            if let Some(signature) = signature {
                object.insert("thoughtSignature".to_owned(), json!(signature));
            }
            if self.same() {
                merge(&mut object, &part.extra);
            }
            self.parts.push(Value::Object(object));
        }
        self.pending = next.map(|signature| (signature, part.at.clone()));
    }

    fn call(&mut self, call: &ToolCall, at: &Pointer) -> Value {
        let mut object = Map::new();
        if !call.id.is_empty() && !call.id.starts_with(MADE) {
            object.insert("id".to_owned(), json!(call.id));
        }
        object.insert("name".to_owned(), self.name(&call.name, at));
        let at = self.place(at, "functionCall");
        let bare = self.request.is_some_and(|request| request.form(&at.key("args")) == Some(&Value::Null));
        if !(bare && call.arguments == "{}") {
            object.insert("args".to_owned(), self.arguments(call, &at));
        }
        self.restore(&mut object, &at);
        json!({ "functionCall": object })
    }

    /// The name of a function that is called at `at`. What a tool is called is reported at the tool.
    fn name(&mut self, name: &str, at: &Pointer) -> Value {
        let Some(request) = self.request.filter(|_| !self.same()) else { return json!(name) };
        let limited = function_name(name);
        let known = |tool: &Tool| match &tool.kind {
            ToolKind::Function { name: known, .. } | ToolKind::Custom { name: known, .. } => known == name,
            ToolKind::Server { .. } => false,
        };
        if limited != name && !request.tools.iter().any(known) {
            self.losses.approximated(at);
        }
        Value::String(limited)
    }

    fn arguments(&mut self, call: &ToolCall, at: &Pointer) -> Value {
        if call.arguments.trim().is_empty() && !call.custom {
            return json!({});
        }
        match serde_json::from_str::<Value>(&call.arguments) {
            Ok(Value::Object(args)) if !call.custom => Value::Object(args),
            _ => {
                self.losses.approximated(at);
                json!({ "input": call.arguments })
            }
        }
    }

    fn result(&mut self, result: &ToolResult, part: &Part) {
        let name = result.name.as_deref().or_else(|| self.request?.tool_name(&result.call));
        let mut object = Map::new();
        let bare = self.same() && self.request.is_some_and(|r| r.form(&nameless(&part.at)).is_some());
        if !bare && !result.call.is_empty() && !result.call.starts_with(MADE) {
            object.insert("id".to_owned(), json!(result.call));
        }
        object.insert("name".to_owned(), self.name(name.unwrap_or("unknown"), &part.at));
        let at = self.place(&part.at, "functionResponse");
        object.insert("response".to_owned(), self.response(result, &at));
        let mut media = Vec::new();
        let mut beside = Vec::new();
        for inner in &result.parts {
            match &inner.content {
                Content::Text(_) => self.inner_losses(inner),
                Content::Media(content) => {
                    self.inner_losses(inner);
                    let Some(mut value) = self.media(content, inner) else { continue };
                    if let (true, Value::Object(value)) = (self.same(), &mut value) {
                        merge(value, &inner.extra);
                    }
                    if self.same() || value.get("inlineData").is_some() {
                        media.push(value);
                    } else {
                        // A function's response holds bytes; what is elsewhere goes beside it.
                        self.losses.approximated(&inner.at);
                        beside.push(value);
                    }
                }
                Content::Opaque(value) if self.same() => media.push(value.clone()),
                _ => self.losses.unsupported(&inner.at),
            }
        }
        if !media.is_empty() {
            object.insert("parts".to_owned(), Value::Array(media));
        }
        self.restore(&mut object, &at);
        let value = json!({ "functionResponse": object });
        if self.same() {
            self.put(value, part);
        } else {
            self.results.push(value);
            self.parts.append(&mut beside);
        }
    }

    fn inner_losses(&mut self, part: &Part) {
        if !self.same() {
            self.losses.extra(&part.at, &part.extra);
        }
        if let Some(cache) = &part.cache {
            self.losses.unsupported(&cache.at);
        }
    }

    fn response(&mut self, result: &ToolResult, at: &Pointer) -> Value {
        let texts: Vec<&str> = result
            .parts
            .iter()
            .filter_map(|part| match &part.content {
                Content::Text(text) => Some(text.text.as_str()),
                _ => None,
            })
            .collect();
        let text = texts.join("\n");
        if result.is_error {
            return json!({ "error": text });
        }
        if result.object || !self.same() {
            if let Ok(Value::Object(object)) = serde_json::from_str(&text) {
                return Value::Object(object);
            }
        } else if self.request.is_some_and(|r| r.form(&at.key("response")).is_some()) {
            return json!({ "result": text });
        }
        json!({ "output": text })
    }

    fn served(&mut self, used: &ServerUse, part: &Part) {
        if self.same() {
            return self.put(used.raw.clone(), part);
        }
        if used.tool != ServerTool::CodeExecution {
            return self.losses.unsupported(&part.at);
        }
        self.losses.approximated(&part.at);
        let id = used.id.as_ref().map(|id| json!(id));
        if used.stage != Stage::Result {
            let mut code = json!({ "language": "PYTHON", "code": used.input });
            if let Some(id) = &id {
                code["id"] = id.clone();
            }
            self.put(json!({ "executableCode": code }), part);
        }
        if used.stage != Stage::Call {
            let output = used.output.as_deref().unwrap_or_default();
            let mut result = json!({ "outcome": "OUTCOME_OK", "output": output });
            if let Some(id) = id {
                result["id"] = id;
            }
            self.put(json!({ "codeExecutionResult": result }), part);
        }
    }

    /// Where the object `camel` of the part stood, in the spelling that it had.
    pub(super) fn place(&self, at: &Pointer, camel: &str) -> Pointer {
        let [one, other] = places(at, camel);
        if !self.same() {
            return at.clone();
        }
        let known = |at: &Pointer| {
            let inside = |place: &Pointer| {
                place
                    .as_str()
                    .strip_prefix(at.as_str())
                    .is_some_and(|rest| rest.starts_with('/') || rest.is_empty())
            };
            self.request.is_some_and(|r| {
                r.forms.iter().any(|f| inside(&f.at)) || r.nested.iter().any(|n| inside(&n.at))
            })
        };
        if other != one && known(&other) { other } else { one }
    }

    /// A Gemini client's request, which is written as it was.
    fn own_request(&self) -> Option<&'a Request> {
        self.request.filter(|_| self.same())
    }

    /// Puts back what only Gemini knows of the object at `at`.
    pub(super) fn restore(&self, object: &mut Map<String, Value>, at: &Pointer) {
        let request = self.own_request();
        if let Some(extra) = request.and_then(|request| request.nested(at.as_str())) {
            merge(object, extra);
        }
    }
}

/// Adds members; objects on both sides are joined.
pub fn merge(object: &mut Map<String, Value>, extra: &Extra) {
    for (key, value) in extra {
        match (object.get_mut(key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            _ => {
                object.insert(key.clone(), value.clone());
            }
        }
    }
}
