//! Any request to OpenAI Responses: see [`request`]. Input: its body.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use tollgate_filters::exchange::Dialect;
use tollgate_fuzz::translation::{mutated, request};

fuzz_target!(|body: &[u8]| request(Dialect::OpenaiResponses, body));

fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    match mutated(&data[..size], 0, most, seed) {
        Some(changed) if !seed.is_multiple_of(8) => {
            data[..changed.len()].copy_from_slice(&changed);
            changed.len()
        }
        _ => fuzzer_mutate(data, size, most),
    }
});
