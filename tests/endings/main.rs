//! Every recorded stream, cut early wherever it can be, is a whole stream of its dialect.
//!
//! The corpus lies beside the checkout; where it is not there, the test says so and checks nothing. Some of the cut
//! streams are written to `target/tmp/endings/`, where `tests/sdk/test_endings.py` plays them to the official SDKs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod corpus;
mod strict;

use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;
use tollgate::dialect::ending::{Ending, Note};
use tollgate::dialect::translate::Decoder;
use tollgate_filters::chat::{Event, FinishKind};
use tollgate_filters::exchange::Dialect;
use tollgate_filters::usage::Usage;

use corpus::Stream;

const NOTE: Note<'static> = Note { reason: "budget", rule: "25 USD a month for each org" };
const USAGE: Usage = Usage {
    input_tokens: 30,
    cached_input_tokens: 10,
    cache_write_5m_tokens: 0,
    cache_write_1h_tokens: 0,
    audio_input_tokens: 0,
    image_input_tokens: 0,
    tool_input_tokens: 0,
    output_tokens: 12,
    reasoning_tokens: 2,
    audio_output_tokens: 0,
    image_output_tokens: 0,
};

/// The first `at` bytes as the client gets them, and the end; and whether the answer had its finish.
fn cut(stream: &Stream, at: usize, piece: usize, whole_events: bool) -> (Vec<u8>, bool) {
    let mut ending = Ending::new(stream.dialect, stream.completions);
    let mut seen = Vec::new();
    for piece in stream.bytes[..at].chunks(piece) {
        if whole_events {
            seen.extend_from_slice(&ending.pass(Bytes::copy_from_slice(piece)));
        } else {
            ending.push(piece);
            seen.extend_from_slice(piece);
        }
    }
    let finished = ending.is_finished() || (!whole_events && finishes_with_a_blank_line(stream, at));
    seen.extend_from_slice(&ending.cut(&USAGE, true, &NOTE));
    (seen, finished)
}

/// Whether the event that is cut lacks nothing but its blank line, and is a finish.
fn finishes_with_a_blank_line(stream: &Stream, at: usize) -> bool {
    let mut ending = Ending::new(stream.dialect, stream.completions);
    ending.push(&stream.bytes[..at]);
    if !stream.array {
        ending.push(b"\n\n");
    }
    ending.is_finished()
}

/// What the gateway's own decoder says of a stream: its last finish, whether it ended, whether it failed.
fn decoded(dialect: Dialect, documents: &[String]) -> (Option<FinishKind>, bool, bool) {
    let (mut decoder, mut events) = (Decoder::new(dialect), Vec::new());
    for document in documents {
        decoder.document(document.as_bytes(), &mut events);
    }
    decoder.finish(&mut events);
    let mut finish = None;
    for event in &events {
        if let Event::Finish { finish: said, .. } = event {
            finish = Some(said.kind);
        }
    }
    let ended = events.iter().any(|event| matches!(event, Event::End));
    (finish, ended, events.iter().any(|event| matches!(event, Event::Error(_))))
}

fn check(stream: &Stream, at: usize, piece: usize, whole_events: bool) {
    let (bytes, finished) = cut(stream, at, piece, whole_events);
    let told = || {
        format!(
            "{} cut at {at}: {}",
            stream.name,
            String::from_utf8_lossy(&bytes[bytes.len().min(at.saturating_sub(300))..])
        )
    };
    let documents = strict::documents(stream, &bytes).unwrap_or_else(|e| panic!("{e}: {}", told()));
    if stream.fails {
        return;
    }
    // A client that gets pieces of events gets one that says nothing where one was cut: what it missed is not checked.
    let verdict = strict::check(stream, &documents, finished);
    verdict.unwrap_or_else(|e| panic!("{e}: {}", told()));
    if stream.completions {
        return;
    }
    let (finish, ended, failed) = decoded(stream.dialect, &documents);
    assert!(ended && !failed, "the decoder: ended {ended}, failed {failed}: {}", told());
    if !finished {
        assert_eq!(finish, Some(FinishKind::Length), "{}", told());
    }
}

/// A few numbers below `end`, other ones for each stream.
fn places(end: usize, many: usize, name: &str) -> Vec<usize> {
    let mut state = name.bytes().fold(0x9E37_79B9_u64, |hash, byte| hash.wrapping_mul(31) ^ u64::from(byte));
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap()
    };
    (0..many).map(|_| next() % (end + 1)).collect()
}

