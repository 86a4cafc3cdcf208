//! Counters in this process: one lock an organisation's shard, held for a decision and never across an await.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use rust_decimal::Decimal;
use smallvec::SmallVec;
use tollgate_filters::counters::{
    Charge, Key, Lease, Outcome, Past, Restored, Settlement, State, Take, Used, Window,
};
use tollgate_filters::ports::Counters;
use tollgate_filters::rate_limit::{Bucket, Full, Rate};

const SHARDS: usize = 64;

/// Counters that an organisation may have before the idle ones are looked for.
const FEW: usize = 256;

/// How long a budget's window is kept after its end, in milliseconds: exchanges that began in it are still to be settled.
const KEPT_AFTER_THE_END: u64 = 24 * 3600 * 1000;

/// All counters of one organisation lie in one shard, so that a decision over several of them is one step.
#[derive(Debug)]
pub struct MemoryCounters {
    shards: Vec<Mutex<HashMap<Arc<str>, Org>>>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Org {
    rates: Map<(Rate, Bucket)>,
    places: Map<u32>,
    /// By window; mostly there is one.
    accounts: Map<SmallVec<[(Window, Account); 1]>>,
    /// The number of counters at which the idle ones are thrown out.
    crowded: usize,
}

/// Keys hold what callers chose, so the hash is one that they cannot foresee.
type Map<T> = hashbrown::HashMap<Key, T, RandomState>;

/// What exchanges spent of a budget, and what those under way may still spend.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Account {
    spent: Decimal,
    reserved: Decimal,
}

impl Default for MemoryCounters {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }
}

#[async_trait]
impl Counters for MemoryCounters {
    async fn reserve(&self, leases: &[&Lease]) -> Outcome {
        self.reserve_at(leases, now())
    }

    fn settle(&self, settlement: Settlement) {
        self.settle_at(&settlement, now());
    }

    fn restore(&self, past: Vec<Restored>) {
        for Restored { org, key, what } in past {
            self.with(&org, |org| match what {
                Past::Spent { window, amount } => org.account(&key, window).spent = amount,
                Past::Bucket { rate, bucket } => *org.bucket(&key, &rate, 0) = bucket,
            });
        }
    }
}

impl MemoryCounters {
    /// A reservation at `now`, in microseconds since 1970.
    pub fn reserve_at(&self, leases: &[&Lease], now: u64) -> Outcome {
        let nothing = Outcome { denied: None, states: SmallVec::new(), degraded: false };
        let Some(first) = leases.first() else { return nothing };
        self.with(&first.org, |org| {
            org.make_room(now);
            org.reserve(&|| leases.iter().flat_map(|lease| &lease.charges), now)
        })
    }

    pub fn settle_at(&self, settlement: &Settlement, now: u64) {
        self.with(&settlement.lease.org, |org| {
            for (charge, used) in settlement.lease.charges.iter().zip(&settlement.used) {
                org.settle(charge, *used, now);
            }
        });
    }

    /// What was spent and what is reserved of a budget.
    #[cfg(test)]
    pub fn account(&self, org: &Arc<str>, key: &Key, window: Window) -> (Decimal, Decimal) {
        self.with(org, |org| {
            let account = org.account(key, window);
            (account.spent, account.reserved)
        })
    }

    /// Forgets counters that say nothing any more. To be called now and then.
    pub fn sweep(&self) {
        let now = now();
        for shard in &self.shards {
            lock(shard).retain(|_, org| {
                org.sweep(now);
                org.len() > 0
            });
        }
    }

    /// How many counters there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).values().map(Org::len).sum::<usize>()).sum()
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn with<T>(&self, org: &Arc<str>, work: impl FnOnce(&mut Org) -> T) -> T {
        #[allow(clippy::cast_possible_truncation)] // any few bits of the hash will do
        let shard = self.hasher.hash_one(org) as usize % SHARDS;
        let mut orgs = lock(&self.shards[shard]);
        match orgs.get_mut(org) {
            Some(org) => work(org),
            None => work(orgs.entry(org.clone()).or_insert_with(Org::new)),
        }
    }
}

