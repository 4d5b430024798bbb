//! What the node does on the network: DHT server, relay, reachability tests, and telling of its STUN
//! server, nothing else. It takes no part in rooms; what people say passes it only inside encrypted
//! relayed connections.

use libp2p::{
    autonat, connection_limits, identify, identity::Keypair, ping, relay, swarm::NetworkBehaviour,
};
use moim_protocol::names;
use moim_rpc::ProtocolSupport;

use crate::limits;

/// The protocols of the node.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    // First, so that a refused connection costs the others nothing.
    connection_limits: connection_limits::Behaviour,
    pub(crate) autonat: autonat::v2::server::Behaviour,
    pub(crate) ice: moim_rpc::Behaviour,
    pub(crate) identify: identify::Behaviour,
    pub(crate) kad: moim_dht::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) relay: relay::Behaviour,
}

impl Behaviour {
    pub(crate) fn new(keypair: &Keypair, kad: moim_dht::Behaviour) -> Self {
        let local = keypair.public().to_peer_id();
        Self {
            connection_limits: connection_limits::Behaviour::new(connection_limits()),
            autonat: autonat::v2::server::Behaviour::default(),
            ice: moim_rpc::behaviour(names::ICE_SERVERS_PROTOCOL, ProtocolSupport::Inbound),
            identify: identify::Behaviour::new(identify_config(keypair)),
            kad,
            ping: ping::Behaviour::new(
                ping::Config::new()
                    .with_interval(limits::PING_INTERVAL)
                    .with_timeout(limits::PING_TIMEOUT),
            ),
            relay: relay(local),
        }
    }
}

fn connection_limits() -> connection_limits::ConnectionLimits {
    connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(limits::PENDING_INBOUND_MAX))
        .with_max_pending_outgoing(Some(limits::PENDING_OUTBOUND_MAX))
        .with_max_established_incoming(Some(limits::INBOUND_MAX))
        .with_max_established(Some(limits::CONNECTIONS_MAX))
        .with_max_established_per_peer(Some(limits::CONNECTIONS_PER_PEER_MAX))
}

fn identify_config(keypair: &Keypair) -> identify::Config {
    identify::Config::new(names::IDENTIFY_PROTOCOL.to_owned(), keypair.public())
        .with_agent_version(format!("moim-bootstrap/{}", env!("CARGO_PKG_VERSION")))
        // The announced (external) addresses are all that others need. The list of all listen
        // addresses of a machine with many interfaces would not fit identify's 4 KiB, and peers
        // would learn nothing at all.
        .with_hide_listen_addrs(true)
        // Its cache would add addresses of peers to our dials. We dial only what the DHT knows.
        .with_cache_size(0)
}

fn relay(local: libp2p::PeerId) -> relay::Behaviour {
    let config = relay::Config {
        max_reservations: limits::RESERVATIONS_MAX,
        max_reservations_per_peer: limits::RESERVATIONS_PER_PEER_MAX,
        reservation_duration: limits::RESERVATION_DURATION,
        // libp2p's default limiters allow an IP address one reservation and one circuit a minute
        // after a burst of 60, and everybody behind one NAT shares it. The totals above bound what
        // the node gives; fairness between addresses is a matter of its own.
        reservation_rate_limiters: Vec::new(),
        max_circuits: limits::CIRCUITS_MAX,
        max_circuits_per_peer: limits::CIRCUITS_PER_PEER_MAX,
        max_circuit_duration: limits::CIRCUIT_DURATION,
        max_circuit_bytes: limits::CIRCUIT_BYTES_MAX,
        circuit_src_rate_limiters: Vec::new(),
    };
    let mut relay = relay::Behaviour::new(local, config);
    // Otherwise a node without a confirmed external address, e.g. on a laptop or in a home
    // network, wouldn't offer to relay.
    relay.set_status(Some(relay::Status::Enable));
    relay
}
