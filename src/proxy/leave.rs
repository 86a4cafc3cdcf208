//! Clients that leave: whether the provider's answer is read on without them, and what the row says of it.

use pingora::{Error, ErrorSource, ErrorType, Result};
use pingora_proxy::Session;
use tollgate_filters::exchange::Operation;
use tollgate_filters::usage::ClientLeft;

use super::client::Wrap;
use super::ctx::{Body, Ctx};
use super::upstream::is_metered;
use crate::conf::OnLeave;
use crate::gateway::Gateway;

/// Wraps the client's session as the current target needs it.
pub(super) fn arrange(gateway: &Gateway, session: &mut Session, ctx: &mut Ctx) {
    unwrap(session, ctx);
    let replays = matches!(ctx.body, Body::Whole(_)) && session.as_ref().retry_buffer_truncated();
    let on_leave = on_leave(gateway, session, ctx);
    let may_be_cut = ctx.holding.holds_money() && streams(ctx);
    if replays || may_be_cut || on_leave != OnLeave::Cancel {
        ctx.wrap = Some(Wrap::new(session, replays, on_leave));
    }
}

/// Puts the client's own session back.
pub(super) fn unwrap(session: &mut Session, ctx: &mut Ctx) {
    if let Some(wrap) = ctx.wrap.take_if(|wrap| !wrap.has_left()) {
        wrap.unwrap(session);
    }
}

/// Only what is certain to use tokens is worth reading on for.
fn on_leave(gateway: &Gateway, session: &Session, ctx: &Ctx) -> OnLeave {
    let Some((_, operation)) = ctx.asked else { return OnLeave::Cancel };
    if !operation.uses_tokens() || !is_metered(session, operation) {
        return OnLeave::Cancel;
    }
    let alias = ctx.model_asked.as_deref().and_then(|model| gateway.leave_aliases.get(model));
    if let Some(on_leave) = alias {
        return *on_leave;
    }
    let Some(target) = ctx.current() else { return OnLeave::Cancel };
    let Some(provider) = gateway.providers.get(target.provider) else { return OnLeave::Cancel };
    provider.when_client_leaves(target.model.as_deref(), streams(ctx))
}

/// Whether the client asks for a stream.
fn streams(ctx: &Ctx) -> bool {
    matches!(ctx.asked, Some((_, Operation::StreamGenerate)))
        || ctx.facts.as_ref().is_some_and(|facts| facts.stream)
}

/// Looks once whether the client of a wrapped session is still there. While a connection is being opened nobody
/// does, and a request that then goes up would be read on for somebody who left before it was made.
pub(super) async fn still_there(session: &mut Session, ctx: &Ctx) -> Result<()> {
    let Some(wrap) = ctx.wrap.as_ref().filter(|_| matches!(ctx.body, Body::Whole(_))) else { return Ok(()) };
    tokio::select! {
        biased;
        read = session.as_mut().read_body_or_idle(true) => drop(read.map_err(Error::into_down)?),
        () = std::future::ready(()) => {}
    }
    if wrap.has_left() {
        let e = Error::explain(ErrorType::ConnectionClosed, "the client left before its request went up");
        return Err(e.into_down());
    }
    Ok(())
}

/// What became of the exchange, if its client left.
pub(super) fn outcome(ctx: &Ctx, e: Option<&Error>) -> Option<ClientLeft> {
    match (&ctx.wrap, e) {
        (Some(wrap), _) if wrap.is_overdue() => Some(ClientLeft::DrainDeadline),
        (Some(wrap), None) if wrap.has_left() => Some(ClientLeft::Drained),
        (Some(wrap), Some(_)) if wrap.has_left() => Some(ClientLeft::DrainBroken),
        (_, Some(e)) if *e.esource() == ErrorSource::Downstream => Some(ClientLeft::Cancelled),
        _ => None,
    }
}

/// The same for an exchange that was dropped before its end.
pub(super) fn outcome_of_dropped(ctx: &Ctx) -> Option<ClientLeft> {
    ctx.wrap.as_ref().filter(|wrap| wrap.has_left()).map(|_| ClientLeft::DrainBroken)
}
