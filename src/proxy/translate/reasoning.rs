//! Reasoning in a request: what of it a target can read, and what it insists on.

use tollgate_filters::chat::{
    At, Content, Losses, Maker, Part, Pointer, ReasoningField, Request, Role, Thinking, Why,
};
use tollgate_filters::exchange::Dialect;
use tollgate_filters::recall::{Recalled, Remembered};

use crate::provider::Provider;

/// What of the recalled reasoning the target can read: what another maker sealed, or what it has no place for, the client
/// did not send, and so it is not lost.
pub(super) fn readable(recalled: &Recalled, wire: Dialect, provider: &Provider) -> Recalled {
    let Some(home) = home(wire) else {
        let all = provider.quirks.reasoning == ReasoningField::Details;
        return if all { recalled.clone() } else { Recalled::new() };
    };
    let own =
        |remembered: &Remembered| remembered.reasoning.seal.as_ref().is_some_and(|seal| seal.maker == home);
    recalled
        .iter()
        .map(|(key, found)| (key.clone(), found.iter().filter(|found| own(found)).cloned().collect()))
        .collect()
}

/// Reasoning that another maker sealed, in a conversation that goes up in the dialect that it came in: the seal had travelled
/// in the place of that dialect's own.
pub(super) fn drop_foreign(request: &mut Request, wire: Dialect, losses: &mut Losses) {
    if request.source != wire {
        // Writing another dialect sees to it.
        return;
    }
    let Some(home) = home(wire) else { return };
    for message in &mut request.messages {
        message.parts.retain(|part| {
            let foreign = matches!(&part.content, Content::Reasoning(reasoning)
                if reasoning.seal.as_ref().is_some_and(|seal| seal.maker != home));
            if foreign {
                losses.push(&part.at, Why::Foreign);
            }
            !foreign
        });
    }
}

/// Whose seals a dialect's own providers can read.
fn home(wire: Dialect) -> Option<Maker> {
    match wire {
        Dialect::OpenaiChat => None,
        Dialect::OpenaiResponses => Some(Maker::Openai),
        Dialect::Anthropic => Some(Maker::Anthropic),
        Dialect::Gemini => Some(Maker::Gemini),
    }
}

/// Anthropic insists on having back what it thought before the calls that it is now shown the results of. Where neither the
/// client nor the memory has that, it is asked not to think this time.
pub(super) fn complete(request: &mut Request, wire: Dialect, losses: &mut Losses) {
    let is_result = |part: &Part| matches!(part.content, Content::ToolResult(_));
    let in_a_loop = request.messages.last().is_some_and(|message| message.parts.iter().any(is_result));
    if wire != Dialect::Anthropic || !in_a_loop {
        return;
    }
    let last = request.messages.iter().rfind(|message| message.role == Role::Assistant);
    if last.is_some_and(|message| has_unsealed_call(&message.parts, Maker::Anthropic)) {
        for at in places(&std::mem::take(&mut request.thinking)) {
            losses.push(&at, Why::Model);
        }
    }
}

/// Whether the first call stands there without anything that `maker` has sealed before it.
fn has_unsealed_call(parts: &[Part], maker: Maker) -> bool {
    let Some(call) = parts.iter().position(|part| matches!(part.content, Content::ToolCall(_))) else {
        return false;
    };
    !parts[..call].iter().any(|part| match &part.content {
        Content::Reasoning(reasoning) => reasoning.seal.as_ref().is_some_and(|seal| seal.maker == maker),
        _ => false,
    })
}

/// Where the client said how much to think.
fn places(thinking: &Thinking) -> Vec<Pointer> {
    fn place<T>(field: Option<&At<T>>) -> Option<Pointer> {
        field.map(|field| field.at.clone())
    }
    let places = [
        place(thinking.mode.as_ref()),
        place(thinking.effort.as_ref()),
        place(thinking.budget.as_ref()),
        place(thinking.summary.as_ref()),
    ];
    places.into_iter().flatten().collect()
}
