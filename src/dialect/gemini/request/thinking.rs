//! `thinkingConfig`: whether, how much, and whether it is shown.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{
    At, Effort, Losses, Pointer, Request, Summary, Target, Thinking, ThinkingMode, ThinkingStyle, Why,
};
use tollgate_filters::error::Error;
use tollgate_filters::exchange::Dialect;

use crate::dialect::fields::{Fields, wrong_type};
use crate::dialect::gemini::part::write::merge;
use crate::dialect::gemini::spelling::{places, spelled};

/// The largest budget that any model takes.
const MAX_BUDGET: u64 = 32_768;

pub fn parse(config: &mut Fields, request: &mut Request) -> Result<(), Error> {
    let key = spelled(config, "thinkingConfig").into_owned();
    let Some(mut config) = config.object(&key)? else { return Ok(()) };
    let thinking = &mut request.thinking;
    let key = spelled(&config, "includeThoughts").into_owned();
    let shown = config.boolean(&key)?.map(|shown| if shown { Summary::Shown } else { Summary::Hidden });
    thinking.summary = config.placed(&key, shown);
    let key = spelled(&config, "thinkingBudget").into_owned();
    if let Some(number) = config.number(&key)? {
        let at = config.at(&key);
        match number.as_i64().or_else(|| number.as_f64().filter(|n| n.fract() == 0.0).and_then(whole)) {
            Some(-1) => thinking.mode = Some(At::new(ThinkingMode::Adaptive, at)),
            Some(0) => thinking.mode = Some(At::new(ThinkingMode::Off, at)),
            Some(tokens) if tokens > 0 => thinking.budget = Some(At::new(tokens.unsigned_abs(), at)),
            _ => return Err(wrong_type(&at, "a whole number from -1 on")),
        }
    }
    let key = spelled(&config, "thinkingLevel").into_owned();
    if let Some(word) = config.string(&key)? {
        let at = config.at(&key);
        thinking.effort = Some(At::new(Effort::parse(&word.to_ascii_lowercase()), at.clone()));
        request.forms.push(At::new(json!(word), at));
    }
    let at = config.here().clone();
    let rest = config.rest();
    if !rest.is_empty() {
        request.nested.push(At::new(rest, at));
    }
    Ok(())
}

#[allow(clippy::cast_possible_truncation)] // whole, and within bounds
fn whole(number: f64) -> Option<i64> {
    (number.abs() < 1e15).then_some(number as i64)
}

pub fn render(request: &Request, target: &Target, config: &mut Map<String, Value>, losses: &mut Losses) {
    let mut out = Map::new();
    let thinking = &request.thinking;
    if request.source == Dialect::Gemini {
        own(request, &mut out);
    } else if target.rules.thinking == ThinkingStyle::None {
        for at in [
            thinking.mode.as_ref().filter(|mode| mode.value != ThinkingMode::Off).map(|x| &x.at),
            thinking.effort.as_ref().filter(|effort| effort.value != Effort::None).map(|x| &x.at),
            thinking.budget.as_ref().map(|x| &x.at),
            thinking.summary.as_ref().filter(|summary| summary.value != Summary::Hidden).map(|x| &x.at),
        ]
        .into_iter()
        .flatten()
        {
            losses.push(at, Why::Model);
        }
        return;
    } else {
        amount(thinking, target.rules.thinking, &mut out, losses);
        shown(request, &mut out, losses);
    }
    if !out.is_empty() {
        config.insert("thinkingConfig".to_owned(), Value::Object(out));
    }
}

/// What a Gemini client said, as it said it.
fn own(request: &Request, out: &mut Map<String, Value>) {
    let thinking = &request.thinking;
    if let Some(summary) = &thinking.summary {
        out.insert("includeThoughts".to_owned(), json!(summary.value != Summary::Hidden));
    }
    let budget = match (&thinking.budget, &thinking.mode) {
        (Some(budget), _) => Some(json!(budget.value)),
        (None, Some(At { value: ThinkingMode::Off, .. })) => Some(json!(0)),
        (None, Some(At { value: ThinkingMode::Adaptive, .. })) => Some(json!(-1)),
        _ => None,
    };
    out.extend(budget.map(|budget| ("thinkingBudget".to_owned(), budget)));
    if let Some(effort) = &thinking.effort {
        let word = request.form(&effort.at).and_then(Value::as_str);
        let word = word.filter(|word| word.to_ascii_lowercase() == effort.value.as_str());
        out.insert("thinkingLevel".to_owned(), json!(word.unwrap_or(effort.value.as_str())));
    }
    for outer in places(&Pointer::ROOT, "generationConfig") {
        for at in places(&outer, "thinkingConfig") {
            if let Some(extra) = request.nested(at.as_str()) {
                merge(out, extra);
            }
        }
    }
}

