//! How the limits of a caller stand, in the headers that its SDK knows.
//!
//! OpenAI's are described on <https://platform.openai.com/docs/guides/rate-limits>, Anthropic's on
//! <https://docs.anthropic.com/en/api/rate-limits>. Gemini's API has none; its clients get OpenAI's.

use std::time::{Duration, SystemTime};

use tollgate_filters::exchange::Dialect;
use tollgate_filters::quota::Standing;
use tollgate_filters::rate_limit::Measure;

/// Names and values for each measure that has a limit. Anthropic's resets are moments, so `now` is asked for.
pub fn headers(dialect: Dialect, standings: &[Standing], now: SystemTime) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for standing in standings {
        let Some(measure) = name(standing.measure) else { continue };
        let (limit, remaining) = (standing.limit.to_string(), standing.remaining.to_string());
        if dialect == Dialect::Anthropic {
            let header = |what: &str| format!("anthropic-ratelimit-{measure}-{what}");
            // Whole seconds, as Anthropic sends them, and never too early.
            let at = now + standing.full_in + Duration::from_millis(999);
            let at = jiff::Timestamp::try_from(at).map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
            headers.extend([(header("limit"), limit), (header("remaining"), remaining)]);
            headers.extend(at.ok().map(|at| (header("reset"), at)));
        } else {
            let header = |what: &str| format!("x-ratelimit-{what}-{measure}");
            headers.extend([
                (header("limit"), limit),
                (header("remaining"), remaining),
                (header("reset"), span(standing.full_in)),
            ]);
        }
    }
    headers
}

fn name(measure: Measure) -> Option<&'static str> {
    match measure {
        Measure::Requests => Some("requests"),
        Measure::Tokens => Some("tokens"),
        Measure::InputTokens => Some("input-tokens"),
        Measure::OutputTokens => Some("output-tokens"),
        Measure::Concurrent => None,
    }
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
        let of = |dialect| headers(dialect, &[standing], now);
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
