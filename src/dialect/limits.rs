//! How the limits of a caller stand, in the headers that its SDK knows.
//!
//! OpenAI's are described on <https://platform.openai.com/docs/guides/rate-limits>, Anthropic's on
//! <https://docs.anthropic.com/en/api/rate-limits>. Gemini's API has none; its clients get OpenAI's.

use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue};
use humantime::format_rfc3339_seconds;
use tollgate_filters::exchange::Dialect;
use tollgate_filters::quota::Standing;
use tollgate_filters::rate_limit::Measure;

/// Names and values for each measure that has a limit. Anthropic's resets are moments, so `now` is asked for.
pub fn headers(
    dialect: Dialect,
    standings: &[Standing],
    now: SystemTime,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    standings.iter().flat_map(move |standing| {
        let reset = if dialect == Dialect::Anthropic {
            // Whole seconds, as Anthropic sends them, and never too early.
            format_rfc3339_seconds(now + standing.full_in + Duration::from_millis(999)).to_string()
        } else {
            span(standing.full_in)
        };
        let values = [
            Some(HeaderValue::from(standing.limit)),
            Some(HeaderValue::from(standing.remaining)),
            HeaderValue::try_from(reset).ok(),
        ];
        let names = names(dialect, standing.measure);
        names.into_iter().flatten().zip(values).filter_map(|(name, value)| Some((name, value?)))
    })
}

/// The names for limit, remainder and reset.
fn names(dialect: Dialect, measure: Measure) -> Option<[HeaderName; 3]> {
    let names = match (measure, dialect) {
        (Measure::Concurrent, _) => return None,
        (Measure::Requests, Dialect::Anthropic) => [
            "anthropic-ratelimit-requests-limit",
            "anthropic-ratelimit-requests-remaining",
            "anthropic-ratelimit-requests-reset",
        ],
        (Measure::Tokens, Dialect::Anthropic) => [
            "anthropic-ratelimit-tokens-limit",
            "anthropic-ratelimit-tokens-remaining",
            "anthropic-ratelimit-tokens-reset",
        ],
        (Measure::InputTokens, Dialect::Anthropic) => [
            "anthropic-ratelimit-input-tokens-limit",
            "anthropic-ratelimit-input-tokens-remaining",
            "anthropic-ratelimit-input-tokens-reset",
        ],
        (Measure::OutputTokens, Dialect::Anthropic) => [
            "anthropic-ratelimit-output-tokens-limit",
            "anthropic-ratelimit-output-tokens-remaining",
            "anthropic-ratelimit-output-tokens-reset",
        ],
        (Measure::Requests, _) => {
            ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"]
        }
        (Measure::Tokens, _) => {
            ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"]
        }
        (Measure::InputTokens, _) => [
            "x-ratelimit-limit-input-tokens",
            "x-ratelimit-remaining-input-tokens",
            "x-ratelimit-reset-input-tokens",
        ],
        (Measure::OutputTokens, _) => [
            "x-ratelimit-limit-output-tokens",
            "x-ratelimit-remaining-output-tokens",
            "x-ratelimit-reset-output-tokens",
        ],
    };
    Some(names.map(HeaderName::from_static))
}

/// A span of time as OpenAI writes it: `20ms`, `1.5s`, `6m0s`, `1h2m3s`.
fn span(time: Duration) -> String {
    let millis = time.as_micros().div_ceil(1000);
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let (seconds, rest) = (millis / 1000 % 60, millis % 1000);
    let fraction =
        if rest == 0 { String::new() } else { format!(".{rest:03}").trim_end_matches('0').to_owned() };
    match (hours, minutes) {
        (0, 0) => format!("{seconds}{fraction}s"),
        (0, minutes) => format!("{minutes}m{seconds}{fraction}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}{fraction}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_openai_does() {
        for (millis, text) in [
            (0, "0ms"),
            (20, "20ms"),
            (1500, "1.5s"),
            (360_000, "6m0s"),
            (3_723_000, "1h2m3s"),
            (61_001, "1m1.001s"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn each_dialect_has_its_own_names() {
        let standing = Standing {
            measure: Measure::InputTokens,
            limit: 100,
            remaining: 7,
            full_in: Duration::from_millis(1500),
        };
        let now = SystemTime::UNIX_EPOCH;
        let of = |dialect| -> Vec<(String, String)> {
            let text = |(name, value): (HeaderName, HeaderValue)| {
                (name.to_string(), value.to_str().unwrap().to_owned())
            };
            headers(dialect, &[standing], now).map(text).collect()
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            of(Dialect::OpenaiChat),
            [
                pair("x-ratelimit-limit-input-tokens", "100"),
                pair("x-ratelimit-remaining-input-tokens", "7"),
                pair("x-ratelimit-reset-input-tokens", "1.5s"),
            ]
        );
        assert_eq!(
            of(Dialect::Anthropic)[2],
            pair("anthropic-ratelimit-input-tokens-reset", "1970-01-01T00:00:02Z")
        );
    }
}
