//! Streams of programs' own: on which connection one is opened, and whether one that somebody opens has a place. A pure
//! machine but for what it hands on.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use libp2p::{PeerId, Stream, swarm::ConnectionId};
use moim_protocol::limits::{STREAM_CONNECT_TIME, STREAMS_REFUSED_MAX};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use web_time::Instant;

use crate::{
    command::Reply,
    error::OpenError,
    reason::Unreached,
    snapshot::Path,
    streams::{
        Accepted, Raw,
        behaviour::{NotOpened, OpenId},
        places::{Place, Places},
    },
};

/// How often a peer is dialled for a stream's sake.
const URGE_PAUSE: Duration = Duration::from_secs(2);

/// Connections on which it is tried: one may be about to be closed because there is a better one.
const TRIES_MAX: u32 = 3;

/// What the machine asks of the rest of the driver.
pub(super) trait Links {
    /// The best connection to a peer.
    fn best(&self, peer: &PeerId) -> Option<ConnectionId>;
    /// Whether a peer is being dialled.
    fn is_dialling(&self, peer: &PeerId) -> bool;
    /// What the last dial failed with.
    fn last_error(&self, peer: &PeerId) -> Option<Unreached>;
}

/// What the machine wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Dial this peer.
    Connect(PeerId),
    /// Open a stream on this connection. [`Streams::opened`] or [`Streams::not_opened`] follows.
    Open {
        id: OpenId,
        to: PeerId,
        on: ConnectionId,
    },
}

/// What becomes of a stream that somebody opens.
#[derive(Debug)]
pub(super) enum Admission {
    /// It has a place.
    Taken(Place),
    /// There is none, and it is told so.
    TurnedAway(OwnedSemaphorePermit),
    /// As many are being told so as may be: it is reset.
    Reset,
}

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

    /// Takes the wish for a stream to a peer.
    pub(super) fn open(&mut self, to: PeerId, reply: Reply<Result<Raw, OpenError>>, now: Instant) {
        // Whom this program calls is known to it.
        let Some(place) = self.ours.take(to, true) else {
            // Nobody may be waiting any more; here and below.
            let _ = reply.send(Err(OpenError::Busy));
            return;
        };
        let id = OpenId(self.next);
        self.next = self.next.wrapping_add(1);
        let opening = Opening {
            to,
            reply,
            place,
            deadline: now + STREAM_CONNECT_TIME,
            next_urge: now,
            tries: 0,
            on: None,
        };
        self.opening.insert(id, opening);
    }

    /// Opens streams to peers that are connected, has the others dialled, and gives up.
    pub(super) fn handle_timeout(&mut self, links: &impl Links, now: Instant) -> Vec<Output> {
        self.opening.retain(|_, opening| !opening.reply.is_closed());
        let is_over = |_: &OpenId, opening: &mut Opening| now >= opening.deadline;
        for (_, Opening { to, reply, on, .. }) in self.opening.extract_if(.., is_over) {
            let why = links.last_error(&to).unwrap_or(Unreached::Unknown);
            let _ = reply.send(Err(match on {
                Some(_) => OpenError::Broken,
                None => OpenError::NotConnected(why),
            }));
        }
        let mut outputs = Vec::new();
        for (id, opening) in &mut self.opening {
            if opening.on.is_some() {
                continue;
            }
            let to = opening.to;
            if let Some(on) = links.best(&to) {
                opening.on = Some(on);
                outputs.push(Output::Open { id: *id, to, on });
            } else if now >= opening.next_urge {
                opening.next_urge = now + URGE_PAUSE;
                if !links.is_dialling(&to) {
                    outputs.push(Output::Connect(to));
                }
            }
        }
        outputs
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let waiting = self.opening.values();
        waiting
            .map(|opening| match opening.on {
                Some(_) => opening.deadline,
                None => opening.deadline.min(opening.next_urge),
            })
            .min()
    }

    /// A stream is open. `path` finds the way that its connection takes, if that is open still.
    pub(super) fn opened(
        &mut self,
        id: OpenId,
        stream: Stream,
        path: impl FnOnce(ConnectionId) -> Option<Path>,
        now: Instant,
    ) {
        let Some(on) = self.opening.get(&id).and_then(|opening| opening.on) else {
            return;
        };
        let Some(path) = path(on) else {
            self.not_opened(id, NotOpened::Broken, now);
            return;
        };
        if let Some(opening) = self.opening.remove(&id) {
            // If nobody waits any more the stream is reset.
            let _ = opening.reply.send(Ok(Raw {
                stream,
                peer: opening.to,
                path,
                place: opening.place.on(on),
            }));
        }
    }

    /// A stream was not opened. It is tried again, unless the other side does not speak the protocol.
    pub(super) fn not_opened(&mut self, id: OpenId, why: NotOpened, now: Instant) {
        let Some(mut opening) = self.opening.remove(&id) else {
            return;
        };
        let error = match why {
            NotOpened::Unsupported => OpenError::Unsupported,
            NotOpened::Broken => {
                opening.on = None;
                opening.tries += 1;
                if opening.tries < TRIES_MAX {
                    opening.next_urge = now;
                    self.opening.insert(id, opening);
                    return;
                }
                OpenError::Broken
            }
        };
        let _ = opening.reply.send(Err(error));
    }

    /// Whether a stream that somebody has opened on a connection has a place.
    pub(super) fn admit(
        &self,
        peer: PeerId,
        connection: ConnectionId,
        is_known: bool,
    ) -> Admission {
        if let Some(place) = self.theirs.take(peer, is_known) {
            return Admission::Taken(place.on(connection));
        }
        match Arc::clone(&self.refusing).try_acquire_owned() {
            Ok(permit) => Admission::TurnedAway(permit),
            Err(_) => Admission::Reset,
        }
    }

    /// Where streams go that others have opened.
    pub(super) fn accepted(&self) -> Accepted {
        self.accepted.clone()
    }

    /// Whether a connection is needed for a stream that is on it.
    pub(super) fn are_on(&self, connection: ConnectionId) -> bool {
        self.ours.are_on(connection) || self.theirs.are_on(connection)
    }

    /// Whether a peer's connections are.
    pub(super) fn are_with(&self, peer: &PeerId) -> bool {
        self.ours.are_taken_by(peer) || self.theirs.are_taken_by(peer)
    }

    /// The connections are gone with the swarm.
    pub(super) fn restarted(&mut self) {
        for opening in self.opening.values_mut() {
            opening.on = None;
        }
    }
}

#[cfg(test)]
mod tests;
