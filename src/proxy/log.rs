//! The end of an attempt and of an exchange: what was used, what it cost, and who is told.

use std::sync::Arc;
use std::time::Duration;

use pingora::{Error, ErrorSource};
use pingora_proxy::Session;
use rust_decimal::Decimal;
use tollgate_filters::chat::Losses;
use tollgate_filters::exchange::{Caller, Operation};
use tollgate_filters::usage::{Reported, Row, Usage};

use super::ctx::{Attempt, Body, Ctx};
use super::{guard, leave, quota};
use crate::dialect::tap::Tap;
use crate::gateway::Gateway;
use crate::telemetry::Record;

/// The exchange is over, however it went.
pub(super) fn settle(gateway: &Gateway, session: &Session, e: Option<&Error>, ctx: &mut Ctx) {
    ctx.client_left = leave::outcome(ctx, e);
    let broken = ctx.cut.as_ref().map(|_| "budget").or(e.map(reason));
    end_attempt(gateway, ctx, broken, broken.is_none());
    let status = session.response_written().map_or(0, |header| header.status.as_u16());
    quota::end_exchange(gateway, ctx);
    let path = session.req_header().uri.path().to_owned();
    book(gateway, ctx, path, status, broken);
}

/// The exchange was dropped before its end.
pub(super) fn abandon(ctx: &mut Ctx) {
    if ctx.settled {
        return;
    }
    let gateway = ctx.gateway.clone();
    let status = ctx.attempt.as_ref().map_or(0, |attempt| attempt.status);
    ctx.client_left = leave::outcome_of_dropped(ctx);
    end_attempt(&gateway, ctx, Some("shutdown"), false);
    quota::end_exchange(&gateway, ctx);
    let path = std::mem::take(&mut ctx.path.text);
    book(&gateway, ctx, path, status, Some("shutdown"));
}

fn book(gateway: &Gateway, ctx: &mut Ctx, path: String, status: u16, reason: Option<&'static str>) {
    ctx.settled = true;
    gateway.metrics.in_flight.dec();
    let request_bytes = match &ctx.body {
        Body::None => 0,
        Body::Whole(body) => body.len() as u64,
        Body::Streamed(seen) => *seen,
    };
    gateway.record(Record {
        request_id: std::mem::take(&mut ctx.id),
        time: ctx.time,
        client: ctx.client,
        client_request_id: ctx.client_request_id.take(),
        traceparent: ctx.traceparent.take(),
        method: std::mem::take(&mut ctx.method),
        path,
        caller: ctx.caller.take(),
        asked: ctx.asked,
        status,
        error: ctx.refusal.as_ref().map(|r| r.message.to_string()).or_else(|| reason.map(str::to_owned)),
        duration: ctx.started.elapsed(),
        ttfb: ctx.first_byte,
        request_bytes,
        response_bytes: ctx.response_bytes,
        rows: std::mem::take(&mut ctx.rows),
        total_disagrees: ctx.total_disagrees,
    });
}

