//! What placeholders of one exchange stand for.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use memchr::memchr;

/// How many values of one exchange have a placeholder. Further ones are masked.
pub const MOST: usize = 10_000;
/// How many bytes the values may take together.
const MOST_BYTES: usize = 4 << 20;
/// `<`, a name of at most 32 characters, `_`, five digits, `>`.
pub const LONGEST: usize = 1 + 32 + 1 + 5 + 1;

/// Values by their placeholders. Nothing of a value is in its `Debug`.
#[derive(Clone, Default)]
pub struct Originals {
    values: HashMap<Arc<str>, Arc<str>>,
    placeholders: HashMap<(usize, Arc<str>), Arc<str>>,
    /// The last number of each label.
    numbers: HashMap<usize, u32>,
    /// What looks like a placeholder and was in the request before.
    taken: HashSet<String>,
    /// There was more of it than is noted.
    crowded: bool,
    bytes: usize,
}

impl fmt::Debug for Originals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Originals").field("count", &self.values.len()).finish_non_exhaustive()
    }
}

impl Originals {
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// What stands for `value`; the same each time. `None` if there are too many.
    pub(super) fn placeholder(&mut self, label: usize, upper: &str, value: &str) -> Option<Arc<str>> {
        let key = (label, Arc::from(value));
        if let Some(known) = self.placeholders.get(&key) {
            return Some(known.clone());
        }
        if self.crowded || self.values.len() >= MOST || self.bytes + value.len() > MOST_BYTES {
            return None;
        }
        let number = self.numbers.entry(label).or_default();
        let placeholder = loop {
            *number += 1;
            let placeholder = format!("<{upper}_{number}>");
            if !self.taken.contains(&placeholder) {
                break Arc::<str>::from(placeholder);
            }
        };
        self.bytes += value.len();
        self.values.insert(placeholder.clone(), key.1.clone());
        self.placeholders.insert(key, placeholder.clone());
        Some(placeholder)
    }

    /// Notes what in `text` looks like a placeholder, so that none becomes like it.
    pub(super) fn take(&mut self, text: &str) {
        for (start, end) in Placeholders::new(text, 0) {
            if self.taken.len() >= MOST {
                self.crowded = true;
                return;
            }
            self.taken.insert(text[start..end].to_owned());
        }
    }

    /// What the placeholder stands for.
    pub(super) fn value(&self, placeholder: &str) -> Option<&str> {
        self.values.get(placeholder).map(|value| &**value)
    }
}

/// Everything in a text that has the form of a placeholder.
#[derive(Debug)]
pub struct Placeholders<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Placeholders<'a> {
    pub fn new(text: &'a str, from: usize) -> Self {
        Self { text, at: from }
    }
}

impl Iterator for Placeholders<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        let bytes = self.text.as_bytes();
        loop {
            let start = self.at + memchr(b'<', bytes.get(self.at..)?)?;
            self.at = start + 1;
            let length = body(&bytes[start + 1..]);
            let end = start + 1 + length;
            if length > 0 && bytes.get(end) == Some(&b'>') && end < start + LONGEST {
                self.at = end + 1;
                return Some((start, end + 1));
            }
        }
    }
}

fn body(bytes: &[u8]) -> usize {
    let inside = |b: &&u8| b.is_ascii_uppercase() || b.is_ascii_digit() || **b == b'_';
    bytes.iter().take(LONGEST).take_while(inside).count()
}

/// Where a placeholder begins at the end of `text` that is not complete.
pub fn open(text: &str) -> usize {
    let bytes = text.as_bytes();
    let tail = bytes.len().saturating_sub(LONGEST - 1);
    let begun = bytes[tail..].iter().rposition(|b| *b == b'<').map(|at| tail + at);
    begun.filter(|start| start + 1 + body(&bytes[start + 1..]) == bytes.len()).unwrap_or(bytes.len())
}
