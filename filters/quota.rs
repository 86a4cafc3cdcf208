//! Limits and budgets together: what an exchange is charged to, what it holds, and what it gives back.

mod past;

use std::time::Duration;

use rust_decimal::Decimal;
use sha2::{Digest as _, Sha256};
use smallvec::SmallVec;

use crate::budget::{Budget, Unpriced};
use crate::counters::{Charge, Key, Lease, LeaseId, Outcome, RuleId, Settlement, State, Take, Used, Window};
use crate::error::{Error, Kind};
use crate::rate_limit::{Cap, Limit, Measure, Rate};
use crate::scope::{Scope, Subject};
use crate::usage::Usage;
pub use past::{Books, Entry};

/// All limits and budgets, in the order of the configuration.
#[derive(Debug, Default)]
pub struct Quotas {
    limits: Vec<(RuleId, Limit)>,
    budgets: Vec<(RuleId, Budget)>,
    of_the_target: bool,
}

/// Which rules are meant: those that the caller alone decides about, or those that also name whom it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Caller,
    Target,
}

/// What an exchange is going to use, as far as can be told before.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Estimate {
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// US dollars; `None` where no price is known.
    pub cost: Option<Decimal>,
    /// It uses tokens at all, or costs something: a list of models does neither.
    pub uses: bool,
}

/// Charges of one exchange under one lease, and the rules that they come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    pub lease: Lease,
    rules: SmallVec<[Rule; 6]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Limit(usize, Measure),
    Budget(usize),
}

/// How the tightest limit of each measure stands: what `x-ratelimit-*` headers tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub measure: Measure,
    /// The most that may come at once.
    pub limit: u64,
    pub remaining: u64,
    /// Until all of it is there again.
    pub full_in: Duration,
}

/// What is spent of a budget, as far as an exchange knows: for events.
#[derive(Debug, Clone, PartialEq)]
pub struct Spent {
    /// Which budget: its place in the configuration.
    pub budget: usize,
    pub key: Key,
    pub window: Window,
    pub spent: Decimal,
}

impl Quotas {
    /// An error says which rule stands twice.
    pub fn new(limits: Vec<Limit>, budgets: Vec<Budget>) -> Result<Self, String> {
        let of_the_target = limits.iter().any(|limit| limit.scope.is_of_the_target())
            || budgets.iter().any(|budget| budget.scope.is_of_the_target());
        let limits: Vec<_> = limits.into_iter().map(|limit| (limit_id(&limit), limit)).collect();
        let budgets: Vec<_> = budgets.into_iter().map(|budget| (budget_id(&budget), budget)).collect();
        let names =
            limits.iter().map(|(id, l)| (id, &l.name)).chain(budgets.iter().map(|(id, b)| (id, &b.name)));
        let mut seen: Vec<&RuleId> = Vec::new();
        for (id, name) in names {
            if seen.contains(&id) {
                return Err(format!("{name:?} counts what another rule counts already"));
            }
            seen.push(id);
        }
        Ok(Self { limits, budgets, of_the_target })
    }

    pub fn is_empty(&self) -> bool {
        self.limits.is_empty() && self.budgets.is_empty()
    }

    /// Whether any rule names whom is asked.
    pub fn are_of_the_target(&self) -> bool {
        self.of_the_target
    }

    pub fn has_budgets(&self) -> bool {
        !self.budgets.is_empty()
    }

    pub fn rates(&self) -> impl Iterator<Item = &Rate> {
        self.limits.iter().filter_map(|(_, limit)| match &limit.cap {
            Cap::Rate(rate) => Some(rate),
            Cap::Places(_) => None,
        })
    }

    pub fn budgets(&self) -> impl Iterator<Item = &Budget> {
        self.budgets.iter().map(|(_, budget)| budget)
    }

    pub fn budget(&self, index: usize) -> Option<&Budget> {
        self.budgets.get(index).map(|(_, budget)| budget)
    }

