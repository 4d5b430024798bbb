//! Peers from outside the crate, on loopback.

#![cfg(not(target_arch = "wasm32"))]

mod common;
mod many;
mod room;
