//! Requests and answers, laid out flat.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{
    At, ENVELOPE, Effort, Extra, FinishKind, Format, Pointer, Request, Response, Role, Summary, ThinkingMode,
    Tool, ToolChoice, ToolKind, UsageReport,
};

use super::form::{Facts, Form, Item, beside};
use super::parts::{Calls, lay_out, server_tool};

pub fn request(request: &Request) -> Form {
    let mut facts = Facts::default();
    settings(request, &mut facts);
    thinking(request, &mut facts);
    facts.extra("extra", &Pointer::ROOT, &request.extra);
    for nested in &request.nested {
        facts.extra("nested", &nested.at, &nested.value);
    }
    let (instructions, turns) = messages(request);
    let mut tools: Vec<Item> =
        request.tools.iter().filter(|tool| may_be_called(request, tool)).map(tool).collect();
    // Their order says nothing, and Gemini wants functions together.
    tools.sort_by_key(|item| (item.kind, item.key.to_string()));
    Form { facts, lists: vec![("instructions", instructions), ("turns", turns), ("tools", tools)] }
}

fn settings(request: &Request, facts: &mut Facts) {
    let r = request;
    facts.placed("tool_choice", r.tool_choice.as_ref(), tool_choice);
    facts.placed("parallel_tool_calls", r.parallel_tool_calls.as_ref(), |v| json!(v));
    if let Some(format) = &r.format {
        lay_format(format, facts);
    }
    for (path, number) in [
        ("temperature", &r.temperature),
        ("top_p", &r.top_p),
        ("top_k", &r.top_k),
        ("seed", &r.seed),
        ("frequency_penalty", &r.frequency_penalty),
        ("presence_penalty", &r.presence_penalty),
    ] {
        facts.placed(path, number.as_ref(), |v| json!(v));
    }
    facts.placed("max_tokens", r.max_tokens.as_ref(), |v| json!(v));
    facts.placed("n", r.n.as_ref(), |v| json!(v));
    facts.placed("stop", r.stop.as_ref(), |v| json!(v));
    facts.placed("modalities", r.modalities.as_ref(), |v| json!(v));
    facts.placed("metadata", r.metadata.as_ref(), |v| json!(v));
    // Who keeps nothing need not be told to keep nothing.
    facts.placed("store", r.store.as_ref().filter(|store| store.value), |v| json!(v));
    if let Some(logprobs) = &r.logprobs {
        facts.add("logprobs", &logprobs.at, &[], json!({"top": logprobs.value.top}));
    }
    for (path, text) in [
        ("verbosity", &r.verbosity),
        ("user", &r.user),
        ("safety_identifier", &r.safety_identifier),
        ("prompt_cache_key", &r.prompt_cache_key),
        ("prompt_cache_retention", &r.prompt_cache_retention),
        ("previous_response_id", &r.state.previous_response_id),
    ] {
        facts.placed(path, text.as_ref(), |v| json!(v));
    }
    // `auto` is what no word at all means.
    let tier = r.service_tier.as_ref().filter(|tier| tier.value != "auto");
    facts.placed("service_tier", tier, |tier| json!(plain_tier(tier)));
    facts.placed("include", r.state.include.as_ref(), |v| json!(v));
}

/// Groq has another word for the usual tier.
fn plain_tier(tier: &str) -> &str {
    if tier == "on_demand" { "default" } else { tier }
}

/// A tool that the choice shuts out might as well not be there, and is not where a dialect has no such choice.
fn may_be_called(request: &Request, tool: &Tool) -> bool {
    let choice = request.tool_choice.as_ref().map(|choice| &choice.value);
    match (choice, &tool.kind) {
        (Some(ToolChoice::Allowed { names, .. }), ToolKind::Function { name, .. }) => names.contains(name),
        _ => true,
    }
}

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        // See `may_be_called`.
        ToolChoice::Auto | ToolChoice::Allowed { required: false, .. } => json!("auto"),
        ToolChoice::Required | ToolChoice::Allowed { required: true, .. } => json!("required"),
        ToolChoice::None => json!("none"),
        ToolChoice::Function(name) => json!({"function": name}),
        ToolChoice::Opaque(value) => json!({"opaque": value}),
    }
}

