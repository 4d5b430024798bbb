//! See `moim_fuzz::dht_store::run`.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| moim_fuzz::dht_store::run(data));

#[cfg(not(fuzzing))]
fn main() {}
