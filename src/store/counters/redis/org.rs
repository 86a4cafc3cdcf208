//! What this replica knows of one organisation's counters: who holds what, what it spent, and what Redis is to be told.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use rust_decimal::Decimal;
use smallvec::SmallVec;
use tokio::sync::watch;
use tollgate_filters::counters::{Charge, Key, Lease, LeaseId, Settlement, Take, Used, Window};
use tollgate_filters::rate_limit::{Bucket, Rate};

use super::names::Names;
use super::script::Call;

/// How long a budget's window is kept after its end, in milliseconds: exchanges that began in it are still to be settled.
pub const KEPT_AFTER_THE_END: u64 = 24 * 3600 * 1000;

#[derive(Debug)]
pub struct Org {
    pub names: Names,
    pub sequence: String,
    /// Leases that Redis holds places or money for, and all that were decided here.
    pub running: HashMap<LeaseId, Held>,
    /// Of those running, by what they hold.
    pub places: HashMap<Key, u32>,
    pub accounts: HashMap<Account, Money>,
    /// What was taken here while Redis was away.
    pub share: HashMap<Counter, Part>,
    pub owed: Owed,
    pub mode: Mode,
    /// The batch that was sent and is not known to be applied, with its number.
    pub sent: Option<(u64, Arc<Call>)>,
    /// When Redis last applied a batch of this replica's, and its number.
    pub applied: Option<(Instant, u64)>,
    /// It is with the one who tells Redis.
    pub queued: bool,
}

pub type Counter = (Key, Rate);
pub type Account = (Key, Window);

/// Where decisions are made.
#[derive(Debug, Default)]
pub enum Mode {
    #[default]
    Shared,
    /// Here, until Redis has been told what was decided.
    Here,
    /// Redis is being told. What drops the sender wakes who waits for it.
    Pouring(watch::Sender<()>),
}

#[derive(Debug)]
pub struct Held {
    pub holds: SmallVec<[Hold; 2]>,
    /// Decided here, and Redis has not been told.
    pub here: bool,
}

#[derive(Debug, Clone)]
pub enum Hold {
    Place(Key),
    Money(Account, Decimal),
}

/// A budget's account.
#[derive(Debug, Clone, Copy, Default)]
pub struct Money {
    /// All that this replica has spent.
    pub own: Decimal,
    /// Redis is to take `own` as it is.
    pub set: bool,
    /// What all have spent and reserved when Redis was last asked, and what has changed here since.
    pub spent: Decimal,
    pub reserved: Decimal,
    /// What was decided here while Redis was away.
    pub here_spent: Decimal,
    pub here_reserved: Decimal,
}

/// This replica's part of a rate.
#[derive(Debug)]
pub struct Part {
    pub rate: Rate,
    pub bucket: Bucket,
}

/// What Redis is still to be told, added up.
#[derive(Debug, Default)]
pub struct Owed {
    /// Units back, and units more.
    pub units: HashMap<Counter, (u64, u64)>,
    pub ended: Vec<(LeaseId, Hold)>,
    pub spent: HashSet<Account>,
    /// Leases to be prolonged.
    pub renew: Vec<LeaseId>,
}

impl Owed {
    pub fn len(&self) -> usize {
        self.units.len() + self.ended.len() + self.spent.len() + self.renew.len()
    }

    pub fn units(&mut self, key: &Key, rate: &Rate, back: u64, more: u64) {
        if back > 0 || more > 0 {
            let owed = self.units.entry((key.clone(), *rate)).or_default();
            *owed = (owed.0.saturating_add(back), owed.1.saturating_add(more));
        }
    }
}

impl Org {
    pub fn new(names: Names, sequence: String) -> Self {
        Self {
            names,
            sequence,
            running: HashMap::new(),
            places: HashMap::new(),
            accounts: HashMap::new(),
            share: HashMap::new(),
            owed: Owed::default(),
            mode: Mode::Shared,
            sent: None,
            applied: None,
            queued: false,
        }
    }

    /// A lease runs. Those that hold nothing that could lapse are not kept, unless they were decided here.
    pub fn hold(&mut self, lease: &Lease, here: bool) {
        let holds: SmallVec<[Hold; 2]> = lease.charges.iter().filter_map(Hold::of).collect();
        if holds.is_empty() && !here {
            return;
        }
        for hold in &holds {
            if let Hold::Place(key) = hold {
                *self.places.entry(key.clone()).or_default() += 1;
            }
        }
        self.running.insert(lease.id, Held { holds, here });
    }

    /// A lease runs no more.
    fn release(&mut self, id: LeaseId) -> Option<Held> {
        let held = self.running.remove(&id)?;
        for hold in &held.holds {
            if let Hold::Place(key) = hold
                && let Some(taken) = self.places.get_mut(key)
            {
                *taken = taken.saturating_sub(1);
                if *taken == 0 {
                    self.places.remove(key);
                }
            }
        }
        Some(held)
    }

