//! The traits that policy needs from the world; `src/store` implements them.

use std::fmt;
use std::sync::Arc;

use crate::authenticate::Digest;
use crate::exchange::Caller;
use crate::usage::Row;

/// Who the gateway knows.
pub trait Directory: fmt::Debug + Send + Sync {
    /// The caller that a live key belongs to. Called on every exchange: answers from memory.
    fn find(&self, key: &Digest) -> Option<Arc<Caller>>;

    /// Whether a key was ever made, live or not. A gateway does not fall open when its last key goes.
    fn has_keys(&self) -> bool;
}

/// Where usage ends.
pub trait Ledger: fmt::Debug + Send + Sync {
    /// Takes rows for good. Returns at once: it neither waits for a disk nor fails.
    fn append(&self, rows: Vec<Row>);

    /// Rows taken that have not reached the store yet.
    fn pending(&self) -> usize;
}
