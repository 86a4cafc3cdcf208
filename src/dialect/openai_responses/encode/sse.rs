//! Events of a stream, written member by member.

use std::io::Write as _;

use serde::Serialize;

/// Writes one event. `body` writes the members behind `type` and `sequence_number`, each with a comma before it.
pub(super) fn send(sequence: &mut u64, out: &mut Vec<u8>, kind: &str, body: impl FnOnce(&mut Vec<u8>)) {
    for piece in ["event: ", kind, "\ndata: {\"type\":\"", kind, "\",\"sequence_number\":"] {
        out.extend_from_slice(piece.as_bytes());
    }
    number(out, *sequence);
    *sequence += 1;
    body(out);
    out.extend_from_slice(b"}\n\n");
}

fn number(out: &mut Vec<u8>, number: impl std::fmt::Display) {
    // Writing into memory cannot fail.
    let _ = write!(out, "{number}");
}

fn key(out: &mut Vec<u8>, key: &str) {
    for piece in [",\"", key, "\":"] {
        out.extend_from_slice(piece.as_bytes());
    }
}

/// A member with any value.
pub(super) fn member(out: &mut Vec<u8>, name: &str, value: &(impl Serialize + ?Sized)) {
    key(out, name);
    // What is written here are strings and JSON values, which can always be written.
    let _ = serde_json::to_writer(out, value);
}

/// A member that counts.
pub(super) fn index(out: &mut Vec<u8>, name: &str, value: usize) {
    key(out, name);
    number(out, value);
}
