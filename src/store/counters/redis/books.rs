//! All organisations that this replica counts for, in shards; no lock is held across an await.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::calls::Me;
use super::names::Names;
use super::org::Org;

const SHARDS: usize = 64;

#[derive(Debug)]
pub struct Books {
    me: Me,
    shards: Vec<Mutex<HashMap<Arc<str>, Org>>>,
    hasher: RandomState,
    /// Of the last batch. One sequence for all organisations, so that none begins anew when it was forgotten.
    number: AtomicU64,
}

impl Books {
    pub fn new(me: Me) -> Self {
        Self {
            me,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            number: AtomicU64::new(0),
        }
    }

    pub fn me(&self) -> &Me {
        &self.me
    }

    pub fn next_number(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub fn with<T>(&self, org: &Arc<str>, work: impl FnOnce(&mut Org) -> T) -> T {
        #[allow(clippy::cast_possible_truncation)] // any few bits of the hash will do
        let shard = self.hasher.hash_one(org) as usize % SHARDS;
        let mut orgs = lock(&self.shards[shard]);
        match orgs.get_mut(org) {
            Some(org) => work(org),
            None => work(orgs.entry(org.clone()).or_insert_with(|| self.org(org))),
        }
    }

    fn org(&self, org: &str) -> Org {
        let names = Names::new(&self.me.prefix, org);
        let sequence = names.sequence(&self.me.replica, &self.me.incarnation);
        Org::new(names, sequence)
    }

    /// The organisations for which `choose` says yes.
    pub fn choose(&self, mut choose: impl FnMut(&mut Org) -> bool) -> Vec<Arc<str>> {
        let mut chosen = Vec::new();
        for shard in &self.shards {
            for (name, org) in lock(shard).iter_mut() {
                if choose(org) {
                    chosen.push(name.clone());
                }
            }
        }
        chosen
    }

    /// Forgets organisations of which nothing is to be known.
    pub fn sweep(&self, now: u64) {
        for shard in &self.shards {
            lock(shard).retain(|_, org| !org.sweep(now));
        }
    }
}

fn lock(shard: &Mutex<HashMap<Arc<str>, Org>>) -> MutexGuard<'_, HashMap<Arc<str>, Org>> {
    // A panic while the lock was held left whole changes behind.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
