//! Whether a caller may use what it asks for.

use crate::error::{Error, Kind};
use crate::exchange::Caller;
use crate::route::{Plan, Routes, Target, pattern_matches};

/// Keeps the targets of `plan` that `caller` may use, where `asked` is a name of the gateway's: a pattern
/// permits an alias, or a target (see [`targets`]).
pub fn model(caller: &Caller, asked: &str, plan: Plan, routes: &Routes) -> Result<Plan, Error> {
    if routes.is_alias(asked) && caller.models.iter().any(|pattern| pattern_matches(pattern, asked)) {
        return Ok(plan);
    }
    targets(caller, asked, plan, routes)
}

/// Keeps the targets of `plan` that `caller` may use. A pattern permits a target by its full `provider/model`
/// or by its bare model, unless the pattern is the name of an alias: behind a provider's prefix, a model that
/// happens to be called like one is another model.
pub fn targets(caller: &Caller, asked: &str, mut plan: Plan, routes: &Routes) -> Result<Plan, Error> {
    if caller.models.is_empty() {
        return Ok(plan);
    }
    let permitted = |target: &Target| {
        let model = target.model.as_deref().unwrap_or(asked);
        let full = format!("{}/{model}", routes.provider_name(target.provider));
        caller.models.iter().any(|pattern| {
            pattern_matches(pattern, &full) || !routes.is_alias(pattern) && pattern_matches(pattern, model)
        })
    };
    plan.targets.retain(permitted);
    if plan.targets.is_empty() {
        return Err(denied(caller, &format!("model `{asked}`")));
    }
    Ok(plan)
}

/// An operation that names no model (a batch, a file) can run any; a key that is limited to some
/// models may not use it.
pub fn without_model(caller: &Caller, plan: Plan) -> Result<Plan, Error> {
    if caller.models.is_empty() {
        return Ok(plan);
    }
    Err(denied(caller, "an operation that names no model"))
}

fn denied(caller: &Caller, what: &str) -> Error {
    let key = caller.key.as_deref().unwrap_or("this caller");
    let allowed = caller.models.join("`, `");
    Error::new(Kind::Forbidden, format!("The key `{key}` does not permit {what}; it permits `{allowed}`."))
        .param("model")
        .code("model_not_permitted")
}
