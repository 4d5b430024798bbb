//! Peers, a room, and the time.

use std::{sync::LazyLock, time::Duration};

use moim_peer::{Keypair, PeerId};
use moim_protocol::{
    UnixMillis,
    presence::{Presence, SignedPresence, State},
    topic::{Topic, TopicHash},
};

/// A wall clock, the same in every run.
pub(crate) const WALL: UnixMillis = UnixMillis(1_800_000_000_000);

/// Their keys and ids, made once: making one takes as long as many a run.
static PEERS: LazyLock<Vec<(Keypair, PeerId)>> = LazyLock::new(|| {
    let made = (0..=u8::MAX).map(|n| {
        let keypair = Keypair::ed25519_from_bytes([n; 32]).expect("any 32 bytes are a key");
        let peer = keypair.public().to_peer_id();
        (keypair, peer)
    });
    made.collect()
});

/// The key pair of peer `n`.
pub(crate) fn keypair(n: u8) -> &'static Keypair {
    &PEERS[usize::from(n)].0
}

/// The id of peer `n`.
pub(crate) fn peer(n: u8) -> PeerId {
    PEERS[usize::from(n)].1
}

/// The room.
pub(crate) fn topic() -> TopicHash {
    Topic::new("fuzz").expect("a topic").hash()
}

/// Peer `n` is here or has left, said at `issued` for `life`.
pub(crate) fn presence(
    n: u8,
    sequence: u64,
    (issued, life): (UnixMillis, Duration),
    state: State,
) -> Option<SignedPresence> {
    let address = format!("/ip4/192.0.2.1/tcp/{}", 4000 + u16::from(n));
    let presence = Presence {
        peer: peer(n),
        topic: topic(),
        name: format!("peer {n}").parse().expect("a name"),
        addresses: vec![address.parse().expect("an address")],
        sequence,
        issued,
        expires: issued.saturating_add(life),
        state,
    };
    presence.sign(keypair(n)).ok()
}
