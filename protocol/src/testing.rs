//! What the tests share: peers made from a number, one clock, presences.

use std::time::Duration;

use libp2p_identity::{Keypair, PeerId};
use multiaddr::Multiaddr;
use proptest::prelude::*;
use web_time::Instant;

use crate::{
    UnixMillis,
    envelope::{self, Purpose},
    limits::PRESENCE_TTL,
    presence::{Presence, SignedPresence, State},
    topic::{Topic, TopicHash},
};

/// A wall clock, the same in all tests.
pub(crate) const WALL: UnixMillis = UnixMillis(1_800_000_000_000);

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Some instant to count from.
#[allow(
    clippy::disallowed_methods,
    reason = "every other instant is counted from this one"
)]
pub(crate) fn start() -> Instant {
    Instant::now()
}

/// The key pair of peer `n`.
pub(crate) fn keypair(n: u16) -> Keypair {
    let mut seed = [7; 32];
    seed[..2].copy_from_slice(&n.to_be_bytes());
    Keypair::ed25519_from_bytes(seed).unwrap()
}

/// The id of peer `n`.
pub(crate) fn peer(n: u16) -> PeerId {
    keypair(n).public().to_peer_id()
}

pub(crate) fn topic() -> TopicHash {
    Topic::new("global-chat").unwrap().hash()
}

pub(crate) fn address(port: u16) -> Multiaddr {
    format!("/ip4/192.0.2.1/tcp/{}", 8000 + port % 50_000)
        .parse()
        .unwrap()
}

/// Peer `n` is here, said at [`WALL`].
pub(crate) fn presence(n: u16, sequence: u64) -> Presence {
    Presence {
        peer: peer(n),
        topic: topic(),
        name: format!("peer {n}").parse().unwrap(),
        addresses: vec![address(4000 + n)],
        sequence,
        issued: WALL,
        expires: WALL.saturating_add(PRESENCE_TTL),
        state: State::Here,
    }
}

pub(crate) fn here(n: u16, sequence: u64) -> SignedPresence {
    presence(n, sequence).sign(&keypair(n)).unwrap()
}

pub(crate) fn left(n: u16, sequence: u64) -> SignedPresence {
    Presence {
        state: State::Left,
        addresses: Vec::new(),
        ..presence(n, sequence)
    }
    .sign(&keypair(n))
    .unwrap()
}

/// The largest presence there can be of peer `n`.
pub(crate) fn largest(n: u16) -> SignedPresence {
    let address = |i: u16| -> Multiaddr {
        let name = format!("{n:x>62}.{n:x>62}.{n:x>62}.{n:a>11}");
        format!("/dns4/{name}/tcp/{}", i + 1).parse().unwrap()
    };
    let mut presence = presence(n, 1);
    presence.name = "\"".repeat(64).parse().unwrap();
    presence.addresses = (0..8).map(address).collect();
    presence.sign_fitting(&keypair(n)).unwrap()
}

/// Whatever payload in an envelope whose signature by peer `n` is good.
pub(crate) fn sealed(n: u16, purpose: Purpose, payload: impl Into<Vec<u8>>) -> Vec<u8> {
    envelope::seal(&keypair(n), purpose, payload.into()).unwrap()
}

/// Bytes as a hostile remote might send them: noise, or something good with a change.
pub(crate) fn hostile(good: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let changed = (
        Just(good.clone()),
        any::<prop::sample::Index>(),
        any::<u8>(),
    )
        .prop_map(|(mut bytes, index, byte)| {
            let index = index.index(bytes.len());
            bytes[index] = byte;
            bytes
        });
    let cut = (Just(good.clone()), any::<prop::sample::Index>()).prop_map(|(mut bytes, index)| {
        bytes.truncate(index.index(bytes.len()));
        bytes
    });
    let spliced = (
        Just(good),
        any::<prop::sample::Index>(),
        prop::collection::vec(any::<u8>(), 1..40),
    )
        .prop_map(|(mut bytes, index, more)| {
            let index = index.index(bytes.len());
            bytes.splice(index..index, more);
            bytes
        });
    let noise = prop::collection::vec(any::<u8>(), 0..300);
    prop_oneof![changed, cut, spliced, noise]
}
