//! Closes the connections that are not to live on.

use std::collections::HashSet;

use libp2p::{PeerId, swarm::ConnectionId};
use web_time::Instant;

use super::{
    direct::Direct,
    entry::Entry,
    lifetimes::{Closing, Needs},
    programs::Programs,
    reach::Reaching,
    rooms::Rooms,
    state::Driver,
};

/// What the driver's machines need connections for.
struct Machines<'a> {
    direct: &'a Direct,
    entry: &'a Entry,
    programs: &'a Programs,
    reaching: &'a Reaching,
    rooms: &'a Rooms,
}

impl Needs for Machines<'_> {
    fn is_bootstrap_node(&self, peer: &PeerId) -> bool {
        self.entry.is_bootstrap_node(peer)
    }

    fn is_wanted(&self, peer: &PeerId) -> bool {
        self.reaching.wants(peer)
    }

    fn is_in_use(&self, peer: &PeerId) -> bool {
        let mut rooms = self.rooms.joined();
        self.direct.is_writing_to(peer)
            || self.programs.are_with(peer)
            || rooms.any(|room| room.machine.is_asking(peer))
    }

    fn is_busy(&self, connection: ConnectionId) -> bool {
        self.programs.are_on(connection)
    }

    fn members(&self, connected: &[PeerId]) -> (HashSet<PeerId>, HashSet<PeerId>) {
        let (mut members, mut kept) = (HashSet::new(), HashSet::new());
        for room in self.rooms.joined() {
            kept.extend(room.machine.kept(connected));
            let of_room = connected.iter().filter(|peer| room.machine.contains(peer));
            members.extend(of_room);
        }
        (members, kept)
    }
}

impl Driver {
    pub(super) fn advance_lifetimes(&mut self, now: Instant) {
        let needs = Machines {
            direct: &self.direct,
            entry: &self.entry,
            programs: &self.programs,
            reaching: &self.reaching,
            rooms: &self.rooms,
        };
        for closing in self
            .lifetimes
            .handle_timeout(&self.connections, &needs, now)
        {
            match closing {
                Closing::Connection(connection) => {
                    self.swarm.close_connection(connection);
                }
                Closing::Peer(peer) => {
                    tracing::debug!(%peer, "connection of no more use");
                    // It is closed already if this fails.
                    let _ = self.swarm.disconnect_peer_id(peer);
                }
            }
        }
    }
}
