//! Sizes and times as people write them: `32MiB`, `30s`.

use serde::{Deserialize, Deserializer};
use std::time::Duration;

/// A number of bytes: `1048576`, `"512KiB"`, `"32MiB"`, `"1GiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

/// A span of time: `"250ms"`, `"30s"`, `"5m"`, `"1h 30m"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time(pub(super) Duration);

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u64),
    Text(String),
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match NumberOrText::deserialize(deserializer)? {
            NumberOrText::Number(bytes) => Some(Self(bytes)),
            NumberOrText::Text(text) => size(&text).map(Self),
        }
        .ok_or_else(|| serde::de::Error::custom("expected a size such as \"32MiB\""))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match humantime::parse_duration(&text) {
            Ok(time) if !time.is_zero() => Ok(Self(time)),
            _ => Err(serde::de::Error::custom(format!("{text:?} is no time; write it as \"30s\" or \"5m\""))),
        }
    }
}

fn size(text: &str) -> Option<u64> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];
    let (number, factor) = units
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))
        .unwrap_or((text, 1));
    number.trim().parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes() {
        assert_eq!(size("32MiB"), Some(33_554_432));
        assert_eq!(size("7 KiB"), Some(7168));
        assert_eq!(size("12"), Some(12));
        assert_eq!(size("12B"), Some(12));
        assert_eq!(size("1.5GiB"), None);
        assert_eq!(size("99999999999999GiB"), None);
    }
}
