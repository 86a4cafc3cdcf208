//! Takes out of a request what its model would refuse, and says so, before the request is written for the model.
//!
//! Only what the catalogue says for certain counts: where it is silent, the request stays as it is, and the
//! provider has the last word.

mod thinking;

use serde_json::Value;

use crate::catalogue::{Capability, Model, Parameter};
use crate::chat::{
    At, Content, Format, LogProbs, Losses, Media, MediaKind, MediaSource, Part, Pointer, Request, ToolChoice,
    ToolKind, Why,
};
use crate::exchange::Dialect;

/// Makes `request` acceptable to `model`. What was taken out or changed is in `losses`.
pub fn adapt(request: &mut Request, model: Option<&Model>, losses: &mut Losses) {
    let Some(model) = model else { return };
    tools(request, model, losses);
    thinking::adapt(request, model, losses);
    sampling(request, model, losses);
    limits(request, model, losses);
    media(request, model, losses);
}

fn drop_field<T>(field: &mut Option<At<T>>, losses: &mut Losses) {
    if let Some(dropped) = field.take() {
        losses.push(&dropped.at, Why::Model);
    }
}

/// Functions for a model that calls none go, and with the last tool everything that is said about tools. Tools that
/// the provider runs are another matter: models for research have those and no functions.
fn tools(request: &mut Request, model: &Model, losses: &mut Losses) {
    if model.lacks(Capability::Tools) {
        request.tools.retain(|tool| {
            let stays = matches!(tool.kind, ToolKind::Server { .. });
            if !stays {
                losses.push(&tool.at, Why::Model);
            }
            stays
        });
        if request.tools.is_empty() {
            drop_field(&mut request.tool_choice, losses);
            drop_field(&mut request.parallel_tool_calls, losses);
        }
    }
    if model.lacks(Capability::ParallelTools) {
        drop_field(&mut request.parallel_tool_calls, losses);
    }
    let forced = request.tool_choice.as_mut().filter(|choice| forces(&choice.value));
    if let Some(choice) = forced
        && model.refuses(Parameter::ForcedTools, None)
    {
        choice.value = match std::mem::replace(&mut choice.value, ToolChoice::Auto) {
            ToolChoice::Allowed { names, .. } => ToolChoice::Allowed { required: false, names },
            _ => ToolChoice::Auto,
        };
        losses.approximated(&choice.at);
    }
}

/// Whether a choice makes the model call a tool.
fn forces(choice: &ToolChoice) -> bool {
    match choice {
        ToolChoice::Required | ToolChoice::Function(_) | ToolChoice::Allowed { required: true, .. } => true,
        ToolChoice::Auto | ToolChoice::None | ToolChoice::Allowed { .. } | ToolChoice::Opaque(_) => false,
    }
}

fn sampling(request: &mut Request, model: &Model, losses: &mut Losses) {
    let thinks = thinking::thinks(request, model);
    let refuses = |parameter| model.refuses(parameter, thinks);
    let other =
        request.temperature.as_ref().is_some_and(|temperature| temperature.value.as_f64() != Some(1.0));
    if refuses(Parameter::Temperature) || (other && refuses(Parameter::TemperatureButOne)) {
        drop_field(&mut request.temperature, losses);
    }
    let both = request.temperature.is_some() && refuses(Parameter::TopPWithTemperature);
    if both || refuses(Parameter::TopP) {
        drop_field(&mut request.top_p, losses);
    }
    if refuses(Parameter::TopK) {
        drop_field(&mut request.top_k, losses);
    }
    if refuses(Parameter::PresencePenalty) {
        drop_field(&mut request.presence_penalty, losses);
    }
    if refuses(Parameter::FrequencyPenalty) {
        drop_field(&mut request.frequency_penalty, losses);
    }
    if refuses(Parameter::Stop) {
        drop_field(&mut request.stop, losses);
    }
    if refuses(Parameter::N) {
        drop_field(&mut request.n, losses);
    }
    if refuses(Parameter::Seed) {
        drop_field(&mut request.seed, losses);
    }
    if refuses(Parameter::Verbosity) {
        drop_field(&mut request.verbosity, losses);
    }
    if refuses(Parameter::Logprobs)
        && let Some(dropped) = request.logprobs.take()
    {
        losses.push(&dropped.at, Why::Model);
        alternatives(request.source, &dropped, losses);
    }
    // It has no typed field, because no other dialect knows it.
    if refuses(Parameter::LogitBias)
        && request.source == Dialect::OpenaiChat
        && request.extra.shift_remove_entry("logit_bias").is_some_and(|(_, bias)| bias != Value::Null)
    {
        losses.push(&Pointer::of("/logit_bias"), Why::Model);
    }
}

/// The number of alternatives has a member of its own, which went as well.
fn alternatives(source: Dialect, dropped: &At<LogProbs>, losses: &mut Losses) {
    let beside = match source {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => Pointer::of("/top_logprobs"),
        Dialect::Gemini => Pointer::of("/generationConfig/logprobs"),
        Dialect::Anthropic => return,
    };
    if dropped.value.top.is_some() {
        losses.push(&beside, Why::Model);
    }
}

fn limits(request: &mut Request, model: &Model, losses: &mut Losses) {
    if let (Some(asked), Some(most)) = (request.max_tokens.as_mut(), model.max_output_tokens)
        && asked.value > most
    {
        asked.value = most;
        losses.push(&asked.at, Why::Model);
    }
    let schema = |format: &At<Format>| matches!(format.value, Format::JsonSchema(_));
    if model.lacks(Capability::StructuredOutput) && request.format.as_ref().is_some_and(schema) {
        drop_field(&mut request.format, losses);
    }
}

/// Pictures and the like that the model cannot take. A message that held nothing else goes with them.
fn media(request: &mut Request, model: &Model, losses: &mut Losses) {
    let blind =
        [Capability::Image, Capability::Pdf, Capability::Audio, Capability::Video].map(|c| model.lacks(c));
    if blind == [false; 4] {
        return;
    }
    request.messages.retain_mut(|message| {
        let before = message.parts.len();
        without_media(&mut message.parts, model, losses);
        before == 0 || !message.parts.is_empty()
    });
}

fn without_media(parts: &mut Vec<Part>, model: &Model, losses: &mut Losses) {
    parts.retain_mut(|part| match &mut part.content {
        Content::Media(media) if needs(media).is_some_and(|needed| model.lacks(needed)) => {
            losses.push(&part.at, Why::Model);
            false
        }
        Content::ToolResult(result) => {
            without_media(&mut result.parts, model, losses);
            true
        }
        _ => true,
    });
}

/// What a model must be able to do to take this. Documents other than PDF are text to some, so nothing is certain.
fn needs(media: &Media) -> Option<Capability> {
    match media.kind {
        MediaKind::Image => Some(Capability::Image),
        MediaKind::Audio => Some(Capability::Audio),
        MediaKind::Video => Some(Capability::Video),
        MediaKind::Document => {
            let pdf = media.mime.as_deref() == Some("application/pdf");
            (pdf && !matches!(media.source, MediaSource::Text(_))).then_some(Capability::Pdf)
        }
    }
}

#[cfg(test)]
mod tests;
