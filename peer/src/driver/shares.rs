//! How much one peer may say to us and ask of us, and who is not listened to for a while.
//!
//! What an author says in a room is counted there ([`Hearing`]); here is what a connection brings.

use std::{collections::HashMap, time::Duration};

use libp2p::PeerId;
use moim_protocol::{
    allowance::{Allowances, Shares},
    limits::{
        CATCH_UP_ALL, CATCH_UP_PER_PEER, DIRECT_ALL, DIRECT_PER_PEER, GOSSIP_PER_NEIGHBOUR,
        LISTS_ALL, LISTS_PER_PEER, PRESENCES_PER_PEER, ROOM_PRESENCES, ROOM_TALK, SHARES_MAX,
        TALK_PER_AUTHOR,
    },
    topic::TopicHash,
};
use web_time::Instant;

use super::Driver;
use crate::scoring;

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

    /// Who is listened to again.
    fn forgiven(&mut self, now: Instant) -> Vec<PeerId> {
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

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deaf.values().min().copied()
    }
}

/// What is left of what may be said in a room.
#[derive(Debug)]
pub(super) struct Hearing {
    /// By author.
    pub(super) talk: Shares<PeerId>,
    /// By signer; what is no news by who has brought it up again.
    pub(super) presences: Shares<PeerId>,
    /// Whatever a neighbour is the first to bring, whoever said it. Each room has its own: who is in many passes
    /// on as much as each of them may have.
    brought: Allowances<PeerId>,
}

impl Hearing {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            talk: Shares::new(TALK_PER_AUTHOR, ROOM_TALK, SHARES_MAX, now),
            presences: Shares::new(PRESENCES_PER_PEER, ROOM_PRESENCES, SHARES_MAX, now),
            brought: Allowances::new(GOSSIP_PER_NEIGHBOUR, SHARES_MAX),
        }
    }
}

impl Driver {
    /// Whether a message of a room that a neighbour has brought is looked at. Who brings more than an honest
    /// one could pass on is not listened to for a while, so that its flood costs nothing further.
    pub(super) fn listens_to(
        &mut self,
        topic: TopicHash,
        neighbour: PeerId,
        bytes: usize,
        now: Instant,
    ) -> bool {
        let Some(room) = self.rooms.get_mut(&topic) else {
            return false;
        };
        if room.hearing.brought.of(neighbour, now).take(bytes, now) {
            return true;
        }
        if self.shares.deaf.insert(neighbour, now + DEAF_FOR).is_none() {
            tracing::info!(peer = %neighbour, "brings more than any room has; not listened to for a while");
            self.set_score(&neighbour, scoring::DEAF_SCORE);
        }
        false
    }

    /// Listens again to those whose time is over.
    pub(super) fn advance_shares(&mut self, now: Instant) {
        for peer in self.shares.forgiven(now) {
            self.set_score(&peer, 0.0);
        }
    }

    fn set_score(&mut self, peer: &PeerId, score: f64) {
        if let Some(gossip) = self.swarm.behaviour_mut().gossip.as_mut() {
            // Gossipsub has forgotten it if this fails.
            gossip.set_application_score(peer, score);
        }
    }

    /// Whether a peer is a member of a room that we are in.
    pub(super) fn is_member(&self, peer: &PeerId) -> bool {
        self.rooms
            .values()
            .any(|room| room.search.roster.contains(peer))
    }
}
