//! Conversations: read into the neutral form, completed with what the client could not send, written for the target.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};
use tollgate_filters::adapt::adapt;
use tollgate_filters::catalogue::Model;
use tollgate_filters::chat::{Losses, Request, Target as Asked};
use tollgate_filters::error::{Error, Kind};
use tollgate_filters::exchange::{Dialect, Operation};
use tollgate_filters::guardrail::{Checked, Findings, Guard, Guardrail, may_be_sealed};
use tollgate_filters::ports::Reasonings as _;
use tollgate_filters::recall::{self, Gaps, Recalled};
use tollgate_filters::route::Target;

use super::reasoning::{complete, drop_foreign, readable};
use super::{Prepared, Translation, client, gemini_path, neutral, whole};
use crate::dialect::completions;
use crate::dialect::renames::Renames;
use crate::dialect::translate::{Output, parse_request, render_request};
use crate::gateway::Gateway;
use crate::provider::Provider;
use crate::proxy::ctx::Ctx;
use crate::proxy::guard;

/// A request as the translation reads it.
#[derive(Debug)]
pub(in crate::proxy) struct Neutral {
    request: Request,
    /// What reading it lost already.
    losses: Losses,
    /// What its answer is noted under.
    asked: recall::Asked,
    output: Output,
    /// What its organisation's guardrail made of it.
    guarded: Option<(Arc<Guardrail>, Checked)>,
    /// What a Responses object repeats of its request.
    echo: Map<String, Value>,
}

impl Neutral {
    pub(super) fn read(ctx: &Ctx, dialect: Dialect, operation: Operation) -> Result<Self, Error> {
        let body = whole(ctx)?;
        let mut losses = Losses::default();
        let (mut request, output) = if operation == Operation::Completions {
            let body = serde_json::from_slice(body)
                .map_err(|e| Error::invalid(format!("The request body is not valid JSON: {e}.")))?;
            let (request, wanted) = completions::parse(body, &mut losses)?;
            (request, Output::Completions(wanted))
        } else {
            (parse_request(dialect, body)?, Output::Dialect(dialect))
        };
        threads(&request)?;
        if dialect == Dialect::Gemini {
            // Gemini's clients say both in the path.
            request.model = ctx.model_asked.as_deref().map(str::to_owned);
            request.stream = operation == Operation::StreamGenerate;
        }
        let asked = recall::Asked::of(&request);
        let guarded = check(ctx, &mut request)?;
        let echo = match (dialect, serde_json::from_slice(body)) {
            (Dialect::OpenaiResponses, Ok(Value::Object(mut echo))) => {
                echo.shift_remove("input");
                if let Some(previous) = ctx.state.as_ref().and_then(|state| state.previous()) {
                    echo.insert("previous_response_id".to_owned(), previous.into());
                }
                echo
            }
            _ => Map::new(),
        };
        Ok(Self { request, losses, asked, output, guarded, echo })
    }

    /// Whether the guardrail changed the request, or has to see the answer.
    pub(super) fn is_guarded(&self) -> bool {
        self.guarded.as_ref().is_some_and(|(guardrail, checked)| checked.edited || guardrail.checks_output())
    }

    /// The guard of its answer, which comes in the dialect `wire`.
    fn guard(&self, wire: Dialect, provider: &Provider) -> Option<Guard> {
        let (guardrail, checked) = self.guarded.as_ref()?;
        guardrail.guard(checked.clone(), may_be_sealed(wire, &provider.quirks))
    }
}

/// Has the organisation's guardrail look at the request, which it may change.
fn check(ctx: &Ctx, request: &mut Request) -> Result<Option<(Arc<Guardrail>, Checked)>, Error> {
    let Some(guardrail) = ctx.gateway.chain.guardrails.for_org(ctx.org()) else { return Ok(None) };
    let checked = guardrail.check_request(request).map_err(|refusal| {
        guard::tell(&ctx.gateway, ctx, &refusal.findings);
        Error::from(refusal)
    })?;
    guard::tell(&ctx.gateway, ctx, &checked.findings);
    Ok(Some((guardrail.clone(), Checked { findings: Findings::default(), ..checked })))
}

/// Anthropic's message threads, which its SDK's tool runner uses: the provider keeps the conversation and is sent what is
/// new. Nobody else keeps one. The SDK starts again with the whole of it when it hears one of these codes.
fn threads(request: &Request) -> Result<(), Error> {
    let Some(thread) = request.extra.get("thread").filter(|_| request.source == Dialect::Anthropic) else {
        return Ok(());
    };
    let code = match thread["type"].as_str() {
        Some("continue") => "thread_not_found",
        _ => "thread_unsupported_request",
    };
    Err(Error::invalid("The provider of this model keeps no message threads; send the whole conversation.")
        .param("thread")
        .code(code))
}