    /// What the exchange is to be charged to at `now` (milliseconds since 1970); `None` where nothing is.
    pub fn hold(
        &self,
        part: Part,
        id: LeaseId,
        subject: &Subject,
        estimate: &Estimate,
        now: u64,
    ) -> Result<Option<Held>, Error> {
        let meant = |scope: &Scope| scope.is_of_the_target() == (part == Part::Target);
        let (mut charges, mut rules) = (Vec::new(), SmallVec::new());
        for (index, (rule, limit)) in self.limits.iter().enumerate() {
            if !meant(&limit.scope) {
                continue;
            }
            let Some(values) = limit.scope.values(subject) else { continue };
            let take = match limit.cap {
                Cap::Places(places) => Take::Place { places },
                Cap::Rate(rate) => Take::Units { rate, units: units(limit.measure, estimate) },
            };
            charges.push(Charge { key: Key { rule: *rule, values }, take });
            rules.push(Rule::Limit(index, limit.measure));
        }
        for (index, (rule, budget)) in self.budgets.iter().enumerate() {
            if !meant(&budget.scope) || !estimate.uses {
                continue;
            }
            if budget.unpriced == Unpriced::Refuse && budget.scope.lacks_the_model(subject) {
                return Err(unpriced(subject, budget));
            }
            let Some(values) = budget.scope.values(subject) else { continue };
            let amount = match (estimate.cost, budget.unpriced) {
                (Some(cost), _) => cost,
                (None, Unpriced::Free) => Decimal::ZERO,
                (None, Unpriced::Refuse) => return Err(unpriced(subject, budget)),
            };
            let take = Take::Money { budget: budget.amount, window: budget.period.window(now), amount };
            charges.push(Charge { key: Key { rule: *rule, values }, take });
            rules.push(Rule::Budget(index));
        }
        if charges.is_empty() {
            return Ok(None);
        }
        Ok(Some(Held { lease: Lease { id, org: subject.org.clone(), charges }, rules }))
    }

    /// What the caller is told of a denial: which rule, and when it is worth asking again.
    pub fn refusal(&self, held: &Held, index: usize, state: &State, now: u64) -> Error {
        match held.rules.get(index) {
            Some(Rule::Budget(budget)) => self.out_of_budget(held, index, *budget, now),
            Some(Rule::Limit(limit, measure)) => {
                let name = self.limits.get(*limit).map_or("", |(_, limit)| limit.name.as_str());
                limited(name, *measure, state)
            }
            None => Error::new(Kind::Internal, "A charge without a rule was denied."),
        }
    }

    fn out_of_budget(&self, held: &Held, index: usize, budget: usize, now: u64) -> Error {
        let name = self.budget(budget).map_or("", |budget| budget.name.as_str());
        let mut error = Error::new(
            Kind::OutOfBudget,
            format!("The budget is used up, or too little of it is left for this request: {name}."),
        )
        .code("insufficient_quota")
        .rule(name.to_owned());
        if let Some(Take::Money { window, .. }) = held.lease.charges.get(index).map(|charge| &charge.take)
            && window.end != u64::MAX
        {
            error = error.retry_after(Duration::from_millis(window.end.saturating_sub(now)));
        }
        error
    }

    /// The tightest limit of each measure, after a reservation. `states` are those of `held` alone.
    pub fn standings(&self, held: &Held, states: &[State], standings: &mut Vec<Standing>) {
        for ((rule, charge), state) in held.rules.iter().zip(&held.lease.charges).zip(states) {
            let (Rule::Limit(_, measure), Take::Units { rate, .. }) = (rule, &charge.take) else { continue };
            let State::Units { remaining, full_in, .. } = *state else { continue };
            let standing = Standing { measure: *measure, limit: rate.burst, remaining, full_in };
            match standings.iter_mut().find(|known| known.measure == *measure) {
                None => standings.push(standing),
                Some(known) if remaining < known.remaining => *known = standing,
                Some(_) => {}
            }
        }
    }

    /// Whether one of the budgets that it holds money of lets through nothing whose price is unknown.
    pub fn refuse_unpriced(&self, held: &Held) -> bool {
        held.rules.iter().any(|rule| match rule {
            Rule::Budget(index) => {
                self.budget(*index).is_some_and(|budget| budget.unpriced == Unpriced::Refuse)
            }
            Rule::Limit(..) => false,
        })
    }
}

impl Held {
    /// Whether it holds money of a budget.
    pub fn holds_money(&self) -> bool {
        self.rules.iter().any(|rule| matches!(rule, Rule::Budget(_)))
    }

    /// What was spent of its budgets when it was reserved, and `more` since.
    pub fn spent(&self, states: &[State], more: Decimal) -> Vec<Spent> {
        let charges = self.rules.iter().zip(&self.lease.charges).zip(states);
        charges
            .filter_map(|((rule, charge), state)| match (rule, &charge.take, state) {
                (Rule::Budget(budget), Take::Money { window, .. }, State::Money { spent, .. }) => {
                    Some(Spent {
                        budget: *budget,
                        key: charge.key.clone(),
                        window: *window,
                        spent: spent + more,
                    })
                }
                _ => None,
            })
            .collect()
    }

