//! How much the model is to think: the vendors' parameters for it, read and written.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{
    At, Effort, Extra, Losses, Pointer, ReasoningField, ReasoningParam, Request, Summary, Target, Thinking,
    ThinkingMode, ThinkingStyle, Why,
};
use tollgate_filters::error::Error;
use tollgate_filters::exchange::Dialect;

use crate::dialect::fields::Fields;
use crate::dialect::openai_chat::content::keep;

pub(super) fn parse(fields: &mut Fields, nested: &mut Vec<At<Extra>>) -> Result<Thinking, Error> {
    let mut thinking = Thinking::default();
    if let Some(mut object) = fields.object("reasoning")? {
        let effort = object.string("effort")?.map(|word| Effort::parse(&word));
        thinking.effort = object.placed("effort", effort);
        let budget = object.unsigned("max_tokens")?;
        thinking.budget = object.placed("max_tokens", budget);
        let mode = object.boolean("enabled")?.map(on);
        thinking.mode = object.placed("enabled", mode);
        let key = if object.peek("exclude").is_some() { "exclude" } else { "summary" };
        let summary = if key == "exclude" {
            object.boolean(key)?.map(|hidden| shown(!hidden))
        } else {
            object.string(key)?.map(Summary::Detail)
        };
        thinking.summary = object.placed(key, summary);
        keep(object, nested);
    }
    if thinking.effort.is_none() {
        let effort = fields.string("reasoning_effort")?.map(|word| Effort::parse(&word));
        thinking.effort = fields.placed("reasoning_effort", effort);
    }
    if thinking.mode.is_none() && fields.word("prompt_mode") == Some("reasoning") {
        fields.take("prompt_mode");
        thinking.mode = fields.placed("prompt_mode", Some(ThinkingMode::On));
    }
    if thinking.summary.is_none() {
        let format = match fields.word("reasoning_format") {
            Some("hidden") => Some(Summary::Hidden),
            Some("parsed") => Some(Summary::Shown),
            _ => None,
        };
        if format.is_some() {
            fields.take("reasoning_format");
            thinking.summary = fields.placed("reasoning_format", format);
        } else {
            let include = fields.boolean("include_reasoning")?.map(shown);
            thinking.summary = fields.placed("include_reasoning", include);
        }
    }
    Ok(thinking)
}

fn on(enabled: bool) -> ThinkingMode {
    if enabled { ThinkingMode::On } else { ThinkingMode::Off }
}

fn shown(shown: bool) -> Summary {
    if shown { Summary::Shown } else { Summary::Hidden }
}

pub(super) fn render(request: &Request, target: &Target, body: &mut Map<String, Value>, losses: &mut Losses) {
    let thinking = &request.thinking;
    if request.source == Dialect::OpenaiChat {
        return restore(thinking, body);
    }
    if target.rules.thinking == ThinkingStyle::None {
        return refuse(thinking, Why::Model, losses);
    }
    match target.quirks.reasoning_param {
        ReasoningParam::None => {
            refuse(thinking, Why::Unsupported, losses);
            // Its models that think cannot be told not to.
            not_off(thinking, losses);
        }
        ReasoningParam::Object => object(thinking, target, body, losses),
        ReasoningParam::Effort | ReasoningParam::Groq => effort(thinking, target, body, losses),
    }
}

/// Puts everything back where it stood.
fn restore(thinking: &Thinking, body: &mut Map<String, Value>) {
    let mut put = |at: &Pointer, value: Value| match at.as_str().strip_prefix("/reasoning/") {
        Some(key) => {
            let object = body.entry("reasoning").or_insert_with(|| json!({}));
            object[key] = value;
        }
        None => {
            body.insert(at.as_str().trim_start_matches('/').to_owned(), value);
        }
    };
    if let Some(effort) = &thinking.effort {
        put(&effort.at, json!(effort.value.as_str()));
    }
    if let Some(budget) = &thinking.budget {
        put(&budget.at, json!(budget.value));
    }
    if let Some(mode) = &thinking.mode {
        let value = if mode.at.as_str() == "/prompt_mode" {
            json!("reasoning")
        } else {
            json!(mode.value != ThinkingMode::Off)
        };
        put(&mode.at, value);
    }
    if let Some(summary) = &thinking.summary {
        let hidden = summary.value == Summary::Hidden;
        let value = match (&summary.value, summary.at.as_str()) {
            (Summary::Detail(word), _) => json!(word),
            (_, "/reasoning/exclude") => json!(hidden),
            (_, "/reasoning_format") => json!(if hidden { "hidden" } else { "parsed" }),
            _ => json!(!hidden),
        };
        put(&summary.at, value);
    }
}

/// Nothing of it can be said. Not to think, or not to show it, needs no word there.
fn refuse(thinking: &Thinking, why: Why, losses: &mut Losses) {
    if let Some(mode) = thinking.mode.as_ref().filter(|mode| mode.value != ThinkingMode::Off) {
        losses.push(&mode.at, why);
    }
    if let Some(effort) = thinking.effort.as_ref().filter(|effort| effort.value != Effort::None) {
        losses.push(&effort.at, why);
    }
    if let Some(budget) = thinking.budget.as_ref().filter(|budget| budget.value > 0) {
        losses.push(&budget.at, why);
    }
    if let Some(summary) = thinking.summary.as_ref().filter(|summary| summary.value != Summary::Hidden) {
        losses.push(&summary.at, why);
    }
}

