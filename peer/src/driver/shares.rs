//! How much one peer may say to us and ask of us, and who is not listened to for a while.
//!
//! What an author says in a room is counted there; here is what a connection brings.

use std::{collections::HashMap, time::Duration};

use libp2p::PeerId;
use moim_protocol::{
    allowance::Shares,
    limits::{
        CATCH_UP_ALL, CATCH_UP_PER_PEER, DIRECT_ALL, DIRECT_PER_PEER, LISTS_ALL, LISTS_PER_PEER,
        SHARES_MAX,
    },
};
use web_time::Instant;

/// How long a neighbour is not listened to that has brought more gossip of a room than any room has.
const DEAF_FOR: Duration = Duration::from_secs(60);

/// What is left of what each peer may say to us, and be answered.
#[derive(Debug)]
pub(super) struct PeerShares {
    /// Direct messages.
    pub(super) direct: Shares<PeerId>,
    /// Answers of the presence protocol.
    pub(super) lists: Shares<PeerId>,
    /// Answers to who missed something.
    pub(super) catch_ups: Shares<PeerId>,
    /// Who is not listened to, until when. Bounded by what a connection can bring.
    deaf: HashMap<PeerId, Instant>,
}

impl PeerShares {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            direct: Shares::new(DIRECT_PER_PEER, DIRECT_ALL, SHARES_MAX, now),
            lists: Shares::new(LISTS_PER_PEER, LISTS_ALL, SHARES_MAX, now),
            catch_ups: Shares::new(CATCH_UP_PER_PEER, CATCH_UP_ALL, SHARES_MAX, now),
            deaf: HashMap::new(),
        }
    }

    /// A neighbour has brought more of a room than an honest one could pass on: it is not listened to for a while, so
    /// that its flood costs nothing further. Returns whether that is new.
    pub(super) fn deafen(&mut self, neighbour: PeerId, now: Instant) -> bool {
        self.deaf.insert(neighbour, now + DEAF_FOR).is_none()
    }

    /// Who is listened to again.
    pub(super) fn forgiven(&mut self, now: Instant) -> Vec<PeerId> {
        let over: Vec<PeerId> = self
            .deaf
            .iter()
            .filter(|(_, until)| **until <= now)
            .map(|(peer, _)| *peer)
            .collect();
        for peer in &over {
            self.deaf.remove(peer);
        }
        over
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.deaf.values().min().copied()
    }
}
