//! See `moim_fuzz::bodies::stream`.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| moim_fuzz::bodies::stream(data));

#[cfg(not(fuzzing))]
fn main() {}
