//! How fast a guardrail reads what it finds nothing in, and what it costs a stream:
//! `cargo bench -p tollgate-filters --bench guardrail -- DIRECTORY...` reads the text files in these.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss)]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use std::{env, fs};

use serde_json::json;
use tollgate_filters::chat::{Delta, Event, Opening, Pointer};
use tollgate_filters::guardrail::{Checked, Guard, Guardrail, Kind};

const ENGLISH: &str = "It is a truth universally acknowledged, that a single man in possession of a good fortune, \
    must be in want of a wife. However little known the feelings or views of such a man may be on his first entering \
    a neighbourhood, this truth is so well fixed in the minds of the surrounding families. ";

fn main() {
    let kinds: serde_json::Map<_, _> =
        Kind::ALL.iter().map(|kind| (kind.as_str().to_owned(), "mask".into())).collect();
    let rules = json!([{"name": "project", "regex": "PRJ-[0-9]{6}", "action": "mask"}]);
    let guardrail = guardrail(&json!({"kinds": kinds, "rules": rules}));
    texts("English", &[ENGLISH.repeat(4000)], &guardrail);
    for directory in env::args().skip(1).filter(|argument| !argument.starts_with("--")) {
        let mut found = Vec::new();
        read(Path::new(&directory), &mut found);
        texts(&directory, &found, &guardrail);
    }
    let masking = self::guardrail(&json!({"output": kinds})).guard(Checked::default(), false).unwrap();
    stream("masks", masking);
    let replacing = self::guardrail(&json!({"kinds": {"email": "replace"}}));
    let checked = replacing.check_text(&mut "a@b.com".to_owned()).unwrap();
    stream("puts back", replacing.guard(checked, false).unwrap());
}

fn guardrail(conf: &serde_json::Value) -> Arc<Guardrail> {
    Arc::new(Guardrail::new(&serde_json::from_value(conf.clone()).unwrap()).unwrap())
}

/// Everything below `directory` that is UTF-8, up to 40 MB.
fn read(directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let total: usize = found.iter().map(String::len).sum();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => read(&entry.path(), found),
            Ok(kind) if kind.is_file() && total < 40_000_000 => {
                found.extend(fs::read_to_string(entry.path()));
            }
            _ => {}
        }
    }
}

/// The best of three.
fn texts(name: &str, texts: &[String], guardrail: &Guardrail) {
    let megabytes = texts.iter().map(String::len).sum::<usize>() as f64 / 1e6;
    let (mut best, mut found) = (f64::MAX, 0);
    for _ in 0..3 {
        let mut copies = texts.to_vec();
        let begin = Instant::now();
        found = copies.iter_mut().map(|text| guardrail.check_text(text).unwrap().findings.total()).sum();
        best = best.min(begin.elapsed().as_secs_f64());
    }
    println!("{name}: {megabytes:.1} MB, {:.0} MB/s, {found} found", megabytes / best);
}

fn stream(name: &str, mut guard: Guard) {
    let text = ENGLISH.repeat(1000);
    let mut out = Vec::new();
    let opening = Event::Open { choice: 0, part: 0, opening: Opening::Text, at: Pointer::ROOT };
    guard.push(opening, &mut out).unwrap();
    let begin = Instant::now();
    let mut count = 0_u32;
    for word in text.split_inclusive(' ') {
        let delta = Event::Delta { choice: 0, part: 0, delta: Delta::Text(word.to_owned()) };
        guard.push(delta, &mut out).unwrap();
        out.clear();
        count += 1;
    }
    println!("a stream that {name}: {:.0} ns a word", begin.elapsed().as_secs_f64() * 1e9 / f64::from(count));
}
