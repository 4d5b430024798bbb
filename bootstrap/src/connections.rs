//! The connections there are, and what is known of the peers at their other ends. Pure.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, core::ConnectedPoint, multiaddr::Protocol, swarm::ConnectionId};

use crate::limits;

/// What carries a connection, as `/metrics` calls it.
pub(crate) const TRANSPORTS: [&str; 6] = ["tcp", "quic", "ws", "wss", "webrtc-direct", "other"];

/// One connection.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) peer: PeerId,
    /// The address of the other end.
    pub(crate) remote: Multiaddr,
    /// Whether the peer dialled us.
    pub(crate) inbound: bool,
    pub(crate) since: Instant,
    /// The last answered ping.
    pub(crate) round_trip: Option<Duration>,
}

impl Connection {
    /// One of [`TRANSPORTS`].
    pub(crate) fn transport(&self) -> &'static str {
        transport(&self.remote)
    }

    /// `inbound` or `outbound`, as `/metrics` calls it.
    pub(crate) fn direction(&self) -> &'static str {
        if self.inbound { "inbound" } else { "outbound" }
    }
}

/// All connections. Their number is bounded by the swarm's limits.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: HashMap<ConnectionId, Connection>,
    /// What connected peers say they are.
    agents: HashMap<PeerId, String>,
}

impl Connections {
    pub(crate) fn opened(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        endpoint: &ConnectedPoint,
        now: Instant,
    ) -> &Connection {
        let connection = Connection {
            peer,
            remote: endpoint.get_remote_address().clone(),
            inbound: endpoint.is_listener(),
            since: now,
            round_trip: None,
        };
        self.open.entry(id).insert_entry(connection).into_mut()
    }

    /// Forgets a connection, and with a peer's last one what the peer said.
    pub(crate) fn closed(&mut self, id: ConnectionId, is_last: bool) -> Option<Connection> {
        let connection = self.open.remove(&id)?;
        if is_last {
            self.agents.remove(&connection.peer);
        }
        Some(connection)
    }

    /// The IP address a connection comes from.
    pub(crate) fn ip(&self, id: ConnectionId) -> Option<IpAddr> {
        moim_dht::first_ip(&self.open.get(&id)?.remote)
    }

    /// A peer said what it is. Only the beginning is kept: it may say 4 KiB.
    pub(crate) fn identified(&mut self, id: ConnectionId, agent: &str) {
        // The connection may be gone, and with it the one moment to forget this.
        if let Some(connection) = self.open.get(&id) {
            let agent = agent.chars().take(limits::AGENT_CHARS_MAX).collect();
            self.agents.insert(connection.peer, agent);
        }
    }

    pub(crate) fn answered(&mut self, id: ConnectionId, round_trip: Duration) {
        if let Some(connection) = self.open.get_mut(&id) {
            connection.round_trip = Some(round_trip);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.open.values()
    }

    pub(crate) fn agent(&self, peer: &PeerId) -> Option<&str> {
        self.agents.get(peer).map(String::as_str)
    }
}

pub(crate) fn transport(address: &Multiaddr) -> &'static str {
    let (mut found, mut tls) = ("other", false);
    for part in address {
        match part {
            Protocol::Tcp(_) => found = "tcp",
            Protocol::QuicV1 => found = "quic",
            Protocol::Tls => tls = true,
            Protocol::Ws(_) => found = if tls { "wss" } else { "ws" },
            Protocol::Wss(_) => found = "wss",
            Protocol::WebRTCDirect => found = "webrtc-direct",
            // The node is no client of other relays; how the relay is reached is not the question.
            Protocol::P2pCircuit => return "other",
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transport_is_known_by_its_address() {
        let peer = PeerId::random();
        for (address, expected) in [
            ("/ip4/127.0.0.1/tcp/8468".to_owned(), "tcp"),
            ("/ip6/::1/udp/8468/quic-v1".to_owned(), "quic"),
            ("/ip4/127.0.0.1/tcp/8469/ws".to_owned(), "ws"),
            ("/dns4/a.example/tcp/443/tls/ws".to_owned(), "wss"),
            ("/dns4/a.example/tcp/443/wss".to_owned(), "wss"),
            (
                "/ip4/127.0.0.1/udp/8469/webrtc-direct".to_owned(),
                "webrtc-direct",
            ),
            (
                format!("/ip4/1.2.3.4/tcp/1/p2p/{peer}/p2p-circuit"),
                "other",
            ),
            ("/memory/1".to_owned(), "other"),
        ] {
            let found = transport(&address.parse().unwrap());
            assert_eq!(found, expected, "{address}");
            assert!(TRANSPORTS.contains(&found));
        }
    }

    #[test]
    fn what_a_peer_said_is_forgotten_with_its_last_connection() {
        let mut connections = Connections::default();
        let (peer, now) = (PeerId::random(), Instant::now());
        let [one, two] = [1, 2].map(ConnectionId::new_unchecked);
        let endpoint = ConnectedPoint::Listener {
            local_addr: "/ip4/127.0.0.1/tcp/1".parse().unwrap(),
            send_back_addr: "/ip4/192.0.2.1/tcp/2".parse().unwrap(),
        };
        for id in [one, two] {
            assert_eq!(
                connections.opened(id, peer, &endpoint, now).direction(),
                "inbound"
            );
        }
        connections.identified(one, &"x".repeat(4096));
        assert_eq!(
            connections.agent(&peer).unwrap().len(),
            limits::AGENT_CHARS_MAX
        );
        assert_eq!(connections.ip(one).unwrap().to_string(), "192.0.2.1");
        connections.closed(one, false).unwrap();
        assert!(connections.agent(&peer).is_some());
        connections.closed(two, true).unwrap();
        assert_eq!(connections.agent(&peer), None);
        // Too late: nothing would ever take it away again.
        connections.identified(two, "late");
        assert_eq!(connections.agent(&peer), None);
        assert!(connections.closed(two, true).is_none());
    }
}
