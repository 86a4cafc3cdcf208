//! The thread that brings stored answers to the disk, and removes them when they have expired.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::SqliteConnection;
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, info, warn};

use super::waiting::Job;
use super::{Shared, now, table};

/// How many changes are in one transaction, and how many bytes.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// How long a failing store is left alone.
const RETRY: Duration = Duration::from_millis(500);
/// How long a write may take before the store counts as failing.
const SLOW: Duration = Duration::from_secs(1);
/// How long the end of the process waits for the last write.
const CLOSE: Duration = Duration::from_secs(5);
/// How often expired answers are removed.
const SWEEP: Duration = Duration::from_secs(600);

pub(super) struct Writer {
    pub shared: Arc<Shared>,
    pub file: PathBuf,
    /// `None` after a failure: what a failed statement leaves of a transaction must not swallow later changes.
    pub connection: Option<SqliteConnection>,
}

impl Writer {
    pub(super) async fn run(mut self) {
        let mut sweep = Instant::now();
        loop {
            let closing = self.shared.closing.load(Ordering::Acquire);
            let jobs = self.shared.waiting().take(BATCH, BATCH_BYTES);
            if !jobs.is_empty() {
                if !self.write(jobs).await {
                    return self.give_up();
                }
            } else if closing {
                return;
            } else if sweep <= Instant::now() {
                sweep = Instant::now() + if self.sweep().await { Duration::ZERO } else { SWEEP };
            } else {
                // Changes may have come, or time has passed: either way, look again.
                let _ = timeout(sweep - Instant::now(), self.shared.arrived.notified()).await;
            }
        }
    }

    /// Writes `jobs`, or puts them back. Says whether to go on: at the end of the process, a store that fails is not
    /// asked again.
    async fn write(&mut self, jobs: Vec<Job>) -> bool {
        let stats = &self.shared.stats;
        let closing = || self.shared.closing.load(Ordering::Acquire);
        let result = {
            let write = apply(&mut self.connection, &self.file, &jobs);
            tokio::pin!(write);
            let mut slow = Duration::ZERO;
            loop {
                match timeout(SLOW, &mut write).await {
                    Ok(result) => break result,
                    Err(_) => stats.failing.store(true, Ordering::Relaxed),
                }
                slow += SLOW;
                if closing() && slow >= CLOSE {
                    break Err("the write does not end".to_owned());
                }
            }
        };
        match result {
            Ok(()) => {
                stats.written.fetch_add(jobs.len() as u64, Ordering::Relaxed);
                let failed = stats.logged.swap(false, Ordering::Relaxed);
                stats.failing.store(false, Ordering::Relaxed);
                stats.full.store(false, Ordering::Relaxed);
                if failed {
                    info!("the response store works again");
                }
                self.shared.waiting().done(jobs);
                self.shared.progress.send_modify(|batches| *batches += 1);
                true
            }
            Err(why) => {
                stats.failing.store(true, Ordering::Relaxed);
                if !stats.logged.swap(true, Ordering::Relaxed) {
                    warn!(why, "the response store does not take answers; they wait in memory");
                }
                self.shared.waiting().put_back(jobs);
                if closing() {
                    return false;
                }
                sleep(RETRY).await;
                true
            }
        }
    }

    /// The process ends, and the disk does not take what is left.
    fn give_up(&self) {
        let left = self.shared.waiting().len();
        self.shared.stats.lost.fetch_add(left as u64, Ordering::Relaxed);
        error!(left, "answers to be stored are lost: the response store does not take them");
    }

    /// Removes some of what has expired. Says whether there may be more.
    async fn sweep(&mut self) -> bool {
        let sweep = async {
            let mut open = match self.connection.take() {
                Some(open) => open,
                None => table::open(&self.file).await.map_err(|e| e.to_string())?,
            };
            let removed = table::sweep(&mut open, now()).await.map_err(|e| e.to_string())?;
            self.connection = Some(open);
            Ok::<_, String>(removed)
        };
        match timeout(CLOSE, sweep).await.unwrap_or_else(|_| Err("the store does not answer".to_owned())) {
            Ok(removed) => removed == table::SWEEP,
            Err(why) => {
                warn!(why, "expired answers cannot be removed; the next try is in ten minutes");
                false
            }
        }
    }
}

/// Writes `jobs` over the connection, or over a new one; a connection on which that failed is given up.
async fn apply(
    connection: &mut Option<SqliteConnection>,
    file: &std::path::Path,
    jobs: &[Job],
) -> Result<(), String> {
    let mut open = match connection.take() {
        Some(open) => open,
        None => table::open(file).await.map_err(|e| e.to_string())?,
    };
    table::apply(&mut open, jobs).await.map_err(|e| e.to_string())?;
    *connection = Some(open);
    Ok(())
}
