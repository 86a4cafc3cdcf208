//! Requests, written.

use serde_json::{Map, Number, Value, json};
use tollgate_filters::chat::{
    At, Effort, Format, Losses, Pointer, Request, Summary, Target, ThinkingMode, ThinkingStyle, ToolChoice,
    Why,
};
use tollgate_filters::exchange::Dialect;

use super::parse::{ENCRYPTED, LOGPROBS};
use super::{output, tools};
use crate::dialect::openai_responses::item::{envelope, restore};
use crate::dialect::openai_responses::tier;

/// The API refuses a lower limit.
const MIN_OUTPUT_TOKENS: u64 = 16;

/// Writes the body that `target` is asked with, and says in `losses` what of the request it leaves behind.
pub fn render(request: &Request, target: &Target, losses: &mut Losses) -> Value {
    let own = request.source == Dialect::OpenaiResponses;
    let mut body = Map::new();
    let model = if target.model.is_empty() {
        request.model.clone().unwrap_or_default()
    } else {
        target.model.clone()
    };
    body.insert("model".to_owned(), model.into());
    output::write(request, &mut body, losses);
    let tools = request.tools.iter().filter(|tool| !(own && tools::is_brought(tool)));
    let list: Vec<Value> = tools.filter_map(|tool| tools::write(tool, own, losses)).collect();
    if !list.is_empty() {
        body.insert("tools".to_owned(), list.into());
    }
    if (own || body.contains_key("tools"))
        && let Some(choice) = tools::write_choice(request, losses)
    {
        body.insert("tool_choice".to_owned(), choice);
    } else if let Some(choice) = &request.tool_choice
        && !matches!(choice.value, ToolChoice::Auto | ToolChoice::None)
        && !body.contains_key("tools")
    {
        losses.unsupported(&choice.at);
    }
    let thinks = reasoning(request, target, &mut body, losses);
    text(request, own, &mut body, losses);
    parameters(request, &mut body, losses);
    state(request, target, own, thinks, &mut body, losses);
    unsupported(request, losses);
    let kept = |key: &str| envelope(&request.extra).is_some_and(|kept| kept.contains_key(key));
    if own {
        restore(&mut body, &request.extra);
    } else {
        losses.extra(&Pointer::ROOT, &request.extra);
        for nested in &request.nested {
            losses.extra(&nested.at, &nested.value);
        }
    }
    if target.stream || (own && kept("stream")) {
        body.insert("stream".to_owned(), target.stream.into());
    }
    Value::Object(body)
}

fn put<T: Clone + Into<Value>>(body: &mut Map<String, Value>, key: &str, value: Option<&At<T>>) {
    if let Some(value) = value {
        body.insert(key.to_owned(), value.value.clone().into());
    }
}

fn parameters(request: &Request, body: &mut Map<String, Value>, losses: &mut Losses) {
    put(body, "parallel_tool_calls", request.parallel_tool_calls.as_ref());
    if let Some(limit) = &request.max_tokens {
        if limit.value < MIN_OUTPUT_TOKENS && request.source != Dialect::OpenaiResponses {
            losses.approximated(&limit.at);
            body.insert("max_output_tokens".to_owned(), MIN_OUTPUT_TOKENS.into());
        } else {
            body.insert("max_output_tokens".to_owned(), limit.value.into());
        }
    }
    let number = |number: &Option<At<Number>>| {
        number.as_ref().map(|n| At::new(Value::Number(n.value.clone()), n.at.clone()))
    };
    put(body, "temperature", number(&request.temperature).as_ref());
    put(body, "top_p", number(&request.top_p).as_ref());
    put(body, "user", request.user.as_ref());
    put(body, "safety_identifier", request.safety_identifier.as_ref());
    put(body, "metadata", request.metadata.as_ref());
    put(body, "prompt_cache_key", request.prompt_cache_key.as_ref());
    put(body, "prompt_cache_retention", request.prompt_cache_retention.as_ref());
    let own = request.source == Dialect::OpenaiResponses;
    if let Some(tier) = request.service_tier.as_ref().and_then(|tier| tier::word(tier, own, losses)) {
        body.insert("service_tier".to_owned(), tier.into());
    }
    if let Some(top) = request.logprobs.as_ref().and_then(|logprobs| logprobs.value.top) {
        body.insert("top_logprobs".to_owned(), top.into());
    }
}

/// Writes `reasoning`. Gives whether the model is asked to think.
fn reasoning(request: &Request, target: &Target, body: &mut Map<String, Value>, losses: &mut Losses) -> bool {
    let thinking = &request.thinking;
    let own = request.source == Dialect::OpenaiResponses;
    let mut object = Map::new();
    if target.rules.thinking == ThinkingStyle::None && !own {
        let places = [
            thinking.mode.as_ref().map(|x| &x.at),
            thinking.effort.as_ref().map(|x| &x.at),
            thinking.budget.as_ref().map(|x| &x.at),
            thinking.summary.as_ref().map(|x| &x.at),
        ];
        places.into_iter().flatten().for_each(|at| losses.push(at, Why::Model));
        return false;
    }
    let off = thinking.mode.as_ref().is_some_and(|mode| mode.value == ThinkingMode::Off);
    let effort = effort(request, off, losses);
    let on = effort.as_ref().is_some_and(|effort| *effort != Effort::None)
        || thinking.mode.as_ref().is_some_and(|mode| mode.value != ThinkingMode::Off);
    if let Some(effort) = &effort {
        object.insert("effort".to_owned(), effort.as_str().into());
    }
    let summary = match thinking.summary.as_ref().map(|summary| &summary.value) {
        Some(Summary::Detail(word)) => Some(word.as_str()),
        Some(Summary::Shown) if !off => Some("auto"),
        // Claude shows its thoughts unless told otherwise.
        None if on && request.source == Dialect::Anthropic => Some("auto"),
        _ => None,
    };
    if let Some(summary) = summary {
        object.insert("summary".to_owned(), summary.into());
    }
    if own && let Some(extra) = request.nested("/reasoning") {
        object.extend(extra.clone());
    }
    if !object.is_empty() {
        body.insert("reasoning".to_owned(), Value::Object(object));
    }
    on || target.rules.thinking == ThinkingStyle::Effort
}