    pub fn settle(&mut self, Settlement { lease, used }: &Settlement) {
        let held = self.release(lease.id);
        let here = held.as_ref().is_some_and(|held| held.here);
        for (charge, used) in lease.charges.iter().zip(used) {
            self.settle_charge(charge, *used, here);
        }
        // Redis knows nothing of a lease that was decided here.
        if let Some(held) = held
            && !here
        {
            self.owed.ended.extend(held.holds.into_iter().map(|hold| (lease.id, hold)));
        }
    }

    fn settle_charge(&mut self, Charge { key, take }: &Charge, used: Used, here: bool) {
        match take {
            Take::Units { rate, units } => {
                let Used::Units(used) = used else { return };
                let (back, more) = (units.saturating_sub(used), used.saturating_sub(*units));
                self.change(key, rate, back, more, here);
            }
            Take::Place { .. } => {}
            Take::Money { window, amount, .. } => {
                let used = match used {
                    Used::Money(used) => used,
                    Used::AsReserved | Used::Units(_) => *amount,
                };
                let account = (key.clone(), *window);
                let money = self.accounts.entry(account.clone()).or_default();
                money.own += used;
                if here {
                    money.here_reserved -= amount;
                    money.here_spent += used;
                } else {
                    money.reserved = (money.reserved - amount).max(Decimal::ZERO);
                    money.spent += used;
                }
                self.owed.spent.insert(account);
            }
        }
    }

    /// Units back or more: of this replica's part, where they were taken from it and it has not been poured out.
    pub fn change(&mut self, key: &Key, rate: &Rate, back: u64, more: u64, here: bool) {
        let part = if here { self.share.get_mut(&(key.clone(), *rate)) } else { None };
        match part {
            Some(part) => {
                part.bucket.give_back(&part.rate, back);
                part.bucket.add(&part.rate, more);
            }
            None => self.owed.units(key, rate, back, more),
        }
    }

    /// A reservation was made of which nobody knows: it is undone.
    pub fn undo(&mut self, lease: &Lease) {
        for charge in &lease.charges {
            match &charge.take {
                Take::Units { rate, units } => self.owed.units(&charge.key, rate, *units, 0),
                Take::Place { .. } | Take::Money { .. } => {}
            }
        }
        self.undo_holds(lease);
    }

    fn undo_holds(&mut self, lease: &Lease) {
        self.owed.ended.extend(lease.charges.iter().filter_map(Hold::of).map(|hold| (lease.id, hold)));
    }

    /// The same of one that may have been made. If the lease runs and Redis has been told, it is the same lease.
    pub fn undo_unknown(&mut self, lease: &Lease) {
        if self.running.get(&lease.id).is_none_or(|held| held.here) {
            self.undo_holds(lease);
        }
    }

    pub fn runs(&self, id: LeaseId) -> bool {
        self.running.contains_key(&id)
    }

    /// Redis lost what it knew, or may have: it is told again what was spent and who holds what.
    pub fn tell_all(&mut self, now_ms: u64) {
        self.owed.spent.extend(self.accounts.keys().filter(|(_, window)| !is_over(window, now_ms)).cloned());
        self.renew();
    }

    pub fn renew(&mut self) {
        let held = self.running.iter().filter(|(_, held)| !held.here && !held.holds.is_empty());
        self.owed.renew = held.map(|(id, _)| *id).collect();
    }

    pub fn owes(&self) -> bool {
        self.sent.is_some() || self.owed.len() > 0 || !matches!(self.mode, Mode::Shared)
    }

    /// Forgets budgets of windows long past, and what has drained. Whether there is nothing left to know.
    pub fn sweep(&mut self, now: u64) -> bool {
        let now_ms = now / 1000;
        self.share.retain(|_, part| {
            part.bucket.drain(&part.rate, now);
            part.bucket.points > 0
        });
        self.accounts.retain(|(_, window), _| !is_over(window, now_ms));
        self.accounts.is_empty() && self.running.is_empty() && !self.owes() && !self.queued
    }
}

impl Hold {
    /// What a charge takes that lapses.
    pub fn of(charge: &Charge) -> Option<Self> {
        match charge.take {
            Take::Units { .. } => None,
            Take::Place { .. } => Some(Self::Place(charge.key.clone())),
            Take::Money { window, amount, .. } => Some(Self::Money((charge.key.clone(), window), amount)),
        }
    }
}

pub fn is_over(window: &Window, now_ms: u64) -> bool {
    window.end.saturating_add(KEPT_AFTER_THE_END) < now_ms
}
