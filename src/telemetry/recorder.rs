//! The recorder: finished exchanges go from the workers to a thread that counts, logs and books them.
//!
//! A worker only pushes to a list. The thread looks at it every few milliseconds instead of being woken
//! for every exchange, which costs less than the wake-ups would.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use http::Method;
use tollgate_filters::exchange::{Caller, Dialect, Operation};
use tollgate_filters::ports::Ledger;
use tollgate_filters::usage::Row;

use super::watch::Habits;
use super::{Metrics, access_log};

/// How long a finished exchange waits at the most before it is booked.
const TICK: Duration = Duration::from_millis(40);

/// Everything that is to be told of one exchange.
#[derive(Debug)]
pub struct Record {
    pub request_id: String,
    /// When it began, in milliseconds since 1970.
    pub time: u64,
    pub client: Option<IpAddr>,
    pub client_request_id: Option<String>,
    pub traceparent: Option<String>,
    pub method: Method,
    pub path: String,
    pub caller: Option<Arc<Caller>>,
    pub asked: Option<(Dialect, Operation)>,
    /// What the client got; 0 where it left before that.
    pub status: u16,
    pub error: Option<String>,
    pub duration: Duration,
    pub ttfb: Option<Duration>,
    pub request_bytes: u64,
    pub response_bytes: u64,
    /// One row for each attempt that reached a provider.
    pub rows: Vec<Row>,
    /// A provider reported a total that is not the sum of its parts.
    pub total_disagrees: bool,
}

#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    finished: Mutex<Vec<Record>>,
    closing: AtomicBool,
}

impl Recorder {
    pub fn start(metrics: Arc<Metrics>, ledger: Arc<dyn Ledger>, log: bool) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        let thread = std::thread::Builder::new().name("recorder".to_owned()).spawn(move || {
            let mut habits = Habits::default();
            loop {
                // Looked at before the list, so that nothing pushed before closing is left in it.
                let closing = theirs.closing.load(Ordering::Acquire);
                let finished =
                    std::mem::take(&mut *theirs.finished.lock().unwrap_or_else(PoisonError::into_inner));
                book(finished, &metrics, &*ledger, log, &mut habits);
                if closing {
                    return;
                }
                sleep(TICK);
            }
        })?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Takes a finished exchange. Does not wait.
    pub fn record(&self, record: Record) {
        self.shared.finished.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }

    /// Books what is left and stops.
    pub fn close(&self) {
        self.shared.closing.store(true, Ordering::Release);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the recorder's thread ended in a panic");
        }
    }
}

fn book(finished: Vec<Record>, metrics: &Metrics, ledger: &dyn Ledger, log: bool, habits: &mut Habits) {
    if finished.is_empty() {
        return;
    }
    let mut rows = Vec::with_capacity(finished.len());
    for record in finished {
        metrics.count(&record);
        habits.learn(&record, metrics);
        if log {
            access_log::log(&record);
        }
        rows.extend(record.rows);
    }
    if !rows.is_empty() {
        ledger.append(rows);
    }
}
