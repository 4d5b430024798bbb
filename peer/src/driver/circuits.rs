//! Circuits: at which relays this peer reserves, and by which it reaches others.

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use moim_protocol::presence::Presence;
use moim_webrtc::address::{from_circuit, is_webrtc};
use web_time::Instant;

use super::{
    relays::{Candidate, Kind},
    state::Driver,
};
use crate::{bootstrap::split_peer, swarm::needs_relay};

impl Driver {
    /// The relays that were chosen: bootstrap nodes of the settings, where we have reached them, and members
    /// that are connected by WebRTC, as long as they are kept for the room's sake, so that it lasts. Whoever
    /// else offers to relay has chosen us.
    pub(super) fn relay_candidates(&self) -> Vec<Candidate> {
        let candidates = self.connections.relays().filter_map(|open| {
            let kind = if self.entry.is_bootstrap_node(&open.peer) && open.is_ours {
                Kind::Server
            } else if is_webrtc(&open.address) && self.reaching.wants(&open.peer) {
                Kind::Member
            } else {
                return None;
            };
            Some(Candidate {
                relay: open.peer,
                kind,
                connected: open.since,
            })
        });
        candidates.collect()
    }

    /// Tells the behaviours by which circuits others reach us: those, and the direct connections that are
    /// signalled over them.
    pub(super) fn announce_circuits(&mut self) {
        let circuits = self.own_circuits();
        let signalled: Vec<Multiaddr> = circuits.iter().filter_map(from_circuit).collect();
        let wanted: Vec<Multiaddr> = circuits.into_iter().chain(signalled).collect();
        let mut told = Vec::new();
        let before: Vec<Multiaddr> = self.swarm.external_addresses().cloned().collect();
        for address in before.iter().filter(|address| needs_relay(address)) {
            let (_, bare) = split_peer(address.clone());
            if wanted.contains(&bare) {
                told.push(bare);
            } else {
                self.swarm.remove_external_address(address);
            }
        }
        for address in wanted {
            if !told.contains(&address) {
                self.swarm.add_external_address(address);
            }
        }
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

    /// A relay is connected: members who have a reservation there can be reached through it.
    pub(super) fn learn_ways_through(&mut self, relay: PeerId, now: Instant) {
        let reserved_there = |presence: &Presence| {
            let addresses = presence.addresses.iter();
            addresses.flatten().any(|part| part == Protocol::P2p(relay))
        };
        let reachable: Vec<Presence> = self
            .rooms
            .joined()
            .flat_map(|room| room.machine.presences())
            .filter(|presence| !self.connections.is_connected(&presence.peer))
            .filter(|presence| reserved_there(presence))
            .cloned()
            .collect();
        for presence in reachable {
            self.learn_addresses(&presence, now);
        }
    }
}
