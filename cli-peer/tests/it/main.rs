//! `moim` as its users run it: the real program, on loopback only.
//!
//! Peers find each other through a peer that serves the DHT; what needs a bootstrap node is tested
//! in `e2e/`.

mod bad_input;
mod json;
mod oneshot;
#[cfg(unix)]
mod prompt;
mod support;
mod talk;
