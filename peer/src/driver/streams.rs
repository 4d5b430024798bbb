//! Streams of programs' own: on which connection one is opened, and whether one that somebody opens has a place.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use libp2p::{PeerId, Stream, swarm::ConnectionId};
use moim_protocol::limits::{STREAM_CONNECT_TIME, STREAMS_REFUSED_MAX};
use tokio::sync::Semaphore;
use web_time::Instant;

use super::Driver;
use crate::{
    command::Reply,
    error::OpenError,
    platform,
    reason::Unreached,
    streams::{
        Accepted, Raw,
        behaviour::{Event, NotOpened, OpenId},
        handshake,
        places::{Place, Places},
    },
};

/// How often a peer is dialled for a stream's sake.
const URGE_PAUSE: Duration = Duration::from_secs(2);

/// Connections on which it is tried: one may be about to be closed because there is a better one.
const TRIES_MAX: u32 = 3;

/// A stream that waits for a connection, or to be opened on one.
#[derive(Debug)]
struct Opening {
    to: PeerId,
    reply: Reply<Result<Raw, OpenError>>,
    place: Place,
    deadline: Instant,
    next_urge: Instant,
    tries: u32,
    /// Where it is being opened.
    on: Option<ConnectionId>,
}

/// The streams of a peer. What is open goes on when the swarm is replaced, and notices by itself.
#[derive(Debug)]
pub(super) struct Streams {
    /// Places of streams that this peer has opened.
    ours: Places,
    /// Those of streams that others have.
    theirs: Places,
    accepted: Accepted,
    opening: BTreeMap<OpenId, Opening>,
    next: u64,
    refusing: Arc<Semaphore>,
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.accepted.close();
    }
}

impl Streams {
    pub(super) fn new(accepted: Accepted) -> Self {
        Self {
            ours: Places::default(),
            theirs: Places::default(),
            accepted,
            opening: BTreeMap::new(),
            next: 0,
            refusing: Arc::new(Semaphore::new(STREAMS_REFUSED_MAX)),
        }
    }

    /// Whether a connection is needed for a stream that is on it.
    pub(super) fn are_on(&self, connection: ConnectionId) -> bool {
        self.ours.are_on(connection) || self.theirs.are_on(connection)
    }

    /// Whether a peer's connections are.
    pub(super) fn are_with(&self, peer: &PeerId) -> bool {
        self.ours.are_taken_by(peer) || self.theirs.are_taken_by(peer)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let waiting = self.opening.values();
        waiting
            .map(|opening| match opening.on {
                Some(_) => opening.deadline,
                None => opening.deadline.min(opening.next_urge),
            })
            .min()
    }

    /// The connections are gone with the swarm.
    pub(super) fn restarted(&mut self) {
        for opening in self.opening.values_mut() {
            opening.on = None;
        }
    }
}

impl Driver {
    pub(super) fn open_stream(
        &mut self,
        to: PeerId,
        reply: Reply<Result<Raw, OpenError>>,
        now: Instant,
    ) {
        // Whom this program calls is known to it.
        let Some(place) = self.streams.ours.take(to, true) else {
            let _ = reply.send(Err(OpenError::Busy));
            return;
        };
        let id = OpenId(self.streams.next);
        self.streams.next = self.streams.next.wrapping_add(1);
        let opening = Opening {
            to,
            reply,
            place,
            deadline: now + STREAM_CONNECT_TIME,
            next_urge: now,
            tries: 0,
            on: None,
        };
        self.streams.opening.insert(id, opening);
    }

    /// Opens streams to peers that are connected, has the others dialled, and gives up.
    pub(super) fn advance_streams(&mut self, now: Instant) {
        self.streams
            .opening
            .retain(|_, opening| !opening.reply.is_closed());
        let over = |_: &OpenId, opening: &mut Opening| now >= opening.deadline;
        let over: Vec<Opening> = self
            .streams
            .opening
            .extract_if(.., over)
            .map(|(_, opening)| opening)
            .collect();
        for Opening { to, reply, on, .. } in over {
            let why = self.reaching.last_error(&to).unwrap_or(Unreached::Unknown);
            let _ = reply.send(Err(match on {
                Some(_) => OpenError::Broken,
                None => OpenError::NotConnected(why),
            }));
        }
        for (id, opening) in &mut self.streams.opening {
            if opening.on.is_some() {
                continue;
            }
            if let Some(connection) = self.connections.best(&opening.to) {
                opening.on = Some(connection);
                let streams = &mut self.swarm.behaviour_mut().streams;
                streams.open(*id, opening.to, connection);
            } else if now >= opening.next_urge {
                opening.next_urge = now + URGE_PAUSE;
                if !self.reaching.is_dialling(&opening.to) {
                    self.reaching.urge(opening.to, now);
                }
            }
        }
    }

    pub(super) fn on_stream(&mut self, event: Event, now: Instant) {
        match event {
            Event::Opened(id, result) => self.on_opened(id, result, now),
            Event::Came {
                peer,
                connection,
                stream,
            } => self.on_stream_came(peer, connection, stream),
        }
    }

    fn on_opened(&mut self, id: OpenId, result: Result<Stream, NotOpened>, now: Instant) {
        let Some(mut opening) = self.streams.opening.remove(&id) else {
            return;
        };
        let connection = opening.on.take();
        let path = connection.and_then(|connection| self.connections.path(connection));
        let outcome = match (result, connection, path) {
            (Ok(stream), Some(connection), Some(path)) => Ok(Raw {
                stream,
                peer: opening.to,
                path,
                place: opening.place.on(connection),
            }),
            (Err(NotOpened::Unsupported), ..) => Err(OpenError::Unsupported),
            _ => {
                opening.tries += 1;
                if opening.tries < TRIES_MAX {
                    opening.next_urge = now;
                    self.streams.opening.insert(id, opening);
                    return;
                }
                Err(OpenError::Broken)
            }
        };
        // Nobody may be waiting any more: then the stream is reset.
        let _ = opening.reply.send(outcome);
    }

    fn on_stream_came(&self, peer: PeerId, connection: ConnectionId, stream: Stream) {
        let Some(path) = self.connections.path(connection) else {
            return;
        };
        let is_known = self.rooms.have_member(&peer);
        if let Some(place) = self.streams.theirs.take(peer, is_known) {
            let raw = Raw {
                stream,
                peer,
                path,
                place: place.on(connection),
            };
            platform::spawn(handshake::answer(raw, self.streams.accepted.clone()));
        } else if let Ok(permit) = Arc::clone(&self.streams.refusing).try_acquire_owned() {
            tracing::debug!(%peer, "too many streams");
            platform::spawn(async move {
                handshake::turn_away(stream).await;
                drop(permit);
            });
        }
    }
}
