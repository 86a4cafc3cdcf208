//! A running stream under a budget: more is reserved before what was reserved is used up, and where there is no more,
//! the stream ends.

use std::future::Future as _;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rust_decimal::Decimal;
use tollgate_filters::error::{Error, Kind};
use tollgate_filters::quota::Held;
use tollgate_filters::usage::Usage;

use super::super::ctx::{Attempt, Ctx};
use super::{Holding, cost, usage};
use crate::gateway::Gateway;

/// Tokens that are reserved at a time once the first reservation runs out.
const STEP: u64 = 1024;

/// How long a stream waits for an answer of the counters before it looks again.
const LOOK: Duration = Duration::from_millis(50);

/// What a stream may still generate.
#[derive(Debug)]
pub(in crate::proxy) struct Allowance {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Where the client limits the output, all that can come is reserved, and the provider ends it: up to here, as
    /// tokens are guessed from bytes, it is let be.
    bound: u64,
    /// Output tokens that money is reserved for.
    granted: u64,
    /// Output tokens seen at the last look.
    seen: u64,
    /// The most that came between two looks: what may come before the next.
    stride: u64,
    /// What a step costs.
    step: Decimal,
    parts: Vec<Held>,
    asking: Asking,
}

#[derive(Debug)]
enum Asking {
    Not,
    UnderWay,
    Denied(Error),
    /// The exchange has ended: what is granted now is given back.
    Over,
}

/// What becomes of a stream for now.
pub(in crate::proxy) enum Verdict {
    Go,
    /// It has used up what is reserved, and the counters have not answered yet.
    Wait(Duration),
    Cut(Error),
}

impl Allowance {
    /// For a stream that has just begun; `None` where no budget is charged for it.
    pub(in crate::proxy) fn new(gateway: &Gateway, ctx: &Ctx) -> Option<Arc<Self>> {
        if !ctx.holding.holds_money() {
            return None;
        }
        let target = ctx.attempt.as_ref().map(|attempt| &attempt.target)?;
        let estimated = usage(gateway, ctx, target);
        let more = Usage { output_tokens: estimated.output_tokens.saturating_add(STEP), ..estimated };
        let step = cost(gateway, ctx, target, &more)? - cost(gateway, ctx, target, &estimated)?;
        let is_bounded =
            ctx.facts.as_ref().is_some_and(|facts| facts.max_output_tokens(ctx.dialect()).is_some());
        let inner = Inner {
            bound: if is_bounded { estimated.output_tokens.saturating_mul(5) / 4 } else { 0 },
            granted: estimated.output_tokens,
            seen: 0,
            stride: 0,
            step,
            parts: Vec::new(),
            asking: Asking::Not,
        };
        Some(Arc::new(Self { inner: Mutex::new(inner) }))
    }

    /// Looks at how far the stream has come.
    pub(in crate::proxy) fn look(
        self: &Arc<Self>,
        gateway: &Arc<Gateway>,
        holding: &mut Holding,
        exchange: u128,
        attempt: &Attempt,
        now: u64,
    ) -> Verdict {
        let Some(tap) = &attempt.tap else { return Verdict::Go };
        let seen = tap.output_tokens();
        let mut inner = self.lock();
        inner.stride = inner.stride.max(seen - inner.seen.min(seen));
        inner.seen = seen;
        let ahead = seen + inner.stride;
        if seen <= inner.bound || ahead + STEP / 2 < inner.granted || inner.step.is_zero() {
            return Verdict::Go;
        }
        if matches!(inner.asking, Asking::Not) {
            inner.asking = Asking::UnderWay;
            let step = inner.step;
            drop(inner);
            self.ask(gateway, more(holding, exchange, step), now);
            inner = self.lock();
        }
        let used_up = ahead > inner.granted;
        match &inner.asking {
            Asking::Denied(why) if used_up => Verdict::Cut(why.clone()),
            Asking::UnderWay if used_up => Verdict::Wait(LOOK),
            _ => Verdict::Go,
        }
    }

    /// Counters in this process answer at once; others are waited for elsewhere.
    fn ask(self: &Arc<Self>, gateway: &Arc<Gateway>, more: Vec<Held>, now: u64) {
        let (allowance, gateway) = (self.clone(), gateway.clone());
        let mut asking = Box::pin(async move {
            let leases: Vec<_> = more.iter().map(|held| &held.lease).collect();
            let outcome = gateway.counters.reserve(&leases).await;
            let denied = outcome.denied.map(|mut index| {
                for held in &more {
                    if index < held.lease.charges.len() {
                        return gateway.chain.quotas.refusal(held, index, &outcome.states[index], now);
                    }
                    index -= held.lease.charges.len();
                }
                Error::new(Kind::Internal, "A charge without a lease was denied.")
            });
            allowance.answered(&gateway, more, denied);
        });
        let mut context = Context::from_waker(Waker::noop());
        if pin!(&mut asking).poll(&mut context) == Poll::Pending {
            tokio::spawn(asking);
        }
    }

    fn answered(&self, gateway: &Gateway, more: Vec<Held>, denied: Option<Error>) {
        let mut inner = self.lock();
        let over = matches!(inner.asking, Asking::Over);
        match denied {
            Some(_) if over => {}
            None if over => {
                drop(inner);
                give_back(gateway, more);
            }
            Some(why) => inner.asking = Asking::Denied(why),
            None => {
                inner.granted += STEP;
                inner.parts.extend(more);
                inner.asking = Asking::Not;
            }
        }
    }

    /// The exchange has ended; the first reservation is settled with all that it cost.
    pub(super) fn end(&self, gateway: &Gateway) {
        let parts = {
            let mut inner = self.lock();
            inner.asking = Asking::Over;
            std::mem::take(&mut inner.parts)
        };
        give_back(gateway, parts);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn give_back(gateway: &Gateway, parts: Vec<Held>) {
    for held in parts {
        gateway.counters.settle(held.give_back());
    }
}

fn more(holding: &mut Holding, exchange: u128, step: Decimal) -> Vec<Held> {
    let mut more = Vec::new();
    for index in 0..2 {
        let part = holding.next(exchange).part;
        let reserved = if index == 0 { &holding.caller } else { &holding.target };
        more.extend(reserved.as_ref().filter(|r| r.held.holds_money()).map(|r| r.held.more(part, step)));
    }
    more
}
