//! See `moim_fuzz::webrtc::signaling`.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| moim_fuzz::webrtc::signaling(data));

#[cfg(not(fuzzing))]
fn main() {}
