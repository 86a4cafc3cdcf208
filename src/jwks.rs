//! The keys that issuers publish: a thread for each fetches them, keeps them through an outage, and looks again when
//! a token names a key that is not there.

mod fetch;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;
use tokio::time::timeout;
use tollgate_filters::authenticate::jwt::{Identity, Issuers, KeySet, Refused, Remote};
use tracing::{info, warn};

/// How long a request waits for its issuer's keys at most.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long there is at most between two looks while an issuer is away.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// All issuers, and the threads that fetch keys for those which publish theirs. The threads end with it.
#[derive(Debug)]
pub(crate) struct Jwks {
    issuers: Arc<Issuers>,
    watched: Vec<Watched>,
}

/// How an issuer's keys are, for metrics and `/readyz`.
#[derive(Debug, Clone)]
pub(crate) struct Stats {
    pub(crate) issuer: Arc<str>,
    /// When its keys were last had, in Unix seconds.
    pub(crate) last_success: Option<u64>,
    /// The last look failed. The keys from before still count.
    pub(crate) failing: bool,
    /// How often it has been looked at.
    pub(crate) fetches: u64,
    pub(crate) keys: usize,
}

impl Jwks {
    /// Starts to fetch. It waits for nobody: an issuer that is away is asked again.
    pub(crate) fn start(issuers: Arc<Issuers>) -> Result<Self, String> {
        Self::check(&issuers)?;
        let remotes = issuers.remotes();
        let watched = remotes.into_iter().map(Watched::start).collect::<Result<_, _>>()?;
        Ok(Self { issuers, watched })
    }

    /// Whether keys may come from where the configuration says: by TLS, or from this machine.
    pub(crate) fn check(issuers: &Issuers) -> Result<(), String> {
        let wrong = |remote: &Remote| {
            let why = fetch::permitted(fetch::address(&remote.source), true, remote.allow_http).err()?;
            Some(format!("auth.jwt.{}: {why}", remote.name))
        };
        issuers.remotes().iter().find_map(wrong).map_or(Ok(()), Err)
    }

    /// Who `token` stands for now. If it names a key that its issuer is not known to have, the issuer is asked, within
    /// its floor, and the token is looked at again.
    pub(crate) async fn verify(&self, token: &str) -> Result<Arc<Identity>, Refused> {
        let lacking = match self.issuers.verify(token, now()) {
            Err(Refused::UnknownKey(lacking)) => lacking,
            settled => return settled,
        };
        let mut news = false;
        for lacking in &lacking {
            if let Some(watched) = self.watched.iter().find(|w| w.remote.index == lacking.issuer) {
                news |= watched.refresh(lacking.generation).await;
            }
        }
        if news { self.issuers.verify(token, now()) } else { Err(Refused::UnknownKey(lacking)) }
    }

    /// Who `token` stands for, if that is known from before.
    pub(crate) fn remembered(&self, token: &str) -> Option<Arc<Identity>> {
        self.issuers.remembered(token, now())
    }

    pub(crate) fn stats(&self) -> Vec<Stats> {
        self.watched.iter().map(Watched::stats).collect()
    }
}

/// One issuer and its thread.
#[derive(Debug)]
struct Watched {
    remote: Remote,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread and those who wait for it have in common.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    /// Counts the looks that are over.
    rounds: watch::Sender<u64>,
    /// Zero for never.
    last_success: AtomicU64,
    failing: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// When the last look began.
    begun: Option<Instant>,
    running: bool,
    wanted: bool,
    stop: bool,
}