fn not_off(thinking: &Thinking, losses: &mut Losses) {
    if let Some(mode) = thinking.mode.as_ref().filter(|mode| mode.value == ThinkingMode::Off) {
        losses.unsupported(&mode.at);
    } else if let Some(effort) = thinking.effort.as_ref().filter(|effort| effort.value == Effort::None) {
        losses.unsupported(&effort.at);
    } else if let Some(budget) = thinking.budget.as_ref().filter(|budget| budget.value == 0) {
        losses.unsupported(&budget.at);
    }
}

/// The one effort that says it best, and what of the thinking it does not say.
fn best(thinking: &Thinking, losses: &mut Losses) -> Option<(Effort, Option<Pointer>)> {
    if let Some(mode) = thinking.mode.as_ref().filter(|mode| mode.value == ThinkingMode::Off) {
        return Some((Effort::None, Some(mode.at.clone())));
    }
    if let Some(effort) = &thinking.effort {
        if let Some(budget) = &thinking.budget {
            losses.approximated(&budget.at);
        }
        return Some((effort.value.clone(), Some(effort.at.clone())));
    }
    if let Some(budget) = &thinking.budget {
        if budget.value > 0 {
            losses.approximated(&budget.at);
        }
        return Some((Effort::of_budget(budget.value), None));
    }
    let mode = thinking.mode.as_ref()?;
    losses.approximated(&mode.at);
    // How much is the model's own affair: its default.
    (mode.value == ThinkingMode::On).then_some((Effort::Medium, None))
}

fn effort(thinking: &Thinking, target: &Target, body: &mut Map<String, Value>, losses: &mut Losses) {
    let groq = target.quirks.reasoning_param == ReasoningParam::Groq;
    if let Some((effort, at)) = best(thinking, losses) {
        let word = match effort {
            Effort::Minimal if groq => Effort::Low,
            Effort::XHigh | Effort::Max if groq || target.quirks.mistral => Effort::High,
            Effort::Max if !target.quirks.openai_params => Effort::XHigh,
            Effort::Other(_) => Effort::Medium,
            ref other => other.clone(),
        };
        if let Some(at) = at.filter(|_| word != effort) {
            losses.approximated(&at);
        }
        body.insert("reasoning_effort".to_owned(), json!(word.as_str()));
    }
    let Some(summary) = &thinking.summary else { return };
    match (&summary.value, target.quirks.reasoning) {
        (Summary::Hidden, _) if groq => {
            body.insert("include_reasoning".to_owned(), json!(false));
        }
        (Summary::Shown, _) if groq => {
            body.insert("include_reasoning".to_owned(), json!(true));
        }
        // It shows nothing, or everything, whatever one asks.
        (Summary::Hidden, ReasoningField::None) => {}
        (Summary::Hidden, _) | (_, ReasoningField::None) => losses.unsupported(&summary.at),
        (Summary::Shown, _) => {}
        (Summary::Detail(_), _) => losses.approximated(&summary.at),
    }
}

/// `OpenRouter`'s object takes an effort or a budget, not both.
fn object(thinking: &Thinking, target: &Target, body: &mut Map<String, Value>, losses: &mut Losses) {
    let mut object = Map::new();
    let by_word = matches!(target.rules.thinking, ThinkingStyle::Effort | ThinkingStyle::Adaptive);
    let mode = thinking.mode.as_ref();
    let off = mode.is_some_and(|mode| mode.value == ThinkingMode::Off);
    match (&thinking.effort, &thinking.budget) {
        _ if off => {}
        (effort, Some(budget)) if effort.is_none() || !by_word => {
            object.insert("max_tokens".to_owned(), json!(budget.value));
            if let Some(effort) = effort {
                losses.approximated(&effort.at);
            }
        }
        (Some(effort), budget) => {
            let word = match &effort.value {
                Effort::Max => Effort::XHigh,
                Effort::Other(_) => Effort::Medium,
                known => known.clone(),
            };
            if word != effort.value {
                losses.approximated(&effort.at);
            }
            object.insert("effort".to_owned(), json!(word.as_str()));
            if let Some(budget) = budget {
                losses.approximated(&budget.at);
            }
        }
        (None, _) => {}
    }
    if mode.is_some() && object.is_empty() {
        // Without an amount it is left to the model.
        object.insert("enabled".to_owned(), json!(!off));
    }
    if let Some(summary) = &thinking.summary {
        match &summary.value {
            Summary::Hidden => drop(object.insert("exclude".to_owned(), json!(true))),
            Summary::Shown => drop(object.insert("exclude".to_owned(), json!(false))),
            Summary::Detail(word) => drop(object.insert("summary".to_owned(), json!(word))),
        }
    }
    if !object.is_empty() {
        body.insert("reasoning".to_owned(), Value::Object(object));
    }
}
