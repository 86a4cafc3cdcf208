//! What becomes of a call to a provider whose client has left: as it is written, and as it is looked up.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use tollgate_filters::route::pattern_matches;

/// `"cancel"`, `"drain"`, `"drain_until 30s"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnLeave {
    /// The provider is let go at once, and what was seen is booked as an estimate.
    #[default]
    Cancel,
    /// The provider's answer is read to its end, for its own count.
    Drain,
    /// The same, but for no longer than this after the client has left.
    DrainUntil(Duration),
}

impl<'de> Deserialize<'de> for OnLeave {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| unknown(&text))
    }
}

fn parse(text: &str) -> Option<OnLeave> {
    match text.split_once(' ') {
        None if text == "cancel" => Some(OnLeave::Cancel),
        None if text == "drain" => Some(OnLeave::Drain),
        Some(("drain_until", time)) => {
            let time = humantime::parse_duration(time).ok().filter(|time| !time.is_zero())?;
            Some(OnLeave::DrainUntil(time))
        }
        _ => None,
    }
}

fn unknown<E: Error>(text: &str) -> E {
    E::custom(format!("{text:?} is unknown; write \"cancel\", \"drain\" or \"drain_until 30s\""))
}

/// What a provider's table says. A word alone is for streams and for whole answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaveRules {
    streams: OnLeave,
    answers: OnLeave,
    /// By pattern of the provider's own model names; the longest that fits counts.
    models: BTreeMap<String, OnLeave>,
}

impl LeaveRules {
    pub fn of(&self, model: Option<&str>, stream: bool) -> OnLeave {
        let fits = |(pattern, _): &(&String, &OnLeave)| model.is_some_and(|m| pattern_matches(pattern, m));
        let named = self.models.iter().filter(fits).max_by_key(|(pattern, _)| pattern.len());
        named.map_or(if stream { self.streams } else { self.answers }, |(_, on_leave)| *on_leave)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Table {
    streams: OnLeave,
    answers: OnLeave,
    models: BTreeMap<String, OnLeave>,
}

impl<'de> Deserialize<'de> for LeaveRules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordOrTable)
    }
}

struct WordOrTable;

impl<'de> Visitor<'de> for WordOrTable {
    type Value = LeaveRules;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "\"cancel\", \"drain\", \"drain_until 30s\" or a table of `streams`, `answers` and `models`",
        )
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<LeaveRules, E> {
        let both = parse(text).ok_or_else(|| unknown(text))?;
        Ok(LeaveRules { streams: both, answers: both, models: BTreeMap::new() })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<LeaveRules, A::Error> {
        let Table { streams, answers, models } = Table::deserialize(MapAccessDeserializer::new(map))?;
        Ok(LeaveRules { streams, answers, models })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Result<LeaveRules, String> {
        #[derive(Deserialize)]
        struct Wrapped {
            x: LeaveRules,
        }
        toml::from_str::<Wrapped>(text).map(|wrapped| wrapped.x).map_err(|e| e.to_string())
    }

    #[test]
    fn a_word_is_for_streams_and_whole_answers() {
        let rules = rules("x = 'drain_until 1m 30s'").unwrap();
        for stream in [true, false] {
            assert_eq!(rules.of(Some("m"), stream), OnLeave::DrainUntil(Duration::from_secs(90)));
        }
    }

    #[test]
    fn a_table_tells_them_apart_and_names_models() {
        let rules =
            rules("x = { answers = 'drain', models = { 'a/*' = 'drain', 'a/b*' = 'cancel' } }").unwrap();
        assert_eq!((rules.of(Some("m"), true), rules.of(None, false)), (OnLeave::Cancel, OnLeave::Drain));
        assert_eq!(rules.of(Some("a/c"), true), OnLeave::Drain);
        assert_eq!(rules.of(Some("a/b1"), false), OnLeave::Cancel, "the longest pattern counts");
    }

    #[test]
    fn what_is_neither_is_refused_with_what_may_be_written() {
        for text in
            ["x = 'stop'", "x = 'drain_until'", "x = 'drain_until 0s'", "x = { answers = 'x' }", "x = 3"]
        {
            let why = rules(text).unwrap_err();
            assert!(why.contains("drain_until 30s"), "{text}: {why}");
        }
        assert!(rules("x = { stream = 'drain' }").unwrap_err().contains("expected one of"));
    }
}
