//! What is lost: members whose last connection is gone, and everybody when the network changes.

use libp2p::{PeerId, swarm::ConnectionId};
use moim_room::Input;
use web_time::Instant;

use super::{liveness::Action, state::Driver};
use crate::platform;

/// Peers that are asked whether they are still there when a member is lost.
const WITNESSES: usize = 3;

impl Driver {
    /// The device says that it has lost its network, or has it back.
    pub(super) fn on_network_changed(&mut self, online: bool, now: Instant) {
        if online {
            self.liveness.network_changed(now);
        }
        self.entry.network_changed(online, now);
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
        self.tell_rooms(&Input::NetworkChanged, now);
        self.tell_rooms(&Input::LookupAgain, now);
    }

    /// The last connection to a peer is gone. If it was a member that the rooms want a connection to, it is dialled
    /// anyway; others are asked for a sign of life, which tells whether we are cut off ourselves.
    pub(super) fn on_lost(&mut self, peer: PeerId, now: Instant) {
        let is_dialled = self.reaching.is_dialling(&peer);
        if !self.reaching.wants(&peer)
            || !self.rooms.have_member(&peer)
            || !self.lost.lost(peer, is_dialled, now)
        {
            return;
        }
        let mut witnesses: Vec<(PeerId, ConnectionId)> = self.connections.ids().collect();
        witnesses.dedup_by_key(|(peer, _)| *peer);
        let probe = &mut self.swarm.behaviour_mut().probe;
        for (peer, connection) in witnesses.into_iter().take(WITNESSES) {
            probe.ping(peer, connection);
        }
    }

    /// Takes members off the list that were connected and can't be reached any more.
    pub(super) fn advance_lost(&mut self, now: Instant) {
        for peer in self.reaching.take_failed() {
            self.lost.failed(&peer);
        }
        for peer in self.lost.poll(now) {
            tracing::debug!(%peer, "lost");
            self.tell_rooms(&Input::Lost(peer), now);
        }
    }
}
