//! Any stream from OpenAI Chat: see [`stream`], and [`input`] for the input.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use tollgate_filters::exchange::Dialect;
use tollgate_fuzz::translation::{input, mutated, stream};

fuzz_target!(|bytes: &[u8]| {
    if let Some((array, seed, bytes)) = input(bytes) {
        stream(Dialect::OpenaiChat, array, seed, &bytes);
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    match mutated(&data[..size], 2, most, seed) {
        Some(changed) if !seed.is_multiple_of(8) => {
            data[..changed.len()].copy_from_slice(&changed);
            changed.len()
        }
        _ => fuzzer_mutate(data, size, most),
    }
});
