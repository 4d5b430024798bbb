//! Has the swarm dial, and tells who wanted it what came of it.

use libp2p::{
    PeerId,
    swarm::{ConnectionId, DialError, dial_opts::DialOpts},
};
use web_time::Instant;

use super::{dial_error::unreached, state::Driver};
use crate::{reason::Unreached, swarm::UPGRADE_TIMEOUT};

impl Driver {
    /// There is something for a peer, which is dialled now, also where the DHT has named it to a program.
    pub(super) fn urge(&mut self, peer: PeerId, now: Instant) {
        if let Some(addresses) = self.programs.addresses(&peer) {
            self.reaching.stranger(peer, addresses.clone(), now);
        }
        self.reaching.urge(peer, now);
    }

    pub(super) fn on_dial_failed(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        error: &DialError,
        now: Instant,
    ) {
        tracing::debug!(?peer, %error, "dial failed");
        let why = self.why_unreached(id, error, now);
        if !self.entry.failed(id, why, now) {
            self.reaching.failed(id, why, now);
        }
    }

    /// Transports do not always say that they gave up waiting; how long it took does.
    fn why_unreached(&self, id: ConnectionId, error: &DialError, now: Instant) -> Unreached {
        let began = self.dialling_since(id);
        let took = began.map(|began| now.saturating_duration_since(began));
        match unreached(error) {
            Unreached::Unknown if took.is_some_and(|took| took >= UPGRADE_TIMEOUT) => {
                Unreached::NoAnswer
            }
            why => why,
        }
    }

    /// When a dial of ours began that is under way.
    pub(super) fn dialling_since(&self, id: ConnectionId) -> Option<Instant> {
        let of_entry = self.entry.dialling_since(id);
        of_entry.or_else(|| self.reaching.dialling_since(id))
    }

    pub(super) fn dial_bootstrap(&mut self, dial: DialOpts, now: Instant) {
        let id = dial.connection_id();
        let peer = dial.get_peer_id();
        if let Err(error) = self.swarm.dial(dial) {
            match (peer, &error) {
                (Some(peer), DialError::DialPeerConditionFalse(_))
                    if self.connections.is_connected(&peer) =>
                {
                    self.entry.connected(id, peer, now);
                }
                _ => {
                    tracing::debug!(%error, "a bootstrap node is not dialled");
                    self.entry.failed(id, unreached(&error), now);
                }
            }
        }
    }

    pub(super) fn dial_member(&mut self, dial: DialOpts, now: Instant) {
        let id = dial.connection_id();
        let peer = dial.get_peer_id();
        if let Err(error) = self.swarm.dial(dial) {
            // A connection of somebody else's making is as good; its event will tell.
            if matches!(error, DialError::DialPeerConditionFalse(_))
                && peer.is_some_and(|peer| self.connections.is_connected(&peer))
            {
                return;
            }
            self.on_dial_failed(id, peer, &error, now);
        }
    }
}
