//! Peers from outside the crate, on loopback. Built for native and, where a file says so, for the
//! browser from the same source.

mod common;
mod many;
mod room;
