//! What is translated beside conversations: counts of tokens, and embeddings.

use bytes::Bytes;
use serde_json::Value;
use tollgate_filters::chat::{Losses, Target as Asked};
use tollgate_filters::error::{Error, Kind};
use tollgate_filters::exchange::{Dialect, Operation};
use tollgate_filters::route::Target;

use super::{Prepared, Translation, client, gemini_path, whole};
use crate::dialect::count::{self, Count};
use crate::dialect::embeddings::{self, Api};
use crate::dialect::translate::Output;
use crate::gateway::Gateway;
use crate::provider::Provider;
use crate::proxy::ctx::Ctx;

/// A count, asked of a provider in a dialect of its own.
pub(super) fn count(
    gateway: &Gateway,
    ctx: &Ctx,
    dialect: Dialect,
    provider: &Provider,
    target: &Target,
) -> Result<Prepared, Error> {
    let counted = count::parse_count_request(dialect, whole(ctx)?)?;
    let model = target.model.as_deref().unwrap_or_default();
    let known = gateway.catalogue.find(&provider.name, model);
    let asked = Asked {
        model: model.to_owned(),
        rules: known.map(tollgate_filters::catalogue::Model::rules).unwrap_or_default(),
        quirks: provider.quirks,
        ..Asked::default()
    };
    for wire in provider.dialects.iter().filter(|wire| provider.counts(*wire)) {
        let mut losses = Losses::default();
        let Some(body) = count::render_count_request(wire, &counted.request, &asked, &mut losses) else {
            continue;
        };
        let path = match wire {
            Dialect::Anthropic => "/v1/messages/count_tokens".to_owned(),
            Dialect::Gemini => gemini_path(model, "countTokens"),
            Dialect::OpenaiChat | Dialect::OpenaiResponses => "/v1/responses/input_tokens".to_owned(),
        };
        let losses = counted.placed(&losses);
        return Ok(Prepared {
            wire,
            path: provider.path(&path, wire, false).into_owned(),
            body: Bytes::from(body.to_string()),
            translation: Translation::new(client(ctx, model), Output::Count(dialect), false, losses),
        });
    }
    Err(Error::new(Kind::Internal, "The provider counts in no dialect."))
}

/// A count that is made here, because the provider makes none. `None` where it does.
pub(in crate::proxy) async fn count_here(gateway: &Gateway, ctx: &Ctx) -> Result<Option<Value>, Error> {
    let Some((dialect, Operation::CountTokens)) = ctx.asked else { return Ok(None) };
    let Some(target) = ctx.current() else { return Ok(None) };
    let Some(provider) = gateway.providers.get(target.provider) else { return Ok(None) };
    if ctx.path.native || provider.dialects.iter().any(|wire| provider.counts(wire)) {
        return Ok(None);
    }
    let counted = count::parse_count_request(dialect, whole(ctx)?)?;
    let model = target.model.as_deref().unwrap_or_default();
    let model = model.to_owned();
    let tokens = aside(move || count::estimate(&counted.request, &model)).await?;
    let count = Count { tokens, estimated: true, ..Count::default() };
    Ok(Some(count::render_count_answer(dialect, dialect, &count, &mut Losses::default())))
}

/// Runs what takes milliseconds for a large body, and a fifth of a second the first time, where it holds up nobody.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let failed = |_| Error::new(Kind::Internal, "Tokens could not be counted.");
    tokio::task::spawn_blocking(work).await.map_err(failed)
}

/// Embeddings, where the provider has another form of them than the client's. `None` where it has the same.
pub(super) async fn embeddings(
    ctx: &Ctx,
    dialect: Dialect,
    provider: &Provider,
    target: &Target,
) -> Result<Option<Prepared>, Error> {
    let body = whole(ctx)?;
    let from = if dialect == Dialect::Gemini { Api::Gemini } else { Api::Openai };
    let (to, wire) = if provider.dialects.contains_family(Dialect::OpenaiChat) {
        (if provider.quirks.mistral { Api::Mistral } else { Api::Openai }, Dialect::OpenaiChat)
    } else {
        (Api::Gemini, Dialect::Gemini)
    };
    // Mistral's form of OpenAI's differs in one member that an OpenAI client may send.
    let same = from == to
        || from == Api::Openai
            && to == Api::Mistral
            && memchr::memmem::find(body, br#""dimensions""#).is_none();
    if same || dialect == Dialect::Gemini && provider.dialects.contains(Dialect::Gemini) {
        return Ok(None);
    }
    let body: Value = serde_json::from_slice(body)
        .map_err(|e| Error::invalid(format!("The request body is not valid JSON: {e}.")))?;
    let request = embeddings::parse_request(from, body)?;
    let model = target.model.as_deref().unwrap_or_default();
    let mut losses = Losses::default();
    let rendered = embeddings::render_request(to, &request, model, &mut losses)?;
    let path = match rendered.method {
        Some(method) => gemini_path(model, method),
        None => "/v1/embeddings".to_owned(),
    };
    // A client of OpenAI's must be told how many tokens went in, and Gemini's answers may not say.
    let input_tokens = if wire == Dialect::Gemini {
        let (request, model) = (request.clone(), model.to_owned());
        aside(move || request.estimate(&model)).await?
    } else {
        0
    };
    let wanted = request.wanted(model, input_tokens);
    let output = Output::Embeddings { from: to, to: from, wanted };
    Ok(Some(Prepared {
        wire,
        path: provider.path(&path, wire, false).into_owned(),
        body: Bytes::from(rendered.body.to_string()),
        translation: Translation::new(client(ctx, model), output, false, losses),
    }))
}
