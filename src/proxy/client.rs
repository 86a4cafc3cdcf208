//! The client's session, shown to Pingora as one whose body can be sent again or whose client stays to the end.
//!
//! *Replay.* Pingora sends a request body upstream if its retry buffer holds something. A body without a declared
//! length outgrows that buffer before anybody knows how long it is, and cannot be put back. Here the buffer is
//! never empty: Pingora asks for the body on each attempt, and the request body filter puts in the real one.
//!
//! *Drain.* Pingora ends an exchange whose client leaves. Here it does not see that: what is written to a client
//! that has gone is thrown away, and reading from it waits for ever or until a deadline. So the provider's answer
//! goes past the tap to its end.
//!
//! *Cut.* Where the gateway ends an answer before the provider does, Pingora is told that it has ended.
//!
//! Everything else passes through. Pingora keeps no connection of a session that it does not know, so the client's own
//! is put back ([`Wrap::unwrap`]) before the exchange ends.

mod pass;

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use pingora::protocols::http::{HttpTask, ServerSession};
use pingora::{Error, ErrorType, Result};
use pingora_proxy::Session;
use tokio::time::Instant;

use crate::conf::OnLeave;

/// A client's session that is wrapped, from outside.
pub(super) struct Wrap {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    departure: AtomicU8,
    /// The gateway has written the answer's end.
    cut: AtomicBool,
    /// The client's own session, once the wrapper is gone.
    inner: Mutex<Option<ServerSession>>,
}

/// The client is there, as far as anybody knows.
const HERE: u8 = 0;
const LEFT: u8 = 1;
/// The time for draining after it is over, too.
const OVERDUE: u8 = 2;

impl Wrap {
    /// Wraps the session of a client for which `on_leave` holds; `replays` says that its body is to be sent again.
    pub(super) fn new(session: &mut Session, replays: bool, on_leave: OnLeave) -> Self {
        let shared = Arc::<Shared>::default();
        let client: &mut ServerSession = session.as_mut();
        let inner = mem::replace(client, nobody());
        let wrapped = Client { inner, replays, on_leave, deadline: None, shared: shared.clone() };
        *client = ServerSession::Custom(Box::new(wrapped));
        Self { shared }
    }

    /// Puts the client's own session back. That of a client that has gone stays wrapped: nothing more is to be
    /// written to it, and its connection ends with the exchange.
    pub(super) fn unwrap(&self, session: &mut Session) {
        if self.has_left() {
            return;
        }
        let client: &mut ServerSession = session.as_mut();
        drop(mem::replace(client, nobody()));
        if let Some(inner) = self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner).take() {
            *client = inner;
        }
    }

    /// What is written next is the end of the answer, whatever the provider still sends.
    pub(super) fn cut(&self) {
        self.shared.cut.store(true, Ordering::Relaxed);
    }

    /// Whether the client has gone and Pingora does not know.
    pub(super) fn has_left(&self) -> bool {
        self.shared.departure.load(Ordering::Relaxed) != HERE
    }

    /// Whether it has, and the time for draining is over.
    pub(super) fn is_overdue(&self) -> bool {
        self.shared.departure.load(Ordering::Relaxed) == OVERDUE
    }
}

/// `()` is Pingora's own stand-in for a custom session; it is there for a moment only.
fn nobody() -> ServerSession {
    ServerSession::Custom(Box::new(()))
}

struct Client {
    inner: ServerSession,
    replays: bool,
    on_leave: OnLeave,
    /// When draining ends, once the client has gone, if it ends before the answer does.
    deadline: Option<Instant>,
    shared: Arc<Shared>,
}

impl Drop for Client {
    fn drop(&mut self) {
        let inner = mem::replace(&mut self.inner, nobody());
        *self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner) = Some(inner);
    }
}

impl Client {
    fn has_left(&self) -> bool {
        self.shared.departure.load(Ordering::Relaxed) != HERE
    }

    fn leaves(&mut self) {
        if let OnLeave::DrainUntil(time) = self.on_leave {
            self.deadline = Instant::now().checked_add(time);
        }
        self.shared.departure.store(LEFT, Ordering::Relaxed);
    }

    /// Writes tasks of the answer; says whether it has ended with them.
    async fn pass_on(&mut self, mut tasks: Vec<HttpTask>) -> Result<bool> {
        if self.on_leave == OnLeave::Cancel {
            return self.inner.response_duplex_vec(tasks).await;
        }
        // That the provider failed must not be lost behind a client that cannot be written to.
        let failed = tasks.pop_if(|task| matches!(task, HttpTask::Failed(_)));
        let mut end = pass::ends(&tasks);
        if !self.has_left() && !tasks.is_empty() {
            match self.inner.response_duplex_vec(tasks).await {
                Err(e) if pass::is_failed_write(&e) => self.leaves(),
                result => end = result?,
            }
        }
        match failed {
            Some(HttpTask::Failed(e)) => Err(e),
            _ => Ok(end),
        }
    }

    /// What a write to the client came to. One that failed is as good as done, if the exchange goes on without
    /// the client.
    fn written(&mut self, result: Result<()>) -> Result<()> {
        match result {
            Err(_) if self.on_leave != OnLeave::Cancel => {
                self.leaves();
                Ok(())
            }
            result => result,
        }
    }

    /// Nothing comes from a client that has gone.
    async fn wait(&self) -> Result<Option<Bytes>> {
        let Some(deadline) = self.deadline else { return std::future::pending().await };
        tokio::time::sleep_until(deadline).await;
        self.shared.departure.store(OVERDUE, Ordering::Relaxed);
        Error::e_explain(
            ErrorType::ConnectionClosed,
            "the client has left, and the time for draining is over",
        )
    }
}
