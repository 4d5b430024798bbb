//! Connections in doubt: what the swarm is told when the network has changed, a peer is there a second
//! time, or an answer does not come; and connections that a bootstrap node does not want.

use libp2p::{PeerId, ping, request_response, swarm::ConnectionId};
use moim_protocol::refusal_wire::{Request, Response};
use moim_room::Input;
use web_time::Instant;

use super::{Driver, liveness::Action};
use crate::{platform, probe};

/// Pings in a row without an answer after which a connection is taken for dead.
const SILENT_PINGS_MAX: u32 = 2;

/// Peers that are asked whether they are still there when a member is lost.
const WITNESSES: usize = 3;

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
        self.tell_rooms(&Input::AnnounceNow, now);
        self.tell_rooms(&Input::LookupAgain, now);
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

    /// Nothing has come on a connection for some seconds.
    pub(super) fn doubt_connection(&mut self, connection: ConnectionId, now: Instant) {
        self.doubt(|(_, id)| *id == connection, now);
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

    /// libp2p's own ping, which goes on all the time.
    pub(super) fn on_ping(&mut self, event: ping::Event, now: Instant) {
        let ping::Event {
            connection, result, ..
        } = event;
        let Some(open) = self.connections.get_mut(connection) else {
            return;
        };
        match result {
            Ok(round_trip) => {
                open.round_trip = Some(round_trip);
                open.silent = 0;
                self.lost.heard(now);
                self.dirty = true;
            }
            // A program that does not speak ping is not dead for that.
            Err(ping::Failure::Unsupported) => {}
            Err(error) => {
                open.silent += 1;
                if open.silent >= SILENT_PINGS_MAX {
                    tracing::debug!(peer = %open.peer, %error, "no answer to pings");
                    self.swarm.close_connection(connection);
                }
            }
        }
    }

    /// A node says why it does not let us in. From anybody else that is not of interest, and gets no answer.
    pub(super) fn on_refusal(&mut self, event: moim_rpc::Event) {
        let request_response::Event::Message {
            peer,
            message:
                request_response::Message::Request {
                    request, channel, ..
                },
            ..
        } = event
        else {
            return;
        };
        if !self.entry.may_turn_away(&peer) {
            return;
        }
        match Request::decode(&request) {
            Ok(Request::Refused(why)) => {
                tracing::debug!(%peer, %why, "turned away");
                self.entry.turned_away(&peer, why);
                self.dirty = true;
            }
            Err(error) => tracing::debug!(%peer, %error, "no refusal"),
        }
        // The node may have closed the connection already.
        let _ = self
            .swarm
            .behaviour_mut()
            .refusal
            .send_response(channel, Response::Accepted.encode());
    }

    pub(super) fn on_answered(
        &mut self,
        probe::Answered(connection): probe::Answered,
        now: Instant,
    ) {
        self.lost.heard(now);
        self.liveness.settled(connection);
    }
}
