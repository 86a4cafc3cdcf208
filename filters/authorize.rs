//! Whether a caller may use what it asks for.

use crate::error::{Error, Kind};
use crate::exchange::Caller;
use crate::route::{Plan, Routes, pattern_matches};

/// Keeps the targets of `plan` that `caller` may use. A pattern permits the name as it was asked for
/// (an alias, a bare name) or the target's full `provider/model`.
pub fn model(caller: &Caller, asked: &str, mut plan: Plan, routes: &Routes) -> Result<Plan, Error> {
    let permitted = |name: &str| caller.models.iter().any(|p| pattern_matches(p, name));
    // A native-prefix request for `gpt-4o` must not be let in by a pattern that names an alias `gpt-4o`,
    // so names asked for count only where they are the gateway's own.
    if caller.models.is_empty() || (routes.is_alias(asked) && permitted(asked)) {
        return Ok(plan);
    }
    plan.targets.retain(|target| {
        let model = target.model.as_deref().unwrap_or(asked);
        permitted(&format!("{}/{model}", routes.provider_name(target.provider))) || permitted(model)
    });
    if plan.targets.is_empty() {
        return Err(denied(caller, format!("model `{asked}`")));
    }
    Ok(plan)
}

/// An operation that names no model (a batch, a file) can run any; a key that is limited to some
/// models may not use it.
pub fn without_model(caller: &Caller, plan: Plan) -> Result<Plan, Error> {
    if caller.models.is_empty() {
        return Ok(plan);
    }
    Err(denied(caller, "an operation that names no model".to_owned()))
}

fn denied(caller: &Caller, what: String) -> Error {
    let key = caller.key.as_deref().unwrap_or("this caller");
    let allowed = caller.models.join("`, `");
    Error::new(Kind::Forbidden, format!("The key `{key}` does not permit {what}; it permits `{allowed}`."))
        .param("model")
        .code("model_not_permitted")
}
