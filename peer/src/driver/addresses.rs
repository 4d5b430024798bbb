//! This peer's addresses, in the order in which it tells them to others.

use std::collections::HashMap;

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use moim_protocol::address::is_dialled;
use moim_webrtc::address::from_circuit;

use super::state::Driver;
use crate::swarm::{self, needs_relay, relay_in};

/// Addresses from which bootstrap nodes see us come: IPv4 and IPv6 by each of some networks, the last ones.
const SEEN_AT_MAX: usize = 16;

impl Driver {
    /// The address of a connected relay as we reached it, for a circuit through it.
    pub(super) fn circuit_through(&self, relay: PeerId) -> Option<Multiaddr> {
        let address = self.connections.direct_address(&relay)?.clone();
        Some(
            swarm::relay_address(address)
                .with(Protocol::P2p(relay))
                .with(Protocol::P2pCircuit),
        )
    }

    /// Circuits to us through the relays where we have a reservation, by the addresses at which we have
    /// reached these. What they call themselves is their word.
    pub(super) fn own_circuits(&self) -> Vec<Multiaddr> {
        let reserved = self.relays.reserved();
        reserved
            .filter_map(|relay| self.circuit_through(relay))
            .collect()
    }

    /// This peer's addresses as others can use them, best first. Fewer fit into a presence than a relay
    /// alone may have, so each way to us comes before the second address of any: through each of our
    /// relays, and without one.
    pub(super) fn own_addresses(&self) -> Vec<Multiaddr> {
        let mut addresses: Vec<Multiaddr> = Vec::new();
        for address in self
            .swarm
            .external_addresses()
            .chain(self.swarm.listeners())
        {
            let (_, bare) = crate::bootstrap::split_peer(address.clone());
            // Of circuits, a relay has its own word among these.
            let is_named = !needs_relay(&bare) && !swarm::is_link_local(&bare) && self.is_at(&bare);
            if is_named && !addresses.contains(&bare) {
                addresses.push(bare);
            }
        }
        for circuit in self.own_circuits() {
            addresses.extend(from_circuit(&circuit));
            addresses.push(circuit);
        }
        addresses.sort_by_key(|address| {
            (
                !swarm::is_relayed(address),
                !needs_relay(address),
                swarm::is_loopback(address),
            )
        });
        in_turn(addresses)
    }

    /// Whether we are at this address: we listen there, or a bootstrap node of the settings sees us come
    /// from its IP address and we listen by its transport. A stranger who has us believe that we are elsewhere has others
    /// dial there, and so has one who calls a port reachable from which we have only dialled.
    pub(super) fn is_at(&self, address: &Multiaddr) -> bool {
        let seen = || moim_dht::first_ip(address).is_some_and(|ip| self.seen_at.contains(&ip));
        let mut listeners = self.swarm.listeners();
        is_dialled(address)
            && listeners.any(|own| own == address || is_by_the_same(own, address) && seen())
    }

    /// A bootstrap node of the settings sees us come from this address.
    pub(super) fn note_seen_at(&mut self, address: &Multiaddr) {
        if let Some(ip) = moim_dht::first_ip(address)
            && !self.seen_at.contains(&ip)
        {
            self.seen_at.truncate(SEEN_AT_MAX - 1);
            self.seen_at.insert(0, ip);
        }
    }

    /// Whether others can open a direct connection to this peer, as far as it knows.
    pub(super) fn can_be_dialled(&self) -> bool {
        self.swarm.listeners().any(|address| !needs_relay(address))
    }
}

/// Whether two addresses are by the same transport.
fn is_by_the_same(one: &Multiaddr, other: &Multiaddr) -> bool {
    // What has no value of its own, but that of the host and the port.
    let transport = |address: &Multiaddr| -> Vec<&'static str> {
        let parts = address.iter().skip(1).map(|part| part.tag());
        parts.filter(|tag| *tag != "p2p").collect()
    };
    transport(one) == transport(other)
}

/// The first address through each relay and the first without one, then the second of each, and so on.
/// Otherwise they stay in order.
fn in_turn(addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
    let mut turns: HashMap<Option<PeerId>, usize> = HashMap::new();
    let mut rounds: Vec<Vec<Multiaddr>> = Vec::new();
    for address in addresses {
        let turn = turns.entry(relay_in(&address)).or_default();
        if rounds.len() == *turn {
            rounds.push(Vec::new());
        }
        if let Some(round) = rounds.get_mut(*turn) {
            round.push(address);
        }
        *turn += 1;
    }
    rounds.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_has_its_turn() {
        let [one, other] = [PeerId::random(), PeerId::random()];
        let parse = |text: &str| -> Multiaddr {
            text.replace("ONE", &one.to_string())
                .replace("OTHER", &other.to_string())
                .parse()
                .expect("valid")
        };
        let sorted = [
            "/ip4/192.0.2.1/tcp/1/ws/p2p/ONE/p2p-circuit",
            "/ip4/192.0.2.1/tcp/2/p2p/ONE/p2p-circuit",
            "/ip4/192.0.2.1/udp/2/quic-v1/p2p/ONE/p2p-circuit",
            "/webrtc/p2p/OTHER/p2p-circuit",
            "/webrtc/p2p/OTHER/p2p-circuit/webrtc",
            "/ip4/192.0.2.2/tcp/1",
        ];
        let expected = [
            "/ip4/192.0.2.1/tcp/1/ws/p2p/ONE/p2p-circuit",
            "/webrtc/p2p/OTHER/p2p-circuit",
            "/ip4/192.0.2.2/tcp/1",
            "/ip4/192.0.2.1/tcp/2/p2p/ONE/p2p-circuit",
            "/webrtc/p2p/OTHER/p2p-circuit/webrtc",
            "/ip4/192.0.2.1/udp/2/quic-v1/p2p/ONE/p2p-circuit",
        ];
        let in_turn = in_turn(sorted.map(parse).to_vec());
        assert_eq!(in_turn, expected.map(parse));
    }
}
