//! Any cut of a stream gives the same events, and they are those of a reader that goes line by line.
//!
//! Input: a byte that chooses how the stream is cut, then the stream.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate::dialect::sse::{Piece, Splitter};
use tollgate_fuzz::{Event, cut, events};

fuzz_target!(|input: &[u8]| {
    let Some((&seed, stream)) = input.split_first() else { return };
    let (expected, left) = events(stream);
    for seed in [0, seed] {
        let mut splitter = Splitter::default();
        let (mut found, mut data, mut at) = (Vec::new(), Vec::new(), 0);
        for piece in cut(stream, seed) {
            splitter.push(piece, |piece| match piece {
                Piece::Data(bytes) => data.extend_from_slice(bytes),
                Piece::End(end) => {
                    found.push(Event { end: at + end, data: std::mem::take(&mut data) });
                }
            });
            at += piece.len();
            let whole = found.last().is_some_and(|event| event.end == at);
            assert_eq!(splitter.at_boundary(), whole, "whether an event ends at byte {at}");
        }
        assert_eq!(found, expected);
        assert_eq!(data, left);
    }
});
