//! kad with a cure for three of its ailments, and with a store that can be written down.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt,
    ops::{Deref, DerefMut},
    task::{Context, Poll, Waker},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    kad,
    swarm::{
        CloseConnection, ConnectionClosed, ConnectionDenied, ConnectionId, DialError, DialFailure,
        FromSwarm, NetworkBehaviour, NotifyHandler, THandler, THandlerInEvent, THandlerOutEvent,
        ToSwarm, behaviour::ConnectionEstablished,
    },
};
use moim_protocol::rate::Source;
use web_time::Instant;

use self::writing::Writing;
use crate::{
    addresses::first_ip,
    config,
    journal::{Change, Journal},
    requests::Requests,
    store::{Store, StoreLimits},
};

mod writing;

/// Refused records after which a connection is closed. kad 0.49 takes 32 streams from a connection
/// at one time, and each refused record takes one of them for good; what is left is for requests
/// under way.
pub const REFUSED_PER_CONNECTION_MAX: u32 = 24;

/// Providers that are remembered as such, most of a large topic's twice over.
const PROVIDERS_MAX: usize = 2048;

/// [`kad::Behaviour`] over a [`Store`] with the settings of [`config()`], to be used like it.
///
/// It differs in three things. kad takes the providers that an answer names for servers, and dials
/// every one of them to ask it too: in a room of hundreds of peers most handshakes would come of
/// looking for its members. Here a provider that is not in the routing table is not dialled for a
/// query.
///
/// And kad resets the stream of a record that its store refuses, but never
/// polls that stream again, so that it stays open and counts. After 32 of them kad takes no request
/// on that connection any more, and a peer with a wrong clock, whose every presence is refused,
/// would be shut out of the DHT while it stays connected. Here its connection is closed before
/// that; the next one starts anew.
///
/// And kad answers whoever asks, as fast as it is asked. Here a connection is closed whose peer asks for
/// more than [`REQUESTS_PER_PEER`](crate::REQUESTS_PER_PEER), or is one of many behind one address
/// that together do.
///
/// With a [`Journal`] ([`Behaviour::durable`]) a record is acknowledged when it is written down.
/// What follows on the same connection waits with it.
pub struct Behaviour {
    kad: kad::Behaviour<Store>,
    writing: Option<Writing<Said>>,
    /// Records refused on each connection that had one refused.
    refused: HashMap<ConnectionId, u32>,
    requests: Requests,
    /// Where each connection comes from.
    sources: HashMap<ConnectionId, Source>,
    /// Requests of peers that asked too fast, each of which cost a connection.
    over_rate: u64,
    /// What kad said before it was polled.
    said: VecDeque<Said>,
    /// Connections to close.
    closing: VecDeque<(PeerId, ConnectionId)>,
    /// Peers that were named as providers, the oldest first.
    providers: VecDeque<PeerId>,
}

