//! The events of a stream as bytes.

use std::io::Write as _;

use serde::Serialize;
use serde_json::{Value, json};
use tollgate_filters::chat::{Annotation, Losses, Maker, Pointer, Seal};

use crate::dialect::anthropic::block::citation;

pub(super) const PING: &[u8] = b"event: ping\ndata: {\"type\":\"ping\"}\n\n";

pub(super) fn words() -> Value {
    json!({"type": "text", "text": ""})
}

/// What stood at `at` was read from this dialect: no other has a list of this name at its top.
pub(super) fn is_own(at: &Pointer) -> bool {
    at.as_str().starts_with("/content/")
}

pub(super) fn write(out: &mut Vec<u8>, name: &str, document: &impl Serialize) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    let _ = serde_json::to_writer(&mut *out, document); // a Vec takes everything
    out.extend_from_slice(b"\n\n");
}

/// The events that a stream consists of for the most part are written without a detour.
pub(super) fn delta(index: u32, kind: &str, key: &str, text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":");
    let _ = write!(out, "{index},\"delta\":{{\"type\":\"{kind}\",\"{key}\":");
    let _ = serde_json::to_writer(&mut *out, text);
    out.extend_from_slice(b"}}\n\n");
}

pub(super) fn cite(index: u32, annotation: &Annotation, out: &mut Vec<u8>, losses: &mut Losses) {
    let own = is_own(&annotation.at);
    let citation = if own { Some(annotation.raw.clone()) } else { citation(annotation, losses) };
    let Some(citation) = citation else { return };
    let delta = json!({"type": "citations_delta", "citation": citation});
    write(
        out,
        "content_block_delta",
        &json!({"type": "content_block_delta", "index": index, "delta": delta}),
    );
}

pub(super) fn sign(index: u32, seal: &Seal, out: &mut Vec<u8>) {
    delta(index, "signature_delta", "signature", &seal.travelling(Maker::Anthropic), out);
}

pub(super) fn block_stop(index: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":");
    let _ = write!(out, "{index}}}\n\n");
}
