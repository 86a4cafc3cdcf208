//! What the counters are called in Redis: one hash tag an organisation, and no way from one name into another.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use tollgate_filters::counters::{Key, Window};
use tollgate_filters::rate_limit::Rate;

/// A longer value is known by its hash.
const LONGEST: usize = 64;
const SLOTS: u16 = 16_384;

/// The beginning of all names of an organisation: `prefix:{org}:`.
#[derive(Debug, Clone)]
pub struct Names {
    start: String,
    slot: u16,
}

impl Names {
    pub fn new(prefix: &str, org: &str) -> Self {
        let org = encode(org);
        let start = format!("{}:{{{org}}}:", encode(prefix));
        let slot = crc16(org.as_bytes()) % SLOTS;
        Self { start, slot }
    }

    /// The slot of a cluster in which all of these names lie.
    pub fn slot(&self) -> u16 {
        self.slot
    }

    /// Two rates of one rule count apart; a changed burst counts on.
    pub fn bucket(&self, key: &Key, rate: &Rate) -> String {
        let [tick, per_tick, per_unit, _] = rate.points();
        self.of("u", key, format_args!("{tick}.{per_tick}.{per_unit}"))
    }

    pub fn places(&self, key: &Key) -> String {
        self.of("p", key, format_args!(""))
    }

    /// What was spent and is reserved, and the leases that reserve it.
    pub fn account(&self, key: &Key, window: Window) -> [String; 2] {
        let window = format!("{:x}.{:x}", window.start, window.end);
        [self.of("m", key, format_args!("{window}")), self.of("l", key, format_args!("{window}"))]
    }

    /// The number of the last batch that an incarnation of a replica has applied.
    pub fn sequence(&self, replica: &str, incarnation: &str) -> String {
        format!("{}q:{}:{incarnation}", self.start, encode(replica))
    }

    pub fn probe(&self) -> String {
        format!("{}probe", self.start)
    }

    fn of(&self, kind: &str, key: &Key, more: std::fmt::Arguments<'_>) -> String {
        let mut name = String::with_capacity(self.start.len() + 64);
        // Writing into a String does not fail.
        let _ = write!(name, "{}{kind}:{:016x}:{more}", self.start, key.rule.0);
        for value in &key.values {
            name.push(':');
            push(&mut name, value);
        }
        name
    }
}

/// A slash is in no organisation's tag.
const REPLICAS: &str = "/replicas";

/// The two keys in which replicas say that they live.
pub fn replicas(prefix: &str) -> [String; 2] {
    let prefix = encode(prefix);
    ["alive", "incarnation"].map(|what| format!("{prefix}:{{{REPLICAS}}}:{what}"))
}

/// A key beside them.
pub fn probe(prefix: &str) -> String {
    format!("{}:{{{REPLICAS}}}:probe", encode(prefix))
}

pub fn replicas_slot() -> u16 {
    crc16(REPLICAS.as_bytes()) % SLOTS
}

fn encode(value: &str) -> String {
    let mut name = String::with_capacity(value.len());
    push(&mut name, value);
    name
}

/// Writes any text in letters, digits, `.`, `-`, `_` and `%`; different texts differently. What is long becomes `~` and
/// its SHA-256, what is empty `%`.
fn push(name: &mut String, value: &str) {
    if value.is_empty() {
        name.push('%');
    } else if value.len() > LONGEST {
        let _ = write!(name, "~{:x}", Sha256::digest(value));
    } else {
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b".-_".contains(&byte) {
                name.push(char::from(byte));
            } else {
                let _ = write!(name, "%{byte:02X}");
            }
        }
    }
}

/// CRC-16/XMODEM, by which a cluster finds the slot of a hash tag.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use tollgate_filters::counters::RuleId;

    use super::*;

    const ODD: [&str; 16] =
        ["", "%", "a", "a:b", "b", "a}", "{a}", "}", "a\0", "\0", "ä", "a%3Ab", "~", "a b", "A", "/replicas"];

    #[test]
    fn different_names_never_meet_and_stay_in_their_slot() {
        let long = ["x".repeat(65), "x".repeat(66), format!("~{:x}", Sha256::digest("x".repeat(65)))];
        let names: Vec<&str> = ODD.into_iter().chain(long.iter().map(String::as_str)).collect();
        let mut seen = HashSet::new();
        let mut keys = 0;
        for org in &names {
            let of = Names::new("t", org);
            for first in &names {
                for second in names.iter().map(Some).chain([None]) {
                    let values = [Some(first), second].into_iter().flatten();
                    let values = values.map(|value| Arc::<str>::from(*value)).collect();
                    let key = Key { rule: RuleId(1), values };
                    let name = of.places(&key);
                    let (open, close) = (name.find('{').unwrap(), name.find('}').unwrap());
                    assert!(close > open + 1, "the tag is not empty");
                    assert_eq!(name[..=close], of.start[..of.start.len() - 1]);
                    seen.insert(name);
                    keys += 1;
                }
            }
        }
        assert_eq!(seen.len(), keys);
        assert!(seen.iter().all(|name| !name.starts_with("t:{/replicas}")));
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(Names::new("t", "foo").slot(), 12_182);
    }
}
