//! The translation loses nothing in silence: every recorded exchange goes into every other dialect and back, and
//! what differs afterwards has been told.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::format_push_string,
    clippy::items_after_statements,
    clippy::similar_names
)]

mod allowed;
mod answers;
mod contract;
mod corpus;
mod diff;
mod document;
mod dump;
mod form;
mod golden;
mod harness;
mod identity;
mod join;
mod lay;
mod parts;
mod props;
mod requests;
mod streams;
mod table;
mod targets;
mod verdict;
mod wire;

use std::path::PathBuf;

use corpus::each;
use verdict::Outcome;

/// Where what a run leaves for a reader goes.
fn output() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target")).join("translated")
}

#[test]
fn every_recorded_exchange_goes_through_every_dialect_and_what_differs_is_told() {
    let Some(recordings) = corpus::recordings() else {
        eprintln!("SKIPPED: the recorded exchanges are not beside this checkout");
        return;
    };
    assert!(recordings.len() > 2000, "the corpus is whole: {}", recordings.len());
    let all = |check: fn(&corpus::Recording) -> Vec<Outcome>| -> Vec<Outcome> {
        each(&recordings, check).into_iter().flatten().collect()
    };
    let parts = [
        ("Requests", all(requests::check)),
        ("Answers", all(answers::check)),
        ("Streams", all(streams::check)),
        ("Errors", all(answers::check_error)),
    ];
    let complaints: String =
        parts.iter().map(|(title, outcomes)| table::complaints(title, outcomes)).collect();
    let folder = output();
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("complaints.txt"), &complaints).unwrap();
    for (title, outcomes) in &parts {
        dump::write(&folder, title, outcomes);
    }
    let tables: String = parts.iter().map(|(title, outcomes)| table::table(title, outcomes)).collect();
    let losses: String = parts.iter().map(|(title, outcomes)| table::losses(title, outcomes)).collect();
    eprintln!("{tables}");
    let computed = format!("{tables}### The most frequent losses\n{losses}");
    document::update(&computed);
    let failed = parts.iter().flat_map(|(_, outcomes)| outcomes).filter(|o| !o.failures.is_empty()).count();
    assert_eq!(failed, 0, "see {}", folder.join("complaints.txt").display());
    document::check(&computed);
}
