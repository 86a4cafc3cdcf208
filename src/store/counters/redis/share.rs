//! Decisions while Redis is away: this replica's own share of every limit, and of what was last left of a budget.

use std::time::Duration;

use rust_decimal::{Decimal, RoundingStrategy};
use smallvec::SmallVec;
use tollgate_filters::counters::{Charge, Key, Lease, MONEY_DECIMALS, Outcome, State, Take, Window};
use tollgate_filters::rate_limit::{Bucket, Full, Rate};

use super::org::{Mode, Money, Org, Part};

/// When it is worth asking again for more than a share ever holds, though not more than the limit does.
const UNTIL_SHARED: Duration = Duration::from_secs(1);

impl Org {
    /// Takes all charges from this replica's share, of which there are `parts`; `now` in microseconds since 1970.
    pub fn decide_here(&mut self, leases: &[&Lease], parts: u64, now: u64) -> Outcome {
        let parts = parts.max(1);
        let charges = || leases.iter().flat_map(|lease| &lease.charges);
        let mut states: SmallVec<[State; 6]> =
            charges().map(|charge| self.state_here(charge, parts, now)).collect();
        let denied = longest(&states);
        if denied.is_none() {
            for charge in charges() {
                self.take_here(charge, now);
            }
            for lease in leases {
                self.hold(lease, true);
            }
            if matches!(self.mode, Mode::Shared) {
                self.mode = Mode::Here;
            }
            for (charge, state) in charges().zip(&mut states) {
                *state = match self.state_here(charge, parts, now) {
                    State::Units { remaining, full_in, .. } => {
                        State::Units { remaining, full_in, wait: Duration::ZERO }
                    }
                    State::Place { taken, .. } => State::Place { taken, denied: false },
                    State::Money { spent, reserved, .. } => State::Money { spent, reserved, denied: false },
                };
            }
        }
        Outcome { denied, states, degraded: true }
    }

    /// What the charge finds, and whether it is denied.
    fn state_here(&mut self, Charge { key, take }: &Charge, parts: u64, now: u64) -> State {
        match take {
            Take::Units { rate, units } => {
                let part = self.part(key, rate, parts, now);
                let room = part.bucket.room(&part.rate, now);
                let wait = match part.bucket.check(&part.rate, now, *units) {
                    Ok(()) => Duration::ZERO,
                    Err(Full::For(wait)) => wait.max(Duration::from_micros(1)),
                    Err(Full::TooMany) if *units <= rate.burst => UNTIL_SHARED,
                    Err(Full::TooMany) => Duration::MAX,
                };
                State::Units { remaining: room.remaining, full_in: room.full_in, wait }
            }
            Take::Place { places } => {
                let taken = self.places.get(key).copied().unwrap_or(0);
                State::Place { taken, denied: u64::from(taken) >= share_of(*places, parts) }
            }
            Take::Money { budget, window, amount } => {
                let money = self.money(key, *window);
                let left = (*budget - money.spent - money.reserved).max(Decimal::ZERO);
                let own = (left / Decimal::from(parts))
                    .round_dp_with_strategy(MONEY_DECIMALS, RoundingStrategy::ToZero);
                State::Money {
                    spent: money.spent + money.here_spent,
                    reserved: money.reserved + money.here_reserved,
                    denied: money.here_spent + money.here_reserved + amount > own,
                }
            }
        }
    }

    fn take_here(&mut self, Charge { key, take }: &Charge, now: u64) {
        match take {
            Take::Units { rate, units } => {
                // It is there: the charge's state was made from it.
                if let Some(part) = self.share.get_mut(&(key.clone(), *rate)) {
                    part.bucket.drain(&part.rate, now);
                    part.bucket.add(&part.rate, *units);
                }
            }
            // `hold` counts it.
            Take::Place { .. } => {}
            Take::Money { window, amount, .. } => self.money(key, *window).here_reserved += amount,
        }
    }

    fn part(&mut self, key: &Key, rate: &Rate, parts: u64, now: u64) -> &mut Part {
        let part = self
            .share
            .entry((key.clone(), *rate))
            .or_insert_with(|| Part { rate: rate.share(parts), bucket: Bucket::default() });
        part.bucket.drain(&part.rate, now);
        part
    }

    fn money(&mut self, key: &Key, window: Window) -> &mut Money {
        self.accounts.entry((key.clone(), window)).or_default()
    }

    /// A lease that was taken here turns out to have been taken by Redis as well: there it stays.
    pub fn was_taken_too(&mut self, lease: &Lease) {
        let runs = self.running.get_mut(&lease.id).map(|held| std::mem::take(&mut held.here));
        for charge in &lease.charges {
            match &charge.take {
                Take::Units { rate, units } => self.change(&charge.key, rate, *units, 0, true),
                Take::Money { window, amount, .. } if runs == Some(true) => {
                    let money = self.money(&charge.key, *window);
                    money.here_reserved -= amount;
                    money.reserved += amount;
                }
                Take::Place { .. } | Take::Money { .. } => {}
            }
        }
    }

    /// Pours what was taken here into what Redis is owed: what has not drained yet, as forced charges.
    pub fn pour(&mut self, now: u64) {
        for ((key, rate), mut part) in self.share.drain() {
            part.bucket.drain(&part.rate, now);
            let [_, _, per_unit, _] = part.rate.points();
            self.owed.units(&key, &rate, 0, part.bucket.points.div_ceil(per_unit));
        }
        for money in self.accounts.values_mut() {
            money.spent += std::mem::take(&mut money.here_spent);
            money.reserved += std::mem::take(&mut money.here_reserved);
        }
        for (id, held) in &mut self.running {
            if held.here {
                held.here = false;
                if !held.holds.is_empty() {
                    self.owed.renew.push(*id);
                }
            }
        }
        self.running.retain(|_, held| !held.holds.is_empty());
    }
}

/// The charge that stands in the way longest.
pub fn longest(states: &[State]) -> Option<usize> {
    let mut denied: Option<(usize, Duration)> = None;
    for (index, state) in states.iter().enumerate().filter(|(_, state)| state.is_denied()) {
        if denied.is_none_or(|(_, longest)| state.stands() > longest) {
            denied = Some((index, state.stands()));
        }
    }
    denied.map(|(index, _)| index)
}

fn share_of(places: u32, parts: u64) -> u64 {
    (u64::from(places) / parts).max(1)
}
