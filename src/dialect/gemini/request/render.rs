//! Writing a request.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{At, Losses, Pointer, Request, Target};
use tollgate_filters::exchange::Dialect;

use super::{config, contents, tools};
use crate::dialect::gemini::part::write::merge;
use crate::dialect::gemini::request::parse::tier;

/// Writes the body that `target` is asked with, and says in `losses` what of the request it leaves behind.
///
/// The model and whether the answer is streamed are in the path.
pub fn render(request: &Request, target: &Target, losses: &mut Losses) -> Value {
    let mut body = Map::new();
    contents::render(request, target, &mut body, losses);
    tools::render(request, &mut body, losses);
    config::render(request, target, &mut body, losses);
    service_tier(request, &mut body, losses);
    if let Some(store) = &request.store {
        body.insert("store".to_owned(), json!(store.value));
    }
    if request.source == Dialect::Gemini {
        if let Some(labels) = &request.metadata {
            body.insert("labels".to_owned(), json!(labels.value));
        }
        merge(&mut body, &request.extra);
    } else {
        left_behind(request, losses);
    }
    Value::Object(body)
}

fn service_tier(request: &Request, body: &mut Map<String, Value>, losses: &mut Losses) {
    let Some(asked) = &request.service_tier else { return };
    let original = request.form(&asked.at).and_then(Value::as_str);
    let word = match (original, asked.value.as_str()) {
        (Some(word), _) if tier(word) == asked.value => word,
        (_, "default" | "on_demand") => "standard",
        (_, word @ ("flex" | "priority")) => word,
        // What the project is set to is what is used where nothing is said.
        (_, "auto") => return,
        _ => return losses.unsupported(&asked.at),
    };
    body.insert("serviceTier".to_owned(), json!(word));
}

/// What Gemini has no place for.
fn left_behind(request: &Request, losses: &mut Losses) {
    fn place<T>(field: Option<&At<T>>) -> Option<&Pointer> {
        field.map(|field| &field.at)
    }
    let state = &request.state;
    for at in [
        place(request.verbosity.as_ref()),
        place(request.user.as_ref()),
        place(request.safety_identifier.as_ref()),
        place(request.metadata.as_ref()),
        place(request.prompt_cache_key.as_ref()),
        place(request.prompt_cache_retention.as_ref()),
        place(state.previous_response_id.as_ref()),
        request.parallel_tool_calls.as_ref().filter(|parallel| !parallel.value).map(|parallel| &parallel.at),
    ]
    .into_iter()
    .flatten()
    {
        losses.unsupported(at);
    }
    if let Some(include) = &state.include {
        for (i, what) in include.value.iter().enumerate() {
            // Gemini's signatures come without being asked for.
            if what != "reasoning.encrypted_content" {
                losses.unsupported(&include.at.index(i));
            }
        }
    }
    losses.extra(&Pointer::ROOT, &request.extra);
    for nested in &request.nested {
        losses.extra(&nested.at, &nested.value);
    }
}
