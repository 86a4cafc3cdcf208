//! Every recorded stream, cut at random, through every other dialect and back.

use serde_json::Value;
use tollgate::dialect::frames::Frames;
use tollgate::dialect::translate::{Decoder, Form as Shape, Translator, parse_response};
use tollgate_filters::chat::{Collector, Delta, Event, Failure, Losses, Pointer, Response};
use tollgate_filters::exchange::Dialect;

use super::contract;
use super::corpus::{Answer, Recording};
use super::diff::compare;
use super::form::Form;
use super::targets::{DIALECTS, client};
use super::verdict::{Outcome, Trip, guarded};
use super::{lay, wire};

type Failed = (String, String);

/// Each stream is read whole and in this many random splits.
const SEEDS: u64 = 4;

pub fn check(recording: &Recording) -> Vec<Outcome> {
    let (shape, bytes) = match &recording.answer {
        Answer::Sse(bytes) => (Shape::Sse, bytes),
        Answer::Array(bytes) => (Shape::Array, bytes),
        _ => return Vec::new(),
    };
    let outcome = |to| {
        let mut outcome = Outcome::new(recording, to, to.as_str());
        let done = guarded(|| travel(shape, bytes, to, &mut outcome));
        outcome.failures.extend(done.err());
        outcome
    };
    DIALECTS.into_iter().map(outcome).collect()
}

/// Cuts `bytes` into random pieces; seed 0 leaves them whole, seed 1 cuts out every byte.
pub fn cut(bytes: &[u8], seed: u64) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let (mut rest, mut state) = (bytes, seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    while !rest.is_empty() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let size = match seed {
            0 => rest.len(),
            1 => 1,
            _ => 1 + usize::try_from(state % 400).unwrap_or(0),
        };
        let (piece, more) = rest.split_at(size.min(rest.len()));
        pieces.push(piece);
        rest = more;
    }
    pieces
}

pub fn decode(dialect: Dialect, shape: Shape, pieces: &[&[u8]]) -> Vec<Event> {
    let mut frames = if shape == Shape::Array { Frames::array() } else { Frames::sse() };
    let mut decoder = Decoder::new(dialect);
    let mut events = Vec::new();
    for piece in pieces {
        frames.push(piece, |document| decoder.document(document, &mut events)).unwrap();
    }
    decoder.finish(&mut events);
    events
}

fn translate(from: Dialect, to: Dialect, shape: Shape, pieces: &[&[u8]]) -> (Vec<u8>, Losses) {
    let mut translator = Translator::new(from, to, shape, client());
    let mut out = Vec::new();
    for piece in pieces {
        out.extend_from_slice(&translator.push(piece).unwrap());
    }
    out.extend_from_slice(&translator.finish().unwrap().0);
    (out, translator.losses().clone())
}

fn collect(dialect: Dialect, events: &[Event]) -> Result<Response, Box<Failure>> {
    let mut collector = Collector::new(dialect);
    for event in events {
        collector.push(event);
    }
    collector.finish()
}

/// An answer that was streamed, with what came beside it.
fn lay_out(response: &Response, events: &[Event]) -> Form {
    let mut form = lay::response(response);
    for event in events {
        if let Event::Extra(extra) = event
            && extra.at != Pointer::ROOT
        {
            form.facts.extra(&format!("beside {}", extra.at), &extra.at, &extra.value);
        }
    }
    form
}

fn travel(shape: Shape, bytes: &[u8], to: Dialect, outcome: &mut Outcome) -> Result<(), Failed> {
    let from = outcome.from;
    let events = decode(from, shape, &[bytes]);
    contract::check(&events).map_err(|why| ("the events are out of order".to_owned(), why))?;
    let (out, losses) = translate(from, to, shape, &[bytes]);
    for seed in 1..=SEEDS {
        let pieces = cut(bytes, seed);
        if decode(from, shape, &pieces) != events {
            return Err(("a split gives other events".to_owned(), format!("seed {seed}")));
        }
        if translate(from, to, shape, &pieces) != (out.clone(), losses.clone()) {
            return Err(("a split gives another stream".to_owned(), format!("seed {seed}")));
        }
    }
    outcome.losses = losses.iter().cloned().collect();
    outcome.rendered = wire::documents(&out).iter().map(Value::to_string).collect();
    let source = collect(from, &events);
    if let Err(why) = wire::check(to, &out, source.is_err()) {
        outcome
            .failures
            .push((format!("not well-formed: {}", why.chars().take(40).collect::<String>()), why));
    }
    if to == Dialect::Gemini {
        array(from, shape, bytes, &out)?;
    }
    break_off(from, to, shape, bytes)?;
    let there_events = decode(to, Shape::Sse, &[&out]);
    contract::check(&there_events)
        .map_err(|why| ("the rendering's events are out of order".to_owned(), why))?;
    let there = collect(to, &there_events);
    as_they_come(to, &events, &there_events)?;
    let (source, there) = match (source, there) {
        (Ok(source), Ok(there)) => (source, there),
        (Err(one), Err(other)) if one.message == other.message => return Ok(()),
        (one, other) => {
            let said = |end: Result<Response, Box<Failure>>| end.err().map(|failure| failure.message);
            return Err(("another end".to_owned(), format!("{:?} -> {:?}", said(one), said(other))));
        }
    };
    if from == to && from == Dialect::OpenaiResponses {
        whole(bytes, &source)?;
    }
    let (back, losses_back) = translate(to, from, Shape::Sse, &[&out]);
    let home_events = decode(from, Shape::Sse, &[&back]);
    let home = collect(from, &home_events).map_err(|e| ("the way back fails".to_owned(), e.message))?;
    let source = lay_out(&source, &events);
    let there = lay_out(&there, &there_events);
    let home = lay_out(&home, &home_events);
    let trip = Trip {
        from,
        to,
        source: &source,
        there: &there,
        home: &home,
        losses: &losses,
        losses_back: &losses_back,
    };
    let (failures, idle) = trip.judge();
    outcome.failures.extend(failures);
    outcome.idle = idle;
    Ok(())
}

