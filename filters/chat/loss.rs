//! Where a thing stood in the document it was read from, and the report of what could not be carried over.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use serde::Serialize;
use serde_json::{Map, Value};

/// A JSON pointer (RFC 6901) into the document that a thing was read from: the client's request, or the
/// provider's answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Pointer(Cow<'static, str>);

impl Pointer {
    /// The document itself.
    pub const ROOT: Self = Self(Cow::Borrowed(""));

    /// A pointer that is known when the code is written, such as `/temperature`.
    pub const fn of(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        let mut text = String::with_capacity(self.0.len() + 1 + key.len());
        text.push_str(&self.0);
        text.push('/');
        for c in key.chars() {
            match c {
                '~' => text.push_str("~0"),
                '/' => text.push_str("~1"),
                c => text.push(c),
            }
        }
        Self(Cow::Owned(text))
    }

    /// A key that is escaped already: a piece of another pointer.
    #[must_use]
    pub fn escaped_key(&self, key: &str) -> Self {
        Self(Cow::Owned(format!("{}/{key}", self.0)))
    }

    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(Cow::Owned(format!("{}/{index}", self.0)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value and where it stood.
#[derive(Debug, Clone, PartialEq)]
pub struct At<T> {
    pub value: T,
    pub at: Pointer,
}

impl<T> At<T> {
    pub fn new(value: T, at: Pointer) -> Self {
        Self { value, at }
    }
}

/// Members of an object that only its own dialect knows, as they came and in their order.
///
/// A key that begins with `~` is no member: it holds what the object's own dialect needs to restore the document and
/// what would be no loss elsewhere. [`ENVELOPE`] holds members that say nothing or only name the document; `~/output/0`
/// holds the members of the object at that pointer, which has no place of its own in the neutral form. Of these
/// [`Losses::extra`] reports all but those that name the object.
pub type Extra = Map<String, Value>;

/// The key of [`Extra`] under which members are kept that are no loss in another dialect.
pub const ENVELOPE: &str = "~";

/// What a key of [`Extra`] has before it that is a member's own and would otherwise be taken for one that is none.
pub const ESCAPE: char = '\u{1}';

/// Members that only name the object that they stand in.
const NAMES: [&str; 4] = ["id", "status", "type", "role"];

/// Why something was not carried over as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The target's dialect has no place for it.
    Unsupported,
    /// It was replaced by the nearest that the target has (a budget by an effort).
    Approximated,
    /// Reasoning that another provider made and signed.
    Foreign,
    /// The target's model would refuse it.
    Model,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Loss {
    pub at: Pointer,
    pub why: Why,
}

/// What one translation could not carry, each place once, in the order in which it was noticed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Losses(Vec<Loss>);

/// More places than this are counted under the last one: a long conversation may lose the same in each message.
const MAX_LOSSES: usize = 256;

/// How many bytes of a header or comment the list may take.
const MAX_LIST: usize = 3072;

impl Losses {
    pub fn push(&mut self, at: &Pointer, why: Why) {
        if self.0.len() < MAX_LOSSES && !self.0.iter().any(|loss| loss.at == *at) {
            self.0.push(Loss { at: at.clone(), why });
        }
    }

    /// The target has no place for what stood at `at`.
    pub fn unsupported(&mut self, at: &Pointer) {
        self.push(at, Why::Unsupported);
    }

    /// What stood at `at` became the nearest that the target has.
    pub fn approximated(&mut self, at: &Pointer) {
        self.push(at, Why::Approximated);
    }

    /// Every member of `extra`, which stood in the object at `at`.
    pub fn extra(&mut self, at: &Pointer, extra: &Extra) {
        for (key, value) in extra {
            match key.strip_prefix(ENVELOPE) {
                Some("") => {}
                Some(place) if place.starts_with('/') => {
                    let place = Pointer(Cow::Owned(place.to_owned()));
                    let members = value.as_object().into_iter().flatten();
                    members
                        .filter(|(key, _)| !NAMES.contains(&key.as_str()))
                        .for_each(|(key, _)| self.unsupported(&place.key(unescaped(key))));
                }
                _ => self.unsupported(&at.key(unescaped(key))),
            }
        }
    }

    pub fn append(&mut self, other: Self) {
        for loss in other.0 {
            self.push(&loss.at, loss.why);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Loss> {
        self.0.iter()
    }

    /// The pointers, separated by commas, fit for a header or an SSE comment: what is no visible ASCII, and the
    /// comma, is percent-encoded. A list that would grow too long ends with `+` and how many more there are.
    pub fn list(&self) -> String {
        let mut list = String::new();
        for (listed, loss) in self.0.iter().enumerate() {
            let separator = usize::from(listed > 0);
            if list.len() + separator + loss.at.as_str().len() * 3 > MAX_LIST {
                let _ = write!(list, ",+{}", self.0.len() - listed);
                break;
            }
            if listed > 0 {
                list.push(',');
            }
            for byte in loss.at.as_str().bytes() {
                match byte {
                    b',' | b'%' | 0..=0x20 | 0x7f.. => drop(write!(list, "%{byte:02X}")),
                    visible => list.push(char::from(visible)),
                }
            }
        }
        list
    }
}

fn unescaped(key: &str) -> &str {
    key.strip_prefix(ESCAPE).unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_escapes_its_keys() {
        let at = Pointer::of("/tools").index(0).key("a/b~c");
        assert_eq!(at.as_str(), "/tools/0/a~1b~0c");
    }

    #[test]
    fn a_place_is_reported_once_and_the_list_is_fit_for_a_header() {
        let mut losses = Losses::default();
        losses.unsupported(&Pointer::of("/n"));
        losses.approximated(&Pointer::of("/n"));
        losses.unsupported(&Pointer::ROOT.key("ä,b"));
        assert_eq!(losses.list(), "/n,/%C3%A4%2Cb");
    }

    #[test]
    fn an_envelope_is_no_loss_and_an_item_is_reported_where_it_stood() {
        let extra = serde_json::json!({
            "~": {"object": "response"},
            "~/output/0": {"id": "msg_1", "phase": "final_answer"},
            "x": 1,
        });
        let mut losses = Losses::default();
        losses.extra(&Pointer::of("/output/0/content/0"), extra.as_object().unwrap());
        assert_eq!(losses.list(), "/output/0/phase,/output/0/content/0/x");
    }

    #[test]
    fn a_long_list_says_how_many_more_there_are() {
        let mut losses = Losses::default();
        for i in 0..200 {
            losses.unsupported(&Pointer::of("/messages").index(i).key("something_long"));
        }
        let list = losses.list();
        assert!(list.len() < MAX_LIST + 10, "{}", list.len());
        let listed = list.matches("something_long").count();
        assert!(list.ends_with(&format!(",+{}", 200 - listed)), "{list}");
    }
}
