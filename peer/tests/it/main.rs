//! Peers from outside the crate: in native programs on loopback, and in a real browser beside a
//! bootstrap node that the test's runner has started.

#[cfg(not(target_arch = "wasm32"))]
mod attacks;
#[cfg(not(target_arch = "wasm32"))]
mod autonat;
#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(not(target_arch = "wasm32"))]
mod by_hand;
#[cfg(not(target_arch = "wasm32"))]
mod circuits;
mod common;
#[cfg(not(target_arch = "wasm32"))]
mod held_back;
#[cfg(not(target_arch = "wasm32"))]
mod hostile_relay;
#[cfg(not(target_arch = "wasm32"))]
mod many;
#[cfg(not(target_arch = "wasm32"))]
mod names;
#[cfg(not(target_arch = "wasm32"))]
mod native;
#[cfg(target_arch = "wasm32")]
mod normal;
#[cfg(not(target_arch = "wasm32"))]
mod providers;
mod room;
#[cfg(not(target_arch = "wasm32"))]
mod strangers;
#[cfg(not(target_arch = "wasm32"))]
mod streams;
#[cfg(not(target_arch = "wasm32"))]
mod values;