fn amount(thinking: &Thinking, style: ThinkingStyle, out: &mut Map<String, Value>, losses: &mut Losses) {
    let mode = thinking.mode.as_ref();
    let off = mode.filter(|mode| mode.value == ThinkingMode::Off).map(|mode| &mode.at).or_else(|| {
        thinking.effort.as_ref().filter(|effort| effort.value == Effort::None).map(|effort| &effort.at)
    });
    let levels = style == ThinkingStyle::Effort;
    if let Some(at) = off {
        if levels {
            // Models with levels cannot be told not to think at all; `low` is a word that all of them know.
            losses.approximated(at);
            out.insert("thinkingLevel".to_owned(), json!("low"));
        } else {
            out.insert("thinkingBudget".to_owned(), json!(0));
        }
        return;
    }
    let adaptive = mode.filter(|mode| mode.value == ThinkingMode::Adaptive);
    match (&thinking.budget, &thinking.effort) {
        (budget, Some(effort)) if levels || (budget.is_none() && style != ThinkingStyle::Budget) => {
            out.insert("thinkingLevel".to_owned(), json!(level(effort, losses)));
            if let Some(budget) = budget {
                losses.approximated(&budget.at);
            }
        }
        (Some(budget), None) if levels => {
            losses.approximated(&budget.at);
            let effort = Effort::of_budget(budget.value);
            out.insert("thinkingLevel".to_owned(), json!(effort.as_str()));
        }
        (Some(budget), effort) => {
            if budget.value > MAX_BUDGET {
                losses.approximated(&budget.at);
            }
            out.insert("thinkingBudget".to_owned(), json!(budget.value.min(MAX_BUDGET)));
            if let Some(effort) = effort {
                losses.approximated(&effort.at);
            }
        }
        (None, Some(effort)) => {
            losses.approximated(&effort.at);
            out.insert("thinkingBudget".to_owned(), json!(effort.value.budget()));
        }
        (None, None) => match mode {
            // These models decide by themselves how much to think; there is no word for it.
            Some(mode) if levels => losses.approximated(&mode.at),
            Some(_) => {
                out.insert("thinkingBudget".to_owned(), json!(-1));
            }
            None => {}
        },
    }
    // A level leaves it to the model how much of it to use; a budget does not.
    if let (Some(mode), true) = (adaptive, out.contains_key("thinkingBudget") && thinking.budget.is_some()) {
        losses.approximated(&mode.at);
    }
}

/// Gemini's words are `minimal`, `low`, `medium` and `high`.
fn level(effort: &At<Effort>, losses: &mut Losses) -> &'static str {
    match &effort.value {
        Effort::Minimal => return "minimal",
        Effort::Low => return "low",
        Effort::Medium => return "medium",
        Effort::High => return "high",
        _ => losses.approximated(&effort.at),
    }
    match effort.value {
        Effort::XHigh | Effort::Max => "high",
        Effort::None => "low",
        _ => "medium",
    }
}

fn shown(request: &Request, out: &mut Map<String, Value>, losses: &mut Losses) {
    let thinking = &request.thinking;
    match &thinking.summary {
        Some(summary) => {
            if matches!(&summary.value, Summary::Detail(word) if word != "auto") {
                losses.approximated(&summary.at);
            }
            out.insert("includeThoughts".to_owned(), json!(summary.value != Summary::Hidden));
        }
        // An Anthropic client that switches thinking on is shown the thoughts.
        None if request.source == Dialect::Anthropic => {
            let on = thinking.mode.as_ref().is_some_and(|mode| mode.value != ThinkingMode::Off);
            if on || (thinking.mode.is_none() && thinking.budget.is_some()) {
                out.insert("includeThoughts".to_owned(), Value::Bool(true));
            }
        }
        None => {}
    }
}
