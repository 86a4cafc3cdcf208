//! What the scripts are asked, made of what is known of an organisation; and what their answers mean.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rust_decimal::Decimal;
use smallvec::SmallVec;
use tollgate_filters::counters::{Lease, LeaseId, Outcome, State, Take, Window};
use tollgate_filters::rate_limit::{Bucket, Full, MAX_POINTS, Rate};

use super::org::{Account, Counter, Hold, KEPT_AFTER_THE_END, Mode, Org};
use super::script::{APPLY, Call, Numbers, RESERVE};
use super::{money, share};

/// How long Redis keeps the number of the last batch, after which one that is sent again may count twice.
const SEQUENCE: Duration = Duration::from_secs(24 * 3600);
/// Steps in a batch: Redis does nothing else meanwhile.
const STEPS: usize = 100;

/// Who speaks to Redis.
#[derive(Debug, Clone)]
pub struct Me {
    pub replica: String,
    /// Different for each start.
    pub incarnation: String,
    pub prefix: String,
    pub lease_ttl: Duration,
}

/// What the script answered to a reservation.
#[derive(Debug)]
pub enum Reply {
    Taken(Outcome),
    Denied(Outcome),
    /// It came too late, and nothing was done.
    TooLate,
}

#[derive(Debug)]
pub struct Answered {
    pub reply: Reply,
    /// By Redis' clock, in microseconds since 1970.
    pub now: u64,
    /// Redis does not know this replica any more.
    pub lost: bool,
}

impl Org {
    /// `until`: when it may be done at the latest, by Redis' clock; 0 at any time.
    pub fn reserve_call(&self, me: &Me, leases: &[&Lease], until: u64) -> Call {
        let mut call = Call::new(&RESERVE);
        call.key(self.sequence.clone());
        call.arg(until);
        call.arg(self.known());
        call.arg(me.lease_ttl.as_millis());
        for lease in leases.iter().filter(|lease| !lease.charges.is_empty()) {
            call.arg("l");
            call.arg(name(lease.id));
            for charge in &lease.charges {
                match &charge.take {
                    Take::Units { rate, units } => {
                        let [tick, per_tick, _, capacity] = rate.points();
                        call.key(self.names.bucket(&charge.key, rate));
                        call.arg("u");
                        call.args([tick, per_tick, weight(rate, *units), capacity]);
                    }
                    Take::Place { places } => {
                        call.key(self.names.places(&charge.key));
                        call.arg("p");
                        call.arg(places);
                    }
                    Take::Money { budget, window, amount } => {
                        call.keys(self.names.account(&charge.key, *window));
                        call.arg("m");
                        call.args([*budget, *amount].map(money::text));
                        call.arg(expires(*window));
                    }
                }
            }
        }
        call
    }

    /// The number of a batch that Redis should remember; 0 none.
    fn known(&self) -> u64 {
        self.applied.filter(|(at, _)| at.elapsed() < SEQUENCE / 2).map_or(0, |(_, number)| number)
    }

    /// The next batch, if there is something to tell. Until it is known to be applied it is the same one.
    pub fn batch(&mut self, me: &Me, number: impl FnOnce() -> u64, now: u64) -> Option<Arc<Call>> {
        if let Some((_, sent)) = &self.sent {
            return Some(sent.clone());
        }
        let pours = matches!(self.mode, Mode::Here);
        if pours {
            self.mode = Mode::Pouring(tokio::sync::watch::Sender::new(()));
            self.pour(now);
        }
        if self.owed.len() == 0 && !pours {
            return None;
        }
        let most = if pours { usize::MAX } else { STEPS };
        let mut call = Call::new(&APPLY);
        call.key(self.sequence.clone());
        let number = number();
        call.arg(number);
        call.arg(SEQUENCE.as_millis());
        call.arg(me.lease_ttl.as_millis());
        call.arg(&me.replica);
        call.arg(self.known());
        self.units_steps(&mut call, most);
        // What was spent goes before the reservations that end with it: in between, too much counts, not too little.
        self.spent_steps(&mut call, most);
        self.hold_steps(&mut call, most);
        let call = Arc::new(call);
        self.sent = Some((number, call.clone()));
        Some(call)
    }

    fn units_steps(&mut self, call: &mut Call, most: usize) {
        let some: Vec<Counter> = self.owed.units.keys().take(most).cloned().collect();
        for counter in some {
            let Some((back, more)) = self.owed.units.remove(&counter) else { continue };
            let (key, rate) = &counter;
            let [tick, per_tick, ..] = rate.points();
            call.key(self.names.bucket(key, rate));
            call.arg("u");
            call.args([tick, per_tick, weight(rate, back), weight(rate, more)]);
        }
    }

    fn spent_steps(&mut self, call: &mut Call, most: usize) {
        let some: Vec<Account> = self.owed.spent.iter().take(most).cloned().collect();
        for account in some {
            self.owed.spent.remove(&account);
            let Some(money) = self.accounts.get_mut(&account) else { continue };
            let [key, _] = self.names.account(&account.0, account.1);
            call.key(key);
            call.arg("s");
            call.arg(money::text(money.own));
            call.arg(u8::from(std::mem::take(&mut money.set)));
            call.arg(expires(account.1));
        }
    }

