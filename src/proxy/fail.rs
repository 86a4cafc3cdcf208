//! The one place where an error becomes bytes, in the client's own dialect.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorSource, ErrorType, Result};
use pingora_proxy::{FailToProxy, Session};
use tollgate_filters::error::{Error as Refusal, Kind, Retry};
use tracing::debug;

use super::ctx::Ctx;
use super::{body, leave, response, shield, upstream};
use crate::dialect;
use crate::gateway::Gateway;
use crate::telemetry::{Event, Security};

/// Milliseconds, which the SDKs read before `retry-after`.
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
/// Tells the SDKs of OpenAI and Anthropic whether to try again, whatever the status.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// The limit, budget or tier of permission that stands in the way.
const RULE: HeaderName = HeaderName::from_static("x-tollgate-rule");

/// How long a refused client may go on sending what nobody reads.
const LINGER: Duration = Duration::from_secs(2);

/// Ends a failed exchange: with an error answer while nothing has been sent; with an error event in a
/// stream that has begun; otherwise by breaking off, so that the client cannot take a part for the whole.
pub(super) async fn answer(
    gateway: &Gateway,
    session: &mut Session,
    e: &Error,
    ctx: &mut Ctx,
) -> FailToProxy {
    let gone = |ctx: &Ctx| FailToProxy {
        error_code: if ctx.refusal.is_some() { 400 } else { 0 },
        can_reuse_downstream: false,
    };
    leave::unwrap(session, ctx);
    if ctx.client_has_left() {
        return gone(ctx);
    }
    let Some(refusal) = ctx.refusal.clone().or_else(|| refusal(gateway, e, ctx)) else { return gone(ctx) };
    ctx.refusal = Some(refusal.clone());
    tell(gateway, &refusal, ctx);
    if session.response_written().is_some_and(|header| !header.status.is_informational()) {
        end_begun_answer(session, &refusal, ctx).await;
        return gone(ctx);
    }
    let status = refusal.kind.status();
    if let Err(why) = write_error(session, &refusal, ctx).await {
        debug!(%why, "the client did not take the error answer");
        return gone(ctx);
    }
    let done = session.as_mut().is_body_done() || body::linger(session.as_mut(), LINGER).await;
    FailToProxy { error_code: status, can_reuse_downstream: done }
}

/// What to tell the client; `None` where the client is the one that left.
fn refusal(gateway: &Gateway, e: &Error, ctx: &Ctx) -> Option<Refusal> {
    let provider = upstream::provider(gateway, ctx).map_or("the provider", |p| &*p.name);
    match (e.esource(), e.etype()) {
        (ErrorSource::Downstream, ErrorType::ReadTimedout) => {
            Some(Refusal::new(Kind::SlowClient, "The request body did not arrive in time."))
        }
        (ErrorSource::Downstream, ErrorType::InvalidHTTPHeader) => {
            Some(Refusal::invalid("The request header is not valid HTTP."))
        }
        (ErrorSource::Downstream, _) => None,
        (
            _,
            ErrorType::ReadTimedout
            | ErrorType::ConnectTimedout
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::WriteTimedout,
        ) => Some(
            Refusal::new(Kind::GatewayTimeout, format!("`{provider}` did not answer in time."))
                .code("provider_timeout"),
        ),
        (
            _,
            ErrorType::ConnectRefused
            | ErrorType::ConnectNoRoute
            | ErrorType::ConnectError
            | ErrorType::SocketError,
        ) => Some(
            Refusal::new(Kind::BadGateway, format!("`{provider}` cannot be reached."))
                .code("provider_unreachable"),
        ),
        (_, ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert) => Some(
            Refusal::new(Kind::BadGateway, format!("The TLS handshake with `{provider}` failed."))
                .code("provider_unreachable"),
        ),
        (ErrorSource::Upstream, _) => Some(
            Refusal::new(Kind::BadGateway, format!("`{provider}` broke off its answer."))
                .code("provider_broke_off"),
        ),
        _ => Some(Refusal::new(Kind::Internal, "The gateway failed; its log says more.")),
    }
}

