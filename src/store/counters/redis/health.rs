//! Whether Redis answers: a circuit breaker for each part of it, its clock, and what the operator is told.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use redis::{ErrorKind, ServerErrorKind};
use tokio::sync::Notify;
use tracing::{info, warn};

use super::link::Failure;

/// A cluster's slots in so many groups, each with a breaker of its own: one master that is gone stops no other.
/// A server alone is the first group.
pub const GROUPS: usize = 16;
/// The upper bounds of the buckets of round trips, in microseconds.
pub const ROUND_TRIPS: [u64; 10] = [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 250_000];
/// A clock that nobody has read.
const UNKNOWN: i64 = i64::MIN;

#[derive(Debug)]
pub struct Health {
    groups: [Group; GROUPS],
    start: Instant,
    since: Mutex<Option<SystemTime>>,
    /// A group was opened.
    pub opened: Notify,
    /// A connection was tried.
    pub tried: Notify,
    /// The connection itself is in doubt.
    pub broken: AtomicBool,
    pub replicas: AtomicU64,
    pub decisions: AtomicU64,
    pub here: AtomicU64,
    pub late: AtomicU64,
    pub errors: AtomicU64,
    pub batches: AtomicU64,
    pub waiting: AtomicUsize,
    round_trips: [AtomicU64; ROUND_TRIPS.len() + 1],
    round_trip_micros: AtomicU64,
}

#[derive(Debug)]
struct Group {
    open: AtomicBool,
    /// Redis' clock less ours, in microseconds.
    offset: AtomicI64,
    /// A key of the group, by which it is seen whether it can be written.
    probe: Mutex<Option<String>>,
}

/// How Redis is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisStats {
    /// All of it answers.
    pub connected: bool,
    pub failing_since: Option<SystemTime>,
    /// How many replicas share the limits, as far as is known.
    pub replicas: u64,
    /// Decisions in all, and those that were made here because Redis was away.
    pub decisions: u64,
    pub decisions_here: u64,
    /// Decisions that Redis did not answer in time.
    pub late: u64,
    /// Errors of Redis that are not its being away.
    pub errors: u64,
    /// Batches of settlements that were applied, and changes that wait.
    pub batches: u64,
    pub queued: usize,
    /// Round trips of decisions: how many took up to each of [`ROUND_TRIPS`], then the others; and all their microseconds.
    pub round_trips: [u64; ROUND_TRIPS.len() + 1],
    pub round_trip_micros: u64,
}

impl Default for Health {
    fn default() -> Self {
        let group = |open| Group {
            open: AtomicBool::new(open),
            offset: AtomicI64::new(UNKNOWN),
            probe: Mutex::new(None),
        };
        Self {
            // Until there is a connection, the first group stands for all.
            groups: std::array::from_fn(|number| group(number == 0)),
            start: Instant::now(),
            since: Mutex::new(Some(SystemTime::now())),
            opened: Notify::new(),
            tried: Notify::new(),
            broken: AtomicBool::new(true),
            replicas: AtomicU64::new(1),
            decisions: AtomicU64::default(),
            here: AtomicU64::default(),
            late: AtomicU64::default(),
            errors: AtomicU64::default(),
            batches: AtomicU64::default(),
            waiting: AtomicUsize::default(),
            round_trips: std::array::from_fn(|_| AtomicU64::default()),
            round_trip_micros: AtomicU64::default(),
        }
    }
}

impl Health {
    pub fn is_open(&self, group: usize) -> bool {
        self.groups[group].open.load(Ordering::Acquire)
    }

    /// The open groups, and a key of each where one is known.
    pub fn open(&self) -> Vec<(usize, Option<String>)> {
        let open = (0..GROUPS).filter(|group| self.is_open(*group));
        open.map(|group| (group, lock(&self.groups[group].probe).clone())).collect()
    }

