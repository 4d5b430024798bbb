//! Nobody takes all the connections that a peer has for others.
//!
//! Ids cost nothing, so connections from others are counted by where they come from. What comes over a relay, or by a
//! WebRTC session that one has carried, is from no address of its own: of those half is kept for peers that this one
//! wants a connection to. Connections that are being set up have their places in [`waiting`].

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{ConnectedPoint, Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm, dummy,
    },
};
use moim_protocol::rate::Source;

use crate::waiting;

/// Why a connection is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    /// One source has all that it may have.
    #[error("too many connections come from {0}")]
    Source(Source),
    /// Strangers behind relays have theirs.
    #[error("too many relayed connections come from peers that this one does not look for")]
    Relayed,
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// This machine itself, where everything may run.
    Here,
    Source(Source),
    /// A relay has brought it.
    Relayed(PeerId),
}

impl Origin {
    fn of(peer: PeerId, remote: &Multiaddr) -> Self {
        if waiting::is_relayed(remote) {
            return Self::Relayed(peer);
        }
        waiting::source(remote).map_or(Self::Here, Self::Source)
    }
}

/// Turns away connections of those who have their share.
#[derive(Debug)]
pub(crate) struct Behaviour {
    per_source_max: usize,
    relayed_max: usize,
    /// Whom this peer wants a connection to.
    wanted: HashSet<PeerId>,
    /// As many as the swarm has from others at most.
    connections: HashMap<ConnectionId, Origin>,
}

impl Behaviour {
    /// Lets a source have so many connections, and strangers behind relays so many together.
    pub(crate) fn new(per_source_max: usize, relayed_max: usize) -> Self {
        Self {
            per_source_max,
            relayed_max,
            wanted: HashSet::new(),
            connections: HashMap::new(),
        }
    }

    /// These are no strangers.
    pub(crate) fn want(&mut self, wanted: HashSet<PeerId>) {
        self.wanted = wanted;
    }

    fn check(&self, origin: Origin) -> Result<(), Full> {
        let count = |is_alike: &dyn Fn(&Origin) -> bool| {
            self.connections.values().filter(|it| is_alike(it)).count()
        };
        match origin {
            Origin::Source(source) if count(&|it| *it == origin) >= self.per_source_max => {
                Err(Full::Source(source))
            }
            Origin::Relayed(peer) if !self.wanted.contains(&peer) => {
                let is_stranger = |it: &Origin| matches!(it, Origin::Relayed(peer) if !self.wanted.contains(peer));
                if count(&is_stranger) < self.relayed_max {
                    Ok(())
                } else {
                    Err(Full::Relayed)
                }
            }
            _ => Ok(()),
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    /// What has no chance is not worth a handshake.
    fn handle_pending_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let origin = waiting::source(remote).map_or(Origin::Here, Origin::Source);
        self.check(origin).map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let origin = Origin::of(peer, remote);
        self.check(origin).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(established) => {
                if let ConnectedPoint::Listener { send_back_addr, .. } = established.endpoint {
                    let origin = Origin::of(established.peer_id, send_back_addr);
                    self.connections.insert(established.connection_id, origin);
                }
            }
            FromSwarm::ConnectionClosed(closed) => {
                self.connections.remove(&closed.connection_id);
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
    use libp2p::swarm::behaviour::ConnectionEstablished;

    use super::*;

    const RELAY: &str =
        "/ip4/192.0.2.7/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";

    /// Whether a connection from there is taken.
    fn connects(behaviour: &mut Behaviour, n: usize, peer: PeerId, remote: &str) -> bool {
        let local: Multiaddr = "/ip4/192.0.2.1/tcp/1".parse().expect("valid");
        let remote: Multiaddr = remote.parse().expect("valid");
        let connection_id = ConnectionId::new_unchecked(n);
        let is_taken = behaviour
            .handle_pending_inbound_connection(connection_id, &local, &remote)
            .and_then(|()| {
                behaviour.handle_established_inbound_connection(
                    connection_id,
                    peer,
                    &local,
                    &remote,
                )
            })
            .is_ok();
        if is_taken {
            let endpoint = ConnectedPoint::Listener {
                local_addr: local,
                send_back_addr: remote,
            };
            let established = ConnectionEstablished {
                peer_id: peer,
                connection_id,
                endpoint: &endpoint,
                failed_addresses: &[],
                other_established: 0,
            };
            behaviour.on_swarm_event(FromSwarm::ConnectionEstablished(established));
        }
        is_taken
    }

    fn strangers(behaviour: &mut Behaviour, count: usize, remote: &str) -> usize {
        let from = behaviour.connections.len();
        (from..from + count)
            .filter(|n| connects(behaviour, *n, PeerId::random(), remote))
            .count()
    }

    #[test]
    fn a_source_has_its_share_and_leaves_the_rest_to_others() {
        let mut behaviour = Behaviour::new(3, 3);
        assert_eq!(strangers(&mut behaviour, 2, "/ip6/2001:db8::7/tcp/1"), 2);
        assert_eq!(strangers(&mut behaviour, 9, "/ip6/2001:db8::8/tcp/1"), 1);
        assert_eq!(
            strangers(&mut behaviour, 9, "/ip6/2001:db8:0:1::7/tcp/1"),
            3
        );
        behaviour
            .connections
            .remove(&ConnectionId::new_unchecked(0));
        assert!(connects(
            &mut behaviour,
            99,
            PeerId::random(),
            "/ip6/2001:db8::9/tcp/1"
        ));
        assert_eq!(strangers(&mut behaviour, 99, "/ip4/127.0.0.1/tcp/1"), 99);
    }

    #[test]
    fn strangers_behind_relays_leave_half_to_those_who_are_wanted() {
        let (circuit, session) = ("", format!("{RELAY}/p2p-circuit/webrtc"));
        let mut behaviour = Behaviour::new(1, 4);
        let (ada, bob) = (PeerId::random(), PeerId::random());
        behaviour.want(HashSet::from([ada, bob]));
        assert_eq!(strangers(&mut behaviour, 2, &session), 2);
        assert_eq!(
            strangers(&mut behaviour, 9, &format!("{circuit}/p2p/{ada}")),
            2
        );
        for (n, wanted) in [(50, ada), (51, bob), (52, ada)] {
            assert!(connects(&mut behaviour, n, wanted, &session), "{n}");
        }
        // Nobody wants them any more.
        behaviour.want(HashSet::new());
        assert!(!connects(&mut behaviour, 53, ada, &session));
    }
}
