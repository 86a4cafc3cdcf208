//! What is known of one exchange while it runs.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::Method;
use pingora::{Error, ErrorType};
use tollgate_filters::authenticate::Credential;
use tollgate_filters::error::Error as Refusal;
use tollgate_filters::exchange::{Caller, Dialect, Operation};
use tollgate_filters::facts::Facts;
use tollgate_filters::route::{Plan, Target};
use tollgate_filters::usage::{ClientLeft, Row};
use uuid::Uuid;

use super::client::Wrap;
use super::log;
use super::quota::Holding;
use super::state::{Copy, State};
use super::translate::{Neutral, Prepared, Translation};
use crate::dialect::ending::Ending;
use crate::dialect::tap::Tap;
use crate::gateway::Gateway;

#[allow(clippy::struct_excessive_bools)] // each is one fact about the exchange
pub struct Ctx {
    pub(super) gateway: Arc<Gateway>,
    /// The exchange is booked.
    pub(super) settled: bool,
    pub(super) uuid: Uuid,
    /// The same, as text.
    pub(super) id: String,
    pub(super) started: Instant,
    /// Milliseconds since 1970.
    pub(super) time: u64,
    pub(super) client: Option<IpAddr>,
    pub(super) client_request_id: Option<String>,
    pub(super) traceparent: Option<String>,
    pub(super) method: Method,
    pub(super) asked: Option<(Dialect, Operation)>,
    pub(super) path: Path,
    pub(super) caller: Option<Arc<Caller>>,
    /// The gateway key that let the client in.
    pub(super) key: Option<Credential>,
    /// The client's own provider key, for providers that are asked with it.
    pub(super) provider_key: Option<Credential>,
    /// The bridge and the thread that the request names.
    pub(super) bridge: Option<Arc<str>>,
    pub(super) thread: Option<Arc<str>>,
    /// What the exchange holds of limits and budgets.
    pub(super) holding: Holding,
    pub(super) model_asked: Option<Arc<str>>,
    pub(super) facts: Option<Facts>,
    pub(super) body: Body,
    /// The request as a translation reads it, from when one is needed.
    pub(super) neutral: Option<Arc<Neutral>>,
    /// A guardrail has something to do in the conversation, so that it has to be read whatever its target speaks.
    pub(super) guarded: bool,
    /// What is kept of the conversation for a Responses client.
    pub(super) state: Option<Box<State>>,
    /// The client would rather have an error than a translation that loses something.
    pub(super) strict: bool,
    /// The request for the current target, where it is made in another dialect, until it goes up.
    pub(super) prepared: Option<Box<Prepared>>,
    pub(super) plan: Plan,
    /// Index into the plan.
    pub(super) target: usize,
    /// A pooled connection turned out dead and the target is tried once more on a new one.
    pub(super) reconnected: bool,
    /// The client's session is wrapped; it stays so once the client has gone and the exchange goes on.
    pub(super) wrap: Option<Wrap>,
    pub(super) client_left: Option<ClientLeft>,
    pub(super) attempt: Option<Attempt>,
    /// The attempts that are over.
    pub(super) rows: Vec<Row>,
    pub(super) total_disagrees: bool,
    /// Why the gateway ended a stream that was going well.
    pub(super) cut: Option<Refusal>,
    /// Why the gateway itself refuses or ends the exchange.
    pub(super) refusal: Option<Refusal>,
    pub(super) first_byte: Option<Duration>,
    pub(super) response_bytes: u64,
}

/// Where the request points, in the provider's own terms as far as they are known.
#[derive(Default)]
pub(super) struct Path {
    /// Without the provider prefix.
    pub(super) text: String,
    /// With its `?`, without the credential.
    pub(super) query: String,
    /// The path stood behind a provider's prefix.
    pub(super) native: bool,
    /// The model as it stands in the path (Gemini).
    pub(super) model: Option<String>,
}

/// The request's body.
#[derive(Default)]
pub(super) enum Body {
    #[default]
    None,
    /// Read as a whole, because its facts are needed.
    Whole(Bytes),
    /// Passed on as it comes; so many bytes so far.
    Streamed(u64),
}

/// One try of a target, from when its request goes up.
pub(super) struct Attempt {
    pub(super) target: Target,
    pub(super) started: Instant,
    pub(super) time: u64,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    /// The provider's; 0 until it has sent one.
    pub(super) status: u16,
    pub(super) first_byte: Option<Duration>,
    pub(super) tap: Option<Tap>,
    /// The whole body that goes up, until it has.
    pub(super) body: Option<Bytes>,
    /// The gateway asked for usage and takes the chunk out again.
    pub(super) asks_for_usage: bool,
    /// The dialect that the provider is asked in.
    pub(super) wire: Dialect,
    /// Where the client asked in another way.
    pub(super) translation: Option<Box<Translation>>,
    /// Knows how to end a stream that may be cut.
    pub(super) ending: Option<Box<Ending>>,
    /// A copy of an answer that is passed on and kept.
    pub(super) copy: Option<Box<Copy>>,
}

impl Ctx {
    pub(super) fn new(gateway: Arc<Gateway>) -> Self {
        gateway.metrics.in_flight.inc();
        let uuid = Uuid::now_v7();
        Self {
            gateway,
            settled: false,
            uuid,
            id: uuid.to_string(),
            started: Instant::now(),
            time: now(),
            client: None,
            client_request_id: None,
            traceparent: None,
            method: Method::GET,
            asked: None,
            path: Path::default(),
            caller: None,
            key: None,
            provider_key: None,
            bridge: None,
            thread: None,
            holding: Holding::default(),
            model_asked: None,
            facts: None,
            body: Body::None,
            neutral: None,
            guarded: false,
            state: None,
            strict: false,
            prepared: None,
            plan: Plan { targets: Vec::new() },
            target: 0,
            reconnected: false,
            wrap: None,
            client_left: None,
            attempt: None,
            rows: Vec::new(),
            total_disagrees: false,
            cut: None,
            refusal: None,
            first_byte: None,
            response_bytes: 0,
        }
    }

    /// The dialect that the client is answered in.
    pub(super) fn dialect(&self) -> Dialect {
        self.asked.map_or(Dialect::OpenaiChat, |(dialect, _)| dialect)
    }

    /// The organisation that asks; empty while nobody is known to.
    pub(super) fn org(&self) -> &str {
        self.caller.as_ref().map_or("", |caller| &caller.org)
    }

    pub(super) fn current(&self) -> Option<&Target> {
        self.plan.targets.get(self.target)
    }

    /// The answer is kept for a Responses client.
    pub(super) fn keeps(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.keeps())
    }

    /// Nobody is asked for a client that has gone.
    pub(super) fn has_next_target(&self) -> bool {
        self.target + 1 < self.plan.targets.len() && !self.client_has_left()
    }

    /// The client has gone and the exchange goes on without it.
    pub(super) fn client_has_left(&self) -> bool {
        self.wrap.as_ref().is_some_and(Wrap::has_left)
    }

    /// Ends the exchange with `refusal`; the error that Pingora gets only carries it to `fail.rs`.
    pub(super) fn fail(&mut self, refusal: Refusal) -> Box<Error> {
        let status = refusal.kind.status();
        self.refusal = Some(refusal);
        let mut error = Error::new(ErrorType::HTTPStatus(status));
        error.set_retry(false);
        error
    }
}

impl Drop for Ctx {
    /// An exchange that is dropped before its end (the process stops, the grace time is over) is booked as
    /// far as it came.
    fn drop(&mut self) {
        log::abandon(self);
    }
}

pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX))
}
