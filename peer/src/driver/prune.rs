//! Which connections are closed because nobody needs them.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use libp2p::PeerId;
use web_time::Instant;
use webrtc_private::address::is_webrtc;

use super::{Driver, connections::Open};

/// How often connections are looked through for those that nobody needs.
pub(super) const PRUNE_INTERVAL: Duration = Duration::from_secs(5);

/// A connection younger than this may be about to be used.
const PRUNE_AGE: Duration = Duration::from_secs(10);

/// Connections to strangers are left to their own time-out below this many connections.
const PRUNE_ABOVE: usize = 48;

impl Driver {
    /// Closes connections that are of no more use: members of a large room who are no neighbours, and
    /// strangers when there are many. Both ends of a connection mostly agree on who is a neighbour.
    pub(super) fn prune_connections(&mut self, now: Instant) {
        if now < self.next_prune {
            return;
        }
        self.next_prune = now + PRUNE_INTERVAL;
        let crowded = self.connections.len() > PRUNE_ABOVE;
        let (members, kept) = self.kept_members();
        let mut useless = HashSet::new();
        for open in self.connections.iter() {
            let peer = open.peer;
            if self.reaching.wants(&peer)
                || kept.contains(&peer)
                || now.saturating_duration_since(open.since) < PRUNE_AGE
                || self.entry.is_bootstrap_node(&peer)
                || self.serves(open, crowded)
                || self.streams.are_with(&peer)
                || self.sends.values().any(|pending| pending.is_to(&peer))
            {
                continue;
            }
            let is_asked = self
                .rooms
                .joined()
                .any(|room| room.machine.is_asking(&peer));
            if !is_asked && (crowded || members.contains(&peer)) {
                useless.insert(peer);
            }
        }
        for peer in useless {
            tracing::debug!(%peer, "connection of no more use");
            // It is closed already if this fails.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }

    /// The members that are connected, and those of them whose connections are kept for a room's sake.
    fn kept_members(&self) -> (HashSet<PeerId>, HashSet<PeerId>) {
        let mut since: HashMap<PeerId, Instant> = HashMap::new();
        for open in self.connections.iter() {
            let first = since.entry(open.peer).or_insert(open.since);
            *first = open.since.min(*first);
        }
        let mut longest: Vec<(Instant, PeerId)> =
            since.iter().map(|(peer, since)| (*since, *peer)).collect();
        longest.sort_unstable();
        let (mut members, mut kept) = (HashSet::new(), HashSet::new());
        let connected: Vec<PeerId> = longest.into_iter().map(|(_, peer)| peer).collect();
        for room in self.rooms.joined() {
            kept.extend(room.machine.kept(&connected));
            let of_room = connected.iter().filter(|peer| room.machine.contains(peer));
            members.extend(of_room);
        }
        (members, kept)
    }

    /// Whether a connection is worth keeping for what the peer at its other end does for us. Anybody can say that he
    /// serves; where many say so unasked, those whom this peer has dialled are kept.
    fn serves(&self, open: &Open, crowded: bool) -> bool {
        let abilities = self.connections.abilities(&open.peer);
        // Every page relays, which is of use as long as it is wanted for a room's sake anyway.
        (open.is_ours || !crowded)
            && (abilities.dht_server || (abilities.relay && !is_webrtc(&open.address)))
    }
}
