//! How much the model is to think: `thinking`, and the effort in `output_config`.

use serde_json::{Map, Value};
use tollgate_filters::chat::{
    At, Effort, Losses, Pointer, Request, Summary, Target, Thinking, ThinkingMode, ThinkingStyle, Why,
};
use tollgate_filters::error::Error;
use tollgate_filters::exchange::Dialect;

use super::parse::keep;
use crate::dialect::fields::Fields;

/// The provider takes no smaller budget.
const LEAST: u64 = 1024;

/// Reads `thinking`. One of an unknown type stays where it is.
pub fn read(fields: &mut Fields, request: &mut Request) -> Result<(), Error> {
    let Some(thinking) = fields.peek("thinking") else { return Ok(()) };
    let mode = match thinking.get("type").and_then(Value::as_str) {
        Some("enabled") => ThinkingMode::On,
        Some("adaptive") => ThinkingMode::Adaptive,
        Some("disabled") => ThinkingMode::Off,
        _ if !thinking.is_object() => return fields.object("thinking").map(drop),
        _ => return Ok(()),
    };
    let Some(mut inner) = fields.object("thinking")? else { return Ok(()) };
    inner.take("type");
    request.thinking.mode = inner.placed("type", Some(mode));
    let budget = inner.unsigned("budget_tokens")?;
    request.thinking.budget = inner.placed("budget_tokens", budget);
    let display = inner.string("display")?.map(|word| match word.as_str() {
        "omitted" => Summary::Hidden,
        "summarized" => Summary::Shown,
        _ => Summary::Detail(word),
    });
    request.thinking.summary = inner.placed("display", display);
    keep(request, inner);
    Ok(())
}

/// What the provider is told, and the limit of output tokens that goes with it.
#[derive(Debug, Default)]
pub struct Plan {
    mode: Option<ThinkingMode>,
    budget: Option<u64>,
    effort: Option<&'static str>,
    /// An effort word that this dialect's client chose and nobody here knows.
    word: Option<String>,
    pub max_tokens: u64,
}

impl Plan {
    pub fn thinks(&self) -> bool {
        matches!(self.mode, Some(ThinkingMode::On | ThinkingMode::Adaptive))
    }

    /// With a budget the provider refuses that a call is forced; a model that decides by itself takes it.
    pub fn forbids_force(&self) -> bool {
        self.mode == Some(ThinkingMode::On)
    }

    pub fn of(request: &Request, target: &Target, losses: &mut Losses) -> Self {
        let thinking = &request.thinking;
        let own = request.source == Dialect::Anthropic;
        let mut plan = Self::default();
        let off = matches!(thinking.mode, Some(At { value: ThinkingMode::Off, .. }))
            || matches!(thinking.effort, Some(At { value: Effort::None, .. }))
            || (!own && matches!(thinking.budget, Some(At { value: 0, .. })));
        match target.rules.thinking {
            ThinkingStyle::None => {
                if !off {
                    for at in places(thinking) {
                        losses.push(at, Why::Model);
                    }
                }
            }
            _ if off => {
                plan.mode = Some(ThinkingMode::Off);
                if own {
                    plan.set_effort(thinking, own, losses);
                }
            }
            ThinkingStyle::Budget => plan.by_budget(thinking, own, losses),
            ThinkingStyle::Unknown if own || thinking.budget.is_some() => {
                plan.as_given(thinking, own, losses);
            }
            ThinkingStyle::Effort | ThinkingStyle::Adaptive | ThinkingStyle::Unknown => {
                plan.by_effort(thinking, own, losses);
            }
        }
        plan.limit(request, target, losses);
        plan
    }

    fn as_given(&mut self, thinking: &Thinking, own: bool, losses: &mut Losses) {
        self.mode = thinking.mode.as_ref().map(|mode| mode.value);
        self.budget = thinking.budget.as_ref().map(|budget| budget.value);
        if !own {
            self.mode = Some(ThinkingMode::On);
        }
        self.set_effort(thinking, own, losses);
    }

    fn by_budget(&mut self, thinking: &Thinking, own: bool, losses: &mut Losses) {
        let budget = thinking.budget.as_ref().map(|budget| budget.value);
        let effort = thinking.effort.as_ref();
        let mode = thinking.mode.as_ref();
        let derived = match (budget, effort, mode) {
            (Some(budget), ..) => Some(budget),
            (None, Some(effort), mode) if !own || mode.is_some() => {
                losses.approximated(&effort.at);
                Some(effort.value.budget())
            }
            (None, _, Some(mode)) => {
                losses.approximated(&mode.at);
                Some(Effort::Medium.budget())
            }
            (None, _, None) => None,
        };
        self.budget = derived;
        self.mode = derived.map(|_| ThinkingMode::On);
        // Both said: the budget is the more exact one, and the word goes beside it where it is this dialect's own.
        match effort {
            Some(_) if own && (budget.is_some() || derived.is_none()) => {
                self.set_effort(thinking, own, losses);
            }
            Some(effort) if budget.is_some() => losses.unsupported(&effort.at),
            _ => {}
        }
    }

