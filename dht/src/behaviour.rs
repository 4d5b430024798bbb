//! kad with a cure for some of its ailments, and with a store that can be written down.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt,
    future::Future as _,
    ops::{Deref, DerefMut},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_timer::Delay;
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    kad,
    swarm::{
        CloseConnection, ConnectionClosed, ConnectionDenied, ConnectionId, DialFailure, FromSwarm,
        NetworkBehaviour, NotifyHandler, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        behaviour::ConnectionEstablished,
    },
};
use moim_protocol::{address::is_dialled, rate::Source, shares::Origin};
use web_time::Instant;

pub use self::handler::{Handler, ToHandler};
pub(crate) use self::whence::source_of;
use self::{
    answers::{answer_bytes, surcharge_of},
    asking::{go_on_without, may_ask},
    handler::{KadIn, KadOut},
    silence::Silence,
    whence::whence,
    writing::Writing,
};
use crate::{
    config,
    journal::{Change, Journal},
    pacing::Pacing,
    requests::{REQUESTS_PER_PEER, REQUESTS_PER_SOURCE, Requests},
    store::{Sender, Store, StoreLimits},
};

mod answers;
mod asking;
mod handler;
mod questions;
mod silence;
mod whence;
mod writing;

/// Providers that are remembered as such, most of a large topic's twice over.
const PROVIDERS_MAX: usize = 2048;

/// Addresses that one dial takes from what others say of a peer. An honest one has a few for each transport.
const ADDRESSES_MAX: usize = 16;

/// [`kad::Behaviour`] over a [`Store`] with the settings of [`config()`], to be used like it.
///
/// It differs in some things. kad takes the providers that an answer names for servers, and dials
/// every one of them to ask it too: in a room of hundreds of peers most handshakes would come of
/// looking for its members. Here a provider that is not in the routing table is not dialled for a
/// query.
///
/// And kad leaves whoever put a record that its store refuses waiting, and the stream open, which
/// counts: after 32 of them it takes no request on that connection any more. Here that stream ends at once
/// ([`Handler`]).
///
/// And kad answers whoever asks, as fast as it is asked. Here a connection is closed whose peer asks for
/// more than [`REQUESTS_PER_PEER`], of which long answers take more than one, or is one of many
/// behind one address that together do.
///
/// And kad acknowledges a record, without keeping it, that names the server itself as its publisher. Here
/// nothing counts of a record but its key and its value.
///
/// And kad's queries wait for a server that hangs until its request times out. Here they go on without one that
/// keeps silent while others answer, and ask it again when it has answered or its request has timed out.
///
/// And kad's store isn't told who puts what, which is what this one goes by when it is full.
///
/// With a [`Journal`] ([`Behaviour::durable`]) a record is acknowledged when it is written down.
pub struct Behaviour {
    kad: kad::Behaviour<Store>,
    writing: Option<Writing<Answer>>,
    requests: Requests,
    connections: HashMap<ConnectionId, Connection>,
    /// Connections whose last record was taken, which has yet to be told.
    taken: VecDeque<(PeerId, ConnectionId)>,
    /// Requests that were too many.
    over_rate: u64,
    /// Servers that were asked something and have not answered.
    silence: Silence,
    /// When to look at them again.
    timer: Delay,
    wakes_at: Option<Instant>,
    /// How much each server was asked.
    pacing: Pacing,
    /// Connections to close.
    closing: VecDeque<(PeerId, ConnectionId)>,
    /// Peers that were named as providers, the oldest first.
    providers: VecDeque<PeerId>,
}

type Answer = ToSwarm<kad::Event, ToHandler>;

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
struct Connection {
    origin: Origin,
    /// The network that its requests are counted for.
    source: Option<Source>,
}

