//! Moim's rooms with 10 to 10,000 members, and its DHT with up to 100,000 servers, in discrete time and from seeds.
//!
//! The rooms are the real ones (`moim-room`), thousands of them in one process; so is the table of providers of each
//! bootstrap node. Around them are models: of latencies, losses and NATs ([`terrain`]), of connections ([`reach`],
//! `network.rs`), of gossipsub ([`gossip`]) and of Kademlia's lookups ([`lookup`]). The same seed gives the same run.
//!
//! - [`mixed`] runs small rooms in which something goes wrong, and says what must hold and does not.
//! - [`scenario`] runs the rooms of docs/scale.md, and [`report`] writes that down.
//! - [`reality`] compares the simulation with real processes.

#![forbid(unsafe_code)]

mod acts;
pub mod args;
pub mod bits;
mod check;
mod dht;
pub mod draw;
pub mod event;
pub mod gossip;
pub mod lookup;
pub mod measure;
pub mod mixed;
mod network;
pub mod node;
pub mod outcome;
mod people;
pub mod plot;
pub mod queue;
pub mod reach;
pub mod reality;
pub mod report;
pub mod runs;
pub mod scenario;
pub mod terrain;
pub mod time;
pub mod world;