#[test]
fn every_recorded_stream_can_be_cut_anywhere() {
    let Some(streams) = corpus::streams() else {
        eprintln!("no corpus beside the checkout: nothing was checked");
        return;
    };
    assert!(streams.len() > 400, "the corpus is whole: {}", streams.len());
    let mut cuts = 0;
    for stream in streams {
        let ends = strict::ends(stream);
        let step = ends.len().div_ceil(40).max(1);
        let behind = ends.iter().step_by(step).chain(ends.iter().rev().take(5));
        for at in behind.copied().chain(places(stream.bytes.len(), 25, &stream.name)) {
            for whole_events in [true, false] {
                check(stream, at, 1 + at % 700, whole_events);
                cuts += 1;
            }
        }
    }
    eprintln!("{} streams, {cuts} cuts", streams.len());
}

#[test]
fn what_passes_is_the_stream_however_it_comes() {
    let Some(streams) = corpus::streams() else { return };
    for stream in streams {
        for piece in [1, 7, 1000, stream.bytes.len()] {
            let mut ending = Ending::new(stream.dialect, stream.completions);
            let mut seen = Vec::new();
            for piece in stream.bytes.chunks(piece) {
                seen.extend_from_slice(&ending.pass(Bytes::copy_from_slice(piece)));
                assert!(
                    strict::ends(stream).contains(&seen.len()) || seen.is_empty(),
                    "{}: part of an event passed",
                    stream.name
                );
                if stream.bytes.len() > 20_000 {
                    break;
                }
            }
            if stream.bytes.len() <= 20_000 {
                seen.extend_from_slice(&ending.rest());
                assert!(seen == stream.bytes, "{} in pieces of {piece}", stream.name);
                assert!(ending.is_finished(), "{}", stream.name);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_the_same_end(which in 0_usize..10_000, at in 0.0..1.0_f64, pieces in prop::collection::vec(1_usize..90, 1..400)) {
        let Some(streams) = corpus::streams() else { return Ok(()) };
        let stream = &streams[which % streams.len()];
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let at = (stream.bytes.len() as f64 * at) as usize;
        let at = at.min(12_000);
        let mut ending = Ending::new(stream.dialect, stream.completions);
        let mut rest = &stream.bytes[..at];
        for length in pieces.iter().cycle() {
            if rest.is_empty() { break }
            let (piece, more) = rest.split_at((*length).min(rest.len()));
            ending.push(piece);
            rest = more;
        }
        let mut whole = Ending::new(stream.dialect, stream.completions);
        whole.push(&stream.bytes[..at]);
        prop_assert_eq!(ending.is_finished(), whole.is_finished());
        prop_assert_eq!(ending.cut(&USAGE, true, &NOTE), whole.cut(&USAGE, true, &NOTE));
    }
}

#[test]
fn streams_for_the_sdks_are_written() {
    let Some(streams) = corpus::streams() else { return };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("endings");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let mut number = 0;
    for stream in streams.iter().filter(|stream| !stream.fails) {
        for at in places(stream.bytes.len(), 6, &stream.name) {
            // As the gateway passes it on.
            let (bytes, finished) = cut(stream, at, 100, true);
            if finished {
                continue;
            }
            let kind =
                if stream.completions { "Completions".to_owned() } else { format!("{:?}", stream.dialect) };
            let body = String::from_utf8(bytes).expect("UTF-8");
            let written =
                json!({"kind": kind, "name": stream.name, "at": at, "array": stream.array, "body": body});
            std::fs::write(folder.join(format!("{number}.json")), written.to_string()).unwrap();
            number += 1;
        }
    }
    assert!(number > 1000, "{number} streams for the SDKs");
}

/// `cargo test --release --test endings -- --ignored --nocapture cost`
#[test]
#[ignore = "a measurement"]
fn cost_of_an_event() {
    let Some(streams) = corpus::streams() else { return };
    for kind in [Dialect::OpenaiChat, Dialect::OpenaiResponses, Dialect::Anthropic, Dialect::Gemini] {
        let of_kind =
            streams.iter().filter(|stream| stream.dialect == kind && !stream.array && !stream.completions);
        let stream = of_kind.min_by_key(|stream| strict::ends(stream).len().abs_diff(50)).unwrap();
        let events = strict::ends(stream);
        let pieces: Vec<Bytes> = [0]
            .iter()
            .chain(&events)
            .zip(&events)
            .map(|(from, to)| Bytes::copy_from_slice(&stream.bytes[*from..*to]))
            .collect();
        let rounds = 20_000;
        let begun = Instant::now();
        for _ in 0..rounds {
            let mut ending = Ending::new(stream.dialect, false);
            for piece in &pieces {
                std::hint::black_box(ending.pass(piece.clone()));
            }
        }
        let each = begun.elapsed().as_nanos() / (rounds * events.len() as u128);
        eprintln!(
            "{kind:?}: {} events of {} bytes: {each} ns for each",
            events.len(),
            stream.bytes.len() / events.len()
        );
    }
}
