//! Connections in doubt: what the swarm is told when the network has changed, a peer is there a second
//! time, or an answer does not come; and connections that a bootstrap node does not want.

use libp2p::{PeerId, ping, request_response, swarm::ConnectionId};
use moim_protocol::refusal_wire::{Request, Response};
use web_time::Instant;

use super::{lifetimes::Lifetimes, state::Driver};
use crate::probe;

impl Driver {
    /// A peer has not answered in time: by one of its connections, and nobody knows by which.
    pub(super) fn doubt_peer(&mut self, peer: &PeerId, now: Instant) {
        self.doubt(|(of, _)| of == peer, now);
    }

    /// There is a new connection to a peer. Those before it may be of a program that is gone.
    pub(super) fn doubt_older(&mut self, peer: PeerId, newest: ConnectionId, now: Instant) {
        self.doubt(|(of, id)| *of == peer && *id != newest, now);
    }

    pub(super) fn doubt(&mut self, which: impl Fn(&(PeerId, ConnectionId)) -> bool, now: Instant) {
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

    /// libp2p's own ping, which goes on all the time.
    pub(super) fn on_ping(&mut self, event: ping::Event, now: Instant) {
        let ping::Event {
            connection,
            peer,
            result,
        } = event;
        match result {
            Ok(round_trip) => {
                self.connections.ponged(connection, round_trip);
                self.lost.heard(now);
            }
            // A program that does not speak ping is not dead for that.
            Err(ping::Failure::Unsupported) => {}
            Err(error) => {
                if Lifetimes::is_dead(self.connections.missed_ping(connection)) {
                    tracing::debug!(%peer, %error, "no answer to pings");
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
