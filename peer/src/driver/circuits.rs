//! Circuits: at which relays this peer reserves, and by which it reaches others.

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use moim_protocol::presence::Presence;
use web_time::Instant;
use webrtc_private::address::is_webrtc;

use super::{
    Driver,
    relays::{Candidate, Kind},
};
use crate::swarm;

impl Driver {
    /// The relays where a reservation is of use: members only as long as they are kept for the room's
    /// sake, so that it lasts.
    pub(super) fn relay_candidates(&self) -> Vec<Candidate> {
        let candidates = self.connections.relays().filter_map(|open| {
            let kind = if is_webrtc(&open.address) {
                Kind::Member
            } else {
                Kind::Server
            };
            (kind == Kind::Server || self.reaching.wants(&open.peer)).then_some(Candidate {
                relay: open.peer,
                kind,
                connected: open.since,
            })
        });
        candidates.collect()
    }

    /// Asks a connected relay for a reservation where one is wanted.
    pub(super) fn advance_relays(&mut self, now: Instant) {
        while let Some(candidate) = self.relays.due(&self.relay_candidates(), now) {
            let relay = candidate.relay;
            let Some(circuit) = self.circuit_through(relay) else {
                self.relays.postpone(relay, now);
                continue;
            };
            match self.swarm.listen_on(circuit) {
                Ok(listener) => self.relays.listening(&candidate, listener),
                Err(error) => {
                    tracing::debug!(%relay, %error, "cannot listen through the relay");
                    self.relays.postpone(relay, now);
                }
            }
        }
    }

    /// The address of a connected relay as we reached it, for a circuit through it.
    pub(super) fn circuit_through(&self, relay: PeerId) -> Option<Multiaddr> {
        let address = self.connections.direct_address(&relay)?.clone();
        Some(
            swarm::relay_address(address)
                .with(Protocol::P2p(relay))
                .with(Protocol::P2pCircuit),
        )
    }

    /// A relay is connected: members who have a reservation there can be reached through it.
    pub(super) fn learn_ways_through(&mut self, relay: PeerId, now: Instant) {
        let reserved_there = |presence: &Presence| {
            let addresses = presence.addresses.iter();
            addresses.flatten().any(|part| part == Protocol::P2p(relay))
        };
        let reachable: Vec<Presence> = self
            .rooms
            .values()
            .flat_map(|room| room.search.roster.members())
            .map(|member| member.presence)
            .filter(|presence| !self.connections.is_connected(&presence.peer))
            .filter(|presence| reserved_there(presence))
            .cloned()
            .collect();
        for presence in reachable {
            self.learn_addresses(&presence, now);
        }
    }
}