impl Watched {
    fn start(remote: Remote) -> Result<Self, String> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake: Condvar::new(),
            rounds: watch::Sender::new(0),
            last_success: AtomicU64::new(0),
            failing: AtomicBool::new(false),
        });
        let (theirs, fetched) = (shared.clone(), remote.clone());
        let thread = thread::Builder::new()
            .name(format!("jwks {}", remote.name))
            .spawn(move || theirs.run(&fetched))
            .map_err(|e| format!("auth.jwt.{}: no thread for its keys: {e}", remote.name))?;
        Ok(Self { remote, shared, thread: Some(thread) })
    }

    fn keys(&self) -> Arc<KeySet> {
        self.remote.keys()
    }

    /// Has the issuer looked at again, because the set `seen` lacks a key. True if there is another set, or a look
    /// has ended since; false at once within the floor. All who wait share one look.
    async fn refresh(&self, seen: u64) -> bool {
        let mut rounds = self.shared.rounds.subscribe();
        if self.keys().generation() != seen {
            return true;
        }
        {
            let mut state = self.shared.lock();
            let lately = state.begun.is_some_and(|begun| begun.elapsed() < self.remote.floor);
            if state.stop || lately && !state.running {
                return false;
            }
            if !state.running {
                state.wanted = true;
                self.shared.wake.notify_all();
            }
        }
        matches!(timeout(PATIENCE, rounds.changed()).await, Ok(Ok(())))
    }

    fn stats(&self) -> Stats {
        let last = self.shared.last_success.load(Ordering::Relaxed);
        Stats {
            issuer: self.remote.name.clone(),
            last_success: Some(last).filter(|last| *last > 0),
            failing: self.shared.failing.load(Ordering::Relaxed),
            fetches: *self.shared.rounds.borrow(),
            keys: self.keys().len(),
        }
    }

    fn stop(&mut self) -> Option<JoinHandle<()>> {
        self.shared.lock().stop = true;
        self.shared.wake.notify_all();
        self.thread.take()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Nobody waits for it: it may be in the midst of a fetch.
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks, and waits until it is time to look again, until it is stopped.
    fn run(&self, remote: &Remote) {
        let agent = fetch::agent(&fetch::trusted(), fetch::PATIENCE);
        let (mut published, mut failures) = (Vec::new(), 0);
        loop {
            self.begin();
            let looked = fetch::document(&agent, remote).and_then(|document| {
                // What has not changed stays the same set, so that tokens stay known.
                if document != published {
                    let keys = remote.publish(&document)?;
                    info!(issuer = &*remote.name, keys = keys.len(), "keys of an issuer have changed");
                    published = document;
                }
                Ok(())
            });
            failures = self.end(remote, looked, failures);
            let pause = match failures {
                0 => remote.refresh,
                // Twice as long each time, and never longer than when all is well.
                more => (remote.floor * 2_u32.pow(more.min(6) - 1)).min(MAX_PAUSE).min(remote.refresh),
            };
            if !self.sleep(pause) {
                return;
            }
        }
    }

    fn begin(&self) {
        let mut state = self.lock();
        state.begun = Some(Instant::now());
        (state.running, state.wanted) = (true, false);
    }

    /// Notes how a look ended. How often in a row it has failed.
    fn end(&self, remote: &Remote, looked: Result<(), String>, failures: u32) -> u32 {
        let failures = match looked {
            Ok(()) => {
                self.last_success.store(now(), Ordering::Relaxed);
                if failures > 0 {
                    info!(issuer = &*remote.name, "an issuer's keys can be had again");
                }
                0
            }
            Err(why) => {
                if failures == 0 {
                    let kept = remote.keys().len();
                    warn!(issuer = &*remote.name, kept, "an issuer's keys cannot be had: {why}");
                }
                failures.saturating_add(1)
            }
        };
        self.failing.store(failures > 0, Ordering::Relaxed);
        self.lock().running = false;
        self.rounds.send_modify(|rounds| *rounds += 1);
        failures
    }

    /// Waits for `pause`, or until somebody wants a look. False if there is to be none.
    fn sleep(&self, pause: Duration) -> bool {
        let idle = |state: &mut State| !state.wanted && !state.stop;
        let (state, _) =
            self.wake.wait_timeout_while(self.lock(), pause, idle).unwrap_or_else(PoisonError::into_inner);
        !state.stop
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
