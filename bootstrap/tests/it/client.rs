//! A plain libp2p peer: what any libp2p program could be, with nothing of Moim but the name of its
//! DHT.

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder, autonat,
    core::{Transport as _, muxing::StreamMuxerBox},
    identify,
    identity::Keypair,
    kad,
    multiaddr::Protocol,
    noise, ping, relay,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use moim_protocol::names;
use moim_rpc::ProtocolSupport;
use moim_webrtc::{backend::native::Native, direct};

use crate::{DEADLINE, soon};

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) autonat: autonat::v2::client::Behaviour,
    pub(crate) ice: moim_rpc::Behaviour,
    pub(crate) identify: identify::Behaviour,
    pub(crate) kad: moim_dht::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) relay: relay::client::Behaviour,
}

pub(crate) type Event = SwarmEvent<BehaviourEvent>;

pub(crate) struct Client {
    pub(crate) swarm: Swarm<Behaviour>,
}

impl Client {
    pub(crate) async fn new() -> Self {
        Self::with_key(Keypair::generate_ed25519()).await
    }

    pub(crate) async fn with_key(keypair: Keypair) -> Self {
        let swarm = SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_tcp(
                tcp::Config::default(),
                noise::Config::new,
                yamux::Config::default,
            )
            .unwrap()
            .with_quic()
            .with_other_transport(|key| {
                direct::Transport::new(Native, key.clone(), DEADLINE)
                    .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
            })
            .unwrap()
            .with_dns()
            .unwrap()
            .with_websocket(noise::Config::new, yamux::Config::default)
            .await
            .unwrap()
            .with_relay_client(noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|key, relay| {
                let id = key.public().to_peer_id();
                // By itself it would become a server as soon as it has a relayed address.
                let mut kad = moim_dht::Behaviour::new(id, 7);
                kad.set_mode(Some(kad::Mode::Client));
                let config = identify::Config::new("/test/1".to_owned(), key.public());
                Behaviour {
                    autonat: autonat::v2::client::Behaviour::default(),
                    ice: moim_rpc::behaviour(
                        names::ICE_SERVERS_PROTOCOL,
                        ProtocolSupport::Outbound,
                    ),
                    identify: identify::Behaviour::new(config),
                    kad,
                    ping: ping::Behaviour::default(),
                    relay,
                }
            })
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(DEADLINE))
            .build();
        Self { swarm }
    }

    pub(crate) fn id(&self) -> PeerId {
        *self.swarm.local_peer_id()
    }

    /// Drives the swarm until an event is what is looked for.
    pub(crate) async fn until<T>(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(&mut Swarm<Behaviour>, Event) -> Option<T>,
    ) -> T {
        soon(what, async {
            loop {
                let event = self.swarm.select_next_some().await;
                if let Some(found) = wanted(&mut self.swarm, event) {
                    return found;
                }
            }
        })
        .await
    }

    /// Does what the network asks for, for ever.
    pub(crate) async fn run(&mut self) {
        loop {
            self.swarm.select_next_some().await;
        }
    }

    /// Dials and waits until connected.
    pub(crate) async fn connect(&mut self, address: &Multiaddr) {
        self.swarm.dial(address.clone()).unwrap();
        self.until("a connection", |_, event| match event {
            SwarmEvent::ConnectionEstablished { .. } => Some(()),
            SwarmEvent::OutgoingConnectionError { error, .. } => panic!("{address}: {error}"),
            _ => None,
        })
        .await;
    }

    pub(crate) async fn listen(&mut self, address: &str) -> Multiaddr {
        self.swarm.listen_on(address.parse().unwrap()).unwrap();
        self.until("an address", |_, event| match event {
            SwarmEvent::NewListenAddr { address, .. } => Some(address),
            _ => None,
        })
        .await
    }

    /// Waits for the node's identify message.
    pub(crate) async fn identify(&mut self) -> identify::Info {
        self.until("identify", |_, event| match event {
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                info,
                ..
            })) => Some(info),
            _ => None,
        })
        .await
    }

    pub(crate) async fn until_disconnected(&mut self) {
        self.until("the connection to close", |swarm, event| match event {
            SwarmEvent::ConnectionClosed { .. } if swarm.connected_peers().next().is_none() => {
                Some(())
            }
            _ => None,
        })
        .await;
    }

    /// Gets a relay reservation; returns the relayed address.
    pub(crate) async fn reserve(&mut self, relay: &Multiaddr) -> Multiaddr {
        self.swarm
            .listen_on(relay.clone().with(Protocol::P2pCircuit))
            .unwrap();
        let (mut accepted, mut address) = (false, None);
        self.until("a relay reservation", |_, event| {
            match event {
                SwarmEvent::Behaviour(BehaviourEvent::Relay(
                    relay::client::Event::ReservationReqAccepted { .. },
                )) => accepted = true,
                SwarmEvent::NewListenAddr { address: new, .. }
                    if new.iter().any(|part| part == Protocol::P2pCircuit) =>
                {
                    address.get_or_insert(new);
                }
                SwarmEvent::ListenerClosed { reason, .. } => panic!("no reservation: {reason:?}"),
                _ => {}
            }
            address.clone().filter(|_| accepted)
        })
        .await
    }

    /// Waits for the result of a query.
    pub(crate) async fn result<T>(
        &mut self,
        mut wanted: impl FnMut(kad::QueryResult) -> Option<T>,
    ) -> T {
        self.until("the result of a query", |_, event| match event {
            SwarmEvent::Behaviour(BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed {
                result,
                ..
            })) => wanted(result),
            _ => None,
        })
        .await
    }
}

/// Whether the event is an answered ping to `peer`.
fn is_pong(event: &Event, peer: PeerId) -> bool {
    let SwarmEvent::Behaviour(BehaviourEvent::Ping(ping)) = event else {
        return false;
    };
    ping.peer == peer && ping.result.is_ok()
}

/// Waits for an answer of a connected peer.
pub(crate) async fn pong_from(client: &mut Client, peer: PeerId) {
    client
        .until("a pong", |_, event| is_pong(&event, peer).then_some(()))
        .await;
}

/// Waits until each of two connected peers has an answer from the other.
pub(crate) async fn ping_each_other(one: &mut Client, other: &mut Client) {
    let (one_id, other_id) = (one.id(), other.id());
    let (mut one_heard, mut other_heard) = (false, false);
    soon("two pings", async {
        while !(one_heard && other_heard) {
            // Both go on until both are done: neither answers while it isn't polled.
            tokio::select! {
                event = one.swarm.select_next_some() => one_heard |= is_pong(&event, other_id),
                event = other.swarm.select_next_some() => other_heard |= is_pong(&event, one_id),
            }
        }
    })
    .await;
}
