//! What the node does on the network: DHT server, relay, reachability tests, and telling of its STUN
//! server and its clock, nothing else. It takes no part in rooms; what people say passes it only inside encrypted
//! relayed connections.

use libp2p::{identify, identity::Keypair, ping, relay, swarm::NetworkBehaviour};
use moim_connection_guard::RelayServer;
use moim_dht::Introductions;
use moim_protocol::names;
use moim_rpc::ProtocolSupport;

use crate::{admission, autonat, limits, relay::Circuits};

/// The protocols of the node.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    // First, so that a refused connection costs the others nothing.
    pub(crate) admission: admission::Behaviour,
    pub(crate) autonat: autonat::Behaviour,
    pub(crate) ice: moim_rpc::Behaviour,
    pub(crate) identify: Introductions,
    pub(crate) kad: moim_dht::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) relay: RelayServer,
    pub(crate) time: moim_rpc::Behaviour,
}

impl Behaviour {
    pub(crate) fn new(
        keypair: &Keypair,
        kad: moim_dht::Behaviour,
        rules: admission::Rules,
        circuits: &Circuits,
    ) -> Self {
        let local = keypair.public().to_peer_id();
        let reservations_max = rules.capacity.inbound as usize;
        let rejections = rules.rejections.clone();
        Self {
            admission: admission::Behaviour::new(rules),
            autonat: autonat::Behaviour::new(rejections),
            ice: moim_rpc::behaviour(names::ICE_SERVERS_PROTOCOL, ProtocolSupport::Inbound),
            identify: Introductions::new(identify_config(keypair)),
            kad,
            ping: ping::Behaviour::new(
                ping::Config::new()
                    .with_interval(limits::PING_INTERVAL)
                    .with_timeout(limits::PING_TIMEOUT),
            ),
            relay: relay(local, circuits, reservations_max),
            time: moim_rpc::behaviour(names::TIME_PROTOCOL, ProtocolSupport::Inbound),
        }
    }
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

fn relay(local: libp2p::PeerId, circuits: &Circuits, reservations_max: usize) -> RelayServer {
    let mut relay = relay::Behaviour::new(local, crate::relay::config(circuits, reservations_max));
    // Otherwise a node without a confirmed external address, e.g. on a laptop or in a home
    // network, wouldn't offer to relay.
    relay.set_status(Some(relay::Status::Enable));
    RelayServer::new(relay)
}
