//! identify, which says who serves the DHT, within bounds.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    ops::{Deref, DerefMut},
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    identify,
    swarm::{
        CloseConnection, ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm,
        NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        behaviour::ConnectionEstablished,
    },
};
use moim_protocol::rate::{Rate, Source};
use web_time::Instant;

use crate::{behaviour::source_of, requests::Requests};

/// Introductions of one peer, those that it is given and those that it gives. A connection takes one each way, and one
/// more whenever addresses change.
pub const INTRODUCTIONS_PER_PEER: Rate = Rate {
    per_second: 4,
    burst: 128,
};

/// Introductions of all peers behind one address: some hundred that connect all the time.
pub const INTRODUCTIONS_PER_SOURCE: Rate = Rate {
    per_second: 400,
    burst: 8_000,
};

/// [`identify::Behaviour`], to be used like it.
///
/// It answers whoever asks, and reads whatever is pushed, as fast as that comes, ten at one time; and an answer is larger
/// than its question. Here a connection is closed whose peer has more introductions than [`INTRODUCTIONS_PER_PEER`], or
/// is one of many behind one address that together have more than [`INTRODUCTIONS_PER_SOURCE`].
pub struct Introductions {
    inner: identify::Behaviour,
    requests: Requests,
    /// Where each connection comes from, if it is counted with others.
    sources: HashMap<ConnectionId, Option<Source>>,
    over_rate: u64,
    /// Connections to close.
    closing: VecDeque<(PeerId, ConnectionId)>,
}

impl Introductions {
    /// Introduces this peer as `config` says.
    #[must_use]
    pub fn new(config: identify::Config) -> Self {
        Self {
            inner: identify::Behaviour::new(config),
            requests: Requests::new(INTRODUCTIONS_PER_PEER, INTRODUCTIONS_PER_SOURCE),
            sources: HashMap::new(),
            over_rate: 0,
            closing: VecDeque::new(),
        }
    }

    /// Introductions that were too many of a peer, or of all behind its address, so that the connection was closed;
    /// there may be some of one connection until it is.
    #[must_use]
    pub fn over_rate_total(&self) -> u64 {
        self.over_rate
    }

    fn count(&mut self, event: &identify::Event) {
        use identify::Event::{Error, Pushed, Received, Sent};
        let peer = match event {
            Sent { peer_id, .. } | Received { peer_id, .. } | Error { peer_id, .. } => *peer_id,
            // Nobody asked for it.
            Pushed { .. } => return,
        };
        let connection = event.connection_id();
        let source = self.sources.get(&connection).copied().flatten();
        if !self.requests.allows(peer, source, Instant::now()) {
            tracing::debug!(%peer, "too many introductions, closing the connection");
            self.over_rate = self.over_rate.saturating_add(1);
            self.closing.push_back((peer, connection));
        }
    }
}

impl fmt::Debug for Introductions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introductions")
            .field("connections", &self.sources.len())
            .finish_non_exhaustive()
    }
}

impl Deref for Introductions {
    type Target = identify::Behaviour;

    fn deref(&self) -> &identify::Behaviour {
        &self.inner
    }
}

impl DerefMut for Introductions {
    fn deref_mut(&mut self) -> &mut identify::Behaviour {
        &mut self.inner
    }
}

impl NetworkBehaviour for Introductions {
    type ConnectionHandler = THandler<identify::Behaviour>;
    type ToSwarm = identify::Event;

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner
            .handle_established_inbound_connection(id, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner
            .handle_pending_outbound_connection(id, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port_use: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner
            .handle_established_outbound_connection(id, peer, address, role, port_use)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match &event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                connection_id,
                endpoint,
                ..
            }) => {
                self.sources.insert(*connection_id, source_of(endpoint));
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. }) => {
                self.sources.remove(connection_id);
            }
            _ => {}
        }
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.inner.on_connection_handler_event(peer, id, event);
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        // An event was found to be too many below, after which the swarm polls: nobody has to be woken.
        if let Some((peer_id, connection)) = self.closing.pop_front() {
            return Poll::Ready(ToSwarm::CloseConnection {
                peer_id,
                connection: CloseConnection::One(connection),
            });
        }
        let action = self.inner.poll(cx);
        if let Poll::Ready(ToSwarm::GenerateEvent(event)) = &action {
            self.count(event);
        }
        action
    }
}
