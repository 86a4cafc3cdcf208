//! Which of the tools the model may or has to call, written.

use serde_json::{Map, Value};
use tollgate_filters::chat::{At, Losses, Request, Tool, ToolChoice, ToolKind, Why};
use tollgate_filters::exchange::Dialect;

use crate::dialect::anthropic::block::MAX_NAME;
use crate::dialect::names::fitting;

/// A list of allowed tools that names all, or a single one, says no more than a plainer choice.
pub(super) fn simplest(choice: &ToolChoice, request: &Request) -> ToolChoice {
    let ToolChoice::Allowed { required, names } = choice else { return choice.clone() };
    let allowed = |tool: &Tool| match &tool.kind {
        ToolKind::Function { name, .. } | ToolKind::Custom { name, .. } => names.contains(name),
        ToolKind::Server { .. } => false,
    };
    match names.as_slice() {
        [name] if *required => ToolChoice::Function(name.clone()),
        _ if request.tools.iter().all(allowed) && *required => ToolChoice::Required,
        _ if request.tools.iter().all(allowed) => ToolChoice::Auto,
        _ => choice.clone(),
    }
}

pub(super) fn choice(
    request: &Request,
    asked: Option<&At<ToolChoice>>,
    no_tools: bool,
    free: bool,
    losses: &mut Losses,
) -> Option<Map<String, Value>> {
    let own = request.source == Dialect::Anthropic;
    let parallel = request.parallel_tool_calls.as_ref();
    if no_tools && !own {
        let forced = asked.filter(|c| !matches!(c.value, ToolChoice::Auto | ToolChoice::None));
        if let Some(forced) = forced {
            losses.unsupported(&forced.at); // refused without tools
        }
        return None;
    }
    let mut written = Map::new();
    if let Some(asked) = asked {
        written = word(asked, request, losses);
        if free && !own && ["any", "tool"].iter().any(|forced| written["type"] == *forced) {
            losses.push(&asked.at, Why::Model);
            written = typed("auto");
        }
    }
    match parallel {
        Some(parallel) if own || (!parallel.value && written.get("type").is_none_or(|t| t != "none")) => {
            if written.is_empty() {
                written = typed("auto");
            }
            written.insert("disable_parallel_tool_use".into(), (!parallel.value).into());
        }
        _ => {}
    }
    if own && let Some(rest) = request.nested("/tool_choice") {
        written.extend(rest.clone());
    }
    (!written.is_empty()).then_some(written)
}

fn typed(word: &str) -> Map<String, Value> {
    let mut written = Map::new();
    written.insert("type".into(), word.into());
    written
}

fn word(asked: &At<ToolChoice>, request: &Request, losses: &mut Losses) -> Map<String, Value> {
    match &asked.value {
        ToolChoice::Auto => typed("auto"),
        ToolChoice::None => typed("none"),
        ToolChoice::Required => typed("any"),
        ToolChoice::Function(name) => {
            let mut written = typed("tool");
            let own = request.source == Dialect::Anthropic;
            let name = if own { name.clone() } else { fitting(name, MAX_NAME).into_owned() };
            written.insert("name".into(), name.into());
            written
        }
        ToolChoice::Allowed { required, names } => {
            let known = |name: &String| {
                request.tools.iter().any(|tool| match &tool.kind {
                    ToolKind::Function { name: own, .. } | ToolKind::Custom { name: own, .. } => own == name,
                    ToolKind::Server { .. } => false,
                })
            };
            if !names.iter().all(known) {
                losses.approximated(&asked.at);
            }
            typed(if *required { "any" } else { "auto" })
        }
        ToolChoice::Opaque(Value::Object(raw)) if request.source == Dialect::Anthropic => raw.clone(),
        ToolChoice::Opaque(_) => {
            losses.unsupported(&asked.at);
            typed("auto")
        }
    }
}
