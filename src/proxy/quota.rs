//! What an exchange holds of limits and budgets: from its reservation, over what it needs more, to its settlement.

use std::sync::Arc;

use rust_decimal::Decimal;
use tollgate_filters::counters::{LeaseId, State};
use tollgate_filters::error::{Error, Kind};
use tollgate_filters::exchange::Operation;
use tollgate_filters::quota::{Estimate, Held, Part, Standing, split};
use tollgate_filters::route::Target;
use tollgate_filters::scope::Subject;
use tollgate_filters::usage::{Reported, Row, Usage};

use super::ctx::{Body, Ctx};
use crate::gateway::Gateway;

mod cut;

pub(super) use cut::{Allowance, Verdict};

/// What is reserved of an answer whose length the client does not limit.
const USUAL_OUTPUT: u64 = 4096;

/// What the exchange holds, and what its caller is told of it.
#[derive(Default)]
pub(super) struct Holding {
    /// By the rules that the caller alone decides about, for the whole exchange.
    caller: Option<Reserved>,
    /// By those that name whom is asked, for the current target.
    target: Option<Reserved>,
    /// The target that the last reservation was for; with or without something to hold.
    reserved_for: Option<usize>,
    /// Leases so far.
    parts: u32,
    pub(super) standings: Vec<Standing>,
    pub(super) allowance: Option<Arc<Allowance>>,
}

struct Reserved {
    held: Held,
    states: Vec<State>,
}

impl Holding {
    /// Whether a budget is charged for the exchange.
    pub(super) fn holds_money(&self) -> bool {
        [&self.caller, &self.target].into_iter().flatten().any(|reserved| reserved.held.holds_money())
    }

    fn next(&mut self, ctx_id: u128) -> LeaseId {
        self.parts += 1;
        LeaseId { exchange: ctx_id, part: self.parts }
    }
}

/// Reserves what the exchange is about to use; for a target that has no room, on to the next. What an earlier call
/// reserved for the caller, or for the current target, stays; so this is for the first target and for each that follows.
pub(super) async fn reserve(gateway: &Gateway, ctx: &mut Ctx) -> Result<(), Error> {
    let quotas = &gateway.chain.quotas;
    if quotas.is_empty() || ctx.holding.reserved_for == Some(ctx.target) {
        return Ok(());
    }
    drop_unpriced(gateway, ctx)?;
    let mut first = None;
    loop {
        let refusal = match reserve_for_target(gateway, ctx).await {
            Ok(()) => {
                ctx.holding.reserved_for = Some(ctx.target);
                return Ok(());
            }
            Err((Part::Caller, refusal)) => return Err(refusal),
            Err((Part::Target, refusal)) => first.get_or_insert(refusal).clone(),
        };
        if !ctx.has_next_target() {
            return Err(refusal);
        }
        ctx.target += 1;
    }
}

async fn reserve_for_target(gateway: &Gateway, ctx: &mut Ctx) -> Result<(), (Part, Error)> {
    let quotas = &gateway.chain.quotas;
    let Some(target) = ctx.current().cloned() else { return Ok(()) };
    let subject = subject(gateway, ctx, Some(&target));
    let own = estimate(gateway, ctx, std::slice::from_ref(&target));
    let mut held: Vec<(Part, Held)> = Vec::new();
    if ctx.holding.reserved_for.is_none() {
        // Whichever is asked in the end, there is room for it.
        let dearest =
            if ctx.plan.targets.len() > 1 { estimate(gateway, ctx, &ctx.plan.targets) } else { own };
        let id = ctx.holding.next(ctx.uuid.as_u128());
        let caller = quotas.hold(Part::Caller, id, &subject, &dearest, ctx.time);
        held.extend(caller.map_err(|e| (Part::Caller, e))?.map(|held| (Part::Caller, held)));
    }
    if quotas.are_of_the_target() {
        let id = ctx.holding.next(ctx.uuid.as_u128());
        let target = quotas.hold(Part::Target, id, &subject, &own, ctx.time);
        held.extend(target.map_err(|e| (Part::Target, e))?.map(|held| (Part::Target, held)));
    }
    if held.is_empty() {
        return Ok(());
    }
    let parts: Vec<&Held> = held.iter().map(|(_, held)| held).collect();
    let leases: Vec<_> = parts.iter().map(|held| &held.lease).collect();
    let outcome = gateway.counters.reserve(&leases).await;
    let states: Vec<Vec<State>> = split(&outcome, &parts).into_iter().map(<[State]>::to_vec).collect();
    ctx.holding.standings.clear();
    if let Some(Reserved { held, states }) = &ctx.holding.caller {
        quotas.standings(held, states, &mut ctx.holding.standings);
    }
    for (held, states) in parts.iter().zip(&states) {
        quotas.standings(held, states, &mut ctx.holding.standings);
        gateway.budgets.saw(quotas, held.spent(states, Decimal::ZERO), &held.lease.org);
    }
    if let Some(mut index) = outcome.denied {
        for ((part, held), states) in held.iter().zip(&states) {
            if let Some(state) = states.get(index) {
                return Err((*part, quotas.refusal(held, index, state, ctx.time)));
            }
            index -= states.len();
        }
    }
    for ((part, held), states) in held.into_iter().zip(states) {
        let reserved = Some(Reserved { held, states });
        match part {
            Part::Caller => ctx.holding.caller = reserved,
            Part::Target => ctx.holding.target = reserved,
        }
    }
    Ok(())
}

