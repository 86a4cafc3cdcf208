//! What the targets share: ways to cut bytes, and slow, simple readers to compare the quick ones with.

pub mod translation;

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// `bytes` in pieces whose sizes follow from `seed`: all at once for 0, a few bytes each for small
/// seeds (not so few where there are many bytes), up to 32 KiB each for large ones.
pub fn cut(bytes: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let most = match usize::from(seed) {
        0 => usize::MAX,
        few @ 1..192 => few.max(bytes.len() / 512),
        many => (many - 191) * 512,
    };
    let mut state = u32::from(seed);
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let size = 1 + (state >> 8) as usize % most;
        let (piece, left) =
            if most == usize::MAX { (rest, &[][..]) } else { rest.split_at(size.min(rest.len())) };
        rest = left;
        Some(piece)
    })
}

/// One event of a stream: where it ends, its blank line included, and its data without line breaks.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Event {
    pub end: usize,
    pub data: Vec<u8>,
}

/// The events of a stream, and the data of the one that has not ended.
pub fn events(stream: &[u8]) -> (Vec<Event>, Vec<u8>) {
    let (mut events, mut data, mut end) = (Vec::new(), Vec::new(), 0);
    for line in stream.split_inclusive(|byte| *byte == b'\n') {
        end += line.len();
        if line == b"\n" || line == b"\r\n" {
            events.push(Event { end, data: std::mem::take(&mut data) });
        } else if let Some(content) = line.strip_prefix(b"data:") {
            data.extend_from_slice(content.strip_suffix(b"\n").unwrap_or(content));
        }
    }
    (events, data)
}

/// The members of a JSON object as they stand, doubled ones too. Only the keys are decoded.
#[derive(Debug)]
pub struct Members<'a>(pub Vec<(String, &'a str)>);

impl<'a> Members<'a> {
    /// `None` where `json` is no JSON object in UTF-8.
    pub fn of(json: &'a [u8]) -> Option<Self> {
        serde_json::from_str(std::str::from_utf8(json).ok()?).ok()
    }

    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, value)| *value)
    }

    pub fn count(&self, key: &str) -> usize {
        self.0.iter().filter(|(k, _)| k == key).count()
    }

    pub fn has_doubles(&self) -> bool {
        self.0.iter().any(|(key, _)| self.count(key) > 1)
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
            members.push((key, value.get()));
        }
        Ok(Members(members))
    }
}
