//! The store and the settings in real kad nodes that talk to each other over TCP on loopback, with Noise
//! and yamux as on the wire.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod introductions;
mod journal;
mod network;
mod node;
