//! Whom the rooms want a connection to, and by which addresses members are to be reached.

use std::{collections::HashSet, net::IpAddr};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use moim_protocol::presence::Presence;
use web_time::Instant;

use super::{reach::Addresses, state::Driver};
use crate::swarm::{dial_ranks, is_loopback, needs_relay};

impl Driver {
    pub(super) fn learn_addresses(&mut self, presence: &Presence, now: Instant) {
        let addresses = self.usable(&presence.addresses, presence.peer);
        let can_be_dialled = self.can_be_dialled();
        let head_start = self.pace.head_start();
        self.reaching
            .member(presence.peer, addresses, can_be_dialled, head_start, now);
    }

    /// Sorts a member's addresses into what this peer can dial. A circuit through a relay that is
    /// connected goes through that connection, whatever address the member has for the relay; a member
    /// that relays has none that could be dialled. Relays that are connected come first, and of these
    /// the servers, which can carry more. A loopback address comes first when the member is on this
    /// machine, and else after all others: who answers there is hardly the one that is meant.
    pub(super) fn usable(&self, addresses: &[Multiaddr], peer: PeerId) -> Addresses {
        let mut direct = Vec::new();
        let [mut servers, mut members, mut unconnected]: [Vec<Multiaddr>; 3] = Default::default();
        for address in addresses {
            let (_, bare) = crate::bootstrap::split_peer(address.clone());
            if !needs_relay(&bare) {
                direct.push(bare);
                continue;
            }
            // A direct connection that needs a relay for its signalling comes after the relayed one,
            // by itself: some list nothing else.
            let bare: Multiaddr = bare
                .iter()
                .filter(|protocol| *protocol != Protocol::WebRTC)
                .collect();
            let relay = bare.iter().find_map(|protocol| match protocol {
                Protocol::P2p(relay) => Some(relay),
                _ => None,
            });
            let through = relay.and_then(|relay| self.circuit_through(relay));
            let relay_is_named_only = matches!(bare.iter().next(), Some(Protocol::P2p(_)));
            let (rank, circuit) = match through {
                Some(circuit) if relay_is_named_only => (&mut members, circuit),
                Some(circuit) => (&mut servers, circuit),
                None if relay_is_named_only => continue,
                None => (&mut unconnected, bare),
            };
            let circuit = circuit.with(Protocol::P2p(peer));
            if !rank.contains(&circuit) {
                rank.push(circuit);
            }
        }
        let mut relayed = vec![servers, members, unconnected];
        relayed.retain(|rank| !rank.is_empty());
        let own: HashSet<IpAddr> = self
            .swarm
            .listeners()
            .filter_map(moim_dht::first_ip)
            .filter(|ip| !ip.is_loopback())
            .collect();
        let is_here = direct
            .iter()
            .filter_map(moim_dht::first_ip)
            .any(|ip| own.contains(&ip));
        let (here, elsewhere): (Vec<_>, Vec<_>) = direct.into_iter().partition(is_loopback);
        let mut direct = dial_ranks(if is_here { &here } else { &elsewhere });
        direct.extend(dial_ranks(if is_here { &elsewhere } else { &here }));
        Addresses { direct, relayed }
    }
}
