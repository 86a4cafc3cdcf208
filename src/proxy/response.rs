//! The answer on its way to the client: its header, and its body past the tap.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{
    ALT_SVC, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, SET_COOKIE, TRANSFER_ENCODING,
};
use http::{HeaderName, HeaderValue};
use pingora::http::ResponseHeader;
use pingora_proxy::Session;
use tollgate_filters::authenticate::Credential;
use tollgate_filters::error::Error;
use tollgate_filters::exchange::{Dialect, Operation};
use tollgate_filters::facts::Facts;
use tollgate_filters::ports::Reasonings as _;

use super::ctx::{Attempt, Ctx};
use super::quota::{Allowance, Verdict};
use super::state::{self, Copy};
use super::upstream::is_metered;
use super::{fail, log};
use crate::dialect::ending::{Ending, Note};
use crate::dialect::limits::headers as limit_headers;
use crate::dialect::tap::{Form, Tap};
use crate::dialect::translate::Understood;
use crate::gateway::Gateway;
use crate::provider::Provider;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-tollgate-request-id");
pub(super) const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PROVIDER: HeaderName = HeaderName::from_static("x-tollgate-provider");
const MODEL: HeaderName = HeaderName::from_static("x-tollgate-model");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-tollgate-attempts");
/// Headers in which a provider hands out links to itself.
const LINKS: [HeaderName; 2] = [HeaderName::from_static("x-goog-upload-url"), LOCATION];