    fn hold_steps(&mut self, call: &mut Call, most: usize) {
        let ended = self.owed.ended.len().min(most);
        for (id, hold) in self.owed.ended.drain(..ended).collect::<Vec<_>>() {
            self.hold_step(call, id, &hold, ["p", "m"]);
        }
        let renewed = self.owed.renew.len().min(most);
        for id in self.owed.renew.drain(..renewed).collect::<Vec<_>>() {
            let Some(held) = self.running.get(&id) else { continue };
            for hold in &held.holds {
                self.hold_step(call, id, hold, ["P", "M"]);
            }
        }
    }

    fn hold_step(&self, call: &mut Call, id: LeaseId, hold: &Hold, [place, money]: [&str; 2]) {
        match hold {
            Hold::Place(key) => {
                call.key(self.names.places(key));
                call.arg(place);
                call.arg(name(id));
            }
            Hold::Money(account, amount) => {
                call.keys(self.names.account(&account.0, account.1));
                call.arg(money);
                call.arg(name(id));
                call.arg(money::text(*amount));
                call.arg(expires(account.1));
            }
        }
    }

    /// Redis has applied the batch, and says whether it had lost this replica. Whether there is more to tell.
    pub fn applied(&mut self, lost: bool, now: u64) -> bool {
        self.applied = self.sent.take().map(|(number, _)| (Instant::now(), number));
        if lost {
            self.tell_all(now / 1000);
        }
        self.poured(Mode::Shared);
        self.queued = self.owes();
        self.queued
    }

    /// Redis did not answer: the batch is kept, and what waits for it goes on here.
    pub fn not_applied(&mut self) {
        self.poured(Mode::Here);
        self.queued = false;
    }

    fn poured(&mut self, then: Mode) {
        if matches!(self.mode, Mode::Pouring(_)) {
            // Some may not have waited.
            let waits = self.share.is_empty() && !self.running.values().any(|held| held.here);
            self.mode = if waits { then } else { Mode::Here };
        }
    }

    /// What the script answered; notes what it said of budgets, and what the leases hold from now on.
    pub fn answered(&mut self, leases: &[&Lease], answer: &mut Numbers) -> Option<Answered> {
        let code = answer.number()?;
        let now = answer.number()?;
        let lost = answer.flag()?;
        if lost {
            self.applied = None;
        }
        let reply = if code == 2 {
            Reply::TooLate
        } else {
            let states = self.states(leases, answer, now)?;
            let denied = if code == 0 { share::longest(&states) } else { None };
            let outcome = Outcome { denied, states, degraded: false };
            if code == 1 { Reply::Taken(outcome) } else { Reply::Denied(outcome) }
        };
        Some(Answered { reply, now, lost })
    }

    fn states(&mut self, leases: &[&Lease], answer: &mut Numbers, now: u64) -> Option<SmallVec<[State; 6]>> {
        let charges = leases.iter().flat_map(|lease| &lease.charges);
        charges
            .map(|charge| {
                let denied = answer.flag()?;
                Some(match &charge.take {
                    Take::Units { rate, units } => {
                        let bucket = Bucket { points: answer.number()?, tick: answer.number()? };
                        units_state(&bucket, rate, *units, now, denied)
                    }
                    Take::Place { .. } => {
                        State::Place { taken: u32::try_from(answer.number()?).unwrap_or(u32::MAX), denied }
                    }
                    Take::Money { window, .. } => {
                        let spent = money::amount(answer.signed()?, answer.signed()?);
                        let reserved = money::amount(answer.signed()?, answer.signed()?);
                        self.seen(&(charge.key.clone(), *window), spent, reserved);
                        State::Money { spent, reserved, denied }
                    }
                })
            })
            .collect()
    }

    fn seen(&mut self, account: &Account, spent: Decimal, reserved: Decimal) {
        let money = self.accounts.entry(account.clone()).or_default();
        (money.spent, money.reserved) = (spent, reserved);
    }
}

/// The same arithmetic as in one process: the script only keeps the bucket.
fn units_state(bucket: &Bucket, rate: &Rate, units: u64, now: u64, denied: bool) -> State {
    let room = bucket.room(rate, now);
    let wait = match bucket.check(rate, now, units) {
        _ if !denied => Duration::ZERO,
        Err(Full::TooMany) => Duration::MAX,
        Err(Full::For(wait)) => wait.max(Duration::from_micros(1)),
        Ok(()) => Duration::from_micros(1),
    };
    State::Units { remaining: room.remaining, full_in: room.full_in, wait }
}

/// In points, as [`Bucket`] adds them.
fn weight(rate: &Rate, units: u64) -> u64 {
    let [_, _, per_unit, _] = rate.points();
    units.saturating_mul(per_unit).min(MAX_POINTS)
}

fn name(id: LeaseId) -> String {
    format!("{id:?}")
}

/// When an account of the window may be forgotten; 0 never.
fn expires(window: Window) -> u64 {
    if window.end == u64::MAX { 0 } else { window.end.saturating_add(KEPT_AFTER_THE_END).min(1 << 52) }
}
