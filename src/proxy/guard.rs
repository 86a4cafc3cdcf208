//! What must not leave the house: checks a request before it goes anywhere, and decides whether its answer has to be read.

use bytes::Bytes;
use tollgate_filters::error::Error;
use tollgate_filters::facts::Facts;
use tollgate_filters::guardrail::Findings;

use super::ctx::{Body, Ctx};
use super::translate;
use crate::gateway::Gateway;
use crate::telemetry::{Event, Security};

/// Checks the request for its organisation's guardrail. A conversation in which nothing is found, and whose answer is not
/// checked, passes as it came; so does what is only passed on (uploads), which nobody reads.
pub(super) fn check(gateway: &Gateway, ctx: &mut Ctx) -> Result<(), Error> {
    let Some(guardrail) = gateway.chain.guardrails.for_org(ctx.org()).cloned() else { return Ok(()) };
    let (Body::Whole(body), Some((dialect, operation))) = (&ctx.body, ctx.asked) else { return Ok(()) };
    if operation.generates() {
        if !guardrail.checks_output() && !guardrail.finds(body) {
            return Ok(());
        }
        ctx.guarded = translate::must_be_read(ctx, dialect, operation)?;
        return Ok(());
    }
    if !guardrail.checks_input() {
        return Ok(());
    }
    let (edited, checked) = guardrail.check_json(body).map_err(|refusal| {
        tell(gateway, ctx, &refusal.findings);
        Error::from(refusal)
    })?;
    tell(gateway, ctx, &checked.findings);
    if let Some(edited) = edited {
        let edited = Bytes::from(edited);
        ctx.facts = Some(Facts::scan(&edited, operation.names_model())?);
        ctx.body = Body::Whole(edited);
    }
    Ok(())
}

/// Counts what was found, and says so: what kind, never what.
pub(super) fn tell(gateway: &Gateway, ctx: &Ctx, findings: &Findings) {
    for finding in findings.iter() {
        let side = if finding.output { "answer" } else { "request" };
        gateway.metrics.found(&finding.what, finding.action.as_str(), side, finding.count);
        let detail = format!("{} in the {side}: {}", finding.count, finding.action.as_str());
        let event = Event {
            request_id: &ctx.id,
            client: ctx.client,
            rule: &finding.what,
            detail: &detail,
            ..Event::default()
        };
        gateway.metrics.security(Security::Guardrail, &event.of(ctx.caller.as_deref()));
    }
}
