//! What the tests share: peers made from a number, one clock, presences.

use std::time::Duration;

use libp2p_identity::{Keypair, PeerId};
use moim_protocol::{
    UnixMillis,
    limits::PRESENCE_TTL,
    message::MessageId,
    presence::{Presence, SignedPresence, State},
    room::{RoomMessage, RoomText},
    text::Text,
    topic::Topic,
};
use multiaddr::Multiaddr;
use web_time::Instant;

use crate::Now;

impl Now {
    pub(crate) fn after(self, duration: Duration) -> Self {
        Self {
            instant: self.instant + duration,
            wall: self.wall.saturating_add(duration),
        }
    }
}

/// Some moment to count from.
pub(crate) fn start() -> Now {
    Now {
        instant: Instant::now(),
        wall: UnixMillis(1_800_000_000_000),
    }
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
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

pub(crate) fn topic() -> Topic {
    Topic::new("global-chat").unwrap()
}

pub(crate) fn address(port: u16) -> Multiaddr {
    format!("/ip4/192.0.2.1/tcp/{}", 8000 + port % 50_000)
        .parse()
        .unwrap()
}

/// Peer `n` is here, said at `now`.
pub(crate) fn presence(n: u16, sequence: u64, now: Now) -> Presence {
    Presence {
        peer: peer(n),
        topic: topic().hash(),
        name: format!("peer {n}").parse().unwrap(),
        addresses: vec![address(n)],
        sequence,
        issued: now.wall,
        expires: now.wall.saturating_add(PRESENCE_TTL),
        state: State::Here,
    }
}

pub(crate) fn here(n: u16, sequence: u64, now: Now) -> SignedPresence {
    presence(n, sequence, now).sign(&keypair(n)).unwrap()
}

pub(crate) fn named(n: u16, sequence: u64, name: &str, now: Now) -> SignedPresence {
    Presence {
        name: name.parse().unwrap(),
        ..presence(n, sequence, now)
    }
    .sign(&keypair(n))
    .unwrap()
}

pub(crate) fn left(n: u16, sequence: u64, now: Now) -> SignedPresence {
    Presence {
        state: State::Left,
        addresses: Vec::new(),
        ..presence(n, sequence, now)
    }
    .sign(&keypair(n))
    .unwrap()
}

/// The id of a message that says `number`.
pub(crate) fn message_id(number: u64) -> MessageId {
    MessageId::from_bytes(u128::from(number).to_be_bytes())
}

/// Message `sequence` of a session that began long before `now`.
pub(crate) fn text(sequence: u64, now: Now) -> RoomText {
    RoomText {
        id: message_id(sequence),
        session: now.wall.0 - 60_000,
        sequence,
        name: None,
        text: Text::new(&format!("message {sequence}")).unwrap(),
        sent: now.wall,
    }
}

pub(crate) fn said(text: RoomText) -> Vec<u8> {
    RoomMessage::Text(text).encode()
}
