//! What the tests of both fronts need.

use moim_peer::{
    Cursor, DhtState, Keypair, Member, MessageId, PeerId, Reach, RoomMessage, Snapshot, Status,
    Topic, UnixMillis,
};

/// A peer id that is always the same for the same seed.
pub(crate) fn peer(seed: u8) -> PeerId {
    Keypair::ed25519_from_bytes([seed; 32])
        .unwrap()
        .public()
        .to_peer_id()
}

pub(crate) fn member(seed: u8, name: &str, reach: Reach) -> Member {
    Member {
        peer: peer(seed),
        name: name.parse().unwrap(),
        reach,
        looks_like: None,
    }
}

pub(crate) fn topic() -> Topic {
    Topic::new("global-chat").unwrap()
}

pub(crate) fn room_message(seed: u8, name: &str, text: &str) -> RoomMessage {
    RoomMessage {
        cursor: Cursor::default(),
        id: MessageId::from_bytes([seed; 16]),
        topic: topic(),
        from: peer(seed),
        name: Some(name.parse().unwrap()),
        text: text.parse().unwrap(),
        sent: UnixMillis(1_700_000_000_123),
    }
}

pub(crate) fn snapshot(seed: u8, status: Status) -> Snapshot {
    Snapshot {
        clock: None,
        peer: peer(seed),
        status,
        addresses: Vec::new(),
        bootstrap: Vec::new(),
        dht: DhtState::default(),
        connections: Vec::new(),
        rooms: vec![topic()],
    }
}