fn lock(shard: &Mutex<HashMap<Arc<str>, Org>>) -> MutexGuard<'_, HashMap<Arc<str>, Org>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Org {
    fn new() -> Self {
        Self { rates: Map::default(), places: Map::default(), accounts: Map::default(), crowded: FEW }
    }

    /// Takes charge after charge until one is denied; then gives back what was taken, and says of the rest whether it
    /// would have been.
    fn reserve<'a, I: Iterator<Item = &'a Charge>>(&mut self, charges: &impl Fn() -> I, now: u64) -> Outcome {
        let mut states: SmallVec<[State; 6]> = SmallVec::new();
        let mut denied: Option<(usize, Duration)> = None;
        for (index, charge) in charges().enumerate() {
            let take = denied.is_none();
            let state = self.charge(charge, now, take);
            if state.is_denied() {
                if take {
                    for (charge, state) in charges().zip(&mut states) {
                        *state = self.give_back(charge, now);
                    }
                }
                if denied.is_none_or(|(_, longest)| state.stands() > longest) {
                    denied = Some((index, state.stands()));
                }
            }
            states.push(state);
        }
        Outcome { denied: denied.map(|(index, _)| index), states, degraded: false }
    }

    /// Takes the charge where there is room, and if it may.
    fn charge(&mut self, Charge { key, take }: &Charge, now: u64, may: bool) -> State {
        match take {
            Take::Units { rate, units } => {
                let bucket = self.bucket(key, rate, now);
                let check = bucket.check(rate, now, *units);
                if check.is_ok() && may {
                    bucket.add(rate, *units);
                }
                let wait = match check {
                    Ok(()) => Duration::ZERO,
                    Err(Full::For(wait)) => wait.max(Duration::from_micros(1)),
                    Err(Full::TooMany) => Duration::MAX,
                };
                units_state(bucket, rate, now, wait)
            }
            Take::Place { places } => {
                let taken = self.places.entry_ref(key).or_default();
                let denied = *taken >= *places;
                *taken += u32::from(!denied && may);
                State::Place { taken: *taken, denied }
            }
            Take::Money { budget, window, amount } => {
                let account = self.account(key, *window);
                let denied = account.spent + account.reserved + amount > *budget;
                if !denied && may {
                    account.reserved += amount;
                }
                State::Money { spent: account.spent, reserved: account.reserved, denied }
            }
        }
    }

    /// Undoes [`Org::charge`] within the same decision.
    fn give_back(&mut self, Charge { key, take }: &Charge, now: u64) -> State {
        match take {
            Take::Units { rate, units } => {
                let bucket = self.bucket(key, rate, now);
                bucket.give_back(rate, *units);
                units_state(bucket, rate, now, Duration::ZERO)
            }
            Take::Place { .. } => {
                let taken = self.places.entry_ref(key).or_default();
                *taken = taken.saturating_sub(1);
                State::Place { taken: *taken, denied: false }
            }
            Take::Money { window, amount, .. } => {
                let account = self.account(key, *window);
                account.reserved -= amount;
                State::Money { spent: account.spent, reserved: account.reserved, denied: false }
            }
        }
    }

    fn settle(&mut self, Charge { key, take }: &Charge, used: Used, now: u64) {
        match (take, used) {
            (Take::Units { rate, units }, Used::Units(used)) => {
                let bucket = self.bucket(key, rate, now);
                if used > *units {
                    bucket.add(rate, used - units);
                } else {
                    bucket.give_back(rate, units - used);
                }
            }
            (Take::Units { .. }, _) => {}
            (Take::Place { .. }, _) => {
                let taken = self.places.entry_ref(key).or_default();
                *taken = taken.saturating_sub(1);
            }
            (Take::Money { window, amount, .. }, used) => {
                let account = self.account(key, *window);
                account.reserved -= amount;
                account.spent += match used {
                    Used::Money(used) => used,
                    Used::AsReserved | Used::Units(_) => *amount,
                };
            }
        }
    }

    /// The bucket, drained. One whose rate has changed since begins anew.
    fn bucket(&mut self, key: &Key, rate: &Rate, now: u64) -> &mut Bucket {
        let (known, bucket) = self.rates.entry_ref(key).or_insert_with(|| (*rate, Bucket::default()));
        if known != rate {
            (*known, *bucket) = (*rate, Bucket::default());
        }
        bucket.drain(rate, now);
        bucket
    }

    fn account(&mut self, key: &Key, window: Window) -> &mut Account {
        let accounts = self.accounts.entry_ref(key).or_default();
        let index = accounts.iter().position(|(known, _)| *known == window).unwrap_or_else(|| {
            accounts.push((window, Account::default()));
            accounts.len() - 1
        });
        &mut accounts[index].1
    }

    fn len(&self) -> usize {
        self.rates.len() + self.places.len() + self.accounts.len()
    }

    fn make_room(&mut self, now: u64) {
        if self.len() >= self.crowded {
            self.sweep(now);
        }
    }

    /// Forgets what is as good as new: empty buckets, places that nobody takes, budgets of windows long past.
    fn sweep(&mut self, now: u64) {
        self.rates.retain(|_, (rate, bucket)| {
            bucket.drain(rate, now);
            bucket.points > 0
        });
        self.places.retain(|_, taken| *taken > 0);
        let over = |window: &Window| window.end.saturating_add(KEPT_AFTER_THE_END) < now / 1000;
        self.accounts.retain(|_, accounts| {
            accounts.retain(|(window, account)| !over(window) && *account != Account::default());
            !accounts.is_empty()
        });
        self.crowded = FEW.max(2 * self.len());
    }
}

fn units_state(bucket: &Bucket, rate: &Rate, now: u64, wait: Duration) -> State {
    let room = bucket.room(rate, now);
    State::Units { remaining: room.remaining, full_in: room.full_in, wait }
}

/// Microseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
