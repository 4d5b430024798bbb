//! One direct connection to a peer is enough.
//!
//! A dial cannot be called off: when a peer is tried by several addresses, or both sides try at
//! once, all of them may succeed. What comes after the first is turned away here, before every
//! protocol has introduced itself on it too.
//!
//! Only the side that dialled turns a connection away, so the two sides cannot each turn away the
//! one that the other keeps: the dialler of a connection knows that it stands before the other side
//! does (in Noise XX as in TLS 1.3 it sends the last message), so that of two that cross, at most one
//! finds the other there already. With WebRTC it is the other way round, and such a connection may stay
//! beside another; of two by WebRTC, `moim_webrtc` closes one.

use std::{
    collections::HashMap,
    convert::Infallible,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{ConnectedPoint, Endpoint, transport::PortUse},
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm, behaviour::ConnectionEstablished, dummy,
    },
};
use moim_webrtc::address::is_webrtc;

use crate::swarm::path_of;

/// There is a direct connection to this peer already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is connected directly already")]
pub(crate) struct Duplicate;

/// Turns away dialled direct connections beside another direct one.
#[derive(Debug, Default)]
pub(crate) struct Behaviour {
    /// Direct connections by peer; no entry is zero.
    direct: HashMap<PeerId, usize>,
}

fn is_direct(endpoint: &ConnectedPoint) -> bool {
    // A relayed listener's own address is that of the circuit; the other's says nothing of it.
    let address = match endpoint {
        ConnectedPoint::Dialer { address, .. } => address,
        ConnectedPoint::Listener { local_addr, .. } => local_addr,
    };
    !path_of(address).is_relayed()
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if !path_of(address).is_relayed() && !is_webrtc(address) && self.direct.contains_key(&peer)
        {
            return Err(ConnectionDenied::new(Duplicate));
        }
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id, endpoint, ..
            }) if is_direct(endpoint) => {
                *self.direct.entry(peer_id).or_default() += 1;
            }
            FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id, endpoint, ..
            }) if is_direct(endpoint) => {
                if let Some(count) = self.direct.get_mut(&peer_id) {
                    *count -= 1;
                    if *count == 0 {
                        self.direct.remove(&peer_id);
                    }
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIRECT: &str = "/ip4/192.0.2.1/tcp/1";
    const RELAYED: &str =
        "/ip4/192.0.2.1/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp/p2p-circuit";

    fn endpoint(address: &str) -> ConnectedPoint {
        ConnectedPoint::Dialer {
            address: address.parse().expect("valid"),
            role_override: Endpoint::Dialer,
            port_use: PortUse::Reuse,
        }
    }

    fn dialled(behaviour: &mut Behaviour, peer: PeerId, address: &str) -> bool {
        behaviour
            .handle_established_outbound_connection(
                ConnectionId::new_unchecked(0),
                peer,
                &address.parse().expect("valid"),
                Endpoint::Dialer,
                PortUse::Reuse,
            )
            .is_ok()
    }

    fn opened(behaviour: &mut Behaviour, peer: PeerId, address: &str) {
        behaviour.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
            peer_id: peer,
            connection_id: ConnectionId::new_unchecked(0),
            endpoint: &endpoint(address),
            failed_addresses: &[],
            other_established: 0,
        }));
    }

    fn closed(behaviour: &mut Behaviour, peer: PeerId, address: &str) {
        behaviour.on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed {
            peer_id: peer,
            connection_id: ConnectionId::new_unchecked(0),
            endpoint: &endpoint(address),
            cause: None,
            remaining_established: 0,
        }));
    }

    #[test]
    fn a_second_direct_connection_is_turned_away_until_the_first_is_gone() {
        let mut behaviour = Behaviour::default();
        let peer = PeerId::random();
        assert!(dialled(&mut behaviour, peer, DIRECT));
        opened(&mut behaviour, peer, DIRECT);
        assert!(!dialled(&mut behaviour, peer, DIRECT));
        assert!(
            dialled(&mut behaviour, PeerId::random(), DIRECT),
            "another peer"
        );
        closed(&mut behaviour, peer, DIRECT);
        assert!(dialled(&mut behaviour, peer, DIRECT));
    }

    #[test]
    fn relayed_connections_neither_count_nor_are_turned_away() {
        let mut behaviour = Behaviour::default();
        let peer = PeerId::random();
        opened(&mut behaviour, peer, RELAYED);
        assert!(dialled(&mut behaviour, peer, DIRECT), "the upgrade");
        opened(&mut behaviour, peer, DIRECT);
        assert!(dialled(&mut behaviour, peer, RELAYED));
        closed(&mut behaviour, peer, RELAYED);
        assert!(!dialled(&mut behaviour, peer, DIRECT));
    }
}
