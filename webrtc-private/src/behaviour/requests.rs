//! Dials of the transport that need a stream to signal on: on a connection that is there, or one that
//! is made for it.

use std::{
    collections::HashMap,
    fmt,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    StreamExt as _,
    channel::{mpsc, oneshot},
    future::{self, BoxFuture, Either},
    stream::FuturesUnordered,
};
use futures_timer::Delay;
use libp2p_identity::PeerId;
use libp2p_swarm::{
    ConnectionId, Stream,
    dial_opts::{DialOpts, PeerCondition},
};
use web_time::Instant;

use super::{handler::OpenStream, sessions::Sessions};
use crate::{error::OpenError, transport::DialRequest};

/// Opening a stream on a connection that exists.
const OPEN_MAX: Duration = Duration::from_secs(10);

/// How long a dial that needs a relayed connection first waits for one of somebody else's making. Who
/// dials all addresses of a peer dials the relay's too, gets that connection, and gives this one up.
const NESTED_DIAL_DELAY: Duration = Duration::from_millis(400);

/// What the behaviour has to do.
#[derive(Debug)]
pub(super) enum Action {
    /// Make a relayed connection.
    Dial(DialOpts),
    /// Open a stream on a connection.
    Open {
        peer: PeerId,
        connection: ConnectionId,
        command: OpenStream,
    },
}

/// See the [module](self).
pub(super) struct Requests {
    incoming: mpsc::Receiver<DialRequest>,
    /// Those that wait for a connection that somebody else may make.
    parked: FuturesUnordered<BoxFuture<'static, DialRequest>>,
    /// Those that wait for a relayed connection, by the dial of it.
    waiting: HashMap<ConnectionId, Vec<DialRequest>>,
    opening: FuturesUnordered<BoxFuture<'static, Opening>>,
    /// The requests that those are for.
    open: HashMap<u64, DialRequest>,
    next_open: u64,
}

/// The number of a request, and what became of its stream.
type Opening = (u64, Result<Stream, OpenError>);

impl Requests {
    pub(super) fn new(incoming: mpsc::Receiver<DialRequest>) -> Self {
        Self {
            incoming,
            parked: FuturesUnordered::new(),
            waiting: HashMap::new(),
            opening: FuturesUnordered::new(),
            open: HashMap::new(),
            next_open: 0,
        }
    }

    /// Goes on as far as possible. `connection` names one to signal on with a peer, if there is one.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        sessions: &mut Sessions,
        connection: impl Fn(&PeerId) -> Option<ConnectionId>,
    ) -> Vec<Action> {
        let mut actions = Vec::new();
        while let Poll::Ready(Some(request)) = self.incoming.poll_next_unpin(cx) {
            match connection(&request.peer) {
                Some(connection) => actions.extend(self.open(request, connection, sessions)),
                None => self.parked.push(Box::pin(async move {
                    Delay::new(NESTED_DIAL_DELAY).await;
                    request
                })),
            }
        }
        while let Poll::Ready(Some(request)) = self.parked.poll_next_unpin(cx) {
            if request.reply.is_canceled() {
                continue;
            }
            match connection(&request.peer) {
                Some(connection) => actions.extend(self.open(request, connection, sessions)),
                None => actions.extend(self.dial(request)),
            }
        }
        while let Poll::Ready(Some((number, outcome))) = self.opening.poll_next_unpin(cx) {
            let Some(DialRequest { peer, reply, .. }) = self.open.remove(&number) else {
                continue;
            };
            // The dial may have been given up.
            if !reply.is_canceled() {
                let _ = reply.send(outcome.and_then(|stream| sessions.offer(peer, stream)));
            }
        }
        actions
    }

    /// There is a connection to a peer that can be signalled on, of whoever's making.
    pub(super) fn connected(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        sessions: &mut Sessions,
    ) -> Vec<Action> {
        let mut wanted = Vec::new();
        self.waiting.retain(|_, waiting| {
            let is_theirs = waiting.first().is_some_and(|first| first.peer == peer);
            if is_theirs {
                wanted.append(waiting);
            }
            !is_theirs
        });
        let wanted = wanted.into_iter();
        wanted
            .filter_map(|request| self.open(request, connection, sessions))
            .collect()
    }

    /// A relayed connection is not to be had.
    pub(super) fn dial_failed(&mut self, dial: ConnectionId, reason: impl Fn() -> String) {
        for request in self.waiting.remove(&dial).into_iter().flatten() {
            let _ = request.reply.send(Err(OpenError::Failed(reason())));
        }
    }

    fn dial(&mut self, request: DialRequest) -> Option<Action> {
        let peer = request.peer;
        // One is enough, however many addresses of the peer are dialled at once.
        let under_way = self
            .waiting
            .values_mut()
            .find(|waiting| waiting.first().is_some_and(|first| first.peer == peer));
        if let Some(waiting) = under_way {
            waiting.push(request);
            return None;
        }
        // `Always`, because the dial that this is for counts as a dial of the same peer.
        let dial = DialOpts::peer_id(peer)
            .addresses(vec![request.relayed.clone()])
            .condition(PeerCondition::Always)
            .build();
        self.waiting.insert(dial.connection_id(), vec![request]);
        Some(Action::Dial(dial))
    }

    fn open(
        &mut self,
        request: DialRequest,
        connection: ConnectionId,
        sessions: &mut Sessions,
    ) -> Option<Action> {
        let peer = request.peer;
        self.open.retain(|_, open| !open.reply.is_canceled());
        // Addresses that differ in the relay only lead to the same session.
        let may = match self.open.values().any(|open| open.peer == peer) {
            true => Err(OpenError::UnderWay),
            false => sessions.may_offer(&peer, Instant::now()),
        };
        if let Err(error) = may {
            let _ = request.reply.send(Err(error));
            return None;
        }
        let (reply, opened) = oneshot::channel();
        let number = self.next_open;
        self.next_open = self.next_open.wrapping_add(1);
        self.open.insert(number, request);
        self.opening.push(Box::pin(async move {
            let outcome = match future::select(opened, Delay::new(OPEN_MAX)).await {
                Either::Left((Ok(outcome), _)) => outcome,
                Either::Left((Err(_), _)) => {
                    Err(OpenError::Failed("the connection has closed".to_owned()))
                }
                Either::Right(_) => Err(OpenError::Failed("no answer in time".to_owned())),
            };
            (number, outcome)
        }));
        Some(Action::Open {
            peer,
            connection,
            command: OpenStream(reply),
        })
    }
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests")
            .field("parked", &self.parked.len())
            .field("waiting", &self.waiting)
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}
