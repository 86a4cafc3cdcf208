//! The tap reads the same from an answer however it is cut, and gives out every byte at once, but for
//! usage chunks where they are to be taken out.
//!
//! Input: a byte whose low bits choose the dialect, a byte that chooses how the answer is cut, then the
//! answer, in which each byte 1 stands for 8 KiB of `x`.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tollgate::dialect::tap::{Form, Tap};
use tollgate::dialect::usage;
use tollgate_filters::exchange::Dialect;
use tollgate_filters::usage::{Reported, Usage};
use tollgate_fuzz::{Event, Members, cut, events};

const DIALECTS: [Dialect; 4] =
    [Dialect::OpenaiChat, Dialect::OpenaiResponses, Dialect::Anthropic, Dialect::Gemini];
const MAX_HELD: usize = 64 * 1024;
const MAX_USAGE: usize = 16 * 1024;
/// Where a usage block may stand other than at the top.
const INNER: [&str; 4] = ["response", "message", "x_groq", "interaction"];

fuzz_target!(|input: &[u8]| {
    let [how, seed, answer @ ..] = input else { return };
    let dialect = DIALECTS[usize::from(how & 3)];
    let answer = blown_up(answer);

    for form in [Form::Opaque, Form::Json, Form::Sse] {
        let whole = run(form, dialect, &answer, 0);
        assert_eq!(whole.seen, answer);
        let pieces = run(form, dialect, &answer, *seed);
        assert!(pieces.passed.iter().all(|(given, seen)| given == seen), "{form:?}: a byte was held back");
        assert_eq!(pieces.learnt, whole.learnt, "{form:?}");
        assert_eq!(pieces.seen, answer);
        if form == Form::Json {
            check_report(dialect, &answer, whole.learnt.reported.as_ref());
        }
    }

    let sse = run(Form::Sse, dialect, &answer, 0);
    let whole = run(Form::SseWithoutUsage, dialect, &answer, 0);
    let pieces = run(Form::SseWithoutUsage, dialect, &answer, *seed);
    assert_eq!(whole.learnt, sse.learnt, "with and without the usage chunk");
    assert_eq!(pieces.learnt, whole.learnt);
    assert!(
        pieces.seen == whole.seen,
        "cut by {seed}, {} bytes, not {}",
        pieces.seen.len(),
        whole.seen.len()
    );
    let expected = events(&answer).0;
    let taken = taken_out(&answer, &expected, &whole.seen);
    check_delay(&expected, &taken, &whole.passed);
    check_delay(&expected, &taken, &pieces.passed);
});

fn blown_up(answer: &[u8]) -> Vec<u8> {
    let mut left = 12;
    let mut out = Vec::with_capacity(answer.len());
    for byte in answer {
        if *byte == 1 && left > 0 {
            left -= 1;
            out.resize(out.len() + 8192, b'x');
        } else {
            out.push(*byte);
        }
    }
    out
}

#[derive(Debug, PartialEq)]
struct Learnt {
    reported: Option<Reported>,
    estimated: Usage,
    model: Option<String>,
    finish_reason: Option<String>,
    events: u64,
}

struct Run {
    learnt: Learnt,
    seen: Vec<u8>,
    /// After each piece: how many bytes went in so far, and how many came out.
    passed: Vec<(usize, usize)>,
}

fn run(form: Form, dialect: Dialect, answer: &[u8], cuts: u8) -> Run {
    let mut tap = Tap::new(form, dialect);
    let (mut seen, mut passed, mut given) = (Vec::new(), Vec::new(), 0);
    for piece in cut(answer, cuts) {
        given += piece.len();
        seen.extend_from_slice(&tap.push(Bytes::copy_from_slice(piece)));
        passed.push((given, seen.len()));
    }
    seen.extend_from_slice(&tap.finish());
    let learnt = Learnt {
        reported: tap.reported(),
        estimated: tap.estimated(100),
        model: tap.model().map(str::to_owned),
        finish_reason: tap.finish_reason().map(str::to_owned),
        events: tap.events(),
    };
    Run { learnt, seen, passed }
}

