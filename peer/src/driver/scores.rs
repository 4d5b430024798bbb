//! Tells gossipsub who is not listened to for a while.

use libp2p::PeerId;
use web_time::Instant;

use super::state::Driver;
use crate::scoring;

impl Driver {
    /// Stops listening to a neighbour that floods.
    pub(super) fn deafen(&mut self, neighbour: PeerId, now: Instant) {
        if self.shares.deafen(neighbour, now) {
            tracing::info!(peer = %neighbour, "brings more than any room has; not listened to for a while");
            self.set_score(&neighbour, scoring::DEAF_SCORE);
        }
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
}
