//! An attempt at a target that does not speak the client's dialect: the request in the target's, the answer back
//! in the client's.

mod answer;
mod generation;
mod other;
mod reasoning;

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderName};
use pingora::http::RequestHeader;
use tollgate_filters::chat::{Client, Losses, Pointer};
use tollgate_filters::error::{Error, Kind};
use tollgate_filters::exchange::{Dialect, Operation};

use super::ctx::{Body, Ctx};
use crate::gateway::Gateway;
use crate::provider::Provider;
pub(super) use answer::Translation;
pub(super) use generation::Neutral;
pub(super) use other::count_here;

/// The word for a request that a strict client would lose something of.
pub(super) const LOSSY_CODE: &str = "translation_lossy";
/// A client that would rather have an error than a loss.
const STRICT: &str = "x-tollgate-strict";

/// What belongs to the client's dialect alone and means nothing to a provider of another.
const OF_A_DIALECT: [&str; 4] = ["anthropic-", "openai-", "x-goog-", "x-stainless-"];

/// The request for a target that is asked in another way than the client asks.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) wire: Dialect,
    pub(super) path: String,
    pub(super) body: Bytes,
    pub(super) translation: Translation,
}

/// Makes the request for the current target, where it has to be made. `None` where the client's own bytes will do.
pub(super) async fn prepare(gateway: &Gateway, ctx: &mut Ctx) -> Result<Option<Prepared>, Error> {
    let Some((dialect, operation)) = ctx.asked else { return Ok(None) };
    let Some(target) = ctx.current().cloned() else { return Ok(None) };
    let Some(provider) = gateway.providers.get(target.provider) else { return Ok(None) };
    if ctx.path.native && !ctx.guarded {
        return Ok(None);
    }
    let mut prepared = match operation {
        Operation::Embeddings => match other::embeddings(ctx, dialect, provider, &target).await? {
            Some(prepared) => prepared,
            None => return Ok(None),
        },
        _ if provider.speaks(dialect, operation) && !ctx.guarded && !has_foreign_seal(ctx, dialect) => {
            return Ok(None);
        }
        Operation::CountTokens => other::count(gateway, ctx, dialect, provider, &target)?,
        _ if operation.generates() => generation::prepare(gateway, ctx, dialect, provider, &target).await?,
        _ => return Ok(None),
    };
    let losses = &mut prepared.translation.request_losses;
    if let Some(state) = ctx.state.as_ref().filter(|state| state.history > 0) {
        *losses = from_the_clients_view(losses, state.history);
    }
    if is_strict(gateway, ctx) && !losses.is_empty() {
        return Err(refuse(losses, provider, prepared.wire));
    }
    Ok(Some(prepared))
}

/// Whether the body holds reasoning of another maker, which came to the client through a translation. A provider of the
/// client's own dialect would refuse it.
fn has_foreign_seal(ctx: &Ctx, dialect: Dialect) -> bool {
    let mark: &[u8] = match dialect {
        // It says itself who made what.
        Dialect::OpenaiChat => return false,
        Dialect::OpenaiResponses | Dialect::Anthropic => b"\"tollgate.",
        // In base64, as Gemini has its signatures.
        Dialect::Gemini => b"\"dG9sbGdhdGUu",
    };
    matches!(&ctx.body, Body::Whole(body) if memchr::memmem::find(body, mark).is_some())
}

/// Items that were put in front of the client's own are what its `previous_response_id` stands for.
fn from_the_clients_view(losses: &Losses, history: usize) -> Losses {
    let mut seen = Losses::default();
    for loss in losses.iter() {
        let item =
            loss.at.as_str().strip_prefix("/input/").map(|rest| rest.split_once('/').unwrap_or((rest, "")));
        let place = match item.and_then(|(number, rest)| Some((number.parse::<usize>().ok()?, rest))) {
            None => loss.at.clone(),
            Some((number, _)) if number < history => Pointer::of("/previous_response_id"),
            Some((number, rest)) => {
                let item = Pointer::of("/input").index(number - history);
                rest.split('/').filter(|key| !key.is_empty()).fold(item, |at, key| at.escaped_key(key))
            }
        };
        seen.push(&place, loss.why);
    }
    seen
}

