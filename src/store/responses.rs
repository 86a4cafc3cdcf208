//! Stored answers in SQLite: taken at once and written behind, in order, by a thread of its own.
//!
//! What was taken is found from that moment on. It waits in memory, within bounds, until the disk takes it;
//! when the disk does not, and the bounds are reached, answers are not kept, and counted. A kill loses what
//! waited: normally the last few milliseconds.

mod readers;
mod table;
mod waiting;
mod writer;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tollgate_filters::ports::Responses;
use tollgate_filters::responses::{Error, NotKept, Stored};
use tracing::error;

use super::{StoreError, cache};
use readers::Readers;
use waiting::{Change, Kept, Name, Waiting};
use writer::Writer;

/// The largest answer that is kept, with its input. All sizes are those of [`Stored::size`].
const LARGEST: usize = 16 * 1024 * 1024;
/// The most that waits in memory, in answers and in bytes.
const QUEUE: usize = 8192;
const QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// How much is kept in memory of what was stored or read lately.
const RECENT: usize = 32 * 1024 * 1024;
/// About how large an answer is, with its input.
const TYPICAL: usize = 8 * 1024;
/// How long a request waits for a deletion to reach the disk.
const DELETE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct SqliteResponses {
    shared: Arc<Shared>,
    readers: Readers,
    recent: Cache<Name, Kept, Weight>,
    retention: Duration,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    /// Counts the batches that were written.
    progress: watch::Sender<u64>,
    closing: AtomicBool,
    stats: Stats,
}

#[derive(Debug, Default)]
struct Stats {
    written: AtomicU64,
    lost: AtomicU64,
    too_large: AtomicU64,
    deleted: AtomicU64,
    failing: AtomicBool,
    /// The operator has been told that it fails.
    logged: AtomicBool,
    /// The operator has been told that answers are lost.
    full: AtomicBool,
}

/// How the response store is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponsesStats {
    /// Changes that wait in memory, and how many bytes they take.
    pub queued: usize,
    pub queued_bytes: usize,
    pub written: u64,
    /// Answers that were not kept, or lost at the end, because the disk took none.
    pub lost: u64,
    /// Answers that were not kept because of their size.
    pub too_large: u64,
    /// Times that the disk could not be read.
    pub unread: u64,
    /// The last write failed or does not end.
    pub failing: bool,
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Name, Kept> for Weight {
    fn weight(&self, _: &Name, kept: &Kept) -> u64 {
        kept.size as u64 + 512
    }
}

impl SqliteResponses {
    /// Opens the store in the folder `data`. What is put in is found for as long as `retention`.
    pub fn open(data: &Path, retention: Duration) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|source| StoreError::File { path: "the response store's runtime".to_owned(), source })?;
        let file = data.join(table::FILE);
        let connection = runtime.block_on(table::open(&file))?;
        let shared = Arc::new(Shared::default());
        let writer = Writer { shared: shared.clone(), file: file.clone(), connection: Some(connection) };
        let thread = std::thread::Builder::new()
            .name("responses".to_owned())
            .spawn(move || runtime.block_on(writer.run()))
            .map_err(|source| StoreError::File { path: "the response store's thread".to_owned(), source })?;
        Ok(Self {
            shared,
            readers: Readers::new(file),
            recent: cache::of(RECENT, TYPICAL, Weight),
            retention,
            thread: Mutex::new(Some(thread)),
        })
    }

    pub fn stats(&self) -> ResponsesStats {
        let stats = &self.shared.stats;
        let (queued, queued_bytes) = {
            let waiting = self.shared.waiting();
            (waiting.len(), waiting.bytes())
        };
        ResponsesStats {
            queued,
            queued_bytes,
            written: stats.written.load(Ordering::Relaxed),
            lost: stats.lost.load(Ordering::Relaxed),
            too_large: stats.too_large.load(Ordering::Relaxed),
            unread: self.readers.failures(),
            failing: stats.failing.load(Ordering::Relaxed),
        }
    }

    /// Writes what is left and stops. Takes a few seconds at the most.
    pub fn close(&self) {
        self.shared.closing.store(true, Ordering::Release);
        self.shared.arrived.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            error!("the response store's thread ended in a panic");
        }
    }

    /// Takes a change, if there is room for it, and gives out its number.
    fn push(&self, name: Name, change: Change, size: usize) -> Option<u64> {
        let mut waiting = self.shared.waiting();
        if waiting.len() >= QUEUE || waiting.bytes() + size > QUEUE_BYTES {
            return None;
        }
        let number = waiting.push(name, change);
        drop(waiting);
        self.shared.arrived.notify_one();
        Some(number)
    }
}

