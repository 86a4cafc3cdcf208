//! The two spellings of every name: proto JSON takes `inlineData` and `inline_data` alike.

use std::borrow::Cow;

use serde_json::{Map, Value};
use tollgate_filters::chat::Pointer;

use crate::dialect::fields::Fields;

/// `camel` as it is spelled in `fields`; as it is where neither spelling is there.
pub fn spelled<'a>(fields: &Fields, camel: &'a str) -> Cow<'a, str> {
    if fields.peek(camel).is_some() || !camel.bytes().any(|b| b.is_ascii_uppercase()) {
        return Cow::Borrowed(camel);
    }
    let snake = snake(camel);
    if fields.peek(&snake).is_some() { Cow::Owned(snake) } else { Cow::Borrowed(camel) }
}

/// The member `camel` of `map` in either spelling.
pub fn member<'a>(map: &'a Map<String, Value>, camel: &str) -> Option<&'a Value> {
    map.get(camel).or_else(|| map.get(&snake(camel))).filter(|value| !value.is_null())
}

/// Both places that the member `camel` of the object at `at` may have had.
pub fn places(at: &Pointer, camel: &str) -> [Pointer; 2] {
    [at.key(camel), at.key(&snake(camel))]
}

pub fn snake(camel: &str) -> String {
    let mut snake = String::with_capacity(camel.len() + 4);
    for c in camel.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// `inline_data` -> `inlineData`.
pub fn camel(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut upper = false;
    for c in name.chars() {
        if c == '_' && !camel.is_empty() {
            upper = true;
        } else {
            camel.push(if upper { c.to_ascii_uppercase() } else { c });
            upper = false;
        }
    }
    camel
}

/// The last name in a pointer.
pub fn last(at: &Pointer) -> &str {
    at.as_str().rsplit('/').next().unwrap_or_default()
}
