//! See `moim_fuzz::roster::run`.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| moim_fuzz::roster::run(data));

#[cfg(not(fuzzing))]
fn main() {}