#[async_trait]
impl Responses for SqliteResponses {
    fn put(&self, mut stored: Stored) -> Result<(), NotKept> {
        let stats = &self.shared.stats;
        let size = stored.size();
        if size > LARGEST {
            stats.too_large.fetch_add(1, Ordering::Relaxed);
            return Err(NotKept::TooLarge { size, limit: LARGEST });
        }
        stored.expires = stored.created.saturating_add(self.retention.as_secs());
        let name = (stored.org.clone(), stored.id.clone());
        let kept = Kept { stored: Arc::new(stored), size };
        // Before it can be deleted, so that the deletion finds it here.
        self.recent.insert(name.clone(), kept.clone());
        if self.push(name.clone(), Change::Put(kept), size).is_none() {
            self.recent.remove(&name);
            stats.lost.fetch_add(1, Ordering::Relaxed);
            if !stats.full.swap(true, Ordering::Relaxed) {
                error!("answers are not stored: the disk takes none, and no more can wait");
            }
            return Err(NotKept::Full);
        }
        Ok(())
    }

    async fn get(&self, org: &str, id: &str) -> Result<Option<Arc<Stored>>, Error> {
        let name = (org.to_owned(), id.to_owned());
        let waiting = self.shared.waiting().find(&name).cloned();
        let found = match waiting {
            Some(Change::Delete) => None,
            Some(Change::Put(kept)) => Some(kept.stored),
            None => match self.recent.get(&name) {
                Some(kept) => Some(kept.stored),
                None => self.read(name).await?,
            },
        };
        Ok(found.filter(|stored| stored.expires > now()))
    }

    async fn delete(&self, org: &str, id: &str) -> Result<bool, Error> {
        if self.get(org, id).await?.is_none() {
            return Ok(false);
        }
        let name = (org.to_owned(), id.to_owned());
        let mut progress = self.shared.progress.subscribe();
        let Some(number) = self.push(name.clone(), Change::Delete, 0) else {
            return Err(Error::Unavailable("it takes no changes".to_owned()));
        };
        self.shared.stats.deleted.fetch_add(1, Ordering::SeqCst);
        self.recent.remove(&name);
        let written = async {
            while self.shared.waiting().holds(&name, number) {
                if progress.changed().await.is_err() {
                    break;
                }
            }
        };
        let late = |_| Error::Unavailable("the deletion has not reached the disk yet".to_owned());
        timeout(DELETE, written).await.map_err(late)?;
        Ok(true)
    }
}

impl SqliteResponses {
    async fn read(&self, name: Name) -> Result<Option<Arc<Stored>>, Error> {
        let deleted = &self.shared.stats.deleted;
        let before = deleted.load(Ordering::SeqCst);
        let Some(stored) = self.readers.read(&name.0, &name.1).await? else { return Ok(None) };
        let kept = Kept { size: stored.size(), stored: Arc::new(stored) };
        let stored = kept.stored.clone();
        self.recent.insert(name.clone(), kept);
        // What was deleted while it was read must not come back. A later deletion finds it here.
        if deleted.load(Ordering::SeqCst) != before {
            self.recent.remove(&name);
        }
        Ok(Some(stored))
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // A panic while the lock was held left whole changes behind.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests;
