//! libp2p's relay, which must not be told that a peer is gone while it is there.
//!
//! libp2p-relay 0.22 forgets a connection when its reservation ends, and with the last connection it
//! forgets the peer. A renewal that was accepted before and whose answer is still under way then makes it
//! panic in the event loop (`valid connection`): a client that doesn't read its answer can choose the
//! moment, and any client can meet it by chance. See `docs/upstream/libp2p-relay.md`.
//!
//! Here each peer has one connection more in the relay's books, as long as it has any: one that never
//! had a reservation, so that the peer is never forgotten too early.

use std::{
    ops::{Deref, DerefMut},
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    relay,
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm, behaviour::ConnectionEstablished,
    },
};

/// The connection that every peer has besides. The swarm counts up from one.
const HELD: usize = usize::MAX;

/// libp2p's relay, to be used like it.
pub struct RelayServer {
    inner: relay::Behaviour,
    held: ConnectionId,
    /// Ends of connections that there never were, which the relay is going to report.
    surplus: usize,
}

impl RelayServer {
    /// Wraps a relay.
    #[must_use]
    pub fn new(inner: relay::Behaviour) -> Self {
        Self {
            inner,
            held: ConnectionId::new_unchecked(HELD),
            surplus: 0,
        }
    }
}

impl std::fmt::Debug for RelayServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RelayServer").finish_non_exhaustive()
    }
}

impl Deref for RelayServer {
    type Target = relay::Behaviour;

    fn deref(&self) -> &relay::Behaviour {
        &self.inner
    }
}

impl DerefMut for RelayServer {
    fn deref_mut(&mut self) -> &mut relay::Behaviour {
        &mut self.inner
    }
}

impl NetworkBehaviour for RelayServer {
    type ConnectionHandler = THandler<relay::Behaviour>;
    type ToSwarm = relay::Event;

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
        if let FromSwarm::ConnectionEstablished(event) = event
            && event.other_established == 0
        {
            let held = ConnectionEstablished {
                connection_id: self.held,
                ..event
            };
            self.inner
                .on_swarm_event(FromSwarm::ConnectionEstablished(held));
        }
        self.inner.on_swarm_event(event);
        if let FromSwarm::ConnectionClosed(event) = event
            && event.remaining_established == 0
        {
            let held = ConnectionClosed {
                connection_id: self.held,
                ..event
            };
            self.inner.on_swarm_event(FromSwarm::ConnectionClosed(held));
            self.surplus += 1;
        }
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
        loop {
            match self.inner.poll(cx) {
                // One like the other.
                Poll::Ready(ToSwarm::GenerateEvent(relay::Event::ReservationClosed { .. }))
                    if self.surplus > 0 =>
                {
                    self.surplus -= 1;
                }
                other => return other,
            }
        }
    }
}
