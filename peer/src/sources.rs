//! Nobody takes all the connections that a peer has for others.
//!
//! Ids cost nothing, so connections from others are counted by where they come from. What comes over a relay, or by a
//! WebRTC session that one has carried, is from no address here; of those the relay takes a few from each.

use std::{
    collections::{HashMap, hash_map::Entry},
    convert::Infallible,
    net::IpAddr,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm, dummy,
    },
};
use moim_protocol::rate::Source;

/// One source has all connections that it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} has as many connections here as one source may have")]
pub(crate) struct Full(Source);

/// Turns away connections of sources that have their share: of those being set up, and of all.
#[derive(Debug)]
pub(crate) struct Behaviour {
    pending_max: u32,
    connections_max: u32,
    connections: HashMap<ConnectionId, Connection>,
    sources: HashMap<Source, Counts>,
}

#[derive(Debug)]
struct Connection {
    source: Source,
    is_pending: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    pending: u32,
    /// Those being set up included.
    all: u32,
}

impl Behaviour {
    /// Lets a source have so many connections being set up, and so many in all.
    pub(crate) fn new(pending_max: u32, connections_max: u32) -> Self {
        Self {
            pending_max,
            connections_max,
            connections: HashMap::new(),
            sources: HashMap::new(),
        }
    }

    fn begin(&mut self, id: ConnectionId, source: Source) -> Result<(), Full> {
        let counts = self.sources.entry(source).or_default();
        if counts.pending >= self.pending_max || counts.all >= self.connections_max {
            return Err(Full(source));
        }
        counts.pending = counts.pending.saturating_add(1);
        counts.all = counts.all.saturating_add(1);
        let connection = Connection {
            source,
            is_pending: true,
        };
        self.connections.insert(id, connection);
        Ok(())
    }

    fn establish(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id)
            && std::mem::take(&mut connection.is_pending)
            && let Some(counts) = self.sources.get_mut(&connection.source)
        {
            counts.pending = counts.pending.saturating_sub(1);
        }
    }

    fn end(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        if let Entry::Occupied(mut counts) = self.sources.entry(connection.source) {
            let of_source = counts.get_mut();
            of_source.all = of_source.all.saturating_sub(1);
            if connection.is_pending {
                of_source.pending = of_source.pending.saturating_sub(1);
            }
            if *of_source == Counts::default() {
                counts.remove();
            }
        }
    }
}

/// Where a connection comes from; not of this machine itself, where everything may run.
fn source(remote: &Multiaddr) -> Option<Source> {
    let ip: IpAddr = moim_dht::first_ip(remote)?;
    Some(Source::from(ip)).filter(|source| !source.is_loopback())
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        source(remote).map_or(Ok(()), |source| {
            self.begin(id, source).map_err(ConnectionDenied::new)
        })
    }

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
                self.establish(established.connection_id);
            }
            FromSwarm::ConnectionClosed(closed) => self.end(closed.connection_id),
            FromSwarm::ListenFailure(failure) => self.end(failure.connection_id),
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

    fn id(n: usize) -> ConnectionId {
        ConnectionId::new_unchecked(n)
    }

    fn begin(behaviour: &mut Behaviour, n: usize, remote: &str) -> bool {
        let local = "/ip4/192.0.2.1/tcp/1".parse().expect("valid");
        let remote = remote.parse().expect("valid");
        behaviour
            .handle_pending_inbound_connection(id(n), &local, &remote)
            .is_ok()
    }

    #[test]
    fn a_source_has_its_share_and_leaves_the_rest_to_others() {
        const ATTACKER: &str = "/ip6/2001:db8::7/tcp/4001";
        let mut behaviour = Behaviour::new(2, 3);
        assert!(begin(&mut behaviour, 0, ATTACKER));
        assert!(begin(&mut behaviour, 1, "/ip6/2001:db8::8/tcp/4001"));
        assert!(!begin(&mut behaviour, 2, ATTACKER), "two are being set up");
        assert!(begin(&mut behaviour, 3, "/ip6/2001:db8:0:1::7/tcp/4001"));
        behaviour.establish(id(0));
        behaviour.establish(id(1));
        assert!(begin(&mut behaviour, 4, ATTACKER));
        behaviour.establish(id(4));
        assert!(!begin(&mut behaviour, 5, ATTACKER), "it has three");
        // One that fails, and one that ends.
        behaviour.end(id(3));
        behaviour.end(id(0));
        assert!(begin(&mut behaviour, 6, ATTACKER));
        for n in 0..9 {
            behaviour.end(id(n));
        }
        assert!(behaviour.connections.is_empty() && behaviour.sources.is_empty());
    }

    #[test]
    fn this_machine_and_what_a_relay_brings_are_not_counted() {
        let mut behaviour = Behaviour::new(1, 1);
        for n in 0..9 {
            assert!(begin(&mut behaviour, n, "/ip4/127.0.0.1/tcp/4001"));
            assert!(begin(
                &mut behaviour,
                n,
                "/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"
            ));
        }
    }
}