/// A stream that breaks off ends with an error of the client's dialect.
fn break_off(from: Dialect, to: Dialect, shape: Shape, bytes: &[u8]) -> Result<(), Failed> {
    let (half, _) = bytes.split_at(bytes.len() / 2);
    let (out, _) = translate(from, to, shape, &[half]);
    // What had come to its end before the half is whole.
    let verdict = wire::check(to, &out, true).or_else(|why| wire::check(to, &out, false).map_err(|_| why));
    verdict.map_err(|why| ("broken off, and not well-formed".to_owned(), why))
}

type Kind = fn(&Delta) -> bool;

/// What comes in pieces goes on in pieces: nothing is kept back until the end. Gemini has calls only whole.
fn as_they_come(to: Dialect, events: &[Event], there: &[Event]) -> Result<(), Failed> {
    let pieces = |events: &[Event], kind: Kind| {
        let first = |event: &&Event| matches!(event, Event::Delta { choice: 0, delta, .. } if kind(delta));
        events.iter().filter(first).count()
    };
    let kinds: [(&str, Kind); 3] = [
        ("text", |delta| matches!(delta, Delta::Text(text) if !text.is_empty())),
        ("thoughts", |delta| matches!(delta, Delta::Thought { text, .. } if !text.is_empty())),
        ("arguments", |delta| matches!(delta, Delta::Arguments(text) if !text.is_empty())),
    ];
    for (name, kind) in kinds {
        let (before, after) = (pieces(events, kind), pieces(there, kind));
        if after < before && (name != "arguments" || to != Dialect::Gemini) {
            return Err((format!("fewer pieces of {name}"), format!("{before} -> {after}")));
        }
    }
    Ok(())
}

/// A Gemini client that asked for no SSE gets the same documents as an array.
fn array(from: Dialect, shape: Shape, bytes: &[u8], sse: &[u8]) -> Result<(), Failed> {
    let mut translator = Translator::new(
        from,
        Dialect::Gemini,
        shape,
        tollgate_filters::chat::Client { sse: false, ..client() },
    );
    let mut out = translator.push(bytes).unwrap().to_vec();
    out.extend_from_slice(&translator.finish().unwrap().0);
    let list: Vec<Value> = serde_json::from_slice(&out)
        .map_err(|e| ("not a JSON array".to_owned(), format!("{e}: {}", String::from_utf8_lossy(&out))))?;
    let same = list == wire::documents(sse);
    let wrong = || ("the array is not the same as the events".to_owned(), String::new());
    if same { Ok(()) } else { Err(wrong()) }
}

/// The last event of a Responses stream has the whole answer, which is what its pieces add up to.
fn whole(bytes: &[u8], collected: &Response) -> Result<(), Failed> {
    let documents = wire::documents(bytes);
    let Some(last) = documents.iter().rev().find_map(|event| event.get("response")) else { return Ok(()) };
    let response = parse_response(Dialect::OpenaiResponses, last.clone())
        .map_err(|e| ("not read".to_owned(), e.message.to_string()))?;
    let mut differences = compare(&lay::response(&response), &lay::response(collected), false);
    // OpenAI encrypts anew for the last event, and computes a last digit anew.
    const ANEW: [&str; 3] =
        ["changed choice reasoning: seal", "changed choice opaque", "changed choice 0 logprobs"];
    differences.retain(|difference| !ANEW.contains(&difference.what.as_str()));
    match differences.first() {
        None => Ok(()),
        Some(first) => {
            Err((format!("the pieces do not add up to the whole: {}", first.what), format!("{first:?}")))
        }
    }
}