/// Books the current attempt, if there is one. `complete` says that its answer has ended as it should.
pub(super) fn end_attempt(gateway: &Gateway, ctx: &mut Ctx, broken: Option<&'static str>, complete: bool) {
    let Some(attempt) = ctx.attempt.take() else { return };
    let Some((dialect, operation)) = ctx.asked else { return };
    let Some(provider) = gateway.providers.get(attempt.target.provider) else { return };
    let tap = attempt.tap.as_ref();
    let used = used(&attempt, operation, complete);
    ctx.total_disagrees |= used.reported.total_disagrees;
    let answered = tap.and_then(Tap::model);
    let names = [answered, attempt.target.model.as_deref()].into_iter().flatten();
    let free = attempt.status >= 300 || matches!(operation, Operation::Models | Operation::CountTokens);
    let cost = match used.known {
        _ if free => Some(Decimal::ZERO),
        true => gateway.cost(ctx.org(), attempt.target.provider, names, &used.reported),
        false => None,
    };
    let cost = cost.or_else(|| quota::floor(gateway, ctx, &attempt.target));
    let anonymous;
    let caller = if let Some(caller) = &ctx.caller {
        caller
    } else {
        anonymous = Arc::new(Caller::anonymous());
        &anonymous
    };
    if let Some(findings) = attempt.translation.as_ref().and_then(|translation| translation.findings()) {
        guard::tell(gateway, ctx, findings);
    }
    let row = Row {
        request_id: ctx.id.clone(),
        attempt: u32::try_from(ctx.rows.len() + 1).unwrap_or(u32::MAX),
        time: attempt.time,
        org: caller.org.clone(),
        user: caller.user.clone(),
        key: caller.key().cloned(),
        bridge: ctx.bridge.clone(),
        dialect,
        operation,
        provider: provider.name.clone(),
        model_asked: ctx.model_asked.clone(),
        model_answered: answered.map(Arc::from),
        status: attempt.status,
        stream: tap.is_some_and(Tap::is_stream),
        finish_reason: tap
            .and_then(|tap| tap.finish_reason())
            .filter(|_| operation.uses_tokens())
            .map(Arc::from),
        error: broken.map(Arc::from),
        usage: used.reported.usage,
        measured: used.measured,
        cost,
        ttfb_ms: attempt.first_byte.map(millis),
        duration_ms: millis(attempt.started.elapsed()),
        request_bytes: attempt.request_bytes,
        response_bytes: attempt.response_bytes,
        model: attempt.target.model.clone(),
        translated_to: attempt.translation.as_ref().map(|_| attempt.wire),
        request_losses: attempt.translation.as_ref().and_then(|t| listed(Some(&t.request_losses))),
        answer_losses: attempt.translation.as_ref().and_then(|t| listed(t.answer_losses())),
        client_left: ctx.client_left,
    };
    ctx.rows.push(row);
    quota::end_attempt(gateway, ctx);
}

fn listed(losses: Option<&Losses>) -> Option<Arc<str>> {
    losses.filter(|losses| !losses.is_empty()).map(|losses| Arc::from(losses.list()))
}

pub(super) struct Used {
    pub(super) reported: Reported,
    measured: bool,
    /// Whether the tokens say what was used, so that a cost can be told from them.
    known: bool,
}

pub(super) fn used(attempt: &Attempt, operation: Operation, complete: bool) -> Used {
    let reported = attempt.tap.as_ref().and_then(Tap::reported);
    let refused = attempt.status >= 300;
    match (reported, complete) {
        (Some(reported), true) => Used { reported, measured: true, known: true },
        // An answer that was refused, or looked up, used nothing.
        _ if refused => Used { reported: Reported::default(), measured: true, known: true },
        (reported, _) if operation.uses_tokens() => {
            // What the provider had said before it broke off (Anthropic: the input), and what was seen of the output.
            let seen = attempt.tap.as_ref().map(|tap| tap.estimated(attempt.request_bytes));
            let seen = seen.unwrap_or_else(|| only_input(attempt.request_bytes));
            let reported = match reported {
                Some(mut said) => {
                    said.usage.output_tokens = said.usage.output_tokens.max(seen.output_tokens);
                    said
                }
                None => Reported { usage: seen, ..Reported::default() },
            };
            // An answer that could not be read (compressed all the same) has no known cost.
            let known = attempt.tap.as_ref().is_none_or(Tap::reads);
            Used { reported, measured: false, known }
        }
        (Some(reported), false) => Used { reported, measured: false, known: true },
        // Files, audio, images without a usage block: there is nothing to count, and no price to be had from it.
        (None, complete) => Used { reported: Reported::default(), measured: complete, known: false },
    }
}

/// The request went up and nothing came back.
fn only_input(request_bytes: u64) -> Usage {
    Usage { input_tokens: request_bytes.div_ceil(4), ..Usage::default() }
}

/// What broke the exchange off, in a word.
pub(super) fn reason(e: &Error) -> &'static str {
    match e.esource() {
        ErrorSource::Downstream => "client_left",
        ErrorSource::Upstream => e.etype().as_str(),
        ErrorSource::Internal | ErrorSource::Unset => match e.etype() {
            pingora::ErrorType::HTTPStatus(_) => "refused",
            other => other.as_str(),
        },
    }
}

/// Milliseconds, to the microsecond.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
