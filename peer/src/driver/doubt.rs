//! Connections in doubt: what the swarm is told when the network has changed, a peer is there a second
//! time, or an answer does not come.

use libp2p::{PeerId, swarm::ConnectionId};
use web_time::Instant;

use super::{Driver, liveness::Action};
use crate::{platform, probe};

impl Driver {
    /// The device says that it has lost its network, or has it back.
    pub(super) fn on_network_changed(&mut self, online: bool, now: Instant) {
        if online {
            self.liveness.network_changed(now);
        }
        self.entry.network_changed(online, now);
        self.dirty = true;
    }

    pub(super) fn advance_liveness(&mut self, now: Instant) {
        self.liveness.tick(now, platform::wall());
        for action in self.liveness.poll(now) {
            match action {
                Action::Changed => self.on_other_network(now),
                Action::Close(connection) => {
                    tracing::debug!(%connection, "no sign of life");
                    self.swarm.close_connection(connection);
                }
            }
        }
    }

    /// What was connected may be dead, and who could not be reached may be within reach.
    fn on_other_network(&mut self, now: Instant) {
        tracing::debug!("the network has changed");
        self.doubt(|_| true, now);
        self.entry.network_changed(true, now);
        self.reaching.network_changed(now);
        for room in self.rooms.values_mut() {
            room.announcer.announce_now(now);
            room.search.lookup_again(now);
        }
        self.dirty = true;
    }

    /// A peer has not answered in time: by one of its connections, and nobody knows by which.
    pub(super) fn doubt_peer(&mut self, peer: &PeerId, now: Instant) {
        self.doubt(|(of, _)| of == peer, now);
    }

    /// There is a new connection to a peer. Those before it may be of a program that is gone.
    pub(super) fn doubt_older(&mut self, peer: PeerId, newest: ConnectionId, now: Instant) {
        self.doubt(|(of, id)| *of == peer && *id != newest, now);
    }

    fn doubt(&mut self, which: impl Fn(&(PeerId, ConnectionId)) -> bool, now: Instant) {
        let probe = &mut self.swarm.behaviour_mut().probe;
        for (peer, connection) in self.connections.ids().filter(which) {
            if self.liveness.ask(connection, now) {
                probe.ping(peer, connection);
            }
        }
    }

    pub(super) fn on_answered(&mut self, probe::Answered(connection): probe::Answered) {
        self.liveness.settled(connection);
    }
}
