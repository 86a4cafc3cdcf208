//! What the gateway answers by itself: lists of models, stored responses, and counts that no provider makes.

use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora_proxy::Session;
use serde_json::Value;
use tollgate_filters::error::{Error, Kind};
use tollgate_filters::exchange::{Dialect, Operation};

use super::ctx::Ctx;
use super::{request, response, state};
use crate::dialect::listing::{self, Entry};
use crate::dialect::path::percent_decode;
use crate::gateway::Gateway;

/// Marks a count that is the gateway's own and not the provider's.
const ESTIMATE: HeaderName = HeaderName::from_static("x-tollgate-estimate");

/// An answer that needs no body of the request, if the gateway itself has it. `addressed` says that the request
/// names a provider.
pub(super) async fn without_body(
    gateway: &Gateway,
    ctx: &Ctx,
    addressed: bool,
) -> Result<Option<Value>, Error> {
    match ctx.asked {
        Some((dialect, Operation::Models))
            if !addressed && matches!(ctx.method, Method::GET | Method::HEAD) =>
        {
            models(gateway, ctx, dialect).map(Some)
        }
        Some((Dialect::OpenaiResponses, Operation::Other)) => state::look_up(gateway, ctx).await,
        _ => Ok(None),
    }
}

/// The models that the caller may use, or the one that the path names.
fn models(gateway: &Gateway, ctx: &Ctx, dialect: Dialect) -> Result<Value, Error> {
    let entries = entries(gateway, ctx);
    let named =
        ctx.path.text.split_once("/models/").map(|(_, name)| percent_decode(name.trim_end_matches('/')));
    let Some(named) = named.filter(|name| !name.is_empty()) else {
        return listing::list(dialect, &entries, ctx.path.query.trim_start_matches('?'));
    };
    let entry =
        entries.iter().find(|entry| entry.id == named || format!("{}/{}", entry.provider, entry.id) == named);
    entry.map(|entry| listing::one(dialect, entry)).ok_or_else(|| {
        let why = format!("There is no model `{named}` here, or this key does not permit it.");
        Error::new(Kind::NotFound, why).param("model").code("model_not_found")
    })
}

/// Aliases first, then what is known of each provider, by the shortest name that means it.
fn entries<'a>(gateway: &'a Gateway, ctx: &Ctx) -> Vec<Entry<'a>> {
    let chain = &gateway.chain;
    let Ok(tiers) = request::tiers(gateway, ctx) else { return Vec::new() };
    let plan = |name: &str| chain.decide(&tiers, name, Dialect::OpenaiChat, Operation::Chat).ok();
    let means = |name: &str, provider: usize, model: &str| {
        let plan = plan(name);
        let first = plan.as_ref().and_then(|plan| plan.targets.first());
        first.is_some_and(|first| first.provider == provider && first.model.as_deref() == Some(model))
    };
    let about = |id: String, provider: &'a str, model: &str| Entry {
        id,
        provider,
        model: gateway.catalogue.find(provider, model),
        prices: gateway.prices.standard(provider, model),
        ..Entry::default()
    };
    let mut entries = Vec::new();
    for (alias, targets) in chain.routes.aliases().filter(|(alias, _)| plan(alias).is_some()) {
        let Some((target, provider)) =
            targets.first().and_then(|t| Some((t, gateway.providers.get(t.provider)?)))
        else {
            continue;
        };
        entries.push(about(alias.to_owned(), &provider.name, target.model.as_deref().unwrap_or_default()));
    }
    entries.sort_by(|a, b| a.id.cmp(&b.id));
    let today = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(ctx.time)).to_string();
    for (provider, upstream) in chain.routes.upstreams().iter().enumerate() {
        let patterns = upstream.models.iter().map(String::as_str).filter(|pattern| !pattern.contains('*'));
        let models: BTreeSet<&str> = gateway.catalogue.models(&upstream.name).chain(patterns).collect();
        for model in models {
            let known = gateway.catalogue.find(&upstream.name, model);
            if known.and_then(|known| known.retires.as_deref()).is_some_and(|day| *day < *today) {
                continue;
            }
            let names = [model.to_owned(), format!("{}/{model}", upstream.name)];
            if let Some(id) = names.into_iter().find(|name| means(name, provider, model)) {
                entries.push(about(id, &upstream.name, model));
            }
        }
    }
    entries
}

/// Writes an answer of the gateway's own.
pub(super) async fn write(session: &mut Session, ctx: &mut Ctx, answer: &Value) -> Result<()> {
    let body = Bytes::from(answer.to_string());
    let mut header = ResponseHeader::build(200, Some(7))?;
    if matches!(ctx.asked, Some((_, Operation::CountTokens))) {
        header.insert_header(ESTIMATE, HeaderValue::from_static("true"))?;
    }
    header.insert_header(CONTENT_TYPE, HeaderValue::from_static("application/json"))?;
    header.insert_header(CONTENT_LENGTH, HeaderValue::from(body.len()))?;
    response::own_request_id(&mut header, ctx);
    ctx.response_bytes = body.len() as u64;
    session.write_response_header(Box::new(header), false).await?;
    session.write_response_body(Some(body), true).await
}
