//! Writing a Chat Completions request.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{
    At, Extra, Format, Losses, MaxTokensField, Pointer, ReasoningParam, Request, Target,
};
use tollgate_filters::exchange::Dialect;

use super::{thinking, tools, turns};

/// Writes the body that `target` is asked with, and says in `losses` what of the request it leaves behind.
pub fn render(request: &Request, target: &Target, losses: &mut Losses) -> Value {
    let same = request.source == Dialect::OpenaiChat;
    let mut body = Map::new();
    let model = if target.model.is_empty() { request.model.as_deref() } else { Some(target.model.as_str()) };
    body.insert("model".to_owned(), json!(model));
    body.insert("messages".to_owned(), Value::Array(turns::render(request, target, losses)));
    tools::render(request, target, &mut body, losses);
    thinking::render(request, target, &mut body, losses);
    let mut writer = Writer { request, target, same, body, losses };
    writer.sampling();
    writer.about();
    writer.stream();
    if let Some(format) = &request.format {
        writer.format(format);
    }
    let mut body = writer.body;
    if same {
        body.extend(request.extra.clone());
        return restore(Value::Object(body), &request.nested);
    }
    losses.extra(&Pointer::ROOT, &request.extra);
    for nested in &request.nested {
        losses.extra(&nested.at, &nested.value);
    }
    Value::Object(body)
}

/// Puts the members of inner objects back where they stood.
fn restore(mut body: Value, nested: &[At<Extra>]) -> Value {
    for At { value, at } in nested {
        if body.pointer(at.as_str()).is_none()
            && let Some(key) = at.as_str().strip_prefix('/').filter(|key| !key.contains('/'))
        {
            body[key] = json!({});
        }
        if let Some(Value::Object(object)) = body.pointer_mut(at.as_str()) {
            object.extend(value.clone());
        }
    }
    body
}

struct Writer<'a> {
    request: &'a Request,
    target: &'a Target,
    same: bool,
    body: Map<String, Value>,
    losses: &'a mut Losses,
}

