//! libp2p's `/webrtc` transport: a direct connection between two peers of which neither can be
//! dialled, such as two browser tabs.
//!
//! [libp2p/specs, webrtc/webrtc.md](https://github.com/libp2p/specs/blob/master/webrtc/webrtc.md). The
//! two first meet through a relay (circuit relay v2). On a stream of that connection, which proves
//! who each of them is, they exchange session descriptions and candidates, the addresses by which they
//! might be reached; ICE checks pairs of them, punching holes into NATs in passing, and DTLS proves that the one at the
//! other end is the one of the description. The relay carries a few kilobytes, and then nothing.
//!
//! # Use
//!
//! [`new`] gives a [`Transport`] and a [`Behaviour`] that belong together. The transport has to come
//! **before** the relay client's: that one takes every address with `/p2p-circuit` in it, also
//! `…/p2p-circuit/webrtc`, and makes a relayed connection of it without a word. Listen on `/webrtc`
//! besides the circuit, and relayed connections turn into direct ones by themselves.
//!
//! ```
//! use libp2p_identity::PeerId;
//! use moim_webrtc::{Config, backend::native::Native};
//!
//! let (transport, behaviour) = moim_webrtc::new(PeerId::random(), Native, Config::default());
//! ```
//!
//! What a connection's address says needs a second look: that of a direct one has `/p2p-circuit` in
//! it too. [`address::is_direct`] knows, and [`AsDirect`] tells behaviours that do not: with circuit relay
//! v2 inside it, peers that are connected directly can relay for each other.
//!
//! # What it is made of
//!
//! - [`address`]: `/webrtc` addresses;
//! - [`direct`]: `/webrtc-direct`, a transport for itself;
//! - [`backend`]: what is asked of a WebRTC implementation; the browser's, and one for programs;
//! - a session per attempt: offer, answer, candidates; written once for all backends;
//! - [`Connection`] and [`Stream`]: a muxer over data channels, with the frames and the half-closing of
//!   [libp2p/specs, webrtc/README.md](https://github.com/libp2p/specs/blob/master/webrtc/README.md);
//! - [`Behaviour`]: streams to signal on, and the upgrade of relayed connections, with backoff.
//!
//! # Bounds
//!
//! A remote can make us keep: 64 KiB of signalling message, 64 candidates, one session per peer and
//! [`Config::inbound_max`] in all, 1,024 streams per connection, and what it sends of a stream that
//! nobody reads up to what the [backend] allows; there is no back-pressure for that direction in the
//! browser's API, and in SCTP none for one stream of many.

#![forbid(unsafe_code)]

use futures::channel::mpsc;
use libp2p_identity::PeerId;

pub use crate::{
    as_direct::AsDirect,
    behaviour::{Behaviour, Event},
    config::{Config, IceServers, PreferredUpgrade, Reachable},
    error::{Error, OpenError, SignalingError, Step},
    muxer::{Connection, ConnectionError},
    report::{CandidateTypes, Failure, Report, Role},
    signaling::PROTOCOL as SIGNALING_PROTOCOL,
    stream::Stream,
    transport::Transport,
};
use crate::{backend::Backend, report::Reports};

pub mod address;
mod as_direct;
pub mod backend;
mod behaviour;
mod config;
pub mod direct;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod muxer;
mod report;
mod session;
mod signaling;
mod stream;
mod transport;

#[cfg(test)]
mod testing;
#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;

/// Requests and notices that wait between the two halves.
const QUEUE: usize = 32;

/// The two halves for the peer `local`. Both have to be used in the same swarm.
#[must_use]
pub fn new<B: Backend>(local: PeerId, backend: B, config: Config) -> (Transport<B>, Behaviour) {
    let reports = Reports::default();
    let (open, requests) = mpsc::channel(QUEUE);
    let (notify, notices) = mpsc::channel(QUEUE);
    let (tell, changes) = mpsc::channel(QUEUE);
    (
        Transport::new(
            backend,
            config.clone(),
            reports.clone(),
            open,
            notices,
            tell,
        ),
        Behaviour::new(local, config, reports, requests, notify, changes),
    )
}
