//! The request's body: read as a whole where its facts are needed, and sent up to each target in turn.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT};
use pingora::protocols::http::ServerSession;
use pingora_proxy::Session;
use tokio::time::timeout;
use tollgate_filters::error::{Error, Kind};

use super::ctx::{Body, Ctx};
use crate::gateway::Gateway;

/// What Pingora keeps of a body to send it again.
const RETRY_BUFFER: usize = 64 * 1024;

/// A client must send this many bytes a second on average, once its first time-out is used up.
const MIN_RATE: u64 = 1024;

/// Reads the whole body, of at most `limit` bytes.
///
/// Pingora calls the request body filter, where the body for each target is put in, only if its
/// retry buffer holds something. So the buffer is switched on when what is left fits into it: the tail of
/// the body then makes Pingora send on every attempt. A longer body without a length has no such
/// moment; its session will be wrapped so that it looks as if it had (see [`super::client`]).
pub(super) async fn read(session: &mut Session, limit: usize, stall: Duration) -> Result<Bytes, Error> {
    let length = check_declared_length(session, limit as u64)?;
    if session.get_header(EXPECT).is_some() {
        session.as_mut().write_continue_response().await.map_err(|e| gone(&e))?;
    }
    let started = Instant::now();
    let mut body = Parts::default();
    loop {
        let left = length.map(|length| length.saturating_sub(body.len()));
        if left.is_none_or(|left| (1..=RETRY_BUFFER).contains(&left)) {
            session.as_mut().enable_retry_buffering();
        }
        let earned = Duration::from_secs(body.len() as u64 / MIN_RATE);
        let patience = (stall + earned).saturating_sub(started.elapsed()).min(stall);
        let chunk = match timeout(patience, session.as_mut().read_request_body()).await {
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) => break,
            Ok(Err(e)) => return Err(gone(&e)),
            Err(_) => return Err(slow(body.len() as u64)),
        };
        if body.len() + chunk.len() > limit {
            return Err(too_large(limit as u64));
        }
        body.push(chunk, length);
    }
    Ok(body.into_bytes())
}

/// Refuses a body whose declared length is over `limit`, before any of it is read.
pub(super) fn check_declared_length(session: &Session, limit: u64) -> Result<Option<usize>, Error> {
    let Some(value) = session.get_header(CONTENT_LENGTH) else { return Ok(None) };
    let length: u64 = value
        .to_str()
        .ok()
        .and_then(|v| v.parse().ok())
        .ok_or_else(|| Error::invalid("`content-length` is no number."))?;
    if length > limit {
        return Err(too_large(limit));
    }
    Ok(usize::try_from(length).ok())
}

/// Puts in the body for the current target, or counts what streams by.
pub(super) fn send(
    gateway: &Gateway,
    body: &mut Option<Bytes>,
    end: bool,
    ctx: &mut Ctx,
) -> Result<(), Error> {
    match &mut ctx.body {
        Body::None => {}
        Body::Whole(_) => *body = ctx.attempt.as_mut().and_then(|attempt| attempt.body.take()),
        Body::Streamed(seen) => {
            let length = body.as_ref().map_or(0, |chunk| chunk.len() as u64);
            *seen += length;
            if *seen > gateway.server.upload_limit {
                return Err(too_large(gateway.server.upload_limit));
            }
            if let Some(attempt) = &mut ctx.attempt {
                attempt.request_bytes += length;
            }
            let earned = Duration::from_secs(*seen / MIN_RATE);
            if !end && ctx.started.elapsed() > gateway.server.body_timeout + earned {
                return Err(slow(*seen));
            }
        }
    }
    Ok(())
}

/// Reads on for a while after a refusal, and throws it away: a client that is still sending would
/// otherwise find its connection reset before it has seen the answer.
pub(super) async fn linger(session: &mut ServerSession, time: Duration) -> bool {
    timeout(time, async { while let Ok(Some(_)) = session.read_request_body().await {} }).await.is_ok()
        && session.is_body_done()
}

fn too_large(limit: u64) -> Error {
    Error::new(Kind::TooLarge, format!("The request body is over the limit of {limit} bytes."))
        .code("request_too_large")
}

fn slow(received: u64) -> Error {
    Error::new(
        Kind::SlowClient,
        format!("The request body did not arrive in time; {received} bytes of it did."),
    )
}

/// The client left or broke the protocol while it was sending.
fn gone(e: &pingora::Error) -> Error {
    match e.etype() {
        pingora::ErrorType::ReadTimedout => {
            Error::new(Kind::SlowClient, "The request body did not arrive in time.")
        }
        _ => Error::invalid("The request body is not complete."),
    }
}

/// The pieces of a body. The usual one, which comes in one piece, is not copied.
#[derive(Default)]
struct Parts {
    first: Bytes,
    joined: BytesMut,
}

impl Parts {
    fn len(&self) -> usize {
        self.first.len() + self.joined.len()
    }

    fn push(&mut self, chunk: Bytes, length: Option<usize>) {
        if self.len() == 0 {
            self.first = chunk;
            return;
        }
        if self.joined.is_empty() {
            // A declared length reserves no more than what has shown to be on its way.
            self.joined.reserve(length.unwrap_or(0).min(self.first.len() + (1 << 20)));
            self.joined.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.joined.extend_from_slice(&chunk);
    }

    fn into_bytes(self) -> Bytes {
        if self.joined.is_empty() { self.first } else { self.joined.freeze() }
    }
}
