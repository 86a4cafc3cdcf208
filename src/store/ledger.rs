//! The ledger in SQLite: rows are taken at once and written behind, in order, by a thread of its own.
//!
//! A row waits in a bounded queue. When SQLite is slow or refuses, rows go to the spill file and from
//! there into SQLite when it works again; when the disk takes neither, they stay in the queue; when that
//! is full, a row is lost, counted, and printed with the log so that it can be entered by hand.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use sqlx::SqliteConnection;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tollgate_filters::ports::Ledger;
use tollgate_filters::usage::Row;
use tracing::{error, warn};

use super::spill::Spill;
use super::{StoreError, rows};

/// Rows in one transaction.
const BATCH: usize = 512;
/// With more rows waiting than this, a write that does not end is not waited for: they are spilled.
const SPILL_AT: usize = 4096;
/// The most rows that wait in memory, about 30 MB of them.
const QUEUE: usize = 65_536;
/// How long a failing store is left alone.
const RETRY: Duration = Duration::from_millis(500);
/// How long a write may take before rows are spilled meanwhile.
const SLOW: Duration = Duration::from_millis(250);
/// How long the end of the process waits for the last rows.
const CLOSE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct SqliteLedger {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<VecDeque<Row>>,
    arrived: Notify,
    closing: AtomicBool,
    stats: Stats,
}

#[derive(Debug, Default)]
struct Stats {
    written: AtomicU64,
    spilled: AtomicU64,
    lost: AtomicU64,
    in_flight: AtomicU64,
    failing: AtomicBool,
}

/// How the ledger is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerStats {
    /// Rows that wait in memory.
    pub queued: usize,
    pub written: u64,
    pub spilled: u64,
    pub lost: u64,
    /// The last write failed or does not end.
    pub failing: bool,
}

impl SqliteLedger {
    /// Opens the ledger in the folder `data`, takes in what an earlier process had spilled, and starts writing.
    pub fn open(data: &Path) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|source| StoreError::File { path: "the ledger's runtime".to_owned(), source })?;
        let file = data.join(rows::FILE);
        let connection = runtime.block_on(rows::open(&file))?;
        let shared = Arc::new(Shared::default());
        let mut writer =
            Writer { shared: shared.clone(), spill: Spill::new(data), file, connection: Some(connection) };
        if !writer.spill.is_empty() {
            // Before anybody reads the ledger: budgets are brought up to what it says.
            runtime.block_on(writer.replay());
        }
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || runtime.block_on(writer.run()))
            .map_err(|source| StoreError::File { path: "the ledger's thread".to_owned(), source })?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    pub fn stats(&self) -> LedgerStats {
        let stats = &self.shared.stats;
        LedgerStats {
            queued: self.pending(),
            written: stats.written.load(Ordering::Relaxed),
            spilled: stats.spilled.load(Ordering::Relaxed),
            lost: stats.lost.load(Ordering::Relaxed),
            failing: stats.failing.load(Ordering::Relaxed),
        }
    }

    /// Writes what is left, or spills it, and stops. Takes a few seconds at the most.
    pub fn close(&self) {
        self.shared.closing.store(true, Ordering::Release);
        self.shared.arrived.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            error!("the ledger's thread ended in a panic");
        }
    }
}

impl Ledger for SqliteLedger {
    fn append(&self, rows: Vec<Row>) {
        let mut queue = self.shared.queue();
        for row in rows {
            if queue.len() < QUEUE {
                queue.push_back(row);
            } else {
                self.shared.stats.lost.fetch_add(1, Ordering::Relaxed);
                error!(
                    row = serde_json::to_string(&row).unwrap_or_default(),
                    "a usage row is lost: the ledger takes none"
                );
            }
        }
        drop(queue);
        self.shared.arrived.notify_one();
    }

    fn pending(&self) -> usize {
        let in_flight = self.shared.stats.in_flight.load(Ordering::Relaxed);
        self.shared.queue().len() + usize::try_from(in_flight).unwrap_or_default()
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, VecDeque<Row>> {
        // A panic while the lock was held left a queue of whole rows behind.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, most: usize) -> Vec<Row> {
        let mut queue = self.queue();
        let count = queue.len().min(most);
        queue.drain(..count).collect()
    }

    /// Rows that could not be written go back to where they were.
    fn put_back(&self, rows: Vec<Row>) {
        let mut queue = self.queue();
        for row in rows.into_iter().rev() {
            queue.push_front(row);
        }
    }
}

struct Writer {
    shared: Arc<Shared>,
    spill: Spill,
    file: PathBuf,
    /// `None` after a failure: what a failed statement leaves of a transaction must not swallow later rows, so
    /// the connection is given up and the next write begins with a new one.
    connection: Option<SqliteConnection>,
}

impl Writer {
    async fn run(mut self) {
        loop {
            let closing = self.shared.closing.load(Ordering::Acquire);
            if !self.spill.is_empty() && !self.shared.stats.failing.load(Ordering::Relaxed) {
                self.replay().await;
            }
            let batch = self.shared.take(BATCH);
            if !batch.is_empty() {
                self.write(batch, closing).await;
            } else if closing {
                return;
            } else {
                self.shared.arrived.notified().await;
            }
        }
    }

