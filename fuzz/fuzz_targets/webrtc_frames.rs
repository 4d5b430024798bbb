//! See `moim_fuzz::webrtc::frames`.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| moim_fuzz::webrtc::frames(data));

#[cfg(not(fuzzing))]
fn main() {}
