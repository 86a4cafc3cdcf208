//! What goes on beside the decisions, in a thread and runtime of its own: the connection, batches, and signs of life.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{error, warn};

use super::link::{Failure, PATIENCE};
use super::script::{BEAT, Call, Numbers};
use super::{Shared, names, now};

/// How many organisations' batches are under way at once.
const AT_ONCE: usize = 64;
/// How often a replica says that it lives, unless its leases are very short.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// In so many beats every budget is told again, whatever happened: a server that lost it has it back by then.
const RETELL: u64 = 300;
/// In so many beats what says nothing is forgotten.
const SWEEP: u64 = 60;
/// How long the end waits for Redis to take what is left.
const LAST: Duration = Duration::from_secs(3);
/// A connection is made anew after so many tries in vain.
const TRIES: u32 = 3;

pub struct Worker {
    pub shared: Arc<Shared>,
    pub queued: mpsc::UnboundedReceiver<Arc<str>>,
    pub closed: watch::Receiver<bool>,
    /// Told when the first connection was tried.
    pub ready: Option<std::sync::mpsc::Sender<()>>,
}

impl Worker {
    pub async fn run(self) {
        let Self { shared, queued, mut closed, ready } = self;
        let teller = tokio::spawn(tell(shared.clone(), queued));
        let doctor = tokio::spawn(heal(shared.clone(), ready));
        let heart = tokio::spawn(beat(shared.clone()));
        // An error is a counter that was dropped without being closed.
        let asked = closed.wait_for(|closed| *closed).await.is_ok();
        heart.abort();
        if asked {
            let _ = timeout(LAST, finish(&shared)).await;
        }
        doctor.abort();
        teller.abort();
    }
}

/// Waits until Redis has been told everything, and takes leave.
async fn finish(shared: &Arc<Shared>) {
    loop {
        let owing = shared.books.choose(|org| org.owes());
        if owing.is_empty() {
            break;
        }
        for org in &owing {
            shared.tell(org);
        }
        sleep(Duration::from_millis(5)).await;
    }
    let _ = shared.link.run(&beat_call(shared, true)).await;
}

/// Sends batches, for each organisation one after the other.
async fn tell(shared: Arc<Shared>, mut queued: mpsc::UnboundedReceiver<Arc<str>>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(org) = queued.recv().await {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let shared = shared.clone();
        tokio::spawn(async move {
            tell_all_of(&shared, &org).await;
            drop(place);
        });
    }
}

async fn tell_all_of(shared: &Shared, name: &Arc<str>) {
    let group = shared.group(name);
    loop {
        let batch = shared.books.with(name, |org| {
            let away = shared.health.is_open(group);
            let batch =
                if away { None } else { org.batch(shared.books.me(), || shared.books.next_number(), now()) };
            org.queued = batch.is_some();
            batch
        });
        let Some(batch) = batch else { return };
        match apply(shared, &batch).await {
            Ok(lost) => {
                shared.health.batches.fetch_add(1, Ordering::Relaxed);
                if !shared.books.with(name, |org| org.applied(lost, now())) {
                    return;
                }
            }
            Err(failure) => {
                shared.failed(name, group, &failure);
                shared.books.with(name, super::org::Org::not_applied);
                return;
            }
        }
    }
}

async fn apply(shared: &Shared, batch: &Call) -> Result<bool, Failure> {
    let answer = timeout(PATIENCE, shared.link.run(batch)).await.unwrap_or(Err(Failure::Late))?;
    let mut numbers = Numbers::of(answer).ok_or(Failure::Odd)?;
    let (_applied, _now, lost) = (numbers.number(), numbers.number(), numbers.flag());
    lost.ok_or(Failure::Odd)
}

