//! The traits that policy needs from the world; `src/store` implements them.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::authenticate::Digest;
use crate::counters::{Lease, Outcome, Restored, Settlement};
use crate::exchange::Caller;
use crate::recall::{Key, Recalled, Remembered};
use crate::responses::{self, Error, NotKept, Stored};
use crate::usage::Row;

/// Who the gateway knows.
pub trait Directory: fmt::Debug + Send + Sync {
    /// The caller that a live key belongs to. Called on every exchange: answers from memory.
    fn find(&self, key: &Digest) -> Option<Arc<Caller>>;

    /// Whose a key was that is not live any more: for the log, never for the caller.
    fn was(&self, key: &Digest) -> Option<(Arc<Caller>, Ended)>;

    /// Whether a key was ever made, live or not. A gateway does not fall open when its last key goes.
    fn has_keys(&self) -> bool;
}

/// Why a key is not live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Revoked,
    Expired,
}

/// Where usage ends.
pub trait Ledger: fmt::Debug + Send + Sync {
    /// Takes rows for good. Returns at once: it neither waits for a disk nor fails.
    fn append(&self, rows: Vec<Row>);

    /// Rows taken that have not reached the store yet.
    fn pending(&self) -> usize;
}

/// Answers that can be asked for again, for providers that keep none. What one organisation stored does not exist
/// for another.
#[async_trait]
pub trait Responses: fmt::Debug + Send + Sync {
    /// Takes an answer and returns at once: it never waits for a disk. From then on [`Responses::get`] finds it.
    fn put(&self, stored: Stored) -> Result<(), NotKept>;

    /// `None` if there is none, if it has expired, or if it is another organisation's.
    async fn get(&self, org: &str, id: &str) -> Result<Option<Arc<Stored>>, Error>;

    /// Whether there was one. After `Ok` it is gone for good, whatever happens to the process.
    async fn delete(&self, org: &str, id: &str) -> Result<bool, Error>;

    /// The conversation that ends with the answer `id`, oldest first.
    async fn chain(&self, org: &str, id: &str) -> Result<Vec<Arc<Stored>>, Error> {
        let mut chain = Vec::new();
        let mut size = 0;
        let mut next = Some(id.to_owned());
        while let Some(id) = next {
            if chain.len() == responses::MAX_CHAIN {
                return Err(Error::ChainTooLong);
            }
            let Some(stored) = self.get(org, &id).await? else { return Err(Error::NotFound { id }) };
            size += stored.size();
            if size > responses::MAX_CHAIN_SIZE {
                return Err(Error::ChainTooLarge);
            }
            chain.push(stored);
            next = chain.last().and_then(|stored| stored.previous.clone());
        }
        chain.reverse();
        Ok(chain)
    }
}

/// Reasoning that clients cannot send back. It may forget at any time, and what one organisation's models thought
/// is recalled for no other.
#[async_trait]
pub trait Reasonings: fmt::Debug + Send + Sync {
    /// Returns at once.
    fn remember(&self, org: &str, key: Key, value: Vec<Remembered>);

    /// What is known under `keys`.
    async fn recall(&self, org: &str, keys: &[&Key]) -> Recalled;
}

/// Limits and budgets. It never fails: a store that cannot be reached counts this replica's own share instead.
#[async_trait]
pub trait Counters: fmt::Debug + Send + Sync {
    /// Takes every charge of the leases, which are parts of one exchange, or none and says why; the states of the
    /// outcome are those of all their charges in order. A lease that is not settled (the process died) lapses: its
    /// places and its money are free again, its units stay taken.
    async fn reserve(&self, leases: &[&Lease]) -> Outcome;

    /// Ends a lease. Returns at once; what a store cannot take now it takes later, and once.
    fn settle(&self, settlement: Settlement);

    /// Brings counters up to what the ledger says, before the first reservation.
    fn restore(&self, past: Vec<Restored>);
}
