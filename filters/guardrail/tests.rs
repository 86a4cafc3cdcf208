//! What is found and what is not; requests, answers and streams that are edited.

mod detection;
mod requests;
mod rules;
mod streams;

use super::{Guardrail, GuardrailConf};
use std::sync::Arc;

/// A guardrail as an operator writes it, in JSON.
fn guardrail(conf: serde_json::Value) -> Arc<Guardrail> {
    let conf: GuardrailConf = serde_json::from_value(conf).unwrap();
    Arc::new(Guardrail::new(&conf).unwrap())
}

/// Every kind has the same action in requests.
fn all(action: &str) -> Arc<Guardrail> {
    let kinds: serde_json::Map<_, _> =
        super::Kind::ALL.iter().map(|kind| (kind.as_str().to_owned(), action.into())).collect();
    guardrail(serde_json::json!({"kinds": kinds}))
}