/// The events that were taken out of `answer`, as ranges, after checking that they may be and that
/// nothing else is missing.
fn taken_out(answer: &[u8], expected: &[Event], seen: &[u8]) -> Vec<(usize, usize)> {
    let mut taken = Vec::new();
    let (mut begin, mut left) = (0, seen);
    let mut kept = events(seen).0.into_iter().scan(0, |from, event| {
        let range = *from..event.end;
        *from = event.end;
        Some(range)
    });
    let mut next = kept.next();
    for Event { end, data } in expected {
        let end = *end;
        let event = &answer[begin..end];
        let is_kept = next.clone().is_some_and(|range| &seen[range] == event);
        let what = Chunk::of(data);
        if is_kept {
            left = &left[event.len()..];
            next = kept.next();
            let must_go = what == Chunk::Usage && event.len() <= MAX_HELD;
            assert!(!must_go, "a usage chunk reached the client: {}", event.escape_ascii());
        } else {
            taken.push((begin, end));
            assert_ne!(what, Chunk::Other, "the client's event is missing: {}", event.escape_ascii());
        }
        begin = end;
    }
    assert!(next.is_none(), "an event came from nowhere");
    assert_eq!(left, &answer[begin..], "the beginning of an event that never ended");
    taken
}

/// What the data of an event is, as far as one can be sure.
#[derive(Debug, PartialEq)]
enum Chunk {
    Usage,
    Other,
    Unclear,
}

impl Chunk {
    fn of(data: &[u8]) -> Self {
        let Some(members) = Members::of(data).filter(|members| !members.has_doubles()) else {
            return Self::Unclear;
        };
        let Some(choices) = members.get("choices").filter(|choices| choices.starts_with('[')) else {
            return Self::Other;
        };
        let Ok(choices) = serde_json::from_str::<Vec<Value>>(choices) else { return Self::Unclear };
        if choices.iter().any(Value::is_object) {
            return Self::Other;
        }
        let is_usage = |key| members.get(key).is_some_and(|value| value.starts_with('{'));
        if INNER.iter().any(|key| members.count(key) > 0) || data.contains(&b'\\') || !choices.is_empty() {
            Self::Unclear
        } else if is_usage("usage") || is_usage("usageMetadata") {
            Self::Usage
        } else {
            Self::Other
        }
    }
}

/// Whole events come out with the piece that ends them, and of an event that has not ended no more than
/// the limit is held.
fn check_delay(expected: &[Event], taken: &[(usize, usize)], passed: &[(usize, usize)]) {
    for (given, seen) in passed {
        let ended = expected.partition_point(|event| event.end <= *given);
        let whole = expected[..ended].last().map_or(0, |event| event.end);
        let gone: usize = taken.iter().filter(|(_, end)| *end <= whole).map(|(from, to)| to - from).sum();
        let held = (given - gone).checked_sub(*seen).expect("no byte comes out before it went in");
        assert!(*seen >= whole - gone, "a whole event was held back");
        assert!(held <= MAX_HELD, "{held} bytes held");
    }
}

/// Where a document has its one usage block at its top, the tap reports what that block says.
fn check_report(dialect: Dialect, answer: &[u8], reported: Option<&Reported>) {
    let Some(members) = Members::of(answer) else { return };
    let usages = members.count("usage") + members.count("usageMetadata");
    if usages != 1
        || answer.contains(&b'\\')
        || members.count("service_tier") > 0
        || INNER.iter().any(|key| members.count(key) > 0)
    {
        return;
    }
    let block = members.get("usage").or(members.get("usageMetadata")).unwrap_or_default().as_bytes();
    let expected =
        if block.starts_with(b"{") && block.len() <= MAX_USAGE { usage(dialect, block, block) } else { None };
    assert_eq!(reported, expected.as_ref());
}
