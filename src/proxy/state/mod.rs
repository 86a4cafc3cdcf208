//! What a Responses client expects to be remembered between requests, for providers that remember nothing.
//!
//! `previous_response_id` becomes the items it stands for, before anything else looks at the body; an answer is kept
//! as the client got it, whether it was passed on or translated.

mod copy;
mod stored;

use bytes::Bytes;
use memchr::memmem;
use serde_json::{Map, Value, json};
use tollgate_filters::error::{Error, Kind};
use tollgate_filters::exchange::{Dialect, Operation};
use tollgate_filters::facts::Facts;
use tollgate_filters::ports::Responses as _;
use tollgate_filters::responses::{self, Stored};
use tollgate_filters::route::Target;

use crate::gateway::Gateway;
use crate::provider::Provider;
use crate::proxy::ctx::{Body, Ctx};
pub(super) use copy::Copy;
pub(super) use stored::look_up;

/// Ids of answers that the gateway itself named begin so.
const OWN: &str = "resp_tg";

/// What is known of a request whose answer is kept, or which goes on from one that was.
#[derive(Debug)]
pub(super) struct State {
    /// This request's own items.
    input: Value,
    previous: Option<String>,
    /// So many items were put in front of them.
    pub(super) history: usize,
    keep: bool,
}

/// Looks whether the request goes on from an answer that the gateway keeps, or asks for its own to be kept.
pub(super) async fn prepare(gateway: &Gateway, ctx: &mut Ctx) -> Result<(), Error> {
    let Some((Dialect::OpenaiResponses, operation)) = ctx.asked else { return Ok(()) };
    let Body::Whole(body) = &ctx.body else { return Ok(()) };
    // Behind its prefix a provider is asked as it is.
    if ctx.path.native || !matches!(operation, Operation::Responses | Operation::CountTokens) {
        return Ok(());
    }
    let keeps_state =
        |target: &Target| gateway.providers.get(target.provider).is_some_and(Provider::keeps_responses);
    let all_keep_state = ctx.plan.targets.iter().all(keeps_state);
    if all_keep_state && memmem::find(body, br#""previous_response_id""#).is_none() {
        return Ok(());
    }
    let Ok(Value::Object(mut request)) = serde_json::from_slice(body) else { return Ok(()) };
    let previous = request.get("previous_response_id").and_then(Value::as_str).map(str::to_owned);
    let is_own = previous.as_deref().is_some_and(|id| id.starts_with(OWN));
    let keep =
        operation == Operation::Responses && request.get("store").and_then(Value::as_bool) != Some(false);
    if all_keep_state && !is_own || previous.is_none() && !keep {
        return Ok(());
    }
    let mut state = State { input: items(request.get("input")), previous, history: 0, keep };
    if let Some(id) = &state.previous {
        let history = match history(gateway, ctx, id).await {
            // It may be one that a provider has given and keeps.
            Err(_) if !is_own && ctx.plan.targets.iter().any(keeps_state) => {
                ctx.plan.targets.retain(keeps_state);
                return Ok(());
            }
            history => history?,
        };
        state.history = history.len();
        go_on(&mut request, history, &state.input);
        let body = Bytes::from(Value::Object(request).to_string());
        ctx.facts = Some(Facts::scan(&body, true)?);
        ctx.body = Body::Whole(body);
    }
    ctx.state = Some(Box::new(state));
    Ok(())
}

/// `input` as the list of items that it is short for.
fn items(input: Option<&Value>) -> Value {
    match input {
        Some(Value::String(text)) => json!([{
            "type": "message",
            "role": "user",
            "content": [{ "type": "input_text", "text": text }],
        }]),
        Some(Value::Array(items)) => Value::Array(items.clone()),
        _ => json!([]),
    }
}

/// All items up to and with the answer `id`.
async fn history(gateway: &Gateway, ctx: &Ctx, id: &str) -> Result<Vec<Value>, Error> {
    let org = ctx.caller.as_ref().map_or("", |caller| &*caller.org);
    let chain = gateway.responses.chain(org, id).await.map_err(|e| match e {
        responses::Error::NotFound { id } => {
            Error::invalid(format!("Previous response with id '{id}' not found."))
                .param("previous_response_id")
                .code("previous_response_not_found")
        }
        responses::Error::Unavailable(_) => unavailable(&e),
        _ => Error::invalid(e.to_string()).param("previous_response_id"),
    })?;
    let items = |stored: &std::sync::Arc<Stored>| {
        stored.input_items().iter().chain(stored.output_items()).cloned().collect::<Vec<_>>()
    };
    Ok(chain.iter().flat_map(items).collect())
}

fn unavailable(why: &responses::Error) -> Error {
    tracing::warn!(%why, "a stored response cannot be read");
    Error::new(Kind::Unavailable, "Stored responses cannot be read now; try again.")
}

fn go_on(request: &mut Map<String, Value>, mut history: Vec<Value>, input: &Value) {
    request.shift_remove("previous_response_id");
    history.extend(input.as_array().into_iter().flatten().cloned());
    request.insert("input".to_owned(), Value::Array(history));
}

impl State {
    pub(super) fn keeps(&self) -> bool {
        self.keep
    }

    pub(super) fn previous(&self) -> Option<&str> {
        self.previous.as_deref()
    }
}

/// Keeps the answer as the client got it. What cannot be kept is said in the log: the client has its answer.
pub(super) fn keep(gateway: &Gateway, ctx: &mut Ctx, response: Value) {
    let Some(state) = ctx.state.take().filter(|state| state.keep) else { return };
    let text = |key: &str| response.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    // What is still in the works would be found as it is for ever.
    if !matches!(&*text("status"), "completed" | "incomplete") {
        return;
    }
    let Some(id) = response.get("id").and_then(Value::as_str) else { return };
    let org = ctx.caller.as_ref().map_or("", |caller| &*caller.org);
    let stored = Stored {
        org: org.to_owned(),
        id: id.to_owned(),
        created: ctx.time / 1000,
        expires: 0,
        model: text("model"),
        previous: state.previous,
        input: state.input,
        output: response.get("output").cloned().unwrap_or_else(|| json!([])),
        response,
    };
    if let Err(why) = gateway.responses.put(stored) {
        tracing::warn!(request_id = ctx.id, %why, "a response is not stored");
    }
}
