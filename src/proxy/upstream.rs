//! One attempt: connecting to a target, the request that goes up, and whether the next target is tried.

use std::time::{Duration, Instant};

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, HeaderName,
    TRANSFER_ENCODING, VIA,
};
use http::{HeaderValue, StatusCode};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};
use pingora_proxy::Session;
use tollgate_filters::error::{Error as Refusal, Kind};
use tollgate_filters::exchange::Operation;

use super::ctx::{Attempt, Body, Ctx, now};
use super::translate::{self, Prepared};
use super::{log, quota};
use crate::gateway::Gateway;
use crate::provider::{Provider, X_API_KEY, X_GOOG_API_KEY};

/// What stays between the client and the gateway: credentials, cookies, and which way the request came.
const OWN: [HeaderName; 15] = [
    AUTHORIZATION,
    X_API_KEY,
    X_GOOG_API_KEY,
    HeaderName::from_static("api-key"),
    COOKIE,
    FORWARDED,
    VIA,
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("cf-connecting-ip"),
    HeaderName::from_static("true-client-ip"),
    HeaderName::from_static("x-client-ip"),
    HeaderName::from_static("x-cluster-client-ip"),
    // What was permitted is the method that the request has.
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
];
const FORWARDING_PREFIXES: [&str; 3] = ["x-forwarded-", "x-tollgate-", "x-envoy-"];

/// A connection that had been closed while it was idle says so within a round trip. What breaks off later than
/// this was a provider that had the request.
const IDLE_CLOSE: Duration = Duration::from_millis(200);

/// Where the current target is. What it is asked is made here, before there is a connection, if it has to be made. A
/// target that cannot be found, or that a strict client's request would lose something at, is passed over.
pub(super) async fn peer(gateway: &Gateway, ctx: &mut Ctx) -> std::result::Result<Box<HttpPeer>, Refusal> {
    let mut first = None;
    loop {
        let refusal = match reach(gateway, ctx).await {
            Ok(peer) => return Ok(peer),
            Err(refusal) => refusal,
        };
        let passed_over = refusal.code == Some(translate::LOSSY_CODE)
            || refusal.kind == Kind::BadGateway
            || quota::is_full(&refusal);
        let first = first.get_or_insert(refusal);
        if !passed_over || !ctx.has_next_target() {
            if first.code == Some(translate::LOSSY_CODE) && !ctx.rows.is_empty() {
                // It is no mistake of the client's that the targets which would have lost nothing failed.
                return Err(Refusal::new(
                    Kind::BadGateway,
                    "The targets that could carry the whole request failed, and those that are left would lose some of it.",
                )
                .code("provider_unreachable"));
            }
            return Err(first.clone());
        }
        quota::leave_target(gateway, ctx);
        ctx.target += 1;
        ctx.reconnected = false;
    }
}

async fn reach(gateway: &Gateway, ctx: &mut Ctx) -> std::result::Result<Box<HttpPeer>, Refusal> {
    quota::reserve(gateway, ctx).await?;
    ctx.prepared = translate::prepare(gateway, ctx).await?.map(Box::new);
    provider(gateway, ctx)?.peer().await
}

pub(super) fn provider<'a>(gateway: &'a Gateway, ctx: &Ctx) -> std::result::Result<&'a Provider, Refusal> {
    let target = ctx.current().and_then(|target| gateway.providers.get(target.provider));
    target.ok_or_else(|| Refusal::new(Kind::Internal, "The plan has no target."))
}

/// The target refuses connections or cannot be reached: the next one, if there is one.
pub(super) fn not_connected(gateway: &Gateway, ctx: &mut Ctx, mut e: Box<Error>) -> Box<Error> {
    if let Ok(provider) = provider(gateway, ctx) {
        provider.address_failed();
    }
    quota::leave_target(gateway, ctx);
    move_on(ctx, &mut e, true);
    e
}

