//! Items: what the input of a request and the output of an answer consist of.

mod call;
mod media;
mod message;
mod parse;
mod write;

pub use media::input_part;
pub use message::{annotation, content, output_text, read_annotation};
pub use parse::{hosted, parse};
pub use write::{Writer, call_item, reasoning_item, whole_item};

use serde_json::{Map, Value};
use tollgate_filters::chat::{ENVELOPE, Extra, Part, Pointer};

/// Whether items are read as a client wrote them, or as a provider did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Request,
    /// A provider always writes `status` and the empty lists, so these need not be remembered.
    Answer,
}

/// The pointer of the item that a part stood in: `/output/0` of `/output/0/content/1`. `None` where the part came
/// from another dialect.
pub fn item_of(at: &Pointer) -> Option<&str> {
    let text = at.as_str();
    let rest = text.strip_prefix("/output/").or_else(|| text.strip_prefix("/input/"))?;
    let number = rest.split('/').next().unwrap_or(rest);
    let numeric = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    numeric.then(|| &text[..text.len() - rest.len() + number.len()])
}

/// The key under which a part keeps the members of its item.
pub fn item_key(at: &Pointer) -> String {
    format!("{ENVELOPE}{at}")
}

/// The members of its item that a part keeps.
pub fn item_members(extra: &Extra) -> Option<&Map<String, Value>> {
    extra.iter().find(|(key, _)| key.starts_with("~/")).and_then(|(_, value)| value.as_object())
}

/// Members of an object that say nothing, kept for its own dialect.
pub fn envelope(extra: &Extra) -> Option<&Map<String, Value>> {
    extra.get(ENVELOPE).and_then(Value::as_object)
}

/// Adds the members that others know nothing of, and what was kept of the envelope.
pub fn restore(into: &mut Map<String, Value>, extra: &Extra) {
    for (key, value) in extra {
        if !key.starts_with(ENVELOPE) {
            into.insert(key.clone(), value.clone());
        }
    }
    for (key, value) in envelope(extra).into_iter().flatten() {
        into.insert(key.clone(), value.clone());
    }
    for (key, value) in item_members(extra).into_iter().flatten() {
        into.insert(key.clone(), value.clone());
    }
}

/// Remembers members of the item at `at` beside its first part.
pub fn keep_members(part: &mut Part, at: &Pointer, members: Extra) {
    if !members.is_empty() {
        part.extra.insert(item_key(at), Value::Object(members));
    }
}

/// Moves the members `names` from the extra members into the envelope.
pub fn enclose(extra: &mut Extra, names: &[&str]) {
    let mut kept = Map::new();
    for name in names {
        if let Some(value) = extra.shift_remove(*name) {
            kept.insert((*name).to_owned(), value);
        }
    }
    if !kept.is_empty() {
        extra.insert(ENVELOPE.to_owned(), Value::Object(kept));
    }
}