    /// More of the same money, for an exchange that goes beyond its estimate.
    #[must_use]
    pub fn more(&self, part: u32, amount: Decimal) -> Self {
        let (mut charges, mut rules) = (Vec::new(), SmallVec::new());
        for (charge, rule) in self.lease.charges.iter().zip(&self.rules) {
            if let Take::Money { budget, window, .. } = charge.take {
                charges
                    .push(Charge { key: charge.key.clone(), take: Take::Money { budget, window, amount } });
                rules.push(*rule);
            }
        }
        let id = LeaseId { exchange: self.lease.id.exchange, part };
        Self { lease: Lease { id, org: self.lease.org.clone(), charges }, rules }
    }

    /// The end: what was used in all, and what it cost. What has no known cost was let through as free.
    pub fn settle(self, used: &Usage, cost: Decimal) -> Settlement {
        let used = self.rules.iter().map(|rule| match rule {
            Rule::Limit(_, Measure::Requests | Measure::Concurrent) => Used::AsReserved,
            Rule::Limit(_, Measure::Tokens) => {
                Used::Units(used.input_tokens.saturating_add(used.output_tokens))
            }
            Rule::Limit(_, Measure::InputTokens) => Used::Units(used.input_tokens),
            Rule::Limit(_, Measure::OutputTokens) => Used::Units(used.output_tokens),
            Rule::Budget(_) => Used::Money(cost),
        });
        Settlement { used: used.collect(), lease: self.lease }
    }

    /// The end of what never began: everything is given back, the request too.
    pub fn give_back(self) -> Settlement {
        let used = self.rules.iter().map(|rule| match rule {
            Rule::Limit(_, Measure::Concurrent) => Used::AsReserved,
            Rule::Limit(..) => Used::Units(0),
            Rule::Budget(_) => Used::Money(Decimal::ZERO),
        });
        Settlement { used: used.collect(), lease: self.lease }
    }
}

fn units(measure: Measure, estimate: &Estimate) -> u64 {
    match measure {
        Measure::Requests | Measure::Concurrent => 1,
        Measure::Tokens => estimate.input_tokens.saturating_add(estimate.output_tokens),
        Measure::InputTokens => estimate.input_tokens,
        Measure::OutputTokens => estimate.output_tokens,
    }
}

fn limited(name: &str, measure: Measure, state: &State) -> Error {
    let error = |message: String| {
        Error::new(Kind::RateLimited, message).code("rate_limit_exceeded").rule(name.to_owned())
    };
    match state {
        State::Units { wait, .. } if *wait == Duration::MAX => error(format!(
            "The request is larger than the limit ever allows: {name}. Ask for fewer {}.",
            measure.as_str()
        ))
        .never(),
        State::Units { wait, .. } => {
            error(format!("The limit is reached: {name}. It is worth asking again in {}.", seconds(*wait)))
                .retry_after(*wait)
        }
        State::Place { .. } | State::Money { .. } => {
            error(format!("The limit is reached: {name}. A request has to end first."))
                .retry_after(Duration::from_secs(1))
        }
    }
}

/// Whole milliseconds up to a second, then tenths.
fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_micros().div_ceil(1000))
    } else {
        let tenths = time.as_millis().div_ceil(100);
        format!("{}.{} s", tenths / 10, tenths % 10)
    }
}

fn unpriced(subject: &Subject, budget: &Budget) -> Error {
    let (provider, model) = (subject.provider.as_deref(), subject.model.as_deref());
    Error::new(
        Kind::Forbidden,
        format!(
            "There is a budget ({}), and no price is known for `{}` at `{}`: the operator has to add [prices.…] for it, or set unpriced = \"free\".",
            budget.name,
            model.unwrap_or("this request"),
            provider.unwrap_or("this provider"),
        ),
    )
    .code("price_unknown")
    .rule(budget.name.clone())
}

/// What makes a rule itself. Another rate is another counter; a budget of another amount is still the same account.
fn limit_id(limit: &Limit) -> RuleId {
    let cap = match limit.cap {
        Cap::Rate(rate) => format!("{:?}", rate.points()),
        Cap::Places(_) => String::new(),
    };
    rule_id(&format!("limit|{}|{}|{cap}", limit.scope, limit.measure.as_str()))
}

fn budget_id(budget: &Budget) -> RuleId {
    rule_id(&format!("budget|{}|{}", budget.scope, budget.period.id()))
}

fn rule_id(text: &str) -> RuleId {
    let hash = Sha256::digest(text.as_bytes());
    RuleId(hash.iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte)))
}

/// The states of an outcome that belong to the leases in turn.
pub fn split<'a>(outcome: &'a Outcome, held: &[&Held]) -> Vec<&'a [State]> {
    let mut rest = &outcome.states[..];
    held.iter()
        .map(|held| {
            let (own, others) = rest.split_at(held.lease.charges.len().min(rest.len()));
            rest = others;
            own
        })
        .collect()
}