impl Writer<'_> {
    /// Writes a member that the target knows if `known`; otherwise reports it. In its own dialect it gets its own name again.
    fn put<T>(&mut self, key: &str, field: Option<&At<T>>, known: bool, value: impl Fn(&T) -> Value) {
        let Some(At { value: inner, at }) = field else { return };
        if self.same {
            let own = at.as_str().trim_start_matches('/');
            self.body.insert(own.to_owned(), value(inner));
        } else if known {
            self.body.insert(key.to_owned(), value(inner));
        } else {
            self.losses.unsupported(at);
        }
    }

    fn groq(&self) -> bool {
        self.target.quirks.reasoning_param == ReasoningParam::Groq
    }

    fn sampling(&mut self) {
        let (request, quirks) = (self.request, self.target.quirks);
        let limit = match quirks.max_tokens {
            MaxTokensField::MaxTokens => "max_tokens",
            MaxTokensField::MaxCompletionTokens => "max_completion_tokens",
        };
        self.put(limit, request.max_tokens.as_ref(), true, |n| json!(n));
        self.put("temperature", request.temperature.as_ref(), true, |n| json!(n));
        self.put("top_p", request.top_p.as_ref(), true, |n| json!(n));
        self.put("top_k", request.top_k.as_ref(), quirks.sampling, |n| json!(n));
        let seed = if quirks.mistral { "random_seed" } else { "seed" };
        self.put(seed, request.seed.as_ref(), true, |n| json!(n));
        self.put("frequency_penalty", request.frequency_penalty.as_ref(), true, |n| json!(n));
        self.put("presence_penalty", request.presence_penalty.as_ref(), true, |n| json!(n));
        self.put("n", request.n.as_ref(), true, |n| json!(n));
        self.stop();
        // Groq refuses them, and Mistral does not know them.
        let known = !quirks.mistral && !self.groq();
        self.put("logprobs", request.logprobs.as_ref(), known, |_| json!(true));
        if let Some(logprobs) = &request.logprobs
            && let Some(top) = logprobs.value.top
            && (self.same || known)
        {
            self.body.insert("top_logprobs".to_owned(), json!(top));
        }
    }

    /// OpenAI and Groq take four at most.
    fn stop(&mut self) {
        let Some(stop) = &self.request.stop else { return };
        let limited = !self.same && (self.target.quirks.openai_params || self.groq());
        if limited && stop.value.len() > 4 {
            self.losses.approximated(&stop.at);
            self.body.insert("stop".to_owned(), json!(stop.value[..4]));
        } else {
            self.body.insert("stop".to_owned(), json!(stop.value));
        }
    }

    fn about(&mut self) {
        let (request, quirks) = (self.request, self.target.quirks);
        let own = quirks.openai_params;
        self.put("verbosity", request.verbosity.as_ref(), own, |v| json!(v));
        self.put("user", request.user.as_ref(), !quirks.mistral, |v| json!(v));
        self.put("safety_identifier", request.safety_identifier.as_ref(), own, |v| json!(v));
        self.put("prompt_cache_key", request.prompt_cache_key.as_ref(), own, |v| json!(v));
        self.put("prompt_cache_retention", request.prompt_cache_retention.as_ref(), own, |v| json!(v));
        self.put("metadata", request.metadata.as_ref(), own, |v| json!(v));
        self.tier();
        // Who keeps nothing does what `store: false` asks.
        if self.same || own || request.store.as_ref().is_some_and(|store| store.value) {
            self.put("store", request.store.as_ref(), own, |v| json!(v));
        }
        let only_text = request.modalities.as_ref().is_some_and(|m| m.value.iter().all(|m| m == "text"));
        if self.same || !only_text {
            // OpenRouter makes pictures, OpenAI speaks.
            let known = quirks.reasoning_param == ReasoningParam::Object || own;
            self.put("modalities", request.modalities.as_ref(), known, |v| json!(v));
        }
        if let Some(previous) = &request.state.previous_response_id {
            self.losses.unsupported(&previous.at);
        }
        // What of it a chat answer carries, it carries unasked.
        let given = ["reasoning.encrypted_content", "message.output_text.logprobs"];
        if let Some(include) = &request.state.include
            && !include.value.iter().all(|word| given.contains(&word.as_str()))
        {
            self.losses.unsupported(&include.at);
        }
    }

    fn tier(&mut self) {
        let Some(tier) = &self.request.service_tier else { return };
        let known = match tier.value.as_str() {
            _ if self.same => true,
            _ if self.target.quirks.mistral => false,
            "default" if self.groq() => {
                self.body.insert("service_tier".to_owned(), json!("on_demand"));
                return;
            }
            word if self.target.quirks.openai_params => {
                matches!(word, "auto" | "default" | "flex" | "scale" | "priority" | "fast")
            }
            word => !self.groq() || matches!(word, "auto" | "flex" | "on_demand" | "performance"),
        };
        // Where there are no tiers to choose from, the provider's own choice is what one gets.
        if !known && tier.value == "auto" {
            return;
        }
        self.put("service_tier", Some(tier), known, |tier| json!(tier));
    }

    fn stream(&mut self) {
        if !self.target.stream {
            return;
        }
        self.body.insert("stream".to_owned(), json!(true));
        let asked = self.request.stream_usage.as_ref().map(|asked| asked.value);
        let ask = self.target.ask_for_usage || asked == Some(true);
        // Mistral says it unasked and knows no such option.
        if ask && (self.same || !self.target.quirks.mistral) {
            self.body.insert("stream_options".to_owned(), json!({ "include_usage": true }));
        } else if self.same && asked.is_some() {
            self.body.insert("stream_options".to_owned(), json!({ "include_usage": asked }));
        }
    }

    fn format(&mut self, format: &At<Format>) {
        let value = match &format.value {
            Format::Text => json!({ "type": "text" }),
            Format::JsonObject => json!({ "type": "json_object" }),
            Format::JsonSchema(schema) => {
                let mut inner = Map::new();
                // A name is required.
                let name = schema.name.as_deref().or((!self.same).then_some("answer"));
                for (key, value) in [
                    ("name", name.map(|v| json!(v))),
                    ("description", schema.description.as_ref().map(|v| json!(v))),
                    ("schema", (!schema.schema.is_null()).then(|| schema.schema.clone())),
                    ("strict", schema.strict.map(|v| json!(v))),
                ] {
                    if let Some(value) = value {
                        inner.insert(key.to_owned(), value);
                    }
                }
                json!({ "type": "json_schema", "json_schema": inner })
            }
            Format::Opaque(value) if self.same => value.clone(),
            Format::Opaque(_) => return self.losses.unsupported(&format.at),
        };
        self.body.insert("response_format".to_owned(), value);
    }
}
