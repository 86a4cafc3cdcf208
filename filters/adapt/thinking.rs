//! How much a request asks its model to think, in terms that the model knows.

use super::{drop_field, forces};
use crate::catalogue::{Capability, Model, Parameter};
use crate::chat::{At, Effort, Losses, Pointer, Request, Thinking, ThinkingMode, ThinkingStyle, Why};

/// Whether the model will think about `request`, where that is known.
pub(super) fn thinks(request: &Request, model: &Model) -> Option<bool> {
    match asks(&request.thinking) {
        Some(asked) => Some(asked),
        None if model.thinks() == Some(false) => Some(false),
        None => model.can(Capability::DefaultThinking),
    }
}

/// Whether a request asks for thinking, or for none, if it says anything about it.
fn asks(thinking: &Thinking) -> Option<bool> {
    let off = thinking.mode.as_ref().is_some_and(|mode| mode.value == ThinkingMode::Off)
        || thinking.effort.as_ref().is_some_and(|effort| effort.value == Effort::None)
        || thinking.budget.as_ref().is_some_and(|budget| budget.value == 0);
    let said = thinking.mode.is_some() || thinking.effort.is_some() || thinking.budget.is_some();
    said.then_some(!off)
}

pub(super) fn adapt(request: &mut Request, model: &Model, losses: &mut Losses) {
    if model.thinks() == Some(false) {
        let thinking = &mut request.thinking;
        drop_field(&mut thinking.mode, losses);
        drop_field(&mut thinking.effort, losses);
        drop_field(&mut thinking.budget, losses);
        drop_field(&mut thinking.summary, losses);
        return;
    }
    give_way_to_tools(request, model, losses);
    match asks(&request.thinking) {
        Some(false) if model.lacks(Capability::ThinkingOff) => least(&mut request.thinking, model, losses),
        Some(true) => amount(&mut request.thinking, model, losses),
        Some(false) | None => {}
    }
}

/// Where thinking and a call that has to be made exclude each other, the call counts: the caller's code waits for it.
fn give_way_to_tools(request: &mut Request, model: &Model, losses: &mut Losses) {
    let forced = request.tool_choice.as_ref().is_some_and(|choice| forces(&choice.value));
    let asked = asks(&request.thinking) == Some(true);
    if !(forced && asked && model.refuses(Parameter::ForcedTools, Some(true))) {
        return;
    }
    if let Some(at) = take(&mut request.thinking, losses, Why::Model) {
        request.thinking.mode = Some(At::new(ThinkingMode::Off, at));
    }
}

/// Takes out all that is said about the amount, and says where the first of it stood.
fn take(thinking: &mut Thinking, losses: &mut Losses, why: Why) -> Option<Pointer> {
    let mode = thinking.mode.take().map(|mode| mode.at);
    let effort = thinking.effort.take().map(|effort| effort.at);
    let budget = thinking.budget.take().map(|budget| budget.at);
    let places = [mode, effort, budget];
    for at in places.iter().flatten() {
        losses.push(at, why);
    }
    places.into_iter().flatten().next()
}

/// As little thinking as there can be, for a model that cannot do without.
fn least(thinking: &mut Thinking, model: &Model, losses: &mut Losses) {
    let Some(at) = take(thinking, losses, Why::Approximated) else { return };
    match (model.thinking(), model.thinking_budget) {
        (ThinkingStyle::Budget, Some(budget)) => thinking.budget = Some(At::new(budget.least, at)),
        // Nothing fits that is known: it thinks as much as it does by itself.
        (ThinkingStyle::Budget, None) => {}
        _ => {
            // Every model that knows efforts, and of which is not known which, knows this one.
            let effort = model.efforts().first().cloned().unwrap_or(Effort::Low);
            thinking.effort = Some(At::new(effort, at));
        }
    }
}

/// The nearest amount that the model knows.
fn amount(thinking: &mut Thinking, model: &Model, losses: &mut Losses) {
    match model.thinking() {
        ThinkingStyle::Budget if model.efforts().is_empty() || thinking.effort.is_none() => {
            within_budget(thinking, model, losses);
        }
        ThinkingStyle::Unknown | ThinkingStyle::None => {}
        _ => known_effort(thinking, model, losses),
    }
}

fn within_budget(thinking: &mut Thinking, model: &Model, losses: &mut Losses) {
    let Some(limits) = model.thinking_budget else { return };
    let asked = match (&thinking.budget, &thinking.effort) {
        (Some(budget), _) => At::new(budget.value, budget.at.clone()),
        (None, Some(effort)) => At::new(effort.value.budget(), effort.at.clone()),
        (None, None) => return,
    };
    let within = asked.value.clamp(limits.least, limits.most);
    if within != asked.value {
        losses.approximated(&asked.at);
        if thinking.budget.is_none() {
            thinking.effort = None;
        }
        thinking.budget = Some(At::new(within, asked.at));
    }
}

fn known_effort(thinking: &mut Thinking, model: &Model, losses: &mut Losses) {
    let asked = match (&thinking.effort, &thinking.budget) {
        (Some(effort), _) => effort.clone(),
        (None, Some(budget)) => At::new(Effort::of_budget(budget.value), budget.at.clone()),
        (None, None) => return,
    };
    let Some(nearest) = nearest(&asked.value, model.efforts()) else { return };
    if nearest != asked.value {
        losses.approximated(&asked.at);
        if thinking.effort.is_none() {
            thinking.budget = None;
        }
        thinking.effort = Some(At::new(nearest, asked.at));
    }
}

/// The effort among `known` that is the fewest steps away; of two, the lesser. A word that nobody knows is taken as
/// the middle.
fn nearest(asked: &Effort, known: &[Effort]) -> Option<Effort> {
    if known.contains(asked) {
        return Some(asked.clone());
    }
    known.iter().min_by_key(|effort| step(effort).abs_diff(step(asked))).cloned()
}

fn step(effort: &Effort) -> u8 {
    match effort {
        Effort::None => 0,
        Effort::Minimal => 1,
        Effort::Low => 2,
        Effort::Medium | Effort::Other(_) => 3,
        Effort::High => 4,
        Effort::XHigh => 5,
        Effort::Max => 6,
    }
}
