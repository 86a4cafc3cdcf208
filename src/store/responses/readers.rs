//! Reading stored answers: a few connections, and never a long wait.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::SqliteConnection;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tollgate_filters::responses::{Error, Stored};
use tracing::warn;

use super::table;
use crate::store::sqlite;

/// How many read at once.
const READERS: usize = 4;
/// How long a request waits for an answer to be read, its turn included.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a store that did not answer is left alone.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Readers {
    file: PathBuf,
    turns: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<SqliteConnection>,
    /// Until when nobody asks: a read that was given up still holds a thread for some seconds. `Some` since the
    /// last failure.
    left_alone: Option<Instant>,
    failures: u64,
}

impl Readers {
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file, turns: Semaphore::new(READERS), state: Mutex::default() }
    }

    pub(super) async fn read(&self, org: &str, id: &str) -> Result<Option<Stored>, Error> {
        if self.state().left_alone.is_some_and(|until| Instant::now() < until) {
            return Err(Error::Unavailable("it did not answer a moment ago".to_owned()));
        }
        let result = timeout(PATIENCE, self.read_in_turn(org, id)).await;
        let result = result.unwrap_or_else(|_| Err("it does not answer".to_owned()));
        let mut state = self.state();
        let failed_before = state.left_alone.is_some();
        state.left_alone = result.is_err().then(|| Instant::now() + RETRY);
        state.failures += u64::from(result.is_err());
        drop(state);
        result.map_err(|why| {
            if !failed_before {
                warn!(why, "the response store cannot be read");
            }
            Error::Unavailable(why)
        })
    }

    pub(super) fn failures(&self) -> u64 {
        self.state().failures
    }

    async fn read_in_turn(&self, org: &str, id: &str) -> Result<Option<Stored>, String> {
        let _turn = self.turns.acquire().await.map_err(|e| e.to_string())?;
        let idle = self.state().idle.pop();
        let mut open = match idle {
            Some(open) => open,
            None => match sqlite::open_to_read(&self.file).await.map_err(|e| e.to_string())? {
                Some(open) => open,
                None => return Err("its file is gone".to_owned()),
            },
        };
        let row = table::read(&mut open, org, id).await.map_err(|e| e.to_string())?;
        self.state().idle.push(open);
        match row {
            Some(row) => table::decode(row).await.map(Some).map_err(|e| e.to_string()),
            None => Ok(None),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Readers {
    pub(super) async fn take_all_turns(&self) -> tokio::sync::SemaphorePermit<'_> {
        self.turns.acquire_many(u32::try_from(READERS).unwrap()).await.unwrap()
    }
}