/// Where a budget counts money, a target without a price would spend uncounted: it is passed over.
fn drop_unpriced(gateway: &Gateway, ctx: &mut Ctx) -> Result<(), Error> {
    let quotas = &gateway.chain.quotas;
    if ctx.holding.reserved_for.is_some() || !quotas.has_budgets() || ctx.plan.targets.len() < 2 {
        return Ok(());
    }
    let (subject, estimate) = (subject(gateway, ctx, None), estimate(gateway, ctx, &ctx.plan.targets));
    let id = LeaseId { exchange: 0, part: 0 };
    let held = quotas.hold(Part::Caller, id, &subject, &estimate, ctx.time)?;
    if held.is_some_and(|held| quotas.refuse_unpriced(&held)) {
        let targets = std::mem::take(&mut ctx.plan.targets);
        ctx.plan.targets = targets
            .into_iter()
            .filter(|target| cost(gateway, ctx, target, &usage(gateway, ctx, target)).is_some())
            .collect();
    }
    Ok(())
}

/// The current target is not asked after all: what is held for it is free again.
pub(super) fn leave_target(gateway: &Gateway, ctx: &mut Ctx) {
    if let Some(reserved) = ctx.holding.target.take() {
        gateway.counters.settle(reserved.held.give_back());
    }
}

/// An attempt has ended and its row says what it used.
pub(super) fn end_attempt(gateway: &Gateway, ctx: &mut Ctx) {
    let Some(row) = ctx.rows.last() else { return };
    if let Some(reserved) = ctx.holding.target.take() {
        settle(gateway, reserved, &row.usage, row.cost.unwrap_or_default());
    }
}

/// The exchange has ended: what all its attempts used counts, and what is left of the reservation is free again.
pub(super) fn end_exchange(gateway: &Gateway, ctx: &mut Ctx) {
    leave_target(gateway, ctx);
    if let Some(allowance) = ctx.holding.allowance.take() {
        allowance.end(gateway);
    }
    if let Some(reserved) = ctx.holding.caller.take() {
        let (usage, cost) = total(&ctx.rows);
        settle(gateway, reserved, &usage, cost);
    }
}

fn settle(gateway: &Gateway, Reserved { held, states }: Reserved, usage: &Usage, cost: Decimal) {
    gateway.budgets.saw(&gateway.chain.quotas, held.spent(&states, cost), &held.lease.org);
    gateway.counters.settle(held.settle(usage, cost));
}

fn total(rows: &[Row]) -> (Usage, Decimal) {
    let mut usage = Usage::default();
    let mut cost = Decimal::ZERO;
    for row in rows {
        usage.input_tokens = usage.input_tokens.saturating_add(row.usage.input_tokens);
        usage.output_tokens = usage.output_tokens.saturating_add(row.usage.output_tokens);
        cost += row.cost.unwrap_or_default();
    }
    (usage, cost)
}

fn subject(gateway: &Gateway, ctx: &Ctx, target: Option<&Target>) -> Subject {
    let caller = ctx.caller.as_deref();
    let provider = target.and_then(|target| gateway.providers.get(target.provider));
    Subject {
        org: caller.map_or_else(|| Arc::from(""), |caller| caller.org.clone()),
        user: caller.and_then(|caller| caller.user.clone()),
        key: caller.and_then(|caller| caller.key().cloned()),
        bridge: ctx.bridge.clone(),
        thread: ctx.thread.clone(),
        address: ctx.client,
        provider: provider.map(|provider| provider.name.clone()),
        model: target.and_then(|target| target.model.clone()),
    }
}

