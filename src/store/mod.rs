//! Where things are kept. One file per room; none of them knows HTTP.

mod cache;
mod keys;
mod ledger;
mod memory;
mod responses;
mod rows;
mod spill;
mod sqlite;

pub use keys::{KeyDirectory, KeyInfo, KeyStore, NewKey, POLL as KEY_POLL};
pub use ledger::{LedgerStats, SqliteLedger};
pub use memory::{MemoryLimits, ReasoningMemory};
pub use responses::{ResponsesStats, SqliteResponses};
pub use rows::read_rows;

/// A store that does not do what it should, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{path}: {source}")]
    File { path: String, source: std::io::Error },
    #[error("{path}: {source}")]
    Sqlite { path: String, source: sqlx::Error },
    #[error("{0}")]
    Invalid(String),
}