fn whole(ctx: &Ctx) -> Result<&Bytes, Error> {
    match &ctx.body {
        Body::Whole(body) => Ok(body),
        Body::None | Body::Streamed(_) => {
            Err(Error::new(Kind::Internal, "A request that is translated has been read."))
        }
    }
}

fn client(ctx: &Ctx, model: &str) -> Client {
    Client {
        id: format!("tg{}", ctx.id.replace('-', "")),
        request_id: ctx.id.clone(),
        model: model.to_owned(),
        created: ctx.time / 1000,
        sse: ctx.path.query.trim_start_matches('?').split('&').any(|parameter| parameter == "alt=sse"),
        ..Client::default()
    }
}

/// The path of a Gemini method.
fn gemini_path(model: &str, method: &str) -> String {
    let collection = if model.starts_with("tunedModels/") { "" } else { "models/" };
    format!("/v1beta/{collection}{model}:{method}")
}

fn is_strict(gateway: &Gateway, ctx: &Ctx) -> bool {
    ctx.strict
        || ctx.caller.as_ref().is_some_and(|caller| caller.strict)
        || ctx.model_asked.as_deref().is_some_and(|model| gateway.strict_aliases.contains(model))
}

/// Whether the client asks for it.
pub(super) fn asks_for_strictness(request: &RequestHeader) -> bool {
    request.headers.get(STRICT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

fn refuse(losses: &Losses, provider: &Provider, wire: Dialect) -> Error {
    let first = losses.iter().next().map(|loss| loss.at.to_string()).unwrap_or_default();
    Error::invalid(format!(
        "`{}` is asked in the `{wire}` dialect, which cannot carry all of this request as it is: {}. Leave it out, or do not ask for a strict translation.",
        provider.name,
        losses.list()
    ))
    .param(first)
    .code(LOSSY_CODE)
}

/// Makes the client's header the one of a request in the dialect `wire`.
pub(super) fn request_header(request: &mut RequestHeader, wire: Dialect) {
    let found: Vec<HeaderName> = request
        .headers
        .keys()
        .filter(|name| OF_A_DIALECT.iter().any(|prefix| name.as_str().starts_with(prefix)))
        .filter(|name| **name != crate::provider::X_GOOG_API_KEY)
        .cloned()
        .collect();
    for name in found {
        request.remove_header(&name);
    }
    let mut insert = |name: HeaderName, value: &'static str| {
        let _ = request.insert_header(name, HeaderValue::from_static(value));
    };
    insert(CONTENT_TYPE, "application/json");
    insert(ACCEPT, "*/*");
    // What comes has to be read.
    insert(ACCEPT_ENCODING, "identity");
    if wire == Dialect::Anthropic {
        insert(HeaderName::from_static("anthropic-version"), "2023-06-01");
    }
}

/// Reads the conversation for its guardrail, and says whether that has something to do in it.
pub(super) fn must_be_read(ctx: &mut Ctx, dialect: Dialect, operation: Operation) -> Result<bool, Error> {
    Ok(neutral(ctx, dialect, operation)?.is_guarded())
}

/// The conversation as the translation reads it, once for all targets.
fn neutral(ctx: &mut Ctx, dialect: Dialect, operation: Operation) -> Result<Arc<Neutral>, Error> {
    if let Some(neutral) = &ctx.neutral {
        return Ok(neutral.clone());
    }
    let neutral = Arc::new(Neutral::read(ctx, dialect, operation)?);
    ctx.neutral = Some(neutral.clone());
    Ok(neutral)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_of_the_history_is_lost_of_the_id_that_stands_for_it() {
        let mut losses = Losses::default();
        for at in ["/input/0/content", "/input/1", "/input/2/content/0/a~1b", "/input/x", "/text"] {
            losses.unsupported(&Pointer::of(at));
        }
        let seen = from_the_clients_view(&losses, 2);
        assert_eq!(seen.list(), "/previous_response_id,/input/0/content/0/a~1b,/input/x,/text");
    }
}