fn lay_format(format: &At<Format>, facts: &mut Facts) {
    let at = &format.at;
    match &format.value {
        Format::Text => facts.add("format", at, &[], "text"),
        Format::JsonObject => facts.add("format", at, &[], "json_object"),
        Format::Opaque(value) => facts.add("format", at, &[], json!({"opaque": value})),
        Format::JsonSchema(schema) => {
            facts.add("format", at, &["schema", "type", "format", "responseSchema"], "json_schema");
            // A schema has a description of its own, which says it as well.
            let mut plain = schema.schema.clone();
            let inner = plain.as_object_mut().and_then(|map| map.shift_remove("description"));
            let description = schema.description.clone().map_or(inner, |text| Some(json!(text)));
            facts.add("format name", at, &["name"], json!(schema.name));
            facts.add("format description", at, &["description"], json!(description));
            const SCHEMA: &[&str] = &["schema", "responseSchema", "response_schema", "responseJsonSchema"];
            facts.add("format schema", at, SCHEMA, plain);
            facts.add("format strict", at, &["strict"], strict(schema.strict));
        }
    }
}

/// What is not strict need not say so.
fn strict(strict: Option<bool>) -> Value {
    if strict == Some(true) { json!(true) } else { Value::Null }
}

fn thinking(request: &Request, facts: &mut Facts) {
    let t = &request.thinking;
    // No effort, no budget and no thinking are the same; an effort or a budget means that there is thinking.
    let no_effort = t.effort.as_ref().filter(|e| e.value == Effort::None).map(|e| &e.at);
    let no_budget = t.budget.as_ref().filter(|b| b.value == 0).map(|b| &b.at);
    let off = t.mode.as_ref().filter(|m| m.value == ThinkingMode::Off).map(|m| &m.at);
    if let Some(at) = off.or(no_effort).or(no_budget) {
        facts.add("thinking mode", at, &[], "off");
        return;
    }
    let measured = t.effort.is_some() || t.budget.is_some();
    facts.placed("thinking mode", t.mode.as_ref().filter(|_| !measured), |mode| match mode {
        ThinkingMode::Off => json!("off"),
        // Without an amount, it is left to the model.
        ThinkingMode::On | ThinkingMode::Adaptive => json!("on"),
    });
    facts.placed("thinking effort", t.effort.as_ref(), |effort| json!(effort.as_str()));
    facts.placed("thinking budget", t.budget.as_ref(), |budget| json!(budget));
    facts.placed("thinking summary", t.summary.as_ref(), |summary| match summary {
        Summary::Hidden => json!("hidden"),
        Summary::Shown => json!("shown"),
        Summary::Detail(word) if word == "auto" => json!("shown"),
        Summary::Detail(word) => json!(word),
    });
}

