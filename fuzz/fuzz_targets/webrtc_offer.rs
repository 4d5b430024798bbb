//! See `moim_fuzz::webrtc::offer`.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(
    init: moim_fuzz::webrtc::let_panics_be_caught(),
    |data: &[u8]| moim_fuzz::webrtc::offer(data)
);

#[cfg(not(fuzzing))]
fn main() {}