    fn by_effort(&mut self, thinking: &Thinking, own: bool, losses: &mut Losses) {
        self.set_effort(thinking, own, losses);
        if let Some(budget) = &thinking.budget {
            losses.approximated(&budget.at);
            if thinking.effort.is_none() {
                self.effort = Some(match Effort::of_budget(budget.value) {
                    Effort::Low => "low",
                    Effort::Medium => "medium",
                    _ => "high",
                });
            }
        }
        if thinking.mode.is_some() || thinking.budget.is_some() || (!own && thinking.effort.is_some()) {
            self.mode = Some(ThinkingMode::Adaptive);
        }
    }

    fn set_effort(&mut self, thinking: &Thinking, own: bool, losses: &mut Losses) {
        let Some(effort) = &thinking.effort else { return };
        self.effort = match &effort.value {
            Effort::Low => Some("low"),
            Effort::Medium => Some("medium"),
            Effort::High => Some("high"),
            Effort::XHigh => Some("xhigh"),
            Effort::Max => Some("max"),
            word if own => {
                self.word = Some(word.as_str().to_owned());
                None
            }
            Effort::Minimal => {
                losses.approximated(&effort.at);
                Some("low")
            }
            Effort::None => None,
            Effort::Other(_) => {
                losses.unsupported(&effort.at);
                None
            }
        };
    }

    /// Settles the limit of output tokens, which a budget has to be below.
    fn limit(&mut self, request: &Request, target: &Target, losses: &mut Losses) {
        let own = request.source == Dialect::Anthropic;
        let most = target.rules.max_output_tokens;
        if let Some(budget) = self.budget.filter(|budget| *budget < LEAST && !own) {
            self.budget = Some(LEAST);
            report(request, budget, losses);
        }
        let room = if self.thinks() { Effort::Medium.budget() } else { 0 };
        let wanted = self.budget.unwrap_or(room).saturating_add(4096);
        let Some(given) = &request.max_tokens else {
            self.max_tokens = most.unwrap_or(wanted);
            return self.below(request, losses);
        };
        self.max_tokens = given.value;
        if let Some(most) = most.filter(|most| *most < given.value) {
            losses.push(&given.at, Why::Model);
            self.max_tokens = most;
        } else if own && self.budget == request.thinking.budget.as_ref().map(|said| said.value) {
            return;
        }
        self.below(request, losses);
    }

    fn below(&mut self, request: &Request, losses: &mut Losses) {
        let Some(budget) = self.budget.filter(|budget| *budget >= self.max_tokens) else { return };
        if self.max_tokens <= LEAST {
            self.budget = None;
            self.mode = None;
            for at in places(&request.thinking) {
                losses.push(at, Why::Model);
            }
        } else {
            self.budget = Some(LEAST.max(self.max_tokens / 4 * 3));
            report(request, budget, losses);
        }
    }

    /// Writes `thinking` into the body and the effort into `config`.
    pub fn write(
        &self,
        request: &Request,
        body: &mut Map<String, Value>,
        config: &mut Map<String, Value>,
        losses: &mut Losses,
    ) {
        let own = request.source == Dialect::Anthropic;
        if let Some(word) = self.effort.or(self.word.as_deref()) {
            config.insert("effort".into(), word.into());
        }
        let mut thinking = Map::new();
        if let Some(mode) = self.mode {
            let word = match mode {
                ThinkingMode::Off => "disabled",
                ThinkingMode::On => "enabled",
                ThinkingMode::Adaptive => "adaptive",
            };
            thinking.insert("type".into(), word.into());
        }
        if let Some(budget) = self.budget {
            thinking.insert("budget_tokens".into(), budget.into());
        }
        if let Some(summary) = &request.thinking.summary {
            let word = match &summary.value {
                Summary::Hidden => "omitted",
                Summary::Detail(word) if own => word,
                Summary::Detail(word) if word != "auto" && self.thinks() => {
                    losses.approximated(&summary.at);
                    "summarized"
                }
                Summary::Shown | Summary::Detail(_) => "summarized",
            };
            if self.thinks() || own {
                thinking.insert("display".into(), word.into());
            } else if summary.value != Summary::Hidden {
                losses.unsupported(&summary.at);
            }
        }
        if own && self.mode.is_some() {
            thinking.extend(request.nested("/thinking").cloned().unwrap_or_default());
        }
        if !thinking.is_empty() && self.mode.is_some() {
            body.insert("thinking".into(), Value::Object(thinking));
        }
    }
}

fn places(thinking: &Thinking) -> impl Iterator<Item = &Pointer> {
    let Thinking { mode, effort, budget, summary } = thinking;
    let mode = mode.as_ref().map(|x| &x.at);
    let effort = effort.as_ref().map(|x| &x.at);
    let budget = budget.as_ref().map(|x| &x.at);
    let summary = summary.as_ref().map(|x| &x.at);
    [mode, effort, budget, summary].into_iter().flatten()
}

/// The budget became another than `budget`, the one that was said or derived.
fn report(request: &Request, budget: u64, losses: &mut Losses) {
    let Thinking { effort, budget: said, mode, .. } = &request.thinking;
    let said = said.as_ref().filter(|said| said.value == budget).map(|said| &said.at);
    let at = said.or(effort.as_ref().map(|effort| &effort.at)).or(mode.as_ref().map(|mode| &mode.at));
    if let Some(at) = at {
        losses.approximated(at);
    }
}
