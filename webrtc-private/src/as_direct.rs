//! For behaviours that treat relayed connections in a way of their own.

use std::{
    borrow::Cow,
    ops::{Deref, DerefMut},
    task::{Context, Poll},
};

use libp2p_core::{ConnectedPoint, Endpoint, Multiaddr, multiaddr::Protocol, transport::PortUse};
use libp2p_identity::PeerId;
use libp2p_swarm::{
    AddressChange, ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour,
    THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, behaviour::ConnectionEstablished,
};

use crate::address;

/// Shows a behaviour the direct connections of this crate's transport for what they are.
///
/// libp2p's own behaviours take every connection with `/p2p-circuit` in its address for a relayed one,
/// also `…/p2p-circuit/webrtc/p2p/<peer>`. Above all circuit relay v2 does, both the client and the
/// relay: inside this, a peer can have reservations at, be a relay for, and make circuits through those
/// it is connected to directly. The behaviour sees `/webrtc/p2p/<peer>` in place of such an address.
///
/// It does not see external addresses with `/p2p-circuit` in them: a relay hands its own addresses to
/// its clients, and there are no circuits in circuits.
#[derive(Debug)]
pub struct AsDirect<B> {
    inner: B,
}

impl<B> AsDirect<B> {
    /// Wraps a behaviour.
    pub fn new(inner: B) -> Self {
        Self { inner }
    }
}

impl<B> Deref for AsDirect<B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.inner
    }
}

impl<B> DerefMut for AsDirect<B> {
    fn deref_mut(&mut self) -> &mut B {
        &mut self.inner
    }
}

fn shown(address: &Multiaddr) -> Cow<'_, Multiaddr> {
    match address::without_relay(address) {
        Some(bare) => Cow::Owned(bare),
        None => Cow::Borrowed(address),
    }
}

fn shown_point(point: &ConnectedPoint) -> ConnectedPoint {
    match point {
        ConnectedPoint::Dialer {
            address,
            role_override,
            port_use,
        } => ConnectedPoint::Dialer {
            address: shown(address).into_owned(),
            role_override: *role_override,
            port_use: *port_use,
        },
        ConnectedPoint::Listener {
            local_addr,
            send_back_addr,
        } => ConnectedPoint::Listener {
            local_addr: shown(local_addr).into_owned(),
            send_back_addr: shown(send_back_addr).into_owned(),
        },
    }
}

fn has_circuit(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

impl<B: NetworkBehaviour> NetworkBehaviour for AsDirect<B> {
    type ConnectionHandler = B::ConnectionHandler;
    type ToSwarm = B::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.inner
            .handle_pending_inbound_connection(id, &shown(local), &shown(remote))
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner
            .handle_established_inbound_connection(id, peer, &shown(local), &shown(remote))
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        // These are to be dialled, and the relay in them with them.
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
            .handle_established_outbound_connection(id, peer, &shown(address), role, port_use)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                failed_addresses,
                other_established,
            }) => {
                self.inner
                    .on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
                        peer_id,
                        connection_id,
                        endpoint: &shown_point(endpoint),
                        failed_addresses,
                        other_established,
                    }))
            }
            FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id,
                connection_id,
                endpoint,
                cause,
                remaining_established,
            }) => self
                .inner
                .on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed {
                    peer_id,
                    connection_id,
                    endpoint: &shown_point(endpoint),
                    cause,
                    remaining_established,
                })),
            FromSwarm::AddressChange(AddressChange {
                peer_id,
                connection_id,
                old,
                new,
            }) => self
                .inner
                .on_swarm_event(FromSwarm::AddressChange(AddressChange {
                    peer_id,
                    connection_id,
                    old: &shown_point(old),
                    new: &shown_point(new),
                })),
            FromSwarm::NewExternalAddrCandidate(candidate) if has_circuit(candidate.addr) => {}
            FromSwarm::ExternalAddrConfirmed(confirmed) if has_circuit(confirmed.addr) => {}
            FromSwarm::ExternalAddrExpired(expired) if has_circuit(expired.addr) => {}
            other => self.inner.on_swarm_event(other),
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
        self.inner.poll(cx)
    }
}