fn messages(request: &Request) -> (Vec<Item>, Vec<Item>) {
    let (mut instructions, mut turns) = (Vec::new(), Vec::new());
    let mut calls = Calls::default();
    for message in &request.messages {
        let role = match message.role {
            // Two names of the same thing.
            Role::System | Role::Developer => "instruction",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        let leading = turns.is_empty();
        let items = if role == "instruction" { &mut instructions } else { &mut turns };
        let first = items.len();
        for part in &message.parts {
            lay_out(role, part, &mut calls, items);
        }
        let mut facts = Facts::default();
        facts.add("name of the participant", &message.at, &["name"], json!(message.name));
        facts.extra("extra of the message", &message.at, &message.extra);
        if role == "instruction" && !leading {
            facts.add("place among the messages", &message.at, &[], "later");
        }
        match items.get_mut(first) {
            Some(item) => item.facts.append(&mut facts.0),
            None if facts.0.is_empty() => {}
            None => {
                let (role, at) = (role.to_owned(), message.at.clone());
                items.push(Item { role, kind: "empty", key: Value::Null, at, facts: facts.0 });
            }
        }
    }
    (instructions, turns)
}

fn tool(tool: &Tool) -> Item {
    let mut facts = Facts::default();
    let at = &tool.at;
    facts.cache(tool.cache.as_ref());
    facts.extra("extra", at, &tool.extra);
    let (kind, key) = match &tool.kind {
        ToolKind::Function { name, description, parameters, strict: s } => {
            facts.add("tool description", at, &["description"], described(description.as_deref()));
            const SCHEMA: &[&str] =
                &["parameters", "input_schema", "parametersJsonSchema", "parameters_json_schema"];
            facts.add("tool parameters", at, SCHEMA, asked(parameters.as_ref()));
            facts.add("tool strict", at, &["strict"], strict(*s));
            ("function", json!(name))
        }
        ToolKind::Custom { name, description, format } => {
            facts.add("tool description", at, &["description"], described(description.as_deref()));
            facts.add("tool format", at, &["format"], json!(format));
            ("custom", json!(name))
        }
        ToolKind::Server { tool, raw } => {
            let names = ["type", "name"];
            let more = |raw: &Map<String, Value>| raw.keys().any(|key| !names.contains(&key.as_str()));
            if raw.as_object().is_some_and(more) {
                // The word of the tool's version is not what it is asked for.
                let mut members = raw.clone();
                if let Some(members) = members.as_object_mut() {
                    members.retain(|key, _| !names.contains(&key.as_str()));
                }
                facts.own("tool raw", at, members);
            }
            ("server", json!(server_tool(tool)))
        }
    };
    Item { role: "tool".to_owned(), kind, key, at: at.clone(), facts: facts.0 }
}

fn described(text: Option<&str>) -> Value {
    text.filter(|text| !text.is_empty()).map_or(Value::Null, |text| json!(text))
}

/// A tool without parameters is a tool with an empty object of them.
fn asked(schema: Option<&Value>) -> Value {
    let Some(schema) = schema else { return Value::Null };
    let nothing = |key: &str| match schema.get(key) {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(value) => key == "type" && value == "object",
    };
    let plain = schema.as_object().is_some_and(|map| map.keys().all(|key| nothing(key)));
    if plain { Value::Null } else { schema.clone() }
}

pub fn response(response: &Response) -> Form {
    let mut facts = Facts::default();
    facts.add("id", &Pointer::of("/id"), &[], json!(response.id));
    facts.add("model", &Pointer::of("/model"), &[], json!(response.model));
    facts.add("created", &Pointer::of("/created"), &[], json!(response.created));
    facts.placed("service_tier", response.service_tier.as_ref(), |tier| json!(plain_tier(tier)));
    facts.extra("answer", &Pointer::ROOT, &response.extra);
    if let Some(report) = &response.usage {
        usage(report, &mut facts);
    }
    let mut items = Vec::new();
    for choice in &response.choices {
        let mut calls = Calls::exact();
        let role = format!("choice {}", choice.index);
        for part in &choice.parts {
            lay_out(&role, part, &mut calls, &mut items);
        }
        let name = |what: &str| format!("{role} {what}");
        facts.extra(&name("extra"), &choice.at, &choice.extra);
        if let Some(finish) = &choice.finish {
            facts.add(name("finish"), &finish.at, &[], finish_word(finish.kind));
            let stop = &finish.stop_sequence;
            let at = beside(&finish.at, "stop_reason", "stop_sequence");
            facts.add(name("stop sequence"), &at, &[], json!(stop));
        }
        facts.placed(&name("logprobs"), choice.logprobs.as_ref(), Clone::clone);
    }
    Form { facts, lists: vec![("parts", items)] }
}

fn finish_word(kind: FinishKind) -> String {
    format!("{kind:?}")
}

fn usage(report: &UsageReport, facts: &mut Facts) {
    const CACHED: &[&str] = &[
        "cached_tokens",
        "cache_read_input_tokens",
        "cachedContentTokenCount",
        "num_cached_tokens",
        "cacheTokensDetails",
    ];
    const WRITTEN: &[&str] = &["cache_creation_input_tokens", "cache_creation", "cache_write_tokens"];
    const AUDIO: &[&str] =
        &["audio_tokens", "promptTokensDetails", "candidatesTokensDetails", "prompt_audio_seconds"];
    const IMAGE: &[&str] = &["image_tokens", "promptTokensDetails", "candidatesTokensDetails"];
    const REASONING: &[&str] =
        &["reasoning_tokens", "thoughtsTokenCount", "thinking_tokens", "output_tokens_details"];
    let u = &report.usage;
    let counts: [(&str, &'static [&'static str], u64); 11] = [
        ("input", &["prompt_tokens", "input_tokens", "promptTokenCount"], u.input_tokens),
        ("cached input", CACHED, u.cached_input_tokens),
        ("cache write 5m", WRITTEN, u.cache_write_5m_tokens),
        ("cache write 1h", WRITTEN, u.cache_write_1h_tokens),
        ("audio input", AUDIO, u.audio_input_tokens),
        ("image input", IMAGE, u.image_input_tokens),
        ("tool input", &["toolUsePromptTokenCount"], u.tool_input_tokens),
        ("output", &["completion_tokens", "output_tokens", "candidatesTokenCount"], u.output_tokens),
        ("reasoning", REASONING, u.reasoning_tokens),
        ("audio output", AUDIO, u.audio_output_tokens),
        ("image output", IMAGE, u.image_output_tokens),
    ];
    for (name, words, count) in counts {
        if count > 0 {
            facts.add(format!("usage {name}"), &report.at, words, count);
        }
    }
    facts.placed("usage cost", report.cost.as_ref(), |cost| json!(cost.normalize().to_string()));
    usage_extra(&report.at, &report.extra, facts);
}

/// Members without a count, and flags that are down, say nothing, and the typed counts are compared by themselves.
fn usage_extra(at: &Pointer, extra: &Extra, facts: &mut Facts) {
    for (key, value) in extra {
        if *value != json!(0) && *value != json!(false) && !key.starts_with(ENVELOPE) {
            facts.own(format!("usage extra.{key}"), &at.key(key), value.clone());
        }
    }
}
