//! Messages requests, written from the neutral conversation.

use serde_json::{Map, Number, Value};
use tollgate_filters::chat::{At, Losses, Pointer, Request, Target, Why};
use tollgate_filters::exchange::Dialect;

use super::thinking::Plan;
use super::{format, tools, turns};

/// Writes the body that `target` is asked with, and says in `losses` what of the request it leaves behind.
pub fn render(request: &Request, target: &Target, losses: &mut Losses) -> Value {
    let own = request.source == Dialect::Anthropic;
    let plan = Plan::of(request, target, losses);
    let mut body = Map::new();
    body.insert("model".into(), target.model.as_str().into());
    body.insert("max_tokens".into(), plan.max_tokens.into());
    turns::write(request, &mut body, losses);
    tools::write(request, plan.forbids_force(), &mut body, losses);
    let mut config = Map::new();
    plan.write(request, &mut body, &mut config, losses);
    format::write(request, &mut body, &mut config, losses);
    sampling(request, plan.thinks(), &mut body, losses);
    stop(request, &mut body, losses);
    user(request, &mut body, losses);
    tier(request, &mut body, losses);
    if own {
        config.extend(request.nested("/output_config").cloned().unwrap_or_default());
        body.extend(request.extra.clone());
    } else {
        losses.extra(&Pointer::ROOT, &request.extra);
        for nested in &request.nested {
            losses.extra(&nested.at, &nested.value);
        }
        strangers(request, losses);
    }
    if !config.is_empty() {
        body.insert("output_config".into(), Value::Object(config));
    }
    if target.stream {
        body.insert("stream".into(), true.into());
    }
    Value::Object(body)
}