pub(super) fn connected(gateway: &Gateway, ctx: &Ctx, reused: bool) {
    if let Some(target) = ctx.current() {
        gateway.metrics.connected(target.provider, reused);
    }
}

/// Makes the client's request the provider's: its path, its host, its credential, its body's length.
/// Everything else goes up as it came.
pub(super) fn request(
    gateway: &Gateway,
    session: &Session,
    request: &mut RequestHeader,
    ctx: &mut Ctx,
) -> std::result::Result<(), Refusal> {
    let provider = provider(gateway, ctx)?;
    let (dialect, operation) = ctx.asked.unwrap_or((ctx.dialect(), Operation::Other));
    let Some(target) = ctx.current().cloned() else {
        return Err(Refusal::new(Kind::Internal, "The plan has no target."));
    };

    let prepared = ctx.prepared.take().map(|prepared| *prepared);
    let path = match &prepared {
        Some(prepared) => prepared.path.clone(),
        None => path(provider, ctx, target.model.as_deref()),
    };
    if path.as_bytes() != request.raw_path() {
        request
            .set_raw_path(path.as_bytes())
            .map_err(|_| Refusal::invalid("The request path is not valid."))?;
    }
    strip(request);
    insert(request, HOST, provider.host().clone());
    let wire = prepared.as_ref().map_or(dialect, |prepared| prepared.wire);
    if let Some((name, value)) = provider.key_header(wire, ctx.provider_key.as_ref())? {
        insert(request, name, value);
    }

    if prepared.is_some() {
        translate::request_header(request, wire);
    }
    let asks_for_usage = prepared.is_none()
        && operation == Operation::Chat
        && provider.must_be_asked_for_usage()
        && ctx.facts.as_ref().is_some_and(|facts| facts.stream && !facts.asked_for_usage());
    let (own_body, translation) =
        prepared.map_or((None, None), |Prepared { body, translation, .. }| (Some(body), Some(translation)));
    let body = match &ctx.body {
        Body::Whole(body) => {
            let model = target.model.as_deref();
            let spliced = || match &ctx.facts {
                Some(facts) => facts.splice(body, model, asks_for_usage),
                None => body.clone(),
            };
            let body = own_body.unwrap_or_else(spliced);
            request.remove_header(&EXPECT);
            let length = HeaderValue::from(body.len());
            // One that came twice, with the same length, goes up once.
            if request.headers.get_all(CONTENT_LENGTH).iter().ne([&length]) {
                request.remove_header(&TRANSFER_ENCODING);
                insert(request, CONTENT_LENGTH, length);
            }
            Some(body)
        }
        Body::None | Body::Streamed(_) => {
            if let Some(length) = request.headers.get(CONTENT_LENGTH).cloned() {
                insert(request, CONTENT_LENGTH, length);
            }
            None
        }
    };
    if is_metered(session, operation) && request.headers.contains_key(ACCEPT_ENCODING) {
        // The tap reads what the provider sends; SDKs take an answer that is not compressed as well.
        insert(request, ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    ctx.attempt = Some(Attempt {
        target,
        started: Instant::now(),
        time: now(),
        request_bytes: body.as_ref().map_or(0, |body| body.len() as u64),
        response_bytes: 0,
        status: 0,
        first_byte: None,
        tap: None,
        body,
        asks_for_usage,
        wire,
        translation: translation.map(Box::new),
        ending: None,
        copy: None,
    });
    Ok(())
}

/// Whether the answer may hold usage of this very request. Looking something up again (a stored
/// response, a batch) does not use it again, and counting tokens uses none.
pub(super) fn is_metered(session: &Session, operation: Operation) -> bool {
    let request = session.req_header();
    // Of the path alone: a client could put anything in its query.
    let batch = || operation == Operation::Other && request.uri.path().contains("/batches");
    request.method == http::Method::POST
        && !matches!(operation, Operation::CountTokens | Operation::Models)
        && !batch()
}

fn path(provider: &Provider, ctx: &Ctx, model: Option<&str>) -> String {
    let mut path = provider.path(&ctx.path.text, ctx.dialect(), ctx.path.native).into_owned();
    if let (Some(old), Some(new)) = (&ctx.path.model, model)
        && crate::dialect::path::percent_decode(old) != new
    {
        // A tuned model brings its own collection along.
        let named = if new.starts_with("tunedModels/") { new.to_owned() } else { format!("models/{new}") };
        path = path.replacen(&format!("models/{old}:"), &format!("{named}:"), 1);
    }
    path.push_str(&ctx.path.query);
    path
}

/// Takes out what stays here. Most requests have one or two such headers, so they are looked for in one walk.
fn strip(request: &mut RequestHeader) {
    let stays = |name: &&HeaderName| {
        OWN.contains(name) || FORWARDING_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix))
    };
    let found: Vec<HeaderName> = request.headers.keys().filter(stays).cloned().collect();
    for name in found {
        request.remove_header(&name);
    }
}