/// Brings Redis back: tries the groups that are open, and makes the connection anew where it is in doubt.
async fn heal(shared: Arc<Shared>, mut ready: Option<std::sync::mpsc::Sender<()>>) {
    let mut tries = 0;
    loop {
        if shared.health.open().is_empty() {
            tries = 0;
            shared.health.opened.notified().await;
        }
        let broken = shared.health.broken.swap(false, Ordering::AcqRel);
        if (broken || tries >= TRIES)
            && let Err(failure) = shared.link.connect().await
        {
            shared.health.broken.store(true, Ordering::Release);
            if let Some(ready) = ready.take() {
                warn!("Redis at {} is not there: {failure}", shared.link.address());
                let _ = ready.send(());
            }
        }
        for (group, probe) in shared.health.open() {
            let probe = probe.unwrap_or_else(|| names::probe(&shared.conf.prefix));
            match timeout(shared.conf.deadline, shared.link.probe(&probe)).await {
                Ok(Ok(())) => {
                    shared.health.recovered(group);
                    tell_again(&shared, group);
                }
                Ok(Err(failure)) => shared.health.failed(group, || probe, &failure),
                Err(_) => {}
            }
        }
        if let Some(ready) = ready.take() {
            let _ = ready.send(());
        }
        shared.health.tried.notify_one();
        if !shared.health.open().is_empty() {
            sleep(super::health::pause(tries)).await;
            tries += 1;
        }
    }
}

/// Redis may have lost what it knew. All of it is told again, in the order of what is owed.
fn tell_again(shared: &Shared, group: usize) {
    let now_ms = now() / 1000;
    let orgs = shared.books.choose(|org| {
        let meant = shared.group_of(org.names.slot()) == group;
        if meant {
            org.tell_all(now_ms);
        }
        meant && org.owes()
    });
    for org in orgs {
        shared.tell(&org);
    }
}

/// Says that this replica lives, prolongs its leases, and looks after what was left.
async fn beat(shared: Arc<Shared>) {
    let every = BEAT_EVERY.min(shared.conf.lease_ttl / 6);
    // Until the first connection was tried nothing can be said.
    shared.health.tried.notified().await;
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut first, mut fewer, mut renewed) = (true, None, Instant::now());
    for tick in 0_u64.. {
        ticks.tick().await;
        let renew = renewed.elapsed() >= shared.conf.lease_ttl / 3;
        if renew {
            renewed = Instant::now();
        }
        look_after(&shared, tick, renew);
        let call = beat_call(&shared, false);
        match timeout(shared.conf.deadline, shared.link.run(&call)).await.unwrap_or(Err(Failure::Late)) {
            Ok(answer) => {
                if let Some(answer) = Numbers::of(answer) {
                    first = lives(&shared, answer, first, &mut fewer).unwrap_or(first);
                }
            }
            Err(failure) => {
                let group = shared.group_of(names::replicas_slot());
                shared.health.failed(group, || names::probe(&shared.conf.prefix), &failure);
            }
        }
    }
}

fn beat_call(shared: &Shared, leave: bool) -> Call {
    let me = shared.books.me();
    let mut call = Call::new(&BEAT);
    call.keys(names::replicas(&me.prefix));
    call.arg(&me.replica);
    call.arg(&me.incarnation);
    call.arg(alive(shared).as_millis());
    call.arg(u8::from(leave));
    call
}

/// How long a replica counts after its last sign of life.
fn alive(shared: &Shared) -> Duration {
    shared.conf.lease_ttl
}

/// How many replicas there are. More count at once, fewer only when it has been fewer for a while: after an outage
/// all have to say first that they are there.
fn lives(shared: &Shared, mut answer: Numbers, first: bool, fewer: &mut Option<Instant>) -> Option<bool> {
    let (replicas, new, other) = (answer.number()?, answer.flag()?, answer.flag()?);
    let known = shared.health.replicas.load(Ordering::Relaxed);
    let since = if replicas < known { *fewer.get_or_insert_with(Instant::now) } else { Instant::now() };
    if replicas >= known || since.elapsed() > alive(shared) {
        shared.health.replicas.store(replicas.max(1), Ordering::Relaxed);
        *fewer = None;
    }
    if !first && new {
        for group in 0..super::GROUPS {
            tell_again(shared, group);
        }
    }
    if !first && other {
        let name = &shared.books.me().replica;
        error!("another replica is called {name:?}, too: budgets count wrong until each has its own name");
    }
    Some(false)
}

fn look_after(shared: &Shared, tick: u64, renew: bool) {
    let now_ms = now() / 1000;
    if tick % SWEEP == SWEEP - 1 {
        shared.books.sweep(now());
    }
    let mut waiting = 0;
    let orgs = shared.books.choose(|org| {
        if renew {
            org.renew();
        }
        if u64::from(org.names.slot()) % RETELL == tick % RETELL {
            org.tell_all(now_ms);
        }
        waiting += org.owed.len();
        org.owes() && !org.queued
    });
    shared.health.waiting.store(waiting, Ordering::Relaxed);
    for org in orgs {
        shared.tell(&org);
    }
}
