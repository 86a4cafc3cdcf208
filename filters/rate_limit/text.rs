//! Rates as people write them: `"100/min"`, or `{ rate = "100/min", burst = 20 }`, or a list of these.

use std::time::Duration;

use serde::Deserialize;

use super::Rate;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(untagged)]
pub(super) enum Rates {
    #[default]
    None,
    One(Written),
    Several(Vec<Written>),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Written {
    Text(String),
    WithBurst { rate: String, burst: u64 },
}

impl Rates {
    /// The rates, each with how it was written.
    pub(super) fn resolve(self) -> Result<Vec<(Rate, String)>, String> {
        let written = match self {
            Self::None => Vec::new(),
            Self::One(one) => vec![one],
            Self::Several(several) => several,
        };
        written.into_iter().map(Written::resolve).collect()
    }
}

impl Written {
    fn resolve(self) -> Result<(Rate, String), String> {
        let (text, burst) = match self {
            Self::Text(text) => (text, None),
            Self::WithBurst { rate, burst } => (rate, Some(burst)),
        };
        let (amount, period) = parse(&text)
            .ok_or_else(|| format!("{text:?} is no rate; write it as \"100/min\" (s, min, hour, day)"))?;
        let rate = Rate::new(amount, period, burst.unwrap_or(amount)).ok_or_else(|| {
            format!("{text:?} cannot be counted: the numbers must be at least 1 and not absurd")
        })?;
        Ok((rate, text))
    }
}

fn parse(text: &str) -> Option<(u64, Duration)> {
    let (amount, period) = text.split_once('/')?;
    let amount = amount.trim().replace('_', "").parse().ok()?;
    let period = period.trim();
    let digits = period.bytes().take_while(u8::is_ascii_digit).count();
    let count: u64 = if digits == 0 { 1 } else { period[..digits].parse().ok()? };
    let unit = match period[digits..].trim() {
        "s" | "sec" | "second" => 1,
        "m" | "min" | "minute" => 60,
        "h" | "hour" => 3600,
        "d" | "day" => 86_400,
        _ => return None,
    };
    Some((amount, Duration::from_secs(count.checked_mul(unit)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_they_are_written() {
        for (text, amount, seconds) in [
            ("100/min", 100, 60),
            ("5/s", 5, 1),
            ("200_000 / day", 200_000, 86_400),
            ("9/30s", 9, 30),
            ("1/hour", 1, 3600),
        ] {
            assert_eq!(parse(text), Some((amount, Duration::from_secs(seconds))), "{text}");
        }
        for text in ["100", "x/min", "1/fortnight", "-1/s", "1/"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
