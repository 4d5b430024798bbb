//! Whom the node dials back for AutoNAT v2: whoever asks, where it is.
//!
//! libp2p's server takes any address from anybody, and dials it as often and as many at once as it is
//! asked. Here an address is dialled only if it is of the IP address that the asker's own connection
//! comes from, and each source has a rate and a share of the dial-backs under way ([`budget`]).
//! Whoever gets none is told that dialling has failed.

use std::{
    collections::HashMap,
    net::IpAddr,
    task::{Context, Poll},
    time::Instant,
};

use libp2p::{
    Multiaddr, PeerId,
    autonat::v2::server,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionId, DialFailure, FromSwarm, NetworkBehaviour,
        THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
    },
};
use moim_protocol::{
    address::{self, Address, Host},
    rate::Source,
};
use thiserror::Error;

use self::budget::Budget;
use crate::rejections::{Reason, Rejections};

mod budget;

/// Why somebody is not dialled back, for libp2p's log.
#[derive(Debug, Error)]
enum NotDialledBack {
    #[error("the asker does not come from that address")]
    Elsewhere,
    #[error("the asker's source has asked for too many dials back")]
    Share,
}

/// AutoNAT v2's server, within bounds. See the [module](self).
pub(crate) struct Behaviour {
    server: server::Behaviour,
    /// Where connections of others come from.
    seen_at: HashMap<PeerId, HashMap<ConnectionId, IpAddr>>,
    /// Dial-backs that are about to begin.
    wanted: HashMap<ConnectionId, PeerId>,
    budget: Budget<ConnectionId>,
    rejections: Rejections,
}

impl Behaviour {
    pub(crate) fn new(rejections: Rejections) -> Self {
        Self {
            server: server::Behaviour::default(),
            seen_at: HashMap::new(),
            wanted: HashMap::new(),
            budget: Budget::new(),
            rejections,
        }
    }

    fn begin(
        &mut self,
        id: ConnectionId,
        peer: &PeerId,
        addresses: &[Multiaddr],
    ) -> Result<(), NotDialledBack> {
        let ip = the_ip(addresses).ok_or(NotDialledBack::Elsewhere)?;
        let mut seen_at = self.seen_at.get(peer).into_iter().flat_map(HashMap::values);
        if !seen_at.any(|seen| *seen == ip) {
            return Err(NotDialledBack::Elsewhere);
        }
        let source = Source::from(ip);
        if self.budget.begin(id, source, Instant::now()) {
            Ok(())
        } else {
            self.rejections.count(Reason::DialBack, Some(source));
            Err(NotDialledBack::Share)
        }
    }

    fn closed(&mut self, peer: &PeerId, connection: ConnectionId) {
        if let Some(seen_at) = self.seen_at.get_mut(peer) {
            seen_at.remove(&connection);
            if seen_at.is_empty() {
                self.seen_at.remove(peer);
            }
        }
    }
}

/// The IP address of a dial to one address that has one.
fn the_ip(addresses: &[Multiaddr]) -> Option<IpAddr> {
    let [address] = addresses else {
        return None;
    };
    match address::parse(address) {
        Ok(Address::Direct(place)) => match place.host {
            Host::Ip(ip) => Some(ip.to_canonical()),
            Host::Name(_) => None,
        },
        _ => None,
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = THandler<server::Behaviour>;
    type ToSwarm = server::Event;

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.server
            .handle_established_inbound_connection(id, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        _: Option<PeerId>,
        addresses: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        if let Some(peer) = self.wanted.remove(&id) {
            self.begin(id, &peer, addresses)
                .map_err(ConnectionDenied::new)?;
        }
        // The server knows no addresses.
        Ok(Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port_use: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.server
            .handle_established_outbound_connection(id, peer, address, role, port_use)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match &event {
            FromSwarm::ConnectionEstablished(established) => {
                self.budget.end(&established.connection_id);
                let remote = established.endpoint.get_remote_address();
                if established.endpoint.is_listener()
                    && let Some(ip) = moim_dht::first_ip(remote)
                {
                    let seen_at = self.seen_at.entry(established.peer_id).or_default();
                    seen_at.insert(established.connection_id, ip.to_canonical());
                }
            }
            FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id,
                connection_id,
                ..
            }) => self.closed(peer_id, *connection_id),
            FromSwarm::DialFailure(DialFailure { connection_id, .. }) => {
                self.wanted.remove(connection_id);
                self.budget.end(connection_id);
            }
            _ => {}
        }
        self.server.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.server.on_connection_handler_event(peer, id, event);
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        let poll = self.server.poll(cx);
        if let Poll::Ready(ToSwarm::Dial { opts }) = &poll
            && let Some(peer) = opts.get_peer_id()
        {
            self.wanted.insert(opts.connection_id(), peer);
        }
        poll
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_with_an_ip_is_dialled_back_and_nothing_else() {
        let list = |addresses: &[&str]| -> Vec<Multiaddr> {
            addresses.iter().map(|text| text.parse().unwrap()).collect()
        };
        let ip = Some("192.0.2.1".parse().unwrap());
        assert_eq!(the_ip(&list(&["/ip4/192.0.2.1/tcp/8468"])), ip);
        assert_eq!(the_ip(&list(&["/ip4/192.0.2.1/udp/1/quic-v1"])), ip);
        let relay = PeerId::random();
        for addresses in [
            &[][..],
            &["/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.1/tcp/2"],
            &["/dns4/a.example/tcp/8468"],
            &["/ip4/192.0.2.1/tcp/1/x-parity-ws/%2Fa"],
            &["/memory/7"],
            &[&format!("/ip4/192.0.2.1/tcp/1/p2p/{relay}/p2p-circuit")],
        ] {
            assert_eq!(the_ip(&list(addresses)), None, "{addresses:?}");
        }
    }
}