fn effort(request: &Request, off: bool, losses: &mut Losses) -> Option<Effort> {
    let thinking = &request.thinking;
    if off {
        if let Some(effort) = thinking.effort.as_ref().filter(|effort| effort.value != Effort::None) {
            losses.approximated(&effort.at);
        }
        return Some(Effort::None);
    }
    if let Some(effort) = &thinking.effort {
        if let Some(budget) = &thinking.budget {
            losses.approximated(&budget.at);
        }
        if let (Effort::Other(_), false) = (&effort.value, request.source == Dialect::OpenaiResponses) {
            losses.unsupported(&effort.at);
            return None;
        }
        return Some(effort.value.clone());
    }
    if let Some(budget) = &thinking.budget {
        losses.approximated(&budget.at);
        return Some(Effort::of_budget(budget.value));
    }
    if let Some(mode) = &thinking.mode {
        losses.approximated(&mode.at);
    }
    None
}

fn text(request: &Request, own: bool, body: &mut Map<String, Value>, losses: &mut Losses) {
    let mut object = Map::new();
    if let Some(format) = &request.format
        && let Some(mut written) = format_object(&format.value, own)
    {
        if own && let Some(extra) = request.nested("/text/format") {
            written.extend(extra.clone());
        }
        object.insert("format".to_owned(), Value::Object(written));
    } else if let Some(format) = &request.format {
        losses.unsupported(&format.at);
    }
    put(&mut object, "verbosity", request.verbosity.as_ref());
    if own && let Some(extra) = request.nested("/text") {
        object.extend(extra.clone());
    }
    if !object.is_empty() {
        body.insert("text".to_owned(), Value::Object(object));
    }
}

fn format_object(format: &Format, own: bool) -> Option<Map<String, Value>> {
    let object = match format {
        Format::Text => json!({"type": "text"}),
        Format::JsonObject => json!({"type": "json_object"}),
        Format::JsonSchema(schema) => {
            // Elsewhere a format may have no schema; here any document holds to an empty one.
            let any = || json!({});
            let written = if schema.schema.is_null() { any() } else { schema.schema.clone() };
            let mut object = json!({"type": "json_schema", "schema": written});
            match &schema.name {
                Some(name) => object["name"] = name.clone().into(),
                None if !own => object["name"] = "response".into(),
                None => {}
            }
            if let Some(description) = &schema.description {
                object["description"] = description.clone().into();
            }
            if let Some(strict) = schema.strict.or((!own).then_some(false)) {
                object["strict"] = strict.into();
            }
            object
        }
        Format::Opaque(raw) if own => raw.clone(),
        Format::Opaque(_) => return None,
    };
    if let Value::Object(object) = object { Some(object) } else { None }
}

/// What the provider keeps, and what has to come back because it keeps nothing.
fn state(
    request: &Request,
    target: &Target,
    own: bool,
    thinks: bool,
    body: &mut Map<String, Value>,
    losses: &mut Losses,
) {
    match &request.store {
        Some(store) if !target.quirks.stateless_responses => {
            body.insert("store".to_owned(), store.value.into());
        }
        None if own && !target.quirks.stateless_responses => {}
        _ => {
            body.insert("store".to_owned(), false.into());
        }
    }
    if let Some(previous) = &request.state.previous_response_id {
        if target.quirks.stateless_responses {
            losses.unsupported(&previous.at);
        } else {
            body.insert("previous_response_id".to_owned(), previous.value.clone().into());
        }
    }
    if let Some(include) = &request.state.include {
        body.insert("include".to_owned(), include.value.clone().into());
    } else if !own {
        let mut include = Vec::new();
        if thinks {
            include.push(ENCRYPTED);
        }
        if request.logprobs.is_some() {
            include.push(LOGPROBS);
        }
        if !include.is_empty() {
            body.insert("include".to_owned(), include.into());
        }
    }
}

/// Parameters that this API does not have.
fn unsupported(request: &Request, losses: &mut Losses) {
    // A penalty of 0 is none.
    let says = |penalty: &At<Number>| penalty.value.as_f64() != Some(0.0);
    let places = [
        request.top_k.as_ref().map(|x| &x.at),
        request.stop.as_ref().filter(|stop| !stop.value.is_empty()).map(|x| &x.at),
        request.seed.as_ref().map(|x| &x.at),
        request.frequency_penalty.as_ref().filter(|x| says(x)).map(|x| &x.at),
        request.presence_penalty.as_ref().filter(|x| says(x)).map(|x| &x.at),
        request.n.as_ref().filter(|n| n.value != 1).map(|x| &x.at),
    ];
    places.into_iter().flatten().for_each(|at| losses.unsupported(at));
    if let Some(modalities) = &request.modalities
        && modalities.value.iter().any(|word| word != "text")
    {
        losses.unsupported(&modalities.at);
    }
}