fn insert(request: &mut RequestHeader, name: impl pingora::http::IntoCaseHeaderName, value: HeaderValue) {
    // Name and value are valid already, so there is nothing that could fail.
    let _ = request.insert_header(name, value);
}

/// Judges the answer's status: one that another target may better, while there is one, is not passed on.
pub(super) fn judge(
    gateway: &Gateway,
    session: &Session,
    response: &ResponseHeader,
    ctx: &mut Ctx,
) -> Result<()> {
    if let Some(attempt) = &mut ctx.attempt {
        attempt.status = response.status.as_u16();
    }
    let retryable = response.status == StatusCode::TOO_MANY_REQUESTS || response.status.is_server_error();
    if !retryable || !ctx.has_next_target() || !can_send_again(session, ctx) {
        return Ok(());
    }
    log::end_attempt(gateway, ctx, None, false);
    let mut e = Error::explain(ErrorType::HTTPStatus(response.status.as_u16()), "another target is tried");
    e.as_up();
    move_on(ctx, &mut e, true);
    Err(e)
}

/// An attempt broke off. Before anything has reached the client, another target may answer; on a
/// pooled connection that turned out dead, the same one.
pub(super) fn broke_off(
    gateway: &Gateway,
    session: &mut Session,
    mut e: Box<Error>,
    ctx: &mut Ctx,
    reused: bool,
) -> Box<Error> {
    let judged = matches!(e.etype(), ErrorType::HTTPStatus(_)) && e.retry();
    if judged {
        return e;
    }
    e.set_retry(false);
    let upstream = *e.esource() == ErrorSource::Upstream;
    if !upstream || session.response_written().is_some() || !can_send_again(session, ctx) {
        return e;
    }
    let at_once = ctx
        .attempt
        .as_ref()
        .is_none_or(|attempt| attempt.status == 0 && attempt.started.elapsed() < IDLE_CLOSE);
    let dead_connection = matches!(
        e.etype(),
        ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError | ErrorType::H2Error
    );
    if reused && dead_connection && at_once && !ctx.reconnected && !ctx.client_has_left() {
        // It was closed while it was idle: the request never reached anybody.
        ctx.reconnected = true;
        ctx.attempt = None;
        e.set_retry(true);
        return e;
    }
    if ctx.has_next_target() {
        log::end_attempt(gateway, ctx, Some(log::reason(&e)), false);
        move_on(ctx, &mut e, true);
    }
    e
}

fn can_send_again(session: &Session, ctx: &Ctx) -> bool {
    match ctx.body {
        Body::None | Body::Whole(_) => true,
        Body::Streamed(_) => !session.as_ref().retry_buffer_truncated(),
    }
}

/// On to the next target, if there is one.
fn move_on(ctx: &mut Ctx, e: &mut Error, retry: bool) {
    if retry && ctx.has_next_target() {
        ctx.target += 1;
        ctx.reconnected = false;
        e.set_retry(true);
    } else {
        e.set_retry(false);
    }
}