/// Adds what is the gateway's to the provider's header, and chooses how the body is to be read.
pub(super) fn header(
    gateway: &Gateway,
    session: &Session,
    response: &mut ResponseHeader,
    ctx: &mut Ctx,
) -> Result<(), Error> {
    if response.status.is_informational() {
        return Ok(());
    }
    let operation = ctx.asked.map_or(Operation::Other, |(_, operation)| operation);
    let attempts = ctx.rows.len() + 1;
    let keeps = ctx.keeps() && response.status.is_success();
    if response.status.is_success() {
        // No other target will be asked.
        ctx.neutral = None;
    }
    if let Some(attempt) = &mut ctx.attempt {
        let form = if is_metered(session, operation) && response.status.is_success() {
            form(response, attempt)
        } else {
            Form::Opaque
        };
        if form == Form::SseWithoutUsage && response.remove_header(&CONTENT_LENGTH).is_some() {
            // The body will be shorter than the provider said; how long, only its end will tell.
            if takes_chunks(session) {
                insert(response, TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
        }
        attempt.tap = Some(Tap::new(form, attempt.wire));
        let provider = &gateway.providers[attempt.target.provider];
        // An answer that its provider keeps is to be had there.
        let named_here = attempt.translation.as_ref().is_some_and(|t| t.names_the_answer());
        let keeps = keeps && (named_here || !provider.keeps_responses());
        if !keeps {
            ctx.state = None;
        }
        if let Some(translation) = &mut attempt.translation {
            translation.header(response, attempt.wire, takes_chunks(session), keeps)?;
        } else if keeps {
            attempt.copy = Some(Box::new(Copy::new(form == Form::Sse)));
        }
        insert(response, PROVIDER, provider.name_header().clone());
        if let Some(model) = attempt.target.model.as_deref().and_then(|m| HeaderValue::from_str(m).ok()) {
            insert(response, MODEL, model);
        }
        rewrite_links(gateway, session, response, provider, ctx.key.as_ref());
    }
    // Cookies and alternative services are the provider's own, for its own host.
    response.remove_header(&SET_COOKIE);
    response.remove_header(&ALT_SVC);
    let attempts = if attempts == 1 { HeaderValue::from_static("1") } else { HeaderValue::from(attempts) };
    insert(response, ATTEMPTS, attempts);
    own_request_id(response, ctx);
    limits(response, ctx);
    if response.status.is_success() {
        watch_budget(gateway, ctx);
    }
    Ok(())
}

/// Whether a body without a length is framed in chunks: HTTP/2 has frames of its own, and HTTP/1.0 ends with the connection.
fn takes_chunks(session: &Session) -> bool {
    session.req_header().version == http::Version::HTTP_11
}

/// Name and value are valid already, so there is nothing that could fail.
fn insert(response: &mut ResponseHeader, name: HeaderName, value: HeaderValue) {
    let _ = response.insert_header(name, value);
}

/// The gateway's request id; where the provider sends none of its own, it stands there too.
pub(super) fn own_request_id(response: &mut ResponseHeader, ctx: &Ctx) {
    let Ok(id) = HeaderValue::from_str(&ctx.id) else { return };
    if !response.headers.contains_key(&CLIENT_REQUEST_ID) {
        insert(response, CLIENT_REQUEST_ID, id.clone());
    }
    insert(response, REQUEST_ID, id);
}

fn form(response: &ResponseHeader, attempt: &Attempt) -> Form {
    let header = |name: &HeaderName| response.headers.get(name).map(HeaderValue::as_bytes);
    // Asked for none, but a provider may compress all the same: then there is nothing to read.
    if header(&CONTENT_ENCODING).is_some_and(|encoding| encoding != b"identity") {
        return Form::Opaque;
    }
    match header(&CONTENT_TYPE) {
        Some(kind) if kind.starts_with(b"text/event-stream") && attempt.asks_for_usage => {
            Form::SseWithoutUsage
        }
        Some(kind) if kind.starts_with(b"text/event-stream") => Form::Sse,
        Some(kind) if kind.starts_with(b"application/json") => Form::Json,
        _ => Form::Opaque,
    }
}

/// A link to the provider becomes one through the gateway: the client's next request would otherwise go
/// around it, with a key that the provider does not know.
fn rewrite_links(
    gateway: &Gateway,
    session: &Session,
    response: &mut ResponseHeader,
    provider: &Provider,
    key: Option<&Credential>,
) {
    for name in LINKS {
        let Some(link) = response.headers.get(&name).and_then(|v| v.to_str().ok()) else { continue };
        let Some(path) = provider.own_link(link) else { continue };
        let request = session.req_header();
        let host = request.headers.get(http::header::HOST).and_then(|h| h.to_str().ok());
        let Some(host) = host.or_else(|| request.uri.authority().map(http::uri::Authority::as_str)) else {
            continue;
        };
        let scheme = if session.digest().is_some_and(|d| d.ssl_digest.is_some()) { "https" } else { "http" };
        let path = format!("/{}{path}", provider.name);
        if let Ok(link) = HeaderValue::from_str(&format!("{scheme}://{host}{path}")) {
            insert(response, name, link);
        }
        if let Some(key) = key {
            gateway.links.remember(path, key.clone());
        }
    }
}

/// Shows a piece of the body to the tap and passes on what the client is to see of it.
pub(super) fn body(
    gateway: &Gateway,
    body: &mut Option<Bytes>,
    end: bool,
    ctx: &mut Ctx,
) -> Result<Option<Duration>, Error> {
    if ctx.cut.is_some() {
        // The client has had its end.
        *body = None;
        return Ok(None);
    }
    let Some(attempt) = &mut ctx.attempt else { return Ok(None) };
    let Some(tap) = &mut attempt.tap else { return Ok(None) };
    if let Some(chunk) = body.take_if(|chunk| !chunk.is_empty()) {
        if attempt.first_byte.is_none() {
            attempt.first_byte = Some(attempt.started.elapsed());
            ctx.first_byte = Some(ctx.started.elapsed());
        }
        attempt.response_bytes += chunk.len() as u64;
        let mut seen = tap.push(chunk);
        if let Some(translation) = &mut attempt.translation {
            seen = translation.push(&seen)?;
        }
        if let Some(copy) = &mut attempt.copy {
            copy.push(&seen);
        }
        if let Some(ending) = &mut attempt.ending {
            seen = ending.pass(seen);
        }
        ctx.response_bytes += seen.len() as u64;
        *body = Some(seen).filter(|seen| !seen.is_empty());
    }
    if end {
        let mut rest = tap.finish();
        let mut understood = Understood::default();
        if let Some(translation) = &mut attempt.translation {
            (rest, understood) = translation.finish()?;
        }
        if let Some(ending) = &mut attempt.ending {
            let passed = ending.pass(rest);
            rest = join(passed, ending.rest());
        }
        if !rest.is_empty() {
            ctx.response_bytes += rest.len() as u64;
            *body = Some(join(body.take().unwrap_or_default(), rest));
        }
        remember(gateway, ctx, understood);
        return Ok(None);
    }
    Ok(stay_in_budget(body, ctx))
}

fn join(first: Bytes, second: Bytes) -> Bytes {
    if first.is_empty() {
        return second;
    }
    if second.is_empty() {
        return first;
    }
    let mut joined = BytesMut::from(&first[..]);
    joined.extend_from_slice(&second);
    joined.freeze()
}

/// A stream for which a budget is charged may have to be cut.
fn watch_budget(gateway: &Gateway, ctx: &mut Ctx) {
    // Gemini streams an array of documents to clients that do not ask for events.
    let array = matches!(ctx.asked, Some((_, Operation::StreamGenerate)));
    let tap = ctx.attempt.as_ref().and_then(|attempt| attempt.tap.as_ref());
    let is_stream = tap.is_some_and(|tap| tap.is_stream() || array && tap.reads());
    if !is_stream || ctx.wrap.is_none() {
        return;
    }
    ctx.holding.allowance = Allowance::new(gateway, ctx);
    let completions = matches!(ctx.asked, Some((_, Operation::Completions)));
    let ending = ctx.holding.allowance.is_some().then(|| Box::new(Ending::new(ctx.dialect(), completions)));
    if let Some(attempt) = &mut ctx.attempt {
        attempt.ending = ending;
    }
}

/// A stream under a budget goes on as long as money is reserved for it.
fn stay_in_budget(body: &mut Option<Bytes>, ctx: &mut Ctx) -> Option<Duration> {
    let Ctx { gateway, holding, attempt, uuid, time, .. } = ctx;
    let (Some(allowance), Some(attempt)) = (holding.allowance.clone(), attempt) else { return None };
    match allowance.look(gateway, holding, uuid.as_u128(), attempt, *time) {
        Verdict::Go => None,
        Verdict::Wait(time) => Some(time),
        Verdict::Cut(why) => {
            cut(body, ctx, why);
            None
        }
    }
}

/// Ends the stream as if the model had come to its limit; the provider's answer is left where it is.
fn cut(body: &mut Option<Bytes>, ctx: &mut Ctx, why: Error) {
    let operation = ctx.asked.map_or(Operation::Other, |(_, operation)| operation);
    let wants_usage = match ctx.dialect() {
        Dialect::OpenaiChat => ctx.facts.as_ref().is_some_and(Facts::asked_for_usage),
        _ => true,
    };
    let (Some(attempt), Some(wrap)) = (&mut ctx.attempt, &ctx.wrap) else { return };
    let usage = log::used(attempt, operation, false).reported.usage;
    let Some(ending) = attempt.ending.as_mut().filter(|ending| !ending.is_finished()) else { return };
    let note = Note { reason: "budget", rule: why.rule.as_deref().unwrap_or_default() };
    let last = ending.cut(&usage, wants_usage, &note);
    ctx.response_bytes += last.len() as u64;
    *body = Some(join(body.take().unwrap_or_default(), last));
    wrap.cut();
    fail::tell(&ctx.gateway, &why, ctx);
    ctx.cut = Some(why);
}

/// How the caller's limits stand, in the headers that its SDK knows; the provider's own, which are about the account
/// there, are not the caller's.
pub(super) fn limits(response: &mut ResponseHeader, ctx: &Ctx) {
    let standings = &ctx.holding.standings;
    if standings.is_empty() {
        return;
    }
    let theirs = |name: &&HeaderName| {
        ["x-ratelimit-", "anthropic-ratelimit-"].iter().any(|prefix| name.as_str().starts_with(prefix))
    };
    let theirs: Vec<HeaderName> = response.headers.keys().filter(theirs).cloned().collect();
    for name in theirs {
        response.remove_header(&name);
    }
    for (name, value) in limit_headers(ctx.dialect(), standings, SystemTime::now()) {
        insert(response, name, value);
    }
}

/// The answer is whole: keeps what the client may ask for again, and what it cannot send back.
fn remember(gateway: &Gateway, ctx: &mut Ctx, mut understood: Understood) {
    let keeps = ctx.keeps();
    let Some(attempt) = &mut ctx.attempt else { return };
    let copied = attempt.copy.take().and_then(|copy| copy.response());
    let mut translated = None;
    if let Some(translation) = &attempt.translation {
        let org = ctx.caller.as_ref().map_or("", |caller| &*caller.org);
        translation.note(&mut understood, |key, value| gateway.reasonings.remember(org, key, value));
        translated = understood.response.filter(|_| keeps).map(|answer| translation.as_response(&answer));
    }
    if let Some(response) = translated.or(copied) {
        state::keep(gateway, ctx, response);
    }
}
