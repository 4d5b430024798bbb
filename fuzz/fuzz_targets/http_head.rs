//! See `moim_fuzz::servers::http`.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| moim_fuzz::servers::http(data));

#[cfg(not(fuzzing))]
fn main() {}