/// `temperature` goes from 0 to 1 here. While the model thinks, the provider refuses any but 1, `top_k` altogether
/// and `top_p` below 0.95; and newer models refuse `temperature` and `top_p` together.
fn sampling(request: &Request, thinks: bool, body: &mut Map<String, Value>, losses: &mut Losses) {
    let own = request.source == Dialect::Anthropic;
    let value = |number: &At<Number>| number.value.as_f64().unwrap_or_default();
    let mut set = |key: &str, number: &Number| {
        body.insert(key.to_owned(), Value::Number(number.clone()));
    };
    let mut warm = false;
    if let Some(temperature) = &request.temperature {
        let degrees = value(temperature);
        if own {
            set("temperature", &temperature.value);
        } else if thinks {
            if (degrees - 1.0).abs() > f64::EPSILON {
                losses.push(&temperature.at, Why::Model);
            } else {
                set("temperature", &temperature.value);
            }
        } else if degrees > 1.0 {
            losses.approximated(&temperature.at);
            set("temperature", &Number::from(1));
            warm = true;
        } else {
            set("temperature", &temperature.value);
            warm = true;
        }
    }
    if let Some(top_p) = &request.top_p {
        let share = value(top_p);
        if own || (thinks && (0.95..1.0).contains(&share)) {
            set("top_p", &top_p.value);
        } else if share < 1.0 {
            if warm || thinks {
                losses.push(&top_p.at, Why::Model);
            } else {
                set("top_p", &top_p.value);
            }
        }
    }
    if let Some(top_k) = &request.top_k {
        if own {
            set("top_k", &top_k.value);
        } else if thinks {
            losses.push(&top_k.at, Why::Model);
        } else if let Some(whole) = whole(value(top_k)) {
            set("top_k", &Number::from(whole));
        } else {
            losses.unsupported(&top_k.at);
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked in the same breath
fn whole(number: f64) -> Option<u64> {
    (number >= 0.0 && number.fract() == 0.0 && number < 1e9).then_some(number as u64)
}

/// The API refuses stop sequences without a visible character.
fn stop(request: &Request, body: &mut Map<String, Value>, losses: &mut Losses) {
    let Some(stop) = &request.stop else { return };
    let own = request.source == Dialect::Anthropic;
    let mut kept = Vec::new();
    for (i, word) in stop.value.iter().enumerate() {
        if own || !word.trim().is_empty() {
            kept.push(Value::from(word.as_str()));
        } else if stop.value.len() == 1 {
            losses.push(&stop.at, Why::Model);
        } else {
            losses.push(&stop.at.index(i), Why::Model);
        }
    }
    if !kept.is_empty() {
        body.insert("stop_sequences".into(), Value::Array(kept));
    }
}

fn user(request: &Request, body: &mut Map<String, Value>, losses: &mut Losses) {
    let mut metadata = Map::new();
    if let Some(user) = &request.user
        && (request.source == Dialect::Anthropic || fits(user, losses))
    {
        metadata.insert("user_id".into(), user.value.as_str().into());
    }
    if let Some(id) = &request.safety_identifier {
        if request.user.is_none() && fits(id, losses) {
            losses.approximated(&id.at);
            metadata.insert("user_id".into(), id.value.as_str().into());
        } else if request.user.as_ref().is_none_or(|user| user.value != id.value) {
            losses.unsupported(&id.at);
        }
    }
    if request.source == Dialect::Anthropic {
        metadata.extend(request.nested("/metadata").cloned().unwrap_or_default());
    }
    if !metadata.is_empty() {
        body.insert("metadata".into(), Value::Object(metadata));
    }
}

/// The provider refuses longer ids.
fn fits(id: &At<String>, losses: &mut Losses) -> bool {
    let fits = id.value.chars().count() <= 256;
    if !fits {
        losses.push(&id.at, Why::Model);
    }
    fits
}

fn tier(request: &Request, body: &mut Map<String, Value>, losses: &mut Losses) {
    let Some(tier) = &request.service_tier else { return };
    let word = match tier.value.as_str() {
        "auto" => "auto",
        "default" => "standard_only",
        // `auto` uses capacity that was bought in advance, where there is some.
        "priority" if request.source != Dialect::Anthropic => {
            losses.approximated(&tier.at);
            "auto"
        }
        other if request.source == Dialect::Anthropic => other,
        _ => return losses.unsupported(&tier.at),
    };
    body.insert("service_tier".into(), word.into());
}

/// Reports what this dialect has no place for, except where it says no more than the default.
fn strangers(request: &Request, losses: &mut Losses) {
    let zero = |number: &Option<At<Number>>| {
        number.as_ref().filter(|n| n.value.as_f64() != Some(0.0)).map(|n| n.at.clone())
    };
    let sealed = |include: &&At<Vec<String>>| {
        // Reasoning comes sealed without being asked for.
        include.value.iter().any(|what| what != "reasoning.encrypted_content")
    };
    let Request { state, .. } = request;
    let places = [
        request.seed.as_ref().map(|x| x.at.clone()),
        zero(&request.frequency_penalty),
        zero(&request.presence_penalty),
        request.logprobs.as_ref().map(|x| x.at.clone()),
        request.n.as_ref().filter(|n| n.value != 1).map(|x| x.at.clone()),
        request.verbosity.as_ref().filter(|x| x.value != "medium").map(|x| x.at.clone()),
        request.modalities.as_ref().filter(|x| x.value != ["text"]).map(|x| x.at.clone()),
        request.metadata.as_ref().filter(|x| !x.value.is_empty()).map(|x| x.at.clone()),
        request.prompt_cache_key.as_ref().map(|x| x.at.clone()),
        request.prompt_cache_retention.as_ref().map(|x| x.at.clone()),
        request.store.as_ref().filter(|x| x.value).map(|x| x.at.clone()),
        state.previous_response_id.as_ref().map(|x| x.at.clone()),
        state.include.as_ref().filter(sealed).map(|x| x.at.clone()),
    ];
    for at in places.into_iter().flatten() {
        losses.unsupported(&at);
    }
}
