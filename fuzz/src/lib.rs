//! What the fuzz targets in `fuzz_targets/` do with the bytes that they are given: one module for each. The targets
//! themselves are thin, so that what is in here is linted with the rest of the workspace.
//!
//! All of it but the [`seeds`] is built with `--cfg fuzzing` alone, which opens the `fuzzing` modules of the other crates;
//! `cargo xtask fuzz` and `cargo fuzz` set it. A target panics when what it looks at panics, and when one of its own assertions does not
//! hold. CONTRIBUTING.md says how to run them and how to add one.

mod given;
#[cfg(fuzzing)]
mod input;

#[cfg(fuzzing)]
pub mod bodies;
#[cfg(fuzzing)]
pub mod dht_store;
#[cfg(fuzzing)]
pub mod envelopes;
#[cfg(fuzzing)]
pub mod roster;
pub mod seeds;
#[cfg(fuzzing)]
pub mod servers;
#[cfg(fuzzing)]
pub mod talk;
#[cfg(fuzzing)]
pub mod turn;
#[cfg(fuzzing)]
pub mod webrtc;