pub(super) async fn prepare(
    gateway: &Gateway,
    ctx: &mut Ctx,
    dialect: Dialect,
    provider: &Provider,
    target: &Target,
) -> Result<Prepared, Error> {
    let operation = ctx.asked.map_or(Operation::Other, |(_, operation)| operation);
    let neutral = neutral(ctx, dialect, operation)?;
    let request = &neutral.request;
    let gaps = Gaps::of(request);
    let keys = gaps.keys();
    let org = ctx.caller.as_ref().map_or("", |caller| &*caller.org);
    let recalled =
        if keys.is_empty() { Recalled::new() } else { gateway.reasonings.recall(org, &keys).await };
    let model = target.model.as_deref().unwrap_or_default();
    let known = gateway.catalogue.find(&provider.name, model);
    let losses = neutral.losses.clone();
    let asked = Asked {
        model: model.to_owned(),
        stream: request.stream,
        ask_for_usage: provider.must_be_asked_for_usage(),
        rules: known.map(Model::rules).unwrap_or_default(),
        quirks: provider.quirks,
    };
    let made = least_lossy(dialect, provider, &asked, &losses, |wire, losses| {
        let mut request = neutral.request.clone();
        gaps.fill(&mut request, &readable(&recalled, wire, provider));
        adapt(&mut request, known, losses);
        drop_foreign(&mut request, wire, losses);
        complete(&mut request, wire, losses);
        let renames = Renames::fit(&mut request, wire, &provider.quirks, losses);
        (request, renames)
    })?;
    let Made { wire, body, losses, renames } = made;
    let path = match wire {
        Dialect::OpenaiChat => "/v1/chat/completions".to_owned(),
        Dialect::OpenaiResponses => "/v1/responses".to_owned(),
        Dialect::Anthropic => "/v1/messages".to_owned(),
        Dialect::Gemini if request.stream => gemini_path(model, "streamGenerateContent?alt=sse"),
        Dialect::Gemini => gemini_path(model, "generateContent"),
    };
    let mut client = client(ctx, model);
    client.stream_usage = request.stream_usage.as_ref().is_some_and(|asked| asked.value);
    client.echo.clone_from(&neutral.echo);
    // What the provider itself keeps stays under its own id.
    client.own_id = dialect == Dialect::OpenaiResponses
        && !(wire == Dialect::OpenaiResponses && provider.keeps_responses());
    let mut translation = Translation::new(client, neutral.output.clone(), request.stream, losses);
    translation.asked = Some(neutral.asked);
    translation.renames = renames;
    translation.guard = neutral.guard(wire, provider);
    Ok(Prepared { wire, path: provider.path(&path, wire, false).into_owned(), body, translation })
}

/// A request as it goes up.
struct Made {
    wire: Dialect,
    body: Bytes,
    losses: Losses,
    renames: Renames,
}

/// The request in that of the provider's dialects which loses least of it.
fn least_lossy(
    dialect: Dialect,
    provider: &Provider,
    asked: &Asked,
    before: &Losses,
    request_for: impl Fn(Dialect, &mut Losses) -> (Request, Renames),
) -> Result<Made, Error> {
    let mut best: Option<Made> = None;
    let own = provider.dialects.contains(dialect).then_some(dialect);
    for wire in own.into_iter().chain(preferred(provider).filter(|_| own.is_none())) {
        let mut losses = before.clone();
        let (request, renames) = request_for(wire, &mut losses);
        let body = render_request(wire, &request, asked, &mut losses);
        if best.as_ref().is_none_or(|best| losses.len() < best.losses.len()) {
            best = Some(Made { wire, body: Bytes::from(body.to_string()), losses, renames });
        }
        if best.as_ref().is_some_and(|best| best.losses.len() == before.len()) {
            break;
        }
    }
    best.ok_or_else(|| Error::new(Kind::Internal, "The provider speaks no dialect."))
}

/// A provider's dialects, the one first that carries most: Responses, where the provider itself keeps what they
/// refer to.
fn preferred(provider: &Provider) -> impl Iterator<Item = Dialect> {
    let responses_first = !provider.quirks.stateless_responses;
    let first = if responses_first { Dialect::OpenaiResponses } else { Dialect::OpenaiChat };
    let rest = provider.dialects.iter().filter(move |dialect| *dialect != first);
    std::iter::once(first).filter(|first| provider.dialects.contains(*first)).chain(rest)
}
