//! Where things are kept. One file per room; none of them knows HTTP.

mod cache;
mod counters;
mod keys;
mod ledger;
mod memory;
mod replica;
mod responses;
mod rows;
mod seal;
mod secrets;
mod spill;
mod sqlite;

pub use counters::{MemoryCounters, ROUND_TRIPS, RedisConf, RedisCounters, RedisStats};
pub use keys::{KeyDirectory, KeyInfo, KeyStore, NewKey, POLL as KEY_POLL};
pub use ledger::{LedgerStats, SqliteLedger};
pub use memory::{MemoryLimits, ReasoningMemory};
pub use replica::Replica;
pub use responses::{ResponsesStats, SqliteResponses};
pub use rows::{for_each_entry, read_rows};
pub use seal::{MasterKeys, new_master_key};
pub use secrets::{POLL as SECRET_POLL, SecretError, SecretInfo, SecretStore, SecretsDirectory};

/// A store that does not do what it should, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{path}: {source}")]
    File { path: String, source: std::io::Error },
    #[error("{path}: {source}")]
    Sqlite { path: String, source: sqlx::Error },
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    Secret(#[from] SecretError),
}
