//! Opens streams for programs, and takes those that others open.

use libp2p::{PeerId, swarm::ConnectionId};
use web_time::Instant;

use super::{
    connections::Connections,
    reach::Reaching,
    state::Driver,
    streams::{Admission, Links, Output},
};
use crate::{
    platform,
    reason::Unreached,
    streams::{Raw, behaviour::Event, handshake},
};

/// How peers are reached now.
struct Ways<'a> {
    connections: &'a Connections,
    reaching: &'a Reaching,
}

impl Links for Ways<'_> {
    fn best(&self, peer: &PeerId) -> Option<ConnectionId> {
        self.connections.best(peer)
    }

    fn is_dialling(&self, peer: &PeerId) -> bool {
        self.reaching.is_dialling(peer)
    }

    fn last_error(&self, peer: &PeerId) -> Option<Unreached> {
        self.reaching.last_error(peer)
    }
}

impl Driver {
    /// Opens streams to peers that are connected, has the others dialled, and gives up.
    pub(super) fn advance_streams(&mut self, now: Instant) {
        let links = Ways {
            connections: &self.connections,
            reaching: &self.reaching,
        };
        for output in self.programs.streams.handle_timeout(&links, now) {
            match output {
                Output::Connect(peer) => self.urge(peer, now),
                Output::Open { id, to, on } => {
                    self.swarm.behaviour_mut().streams.open(id, to, on);
                }
            }
        }
    }

    pub(super) fn on_stream(&mut self, event: Event, now: Instant) {
        match event {
            Event::Opened(id, Ok(stream)) => {
                let connections = &self.connections;
                let path = |on| connections.path(on);
                self.programs.streams.opened(id, stream, path, now);
            }
            Event::Opened(id, Err(why)) => self.programs.streams.not_opened(id, why, now),
            Event::Came {
                peer,
                connection,
                stream,
            } => {
                let Some(path) = self.connections.path(connection) else {
                    return;
                };
                let is_known = self.rooms.have_member(&peer);
                match self.programs.streams.admit(peer, connection, is_known) {
                    Admission::Taken(place) => {
                        let raw = Raw {
                            stream,
                            peer,
                            path,
                            place,
                        };
                        platform::spawn(handshake::answer(raw, self.programs.streams.accepted()));
                    }
                    Admission::TurnedAway(permit) => {
                        tracing::debug!(%peer, "too many streams");
                        platform::spawn(async move {
                            handshake::turn_away(stream).await;
                            drop(permit);
                        });
                    }
                    Admission::Reset => {}
                }
            }
        }
    }
}