async fn write_error(session: &mut Session, refusal: &Refusal, ctx: &mut Ctx) -> Result<()> {
    let body = dialect::error_body(ctx.dialect(), refusal, &ctx.id);
    let mut header = ResponseHeader::build(refusal.kind.status(), Some(8))?;
    header.insert_header(CONTENT_TYPE, HeaderValue::from_static("application/json"))?;
    header.insert_header(CONTENT_LENGTH, HeaderValue::from(body.len()))?;
    if refusal.kind == Kind::Unauthenticated {
        header.insert_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))?;
    }
    response::own_request_id(&mut header, ctx);
    response::limits(&mut header, ctx);
    match refusal.retry {
        Retry::Unknown => {}
        Retry::After(time) => {
            // Whole seconds, never too early.
            let seconds = time.as_millis().div_ceil(1000).max(1);
            header.insert_header(RETRY_AFTER, seconds.to_string())?;
            header.insert_header(RETRY_AFTER_MS, time.as_micros().div_ceil(1000).to_string())?;
            if refusal.kind == Kind::OutOfBudget {
                // The SDKs would try again, which no budget gets fuller of.
                header.insert_header(SHOULD_RETRY, HeaderValue::from_static("false"))?;
            }
        }
        Retry::Never => header.insert_header(SHOULD_RETRY, HeaderValue::from_static("false"))?,
    }
    if let Some(rule) = refusal.rule.as_deref().and_then(|rule| HeaderValue::from_str(rule).ok()) {
        header.insert_header(RULE, rule)?;
    }
    if !ctx.plan.targets.is_empty() || !session.as_mut().is_body_done() {
        // Pingora keeps no connection whose exchange failed on its way to a provider; and what is left of a
        // body may be longer than anybody cares to read.
        session.set_keepalive(None);
    }
    ctx.response_bytes = body.len() as u64;
    session.write_response_header(Box::new(header), false).await?;
    session.write_response_body(Some(body), true).await
}

/// What a refusal says about the gateway's defences goes into the security log.
pub(super) fn tell(gateway: &Gateway, refusal: &Refusal, ctx: &Ctx) {
    let what = match (refusal.kind, refusal.code) {
        (_, Some(shield::CODE)) => Security::Flood,
        (_, Some("blocked_by_guardrail")) => Security::Guardrail,
        (Kind::Forbidden, _) => Security::PermissionDenied,
        (Kind::RateLimited, _) => Security::LimitHit,
        (Kind::OutOfBudget, _) => Security::BudgetExhausted,
        _ => return,
    };
    let event = Event {
        request_id: &ctx.id,
        client: ctx.client,
        rule: refusal.rule.as_deref().unwrap_or_default(),
        detail: &refusal.message,
        ..Event::default()
    };
    gateway.metrics.security(what, &event.of(ctx.caller.as_deref()));
}

async fn end_begun_answer(session: &mut Session, refusal: &Refusal, ctx: &mut Ctx) {
    if let Some(translation) = ctx.attempt.as_mut().and_then(|attempt| attempt.translation.as_mut()) {
        let Some(last) = translation.break_off(refusal) else { return session.as_mut().shutdown().await };
        ctx.response_bytes += last.len() as u64;
        return end(session, last).await;
    }
    let Some(tap) =
        ctx.attempt.as_ref().and_then(|attempt| attempt.tap.as_ref()).filter(|tap| tap.is_stream())
    else {
        return session.as_mut().shutdown().await;
    };
    // An event that was cut off is ended first, so that the error is one of its own.
    let mut last = if tap.at_boundary() { Vec::new() } else { b"\n\n".to_vec() };
    last.extend_from_slice(&dialect::error_event(ctx.dialect(), refusal, &ctx.id, tap.events()));
    ctx.response_bytes += last.len() as u64;
    end(session, Bytes::from(last)).await;
}

async fn end(session: &mut Session, last: Bytes) {
    if let Err(why) = session.write_response_body(Some(last), true).await {
        debug!(%why, "the client did not take the end of its stream");
    }
}
