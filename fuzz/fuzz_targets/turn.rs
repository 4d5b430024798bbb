//! See `moim_fuzz::turn::run`.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| moim_fuzz::turn::run(data));

#[cfg(not(fuzzing))]
fn main() {}
