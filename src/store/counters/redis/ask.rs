//! A decision of Redis: asked for, waited for until its deadline, and seen to when it comes later.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use redis::Value;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tollgate_filters::counters::{Lease, Outcome};

use super::calls::{Answered, Reply};
use super::link::{Failure, PATIENCE};
use super::org::Mode;
use super::script::{Call, Numbers};
use super::{RedisCounters, Shared};

/// An answer that is being waited for, in whatever runtime.
type Flight = Pin<Box<dyn Future<Output = Result<Value, Failure>> + Send>>;

/// What is to be done with a reservation.
enum Admission {
    Ask(Call),
    Here,
    Wait(watch::Receiver<()>),
}

impl RedisCounters {
    /// Asks Redis; `None` where it is away, or too slow. What is still under way then is seen to later.
    pub(super) async fn ask(&self, org: &Arc<str>, leases: &[&Lease]) -> Option<Outcome> {
        let shared = &self.shared;
        let deadline = Instant::now() + shared.conf.deadline;
        let mut guarded = true;
        loop {
            let group = shared.group(org);
            if shared.health.is_open(group) {
                return None;
            }
            let sent = shared.health.clock();
            let call = match shared.admit(org, leases, group, sent, guarded) {
                Admission::Ask(call) => call,
                Admission::Here => {
                    shared.tell(org);
                    return None;
                }
                Admission::Wait(mut told) => {
                    // It ends when the sender is dropped.
                    if timeout_at(deadline, told.changed()).await.is_err() {
                        shared.failed(org, group, &Failure::Late);
                        return None;
                    }
                    continue;
                }
            };
            let answer = self
                .run(call, org, leases, deadline)
                .await
                .and_then(|answer| shared.answered(org, leases, answer).ok_or(Failure::Odd));
            match answer {
                Err(failure) => {
                    shared.failed(org, group, &failure);
                    if matches!(failure, Failure::Redis(_) | Failure::Odd) {
                        shared.came_late(org, leases, None);
                    }
                    return None;
                }
                Ok(answered) => {
                    shared.health.answered(group, sent, shared.health.clock(), answered.now);
                    match answered.reply {
                        Reply::Taken(outcome) | Reply::Denied(outcome) => return Some(outcome),
                        // Redis' clock has changed, or it is another server's.
                        Reply::TooLate if guarded => guarded = false,
                        Reply::TooLate => return None,
                    }
                }
            }
        }
    }

    /// Waits for the answer until the deadline.
    async fn run(
        &self,
        call: Call,
        org: &Arc<str>,
        leases: &[&Lease],
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let shared = self.shared.clone();
        let flight: Flight = Box::pin(async move { shared.link.run(&call).await });
        let mut waiting = Waiting { counters: self, flight: Some(flight), org, leases };
        let Some(flight) = waiting.flight.as_mut() else { return Err(Failure::Away) };
        let answer = timeout_at(deadline, flight).await;
        if answer.is_ok() {
            waiting.flight = None;
        }
        answer.unwrap_or(Err(Failure::Late))
    }
}

/// A call that may be given up: by its deadline, or because who asked has gone. Its answer still comes.
struct Waiting<'a> {
    counters: &'a RedisCounters,
    flight: Option<Flight>,
    org: &'a Arc<str>,
    leases: &'a [&'a Lease],
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(flight) = self.flight.take() else { return };
        let (shared, org) = (self.counters.shared.clone(), self.org.clone());
        let leases: Vec<Lease> = self.leases.iter().map(|lease| (*lease).clone()).collect();
        self.counters.runtime.spawn(async move {
            let answer = timeout(PATIENCE * 2, flight).await;
            let leases: Vec<&Lease> = leases.iter().collect();
            shared.came_late(&org, &leases, answer.ok().and_then(Result::ok));
        });
    }
}

impl Shared {
    fn admit(&self, org: &Arc<str>, leases: &[&Lease], group: usize, sent: i64, guarded: bool) -> Admission {
        let deadline = i64::try_from(self.conf.deadline.as_micros()).unwrap_or(i64::MAX);
        let until = if guarded { self.health.redis_time(group, sent.saturating_add(deadline)) } else { 0 };
        self.books.with(org, |org| match &org.mode {
            Mode::Shared => Admission::Ask(org.reserve_call(self.books.me(), leases, until)),
            Mode::Here => Admission::Here,
            Mode::Pouring(told) => Admission::Wait(told.subscribe()),
        })
    }

    fn answered(&self, org: &Arc<str>, leases: &[&Lease], answer: Value) -> Option<Answered> {
        let mut numbers = Numbers::of(answer)?;
        let answered = self.books.with(org, |org| {
            let answered = org.answered(leases, &mut numbers)?;
            if answered.lost {
                org.tell_all(answered.now / 1000);
            }
            if matches!(answered.reply, Reply::Taken(_)) {
                for lease in leases {
                    org.hold(lease, false);
                }
            }
            Some(answered)
        })?;
        if answered.lost {
            self.tell(org);
        }
        Some(answered)
    }

    /// The answer to a reservation that was not waited for. What Redis took, and nobody else did, goes back.
    fn came_late(&self, org: &Arc<str>, leases: &[&Lease], answer: Option<Value>) {
        let mut numbers = answer.and_then(Numbers::of);
        let status = numbers.as_mut().and_then(Numbers::number);
        self.books.with(org, |org| {
            for lease in leases {
                match (status, org.runs(lease.id)) {
                    (Some(1), true) => org.was_taken_too(lease),
                    (Some(1), false) => org.undo(lease),
                    // Nobody knows. What it may hold is taken out; units that it may have taken drain.
                    (None, _) => org.undo_unknown(lease),
                    (Some(_), _) => {}
                }
            }
        });
        self.tell(org);
    }
}