type Said = ToSwarm<kad::Event, THandlerInEvent<kad::Behaviour<Store>>>;

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

    fn with_store(local: PeerId, store: Store, writing: Option<Writing<Said>>) -> Self {
        Self {
            kad: kad::Behaviour::with_config(local, store, config()),
            writing,
            refused: HashMap::new(),
            requests: Requests::new(),
            sources: HashMap::new(),
            over_rate: 0,
            said: VecDeque::new(),
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

    /// How often a connection was closed because its peer, or all behind its address, asked too fast.
    #[must_use]
    pub fn over_rate_total(&self) -> u64 {
        self.over_rate
    }

    /// Counts the requests that came with the last event of a connection.
    ///
    /// kad tells of every request it has taken, but not whose it was, and its handler's events have
    /// no public type. It tells at once, though: what it has to say after that event and had not
    /// before is about that connection. The swarm polls after every event of a connection, so no waker
    /// is lost here.
    fn count_requests(&mut self, peer: PeerId, connection: ConnectionId, refused: u64) {
        let mut asked = refused;
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(said) = self.poll_kad(&mut cx) {
            let is_request = matches!(
                said,
                ToSwarm::GenerateEvent(kad::Event::InboundRequest { .. })
            );
            asked = asked.saturating_add(is_request.into());
            self.said.push_back(said);
        }
        let source = self.sources.get(&connection).copied();
        for _ in 0..asked {
            if !self.requests.allows(peer, source, Instant::now()) {
                tracing::debug!(%peer, "asks too fast, closing the connection");
                self.over_rate = self.over_rate.saturating_add(1);
                self.closing.push_back((peer, connection));
                return;
            }
        }
    }

    /// What kad has to say, without the dials that are not wanted.
    fn poll_kad(&mut self, cx: &mut Context<'_>) -> Poll<Said> {
        loop {
            match self.kad.poll(cx) {
                Poll::Ready(ToSwarm::Dial { opts })
                    if let Some(peer) = opts.get_peer_id()
                        && self.providers.contains(&peer)
                        && !self.is_server(peer) =>
                {
                    // The queries go on without it.
                    self.kad.on_swarm_event(FromSwarm::DialFailure(DialFailure {
                        peer_id: Some(peer),
                        error: &DialError::Aborted,
                        connection_id: opts.connection_id(),
                    }));
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
                Poll::Ready(
                    event @ ToSwarm::NotifyHandler {
                        handler: NotifyHandler::One(connection),
                        ..
                    },
                ) if let Some(writing) = &mut self.writing => {
                    if let Some(event) = writing.hold(connection, event) {
                        return Poll::Ready(event);
                    }
                }
                other => return other,
            }
        }
    }

    fn on_refused(&mut self, peer: PeerId, connection: ConnectionId) {
        let refused = self.refused.entry(connection).or_default();
        *refused = refused.saturating_add(1);
        if *refused == REFUSED_PER_CONNECTION_MAX {
            tracing::debug!(%peer, "many records refused, closing the connection");
            self.closing.push_back((peer, connection));
        }
    }
}

impl fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Behaviour")
            .field("refused", &self.refused)
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
    type ConnectionHandler = <kad::Behaviour<Store> as NetworkBehaviour>::ConnectionHandler;
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
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        effective_role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.kad
            .handle_pending_outbound_connection(connection, peer, addresses, effective_role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role_override: Endpoint,
        port_use: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.kad.handle_established_outbound_connection(
            connection,
            peer,
            address,
            role_override,
            port_use,
        )
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. }) = &event {
            self.refused.remove(connection_id);
            if let Some(writing) = &mut self.writing {
                writing.on_closed(*connection_id);
            }
            self.sources.remove(connection_id);
        }
        if let FromSwarm::ConnectionEstablished(ConnectionEstablished {
            connection_id,
            endpoint,
            ..
        }) = &event
            && let Some(ip) = first_ip(endpoint.get_remote_address())
        {
            self.sources.insert(*connection_id, ip.into());
        }
        self.kad.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        let store = self.kad.store_mut();
        let (refused, accepted) = (store.refused(), store.accepted_records());
        self.kad
            .on_connection_handler_event(peer, connection, event);
        let store = self.kad.store_mut();
        let is_accepted = store.accepted_records() != accepted;
        if let Some(writing) = self.writing.as_mut().filter(|_| is_accepted) {
            writing.on_accepted(peer, connection, store);
        }
        let after = store.refused();
        if after.records != refused.records {
            self.on_refused(peer, connection);
        }
        // kad doesn't tell of these as of other requests.
        let refused = after.total().saturating_sub(refused.total());
        self.count_requests(peer, connection, refused);
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
        // What else is to be closed was found in `on_connection_handler_event`, after which the
        // swarm polls: nobody has to be woken.
        if let Some((peer_id, connection)) = self.closing.pop_front() {
            let connection = CloseConnection::One(connection);
            return Poll::Ready(ToSwarm::CloseConnection {
                peer_id,
                connection,
            });
        }
        match self.said.pop_front() {
            Some(said) => Poll::Ready(said),
            None => self.poll_kad(cx),
        }
    }
}
