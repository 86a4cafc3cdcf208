//! What reading and writing this dialect keeps, and what it says of the rest.

mod answers;
mod requests;
mod streams;

use serde_json::Value;

/// The value without members that are `null`.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let filled = map.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(filled.map(|(key, value)| (key, without_nulls(value))).collect())
        }
        Value::Array(list) => list.into_iter().map(without_nulls).collect(),
        other => other,
    }
}