impl Behaviour {
    /// The DHT of the peer `local`. Clients and servers are made alike, see
    /// [`set_mode`](kad::Behaviour::set_mode). `seed` should differ from peer to peer.
    ///
    /// Its store is in memory.
    #[must_use]
    pub fn new(local: PeerId, seed: u64) -> Self {
        Self::with_store(local, Store::new(local, seed, StoreLimits::default()), None)
    }

    /// The same with a store that is written to a journal. `rows` are those it has from before.
    ///
    /// # Errors
    ///
    /// The first of `rows`.
    pub fn durable<E>(
        local: PeerId,
        seed: u64,
        limits: StoreLimits,
        rows: impl IntoIterator<Item = Result<Change, E>>,
        journal: impl Journal,
    ) -> Result<Self, E> {
        let mut store = Store::new(local, seed, limits);
        store.restore(rows)?;
        let writing = Writing::new(Box::new(journal));
        Ok(Self::with_store(local, store, Some(writing)))
    }

    fn with_store(local: PeerId, store: Store, writing: Option<Writing<Answer>>) -> Self {
        Self {
            kad: kad::Behaviour::with_config(local, store, config()),
            writing,
            requests: Requests::new(REQUESTS_PER_PEER, REQUESTS_PER_SOURCE),
            connections: HashMap::new(),
            taken: VecDeque::new(),
            over_rate: 0,
            silence: Silence::default(),
            timer: Delay::new(Duration::ZERO),
            wakes_at: None,
            pacing: Pacing::default(),
            closing: VecDeque::new(),
            providers: VecDeque::new(),
        }
    }

    /// Whether values are refused because they can't be written down.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.writing.as_ref().is_some_and(Writing::is_stuck)
    }

    /// Whether there is something that is not written down yet.
    pub fn is_unwritten(&mut self) -> bool {
        let has_changes = self.kad.store_mut().has_changes();
        self.writing
            .as_ref()
            .is_some_and(|writing| writing.is_busy() || has_changes)
    }

    fn on_providers(&mut self, providers: &HashSet<PeerId>) {
        for provider in providers {
            if !self.providers.contains(provider) {
                self.providers.push_back(*provider);
            }
        }
        let excess = self.providers.len().saturating_sub(PROVIDERS_MAX);
        self.providers.drain(..excess);
    }

    fn is_server(&mut self, peer: PeerId) -> bool {
        self.kad.kbucket(peer).is_some_and(|bucket| {
            bucket
                .iter()
                .any(|entry| *entry.node.key.preimage() == peer)
        })
    }

    /// The addresses of a peer that the routing table and the queries under way know. What a query
    /// brought is gone with it.
    pub fn addresses_of(&mut self, peer: PeerId) -> Vec<Multiaddr> {
        // kad tells them only to whoever is about to dial; the id of the dial is of no matter to it.
        self.kad
            .handle_pending_outbound_connection(
                ConnectionId::new_unchecked(0),
                Some(peer),
                &[],
                Endpoint::Dialer,
            )
            .unwrap_or_default()
    }

    /// Requests that were too many of a peer, or of all behind its address, so that the connection was
    /// closed; there may be some of one connection until it is.
    #[must_use]
    pub fn over_rate_total(&self) -> u64 {
        self.over_rate
    }

    /// Counts a request of this peer; closes the connection that is one too many.
    fn on_request(&mut self, peer: PeerId, connection: ConnectionId) {
        let source = self.connections.get(&connection).and_then(|it| it.source);
        if !self.requests.allows(peer, source, Instant::now()) {
            self.on_over_rate(peer);
            self.closing.push_back((peer, connection));
        }
    }

    /// Counts what goes out to this peer. Whether it may, or is too much, so that the connection has to be closed.
    fn may_answer(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        answer: &KadIn,
        now: Instant,
    ) -> bool {
        let source = self.connections.get(&connection).and_then(|it| it.source);
        let bytes = answer_bytes(answer);
        let may = self.requests.allows_answer(bytes, peer, source, now);
        if !may {
            self.on_over_rate(peer);
        }
        may
    }

    fn on_over_rate(&mut self, peer: PeerId) {
        tracing::debug!(%peer, "asks too fast, closing the connection");
        self.over_rate = self.over_rate.saturating_add(1);
    }
}

