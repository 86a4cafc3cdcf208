//! Counters in Redis, shared by all replicas: one script for a decision, and each replica's own share when Redis is
//! away.
//!
//! A decision is one call of `reserve.lua`. Everything else that Redis is to know (what was used, who still holds a
//! place, what this replica has spent) goes in numbered batches through `apply.lua`, one after the other for each
//! organisation, so that a batch whose answer was lost can be sent again and counts once.

mod address;
mod ask;
mod books;
mod calls;
mod health;
mod link;
mod money;
mod names;
mod org;
mod script;
mod share;
mod worker;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use smallvec::SmallVec;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tollgate_filters::counters::{Lease, Outcome, Past, Restored, Settlement};
use tollgate_filters::ports::Counters;
use tracing::error;

use crate::store::StoreError;
use address::Address;
use books::Books;
use calls::Me;
use health::{GROUPS, Health};
pub use health::{ROUND_TRIPS, RedisStats};
use link::{Failure, Link};

/// How the counters are to be kept.
#[derive(Debug, Clone)]
pub struct RedisConf {
    /// How long a decision may wait for Redis.
    pub deadline: Duration,
    /// How long the places and the money of a replica that died are taken.
    pub lease_ttl: Duration,
    /// How many replicas share the limits while Redis is away; without it, as many as were there last.
    pub replicas: Option<u64>,
    /// This replica's name, no other's. One that lasts keeps what it spent under one name; those of processes that do
    /// not last are the name, a dot and something of their own.
    pub replica: String,
    /// What all keys begin with.
    pub prefix: String,
}

impl RedisConf {
    pub fn new(replica: impl Into<String>) -> Self {
        Self {
            deadline: Duration::from_millis(250),
            lease_ttl: Duration::from_secs(30),
            replicas: None,
            replica: replica.into(),
            prefix: "tollgate".to_owned(),
        }
    }
}

#[derive(Debug)]
pub struct RedisCounters {
    shared: Arc<Shared>,
    runtime: Handle,
    closing: watch::Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    conf: RedisConf,
    link: Link,
    books: Books,
    health: Health,
    /// Organisations that have something to tell.
    queue: mpsc::UnboundedSender<Arc<str>>,
}

impl RedisCounters {
    /// Fails where `url` is no address of Redis, not where Redis is away.
    pub fn connect(url: &str, conf: RedisConf) -> Result<Arc<Self>, StoreError> {
        let link = Link::new(Address::parse(url)?);
        let thread_error = |source| StoreError::File {
            path: format!("the counters' thread for {}", link.address()),
            source,
        };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(thread_error)?;
        let me = Me {
            replica: conf.replica.clone(),
            incarnation: incarnation()?,
            prefix: conf.prefix.clone(),
            lease_ttl: conf.lease_ttl,
        };
        let (queue, queued) = mpsc::unbounded_channel();
        let (closing, closed) = watch::channel(false);
        let handle = runtime.handle().clone();
        let (ready, tried) = std::sync::mpsc::channel();
        let builder = std::thread::Builder::new().name("counters".to_owned());
        let shared = Arc::new(Shared { conf, link, books: Books::new(me), health: Health::default(), queue });
        let worker = worker::Worker { shared: shared.clone(), queued, closed, ready: Some(ready) };
        let thread = builder
            .spawn(move || runtime.block_on(worker.run()))
            .map_err(|source| StoreError::File { path: "the counters' thread".to_owned(), source })?;
        // The first decisions should be shared ones, if Redis is there. The first attempt ends in any case.
        let _ = tried.recv_timeout(Duration::from_secs(2));
        Ok(Arc::new(Self { shared, runtime: handle, closing, thread: Mutex::new(Some(thread)) }))
    }

    pub fn stats(&self) -> RedisStats {
        self.shared.health.stats()
    }

    /// Tells Redis what is left to tell, if it is there, and stops. Takes a few seconds at the most.
    pub fn close(&self) {
        let _ = self.closing.send(true);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            error!("the counters' thread ended in a panic");
        }
    }
}

#[async_trait]
impl Counters for RedisCounters {
    async fn reserve(&self, leases: &[&Lease]) -> Outcome {
        let Some(org) = leases.first().map(|lease| &lease.org) else {
            return Outcome { denied: None, states: SmallVec::new(), degraded: false };
        };
        self.shared.health.decisions.fetch_add(1, Ordering::Relaxed);
        match self.ask(org, leases).await {
            Some(outcome) => outcome,
            None => self.shared.decide_here(org, leases),
        }
    }

    fn settle(&self, settlement: Settlement) {
        let org = settlement.lease.org.clone();
        self.shared.books.with(&org, |org| org.settle(&settlement));
        self.shared.tell(&org);
    }

    fn restore(&self, past: Vec<Restored>) {
        for Restored { org, key, what } in past {
            // Buckets are kept by Redis.
            let Past::Spent { window, amount } = what else { continue };
            self.shared.books.with(&org, |org| {
                let account = (key, window);
                let money = org.accounts.entry(account.clone()).or_default();
                (money.own, money.set, money.spent) = (amount, true, money.spent.max(amount));
                org.owed.spent.insert(account);
            });
            self.shared.tell(&org);
        }
    }
}

impl Shared {
    fn decide_here(&self, org: &Arc<str>, leases: &[&Lease]) -> Outcome {
        self.health.here.fetch_add(1, Ordering::Relaxed);
        let parts = self.conf.replicas.unwrap_or_else(|| self.health.replicas.load(Ordering::Relaxed));
        self.books.with(org, |org| org.decide_here(leases, parts, now()))
    }

    /// Has Redis told what there is to tell, if it is there; otherwise that is done when it is back.
    fn tell(&self, org: &Arc<str>) {
        if self.health.is_open(self.group(org)) {
            return;
        }
        let queue = self.books.with(org, |org| {
            let queue = org.owes() && !org.queued;
            org.queued |= queue;
            queue
        });
        if queue {
            let _ = self.queue.send(org.clone());
        }
    }

    fn failed(&self, org: &Arc<str>, group: usize, failure: &Failure) {
        self.health.failed(group, || self.books.with(org, |org| org.names.probe()), failure);
    }

    fn group(&self, org: &Arc<str>) -> usize {
        if self.link.is_cluster() { self.group_of(self.books.with(org, |org| org.names.slot())) } else { 0 }
    }

    fn group_of(&self, slot: u16) -> usize {
        if self.link.is_cluster() { usize::from(slot) * GROUPS / 16_384 } else { 0 }
    }
}

/// Different for each start.
fn incarnation() -> Result<String, StoreError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|error| StoreError::Invalid(format!("no random numbers: {error}")))?;
    Ok(format!("{:016x}", u64::from_be_bytes(bytes)))
}

/// Microseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