    /// A call failed. The next decisions are made here, if that means that Redis is away.
    pub fn failed(&self, group: usize, probe: impl FnOnce() -> String, failure: &Failure) {
        match gravity(failure) {
            Gravity::Answered => {
                // The first, then less and less often.
                if self
                    .errors
                    .fetch_add(1, Ordering::Relaxed)
                    .checked_add(1)
                    .is_some_and(u64::is_power_of_two)
                {
                    warn!("Redis refuses what the counters ask: {failure}");
                }
                return;
            }
            Gravity::Away => {}
            Gravity::Broken => self.broken.store(true, Ordering::Release),
        }
        if matches!(failure, Failure::Late) {
            self.late.fetch_add(1, Ordering::Relaxed);
        }
        *lock(&self.groups[group].probe) = Some(probe());
        if !self.groups[group].open.swap(true, Ordering::AcqRel) {
            let mut since = lock(&self.since);
            if since.is_none() {
                *since = Some(SystemTime::now());
                warn!("Redis does not answer ({failure}): this replica counts its own share of the limits");
            }
        }
        self.opened.notify_one();
    }

    pub fn recovered(&self, group: usize) {
        self.groups[group].open.store(false, Ordering::Release);
        if (0..GROUPS).all(|group| !self.is_open(group)) && lock(&self.since).take().is_some() {
            info!("Redis answers: limits are shared");
        }
    }

    /// The time of this process, in microseconds; it never goes back.
    pub fn clock(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_micros()).unwrap_or(i64::MAX)
    }

    /// Redis' time at our `at`; 0 where its clock has not been read.
    pub fn redis_time(&self, group: usize, at: i64) -> u64 {
        match self.groups[group].offset.load(Ordering::Relaxed) {
            UNKNOWN => 0,
            offset => u64::try_from(offset.saturating_add(at)).unwrap_or(0),
        }
    }

    /// Redis answered a call of a decision, which was sent and answered at these times of ours, at its own time `now`.
    pub fn answered(&self, group: usize, sent: i64, received: i64, now: u64) {
        let took = u64::try_from(received - sent).unwrap_or(0);
        let bucket = ROUND_TRIPS.partition_point(|bound| *bound < took);
        self.round_trips[bucket].fetch_add(1, Ordering::Relaxed);
        self.round_trip_micros.fetch_add(took, Ordering::Relaxed);
        // A slow answer says little about the clock.
        if took < 50_000
            && let Ok(now) = i64::try_from(now)
        {
            self.groups[group].offset.store(now - i64::midpoint(sent, received), Ordering::Relaxed);
        }
    }

    pub fn stats(&self) -> RedisStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let failing_since = *lock(&self.since);
        RedisStats {
            connected: failing_since.is_none(),
            failing_since,
            replicas: load(&self.replicas),
            decisions: load(&self.decisions),
            decisions_here: load(&self.here),
            late: load(&self.late),
            errors: load(&self.errors),
            batches: load(&self.batches),
            queued: self.waiting.load(Ordering::Relaxed),
            round_trips: std::array::from_fn(|bucket| load(&self.round_trips[bucket])),
            round_trip_micros: load(&self.round_trip_micros),
        }
    }
}

enum Gravity {
    /// Redis is there; it refused this call.
    Answered,
    Away,
    /// Away, and a new connection may help.
    Broken,
}

fn gravity(failure: &Failure) -> Gravity {
    match failure {
        Failure::Late => Gravity::Away,
        Failure::Away => Gravity::Broken,
        Failure::Odd => Gravity::Answered,
        Failure::Redis(error) => match error.kind() {
            ErrorKind::Server(
                ServerErrorKind::BusyLoading
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::Ask
                | ServerErrorKind::TryAgain,
            ) => Gravity::Away,
            ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::Moved) => Gravity::Broken,
            ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::UnexpectedReturnType => {
                Gravity::Answered
            }
            _ => Gravity::Broken,
        },
    }
}

/// How long a group waits to be tried again, after so many times in vain.
pub fn pause(tries: u32) -> Duration {
    Duration::from_millis(20 << tries.min(5))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
