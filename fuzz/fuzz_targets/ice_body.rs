//! See `moim_fuzz::bodies::ice`.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| moim_fuzz::bodies::ice(data));

#[cfg(not(fuzzing))]
fn main() {}
