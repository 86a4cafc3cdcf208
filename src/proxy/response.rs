//! The answer on its way to the client: its header, and its body past the tap.

use bytes::{Bytes, BytesMut};
use http::header::{
    ALT_SVC, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, SET_COOKIE, TRANSFER_ENCODING,
};
use http::{HeaderName, HeaderValue};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora_proxy::Session;
use tollgate_filters::authenticate::Credential;
use tollgate_filters::exchange::Operation;

use super::ctx::{Attempt, Ctx};
use super::upstream::is_metered;
use crate::dialect::tap::{Form, Tap};
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
) -> Result<()> {
    if response.status.is_informational() {
        return Ok(());
    }
    let operation = ctx.asked.map_or(Operation::Other, |(_, operation)| operation);
    let dialect = ctx.dialect();
    let attempts = ctx.rows.len() + 1;
    if let Some(attempt) = &mut ctx.attempt {
        let form = if is_metered(session, operation) && response.status.is_success() {
            form(response, attempt)
        } else {
            Form::Opaque
        };
        if form == Form::SseWithoutUsage && response.remove_header(&CONTENT_LENGTH).is_some() {
            // The body will be shorter than the provider said; how long, only its end will tell.
            if !session.is_http2() {
                response.insert_header(TRANSFER_ENCODING, HeaderValue::from_static("chunked"))?;
            }
        }
        attempt.tap = Some(Tap::new(form, dialect));
        let provider = &gateway.providers[attempt.target.provider];
        response.insert_header(PROVIDER, provider.name_header().clone())?;
        if let Some(model) = attempt.target.model.as_deref().and_then(|m| HeaderValue::from_str(m).ok()) {
            response.insert_header(MODEL, model)?;
        }
        rewrite_links(gateway, session, response, provider, ctx.key.as_ref())?;
    }
    // Cookies and alternative services are the provider's own, for its own host.
    response.remove_header(&SET_COOKIE);
    response.remove_header(&ALT_SVC);
    let attempts = if attempts == 1 { HeaderValue::from_static("1") } else { HeaderValue::from(attempts) };
    response.insert_header(ATTEMPTS, attempts)?;
    own_request_id(response, ctx)
}

/// The gateway's request id; where the provider sends none of its own, it stands there too.
pub(super) fn own_request_id(response: &mut ResponseHeader, ctx: &Ctx) -> Result<()> {
    let Ok(id) = HeaderValue::from_str(&ctx.id) else { return Ok(()) };
    if !response.headers.contains_key(&CLIENT_REQUEST_ID) {
        response.insert_header(CLIENT_REQUEST_ID, id.clone())?;
    }
    response.insert_header(REQUEST_ID, id)
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
) -> Result<()> {
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
        response.insert_header(name, format!("{scheme}://{host}{path}"))?;
        if let Some(key) = key {
            gateway.links.remember(path, key.clone());
        }
    }
    Ok(())
}

/// Shows a piece of the body to the tap and passes on what the client is to see of it.
pub(super) fn body(body: &mut Option<Bytes>, end: bool, ctx: &mut Ctx) {
    let Some(attempt) = &mut ctx.attempt else { return };
    let Some(tap) = &mut attempt.tap else { return };
    if let Some(chunk) = body.take_if(|chunk| !chunk.is_empty()) {
        if attempt.first_byte.is_none() {
            attempt.first_byte = Some(attempt.started.elapsed());
            ctx.first_byte = Some(ctx.started.elapsed());
        }
        attempt.response_bytes += chunk.len() as u64;
        let seen = tap.push(chunk);
        ctx.response_bytes += seen.len() as u64;
        *body = Some(seen).filter(|seen| !seen.is_empty());
    }
    if end {
        let rest = tap.finish();
        if !rest.is_empty() {
            ctx.response_bytes += rest.len() as u64;
            *body = Some(match body.take() {
                None => rest,
                Some(seen) => {
                    let mut joined = BytesMut::from(&seen[..]);
                    joined.extend_from_slice(&rest);
                    joined.freeze()
                }
            });
        }
    }
}