impl fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Behaviour")
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

impl Deref for Behaviour {
    type Target = kad::Behaviour<Store>;

    fn deref(&self) -> &Self::Target {
        &self.kad
    }
}

impl DerefMut for Behaviour {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.kad
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = kad::Event;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local_addr: &Multiaddr,
        remote_addr: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.kad
            .handle_pending_inbound_connection(connection, local_addr, remote_addr)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local_addr: &Multiaddr,
        remote_addr: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.kad
            .handle_established_inbound_connection(connection, peer, local_addr, remote_addr)
            .map(Handler::new)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        effective_role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        let known = self.kad.handle_pending_outbound_connection(
            connection,
            peer,
            addresses,
            effective_role,
        );
        // Anybody's word: of the addresses that answers name, kad keeps all.
        let dialled = known?.into_iter().filter(is_dialled);
        Ok(dialled.take(ADDRESSES_MAX).collect())
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role_override: Endpoint,
        port_use: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.kad
            .handle_established_outbound_connection(
                connection,
                peer,
                address,
                role_override,
                port_use,
            )
            .map(Handler::new)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match &event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            }) => {
                let whence = whence(endpoint);
                let store = self.kad.store_mut();
                let origin = store.origin(whence, peer_id);
                store.on_connected(origin);
                let source = source_of(endpoint);
                let connection = Connection { origin, source };
                self.connections.insert(*connection_id, connection);
                self.silence.connected(*peer_id, Instant::now());
            }
            FromSwarm::DialFailure(DialFailure {
                peer_id: Some(peer),
                ..
            }) => self.silence.dial_failed(peer),
            FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id,
                connection_id,
                ..
            }) => {
                // What was asked on it is lost. Where there is another connection, kad would wait for it.
                if self.silence.closed(peer_id) {
                    go_on_without(&mut self.kad, *peer_id);
                }
                if let Some(writing) = &mut self.writing {
                    writing.on_closed(*connection_id);
                }
                if let Some(connection) = self.connections.remove(connection_id) {
                    self.kad.store_mut().on_disconnected(connection.origin);
                }
            }
            _ => {}
        }
        self.kad.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        mut event: THandlerOutEvent<Self>,
    ) {
        let mut is_record = false;
        match &mut event {
            KadOut::PutRecord { record, .. } => {
                self.on_request(peer, connection);
                // kad would believe these.
                (record.publisher, record.expires) = (None, None);
                is_record = true;
            }
            KadOut::AddProvider { .. }
            | KadOut::FindNodeReq { .. }
            | KadOut::GetProvidersReq { .. }
            | KadOut::GetRecord { .. } => self.on_request(peer, connection),
            KadOut::FindNodeRes { .. }
            | KadOut::GetProvidersRes { .. }
            | KadOut::GetRecordRes { .. }
            | KadOut::PutRecordRes { .. } => {
                let now = Instant::now();
                self.pacing.charged(peer, surcharge_of(&event), now);
                self.silence.answered(&peer, now);
            }
            KadOut::QueryError { .. } => self.silence.failed(&peer),
            _ => {}
        }
        let origin = self.connections.get(&connection).map(|it| it.origin);
        let store = self.kad.store_mut();
        store.set_sender(origin.map(|origin| Sender { peer, origin }));
        let accepted = store.accepted_records();
        self.kad
            .on_connection_handler_event(peer, connection, event);
        let store = self.kad.store_mut();
        store.set_sender(None);
        if is_record && store.accepted_records() != accepted {
            self.taken.push_back((peer, connection));
            if let Some(writing) = &mut self.writing {
                writing.on_accepted(peer, connection, store);
            }
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some(writing) = &mut self.writing
            && let Some(answer) = writing.poll(self.kad.store_mut(), &mut self.closing, cx)
        {
            return Poll::Ready(answer);
        }
        // What follows was found in `on_connection_handler_event`, after which the swarm polls: nobody
        // has to be woken.
        if let Some((peer_id, connection)) = self.taken.pop_front() {
            return Poll::Ready(ToSwarm::NotifyHandler {
                peer_id,
                handler: NotifyHandler::One(connection),
                event: ToHandler::Taken,
            });
        }
        if let Some((peer_id, connection)) = self.closing.pop_front() {
            let connection = CloseConnection::One(connection);
            return Poll::Ready(ToSwarm::CloseConnection {
                peer_id,
                connection,
            });
        }
        loop {
            let now = Instant::now();
            while let Some(peer) = self.silence.overdue(now) {
                tracing::debug!(%peer, "keeps silent, queries go on without it");
                go_on_without(&mut self.kad, peer);
            }
            match self.kad.poll(cx) {
                Poll::Ready(ToSwarm::Dial { opts }) if let Some(peer) = opts.get_peer_id() => {
                    if !self.providers.contains(&peer) || self.is_server(peer) {
                        self.silence.dialling(peer, now);
                        return Poll::Ready(ToSwarm::Dial { opts });
                    }
                    go_on_without(&mut self.kad, peer);
                }
                // A question; answers go where they were asked.
                Poll::Ready(ToSwarm::NotifyHandler {
                    peer_id,
                    handler: NotifyHandler::Any,
                    event,
                }) => {
                    if may_ask(&mut self.silence, &mut self.pacing, peer_id, &event, now) {
                        return Poll::Ready(ToSwarm::NotifyHandler {
                            peer_id,
                            handler: NotifyHandler::Any,
                            event: ToHandler::Kad(event),
                        });
                    }
                    go_on_without(&mut self.kad, peer_id);
                }
                Poll::Ready(ToSwarm::GenerateEvent(event)) => {
                    if let kad::Event::OutboundQueryProgressed {
                        result:
                            kad::QueryResult::GetProviders(Ok(kad::GetProvidersOk::FoundProviders {
                                providers,
                                ..
                            })),
                        ..
                    } = &event
                    {
                        self.on_providers(providers);
                    }
                    return Poll::Ready(ToSwarm::GenerateEvent(event));
                }
                Poll::Ready(ToSwarm::NotifyHandler {
                    peer_id,
                    handler: NotifyHandler::One(connection),
                    event,
                }) if !self.may_answer(peer_id, connection, &event, now) => {
                    let connection = CloseConnection::One(connection);
                    return Poll::Ready(ToSwarm::CloseConnection {
                        peer_id,
                        connection,
                    });
                }
                Poll::Ready(ToSwarm::NotifyHandler {
                    peer_id,
                    handler: NotifyHandler::One(connection),
                    event: event @ KadIn::PutRecordRes { .. },
                }) if let Some(writing) = &mut self.writing => {
                    let answer = ToSwarm::NotifyHandler {
                        peer_id,
                        handler: NotifyHandler::One(connection),
                        event: ToHandler::Kad(event),
                    };
                    if let Some(answer) = writing.hold(connection, answer) {
                        return Poll::Ready(answer);
                    }
                }
                Poll::Pending => {
                    let Some(deadline) = self.silence.poll_timeout() else {
                        return Poll::Pending;
                    };
                    // Woken too early it is set again. To set it anew with every answer would wake the timers'
                    // thread each time.
                    if self.wakes_at.is_none_or(|at| at > deadline) {
                        self.timer.reset(deadline.saturating_duration_since(now));
                        self.wakes_at = Some(deadline);
                    }
                    if Pin::new(&mut self.timer).poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    self.wakes_at = None;
                }
                other => return other.map(|event| event.map_in(ToHandler::Kad)),
            }
        }
    }
}