/// What the dearest of `targets` is going to use.
fn estimate(gateway: &Gateway, ctx: &Ctx, targets: &[Target]) -> Estimate {
    // Looking something up uses nothing.
    let posts = ctx.method == http::Method::POST;
    let uses = posts
        && ctx
            .asked
            .is_some_and(|(_, operation)| !matches!(operation, Operation::Models | Operation::CountTokens));
    if !uses {
        return Estimate { cost: Some(Decimal::ZERO), ..Estimate::default() };
    }
    let mut estimate = Estimate { uses, ..Estimate::default() };
    for target in targets {
        let usage = usage(gateway, ctx, target);
        estimate.input_tokens = estimate.input_tokens.max(usage.input_tokens);
        estimate.output_tokens = estimate.output_tokens.max(usage.output_tokens);
        if gateway.chain.quotas.has_budgets() && !is_deferred(ctx) {
            estimate.cost = estimate.cost.max(cost(gateway, ctx, target, &usage));
        }
    }
    estimate
}

/// The input as it is about, and the output at its limit.
fn usage(gateway: &Gateway, ctx: &Ctx, target: &Target) -> Usage {
    let Some((_, operation)) = ctx.asked else { return Usage::default() };
    let bytes = match &ctx.body {
        Body::Whole(body) => body.len() as u64,
        // What is only passed on (files, audio) is not counted in tokens before its answer says so.
        Body::None | Body::Streamed(_) => 0,
    };
    let input_tokens = ctx.facts.as_ref().map_or(0, |facts| facts.input_tokens(bytes));
    Usage { input_tokens, output_tokens: output_limit(gateway, ctx, target, operation), ..Usage::default() }
}

fn output_limit(gateway: &Gateway, ctx: &Ctx, target: &Target, operation: Operation) -> u64 {
    if !operation.generates() {
        return 0;
    }
    let facts = ctx.facts.as_ref();
    let provider = gateway.providers.get(target.provider).map_or("", |provider| &*provider.name);
    let known = target.model.as_deref().and_then(|model| gateway.catalogue.find(provider, model));
    let most = known.and_then(|known| known.max_output_tokens).unwrap_or(u64::MAX);
    let asked = facts.and_then(|facts| facts.max_output_tokens(ctx.dialect()));
    let each = asked.unwrap_or(USUAL_OUTPUT).min(most);
    each.saturating_mul(facts.and_then(|facts| facts.answers).unwrap_or(1).max(1))
}

fn cost(gateway: &Gateway, ctx: &Ctx, target: &Target, usage: &Usage) -> Option<Decimal> {
    let reported = Reported {
        usage: *usage,
        service_tier: ctx.facts.as_ref().and_then(|facts| facts.service_tier.clone()),
        ..Reported::default()
    };
    let org = ctx.caller.as_deref().map_or("", |caller| &caller.org);
    gateway.cost(org, target.provider, target.model.as_deref(), &reported)
}

/// Whether what is asked for is done later, where nobody counts it: its cost is as good as unknown.
fn is_deferred(ctx: &Ctx) -> bool {
    const LATER: [&str; 9] = [
        ":batchGenerateContent",
        ":asyncBatchEmbedContent",
        ":predictLongRunning",
        "/batches",
        "/fine_tuning/",
        "/threads",
        "/realtime/",
        "/videos",
        "/evals",
    ];
    let other = matches!(ctx.asked, Some((_, Operation::Other)));
    ctx.facts.as_ref().is_some_and(|facts| facts.background)
        || other && LATER.iter().any(|word| ctx.path.text.contains(word))
}

/// What an attempt is booked with at least, where a budget is charged and nobody knows what it cost: what was reserved.
pub(super) fn floor(gateway: &Gateway, ctx: &Ctx, target: &Target) -> Option<Decimal> {
    ctx.holding.holds_money().then(|| cost(gateway, ctx, target, &usage(gateway, ctx, target))).flatten()
}

/// The exchange is refused for want of room, not for what it is.
pub(super) fn is_full(refusal: &Error) -> bool {
    matches!(refusal.kind, Kind::RateLimited | Kind::OutOfBudget)
}