    /// Writes a batch, or sees to it that it is kept elsewhere.
    async fn write(&mut self, batch: Vec<Row>, closing: bool) {
        let stats = &self.shared.stats;
        stats.in_flight.store(batch.len() as u64, Ordering::Relaxed);
        let result = {
            let write = insert(&mut self.connection, &self.file, &batch);
            tokio::pin!(write);
            let patience = if closing { CLOSE } else { SLOW };
            loop {
                match timeout(patience, &mut write).await {
                    Ok(result) => break result,
                    Err(_) if closing => break Err("the write does not end".to_owned()),
                    // Slow, but not refused: what arrives meanwhile must not pile up in memory.
                    Err(_) => {
                        stats.failing.store(true, Ordering::Relaxed);
                        spill_overflow(&self.shared, &self.spill);
                    }
                }
            }
        };
        stats.in_flight.store(0, Ordering::Relaxed);
        match result {
            Ok(()) => {
                stats.written.fetch_add(batch.len() as u64, Ordering::Relaxed);
                stats.failing.store(false, Ordering::Relaxed);
            }
            Err(why) => {
                if !stats.failing.swap(true, Ordering::Relaxed) {
                    warn!(why, "the ledger does not take rows; they are spilled");
                }
                self.keep_elsewhere(batch, closing).await;
            }
        }
    }

    async fn keep_elsewhere(&mut self, batch: Vec<Row>, closing: bool) {
        match self.spill.append(&batch) {
            Ok(()) => {
                self.shared.stats.spilled.fetch_add(batch.len() as u64, Ordering::Relaxed);
            }
            Err(why) if closing => {
                self.shared.stats.lost.fetch_add(batch.len() as u64, Ordering::Relaxed);
                for row in &batch {
                    error!(row = serde_json::to_string(row).unwrap_or_default(), %why, "a usage row is lost");
                }
                return;
            }
            Err(_) => self.shared.put_back(batch),
        }
        if !closing {
            sleep(RETRY).await;
            // The next batch finds out whether the store works again.
            if self.probe().await {
                self.shared.stats.failing.store(false, Ordering::Relaxed);
            }
        }
    }

    /// Whether the store takes writes again: writes its header page, which changes nothing.
    async fn probe(&mut self) -> bool {
        let Ok(mut connection) = rows::open(&self.file).await else { return false };
        let write = sqlx::query("PRAGMA user_version = 1").execute(&mut connection);
        let well = matches!(timeout(SLOW, write).await, Ok(Ok(_)));
        self.connection = Some(connection).filter(|_| well);
        well
    }

    /// Takes the spilled rows into the ledger. Rows that are there already are not counted twice.
    async fn replay(&mut self) {
        let (rows, cut) = match self.spill.read() {
            Ok(read) => read,
            Err(why) => return warn!(%why, "the spilled usage rows cannot be read"),
        };
        for batch in rows.chunks(BATCH) {
            if let Err(why) = insert(&mut self.connection, &self.file, batch).await {
                self.shared.stats.failing.store(true, Ordering::Relaxed);
                warn!(why, "the spilled usage rows cannot be written yet");
                sleep(RETRY).await;
                if self.probe().await {
                    self.shared.stats.failing.store(false, Ordering::Relaxed);
                }
                return;
            }
        }
        self.shared.stats.written.fetch_add(rows.len() as u64, Ordering::Relaxed);
        match self.spill.remove() {
            Ok(()) => warn!(rows = rows.len(), cut, "spilled usage rows are in the ledger now"),
            Err(why) => warn!(%why, "the spill file cannot be removed"),
        }
    }
}

/// Writes `rows` over the connection, or over a new one; a connection on which that failed is given up.
async fn insert(connection: &mut Option<SqliteConnection>, file: &Path, rows: &[Row]) -> Result<(), String> {
    let mut open = match connection.take() {
        Some(open) => open,
        None => rows::open(file).await.map_err(|e| e.to_string())?,
    };
    rows::insert(&mut open, rows).await.map_err(|e| e.to_string())?;
    *connection = Some(open);
    Ok(())
}

/// Moves rows to disk while there are too many in memory.
fn spill_overflow(shared: &Shared, spill: &Spill) {
    while shared.queue().len() > SPILL_AT {
        let rows = shared.take(SPILL_AT);
        match spill.append(&rows) {
            Ok(()) => {
                shared.stats.spilled.fetch_add(rows.len() as u64, Ordering::Relaxed);
            }
            Err(_) => return shared.put_back(rows),
        }
    }
}

#[cfg(test)]
mod tests;
