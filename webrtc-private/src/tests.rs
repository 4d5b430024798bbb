//! Whole swarms on the memory transport: a relay, and peers behind it whose WebRTC is the mock's.

use std::time::Duration;

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport as _,
    core::{
        muxing::StreamMuxerBox,
        transport::{MemoryTransport, OrTransport},
        upgrade::Version,
    },
    identify,
    identity::Keypair,
    multiaddr::Protocol,
    noise, ping, relay,
    swarm::{
        self, FromSwarm, NetworkBehaviour, SwarmEvent, behaviour::ExternalAddrConfirmed,
        dial_opts::DialOpts,
    },
    yamux,
};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

use crate::{
    AsDirect, Config, Event, Failure,
    address::{from_circuit, is_direct, is_webrtc},
    backend::{
        SelectedPair,
        mock::{Network, World},
    },
};

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(NetworkBehaviour)]
struct RelayNode {
    relay: relay::Behaviour,
    identify: identify::Behaviour,
}

#[derive(NetworkBehaviour)]
struct Node {
    relay: AsDirect<relay::client::Behaviour>,
    relays: AsDirect<relay::Behaviour>,
    webrtc: crate::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

fn identify(keypair: &Keypair) -> identify::Behaviour {
    identify::Behaviour::new(identify::Config::new(
        "/test/1.0.0".to_owned(),
        keypair.public(),
    ))
}

macro_rules! secured {
    ($transport:expr, $keypair:expr) => {
        $transport
            .upgrade(Version::V1Lazy)
            .authenticate(noise::Config::new($keypair).unwrap())
            .multiplex(yamux::Config::default())
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
    };
}

/// A relay, and the address under which it is reached.
struct Relay {
    address: Multiaddr,
    task: JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay() -> Relay {
    // With RUST_LOG set, a failing test shows what happened.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_test_writer()
        .try_init();
    let keypair = Keypair::generate_ed25519();
    let peer = keypair.public().to_peer_id();
    let mut swarm = Swarm::new(
        secured!(MemoryTransport::default(), &keypair).boxed(),
        RelayNode {
            relay: relay::Behaviour::new(peer, relay::Config::default()),
            identify: identify(&keypair),
        },
        peer,
        swarm::Config::with_tokio_executor(),
    );
    swarm
        .listen_on(Multiaddr::empty().with(Protocol::Memory(0)))
        .unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    swarm.add_external_address(address.clone());
    let task = tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    Relay {
        address: address.with(Protocol::P2p(peer)),
        task,
    }
}

fn node(world: &World, config: Config) -> Swarm<Node> {
    let keypair = Keypair::generate_ed25519();
    let peer = keypair.public().to_peer_id();
    let (relay_transport, relay) = relay::client::new(peer);
    let (direct, webrtc) = crate::new(peer, world.clone(), config);
    let others = OrTransport::new(
        secured!(relay_transport, &keypair),
        secured!(MemoryTransport::default(), &keypair),
    )
    .map(|either, _| either.into_inner());
    let transport = OrTransport::new(
        direct.map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection))),
        others,
    )
    .map(|either, _| either.into_inner())
    .boxed();
    Swarm::new(
        transport,
        Node {
            relay: AsDirect::new(relay),
            relays: AsDirect::new(relay_for_others(peer)),
            webrtc,
            identify: identify(&keypair),
            ping: ping::Behaviour::new(
                ping::Config::new().with_interval(Duration::from_millis(100)),
            ),
        },
        peer,
        swarm::Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(60)),
    )
}

/// A relay for those who are connected by WebRTC.
fn relay_for_others(me: PeerId) -> relay::Behaviour {
    let mut relay = relay::Behaviour::new(me, relay::Config::default());
    relay.set_status(Some(relay::Status::Enable));
    relay.on_swarm_event(FromSwarm::ExternalAddrConfirmed(ExternalAddrConfirmed {
        addr: &webrtc(me),
    }));
    relay
}

fn webrtc(peer: PeerId) -> Multiaddr {
    Multiaddr::empty()
        .with(Protocol::WebRTC)
        .with(Protocol::P2p(peer))
}

/// A node that runs, and what it says.
struct Running {
    peer: PeerId,
    events: mpsc::Receiver<SwarmEvent<NodeEvent>>,
    dials: mpsc::Sender<DialOpts>,
    listens: mpsc::Sender<Multiaddr>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    fn start(mut swarm: Swarm<Node>) -> Self {
        let peer = *swarm.local_peer_id();
        let (sender, events) = mpsc::channel(4096);
        let (dials, mut dialled) = mpsc::channel(4096);
        let (listens, mut listened) = mpsc::channel(4096);
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    event = swarm.select_next_some() => {
                        let _ = sender.try_send(event);
                    }
                    Some(opts) = dialled.recv() => swarm.dial(opts).expect("dials"),
                    Some(address) = listened.recv() => {
                        swarm.listen_on(address).expect("listens");
                    }
                }
            }
        });
        Self {
            peer,
            events,
            dials,
            listens,
            task,
        }
    }

    /// Listens through a relay, until its circuit is up and announced both ways.
    async fn listening(world: &World, config: Config, relay: &Relay) -> (Self, Multiaddr) {
        let mut swarm = node(world, config);
        let circuit = relay.address.clone().with(Protocol::P2pCircuit);
        swarm.listen_on(circuit.clone()).unwrap();
        swarm
            .listen_on(Multiaddr::empty().with(Protocol::WebRTC))
            .unwrap();
        let mut running = Self::start(swarm);
        let address = running
            .expect("a direct address", |event| match event {
                SwarmEvent::NewListenAddr { address, .. } if is_webrtc(address) => {
                    Some(address.clone())
                }
                _ => None,
            })
            .await;
        let peer = running.peer;
        let expected = from_circuit(&circuit).unwrap().with(Protocol::P2p(peer));
        assert_eq!(address, expected);
        (running, circuit.with(Protocol::P2p(peer)))
    }

    fn dial(&self, address: Multiaddr) {
        self.dials.try_send(DialOpts::from(address)).unwrap();
    }

    async fn expect<T>(
        &mut self,
        what: &str,
        pick: impl Fn(&SwarmEvent<NodeEvent>) -> Option<T>,
    ) -> T {
        let mut seen = Vec::new();
        let found = timeout(PATIENCE, async {
            loop {
                let event = self.events.recv().await.expect("it runs");
                if let Some(found) = pick(&event) {
                    return found;
                }
                seen.push(format!("{event:?}"));
            }
        })
        .await;
        found.unwrap_or_else(|_| panic!("{what}; seen: {seen:#?}"))
    }

    async fn connected_to(&mut self, wanted: PeerId) {
        self.expect("a direct connection to that peer", |event| match event {
            SwarmEvent::Behaviour(NodeEvent::Webrtc(Event::Connected { peer, .. })) => {
                (*peer == wanted).then_some(())
            }
            _ => None,
        })
        .await;
    }

    async fn connected(&mut self) {
        self.expect("a direct connection", |event| match event {
            SwarmEvent::Behaviour(NodeEvent::Webrtc(Event::Connected { .. })) => Some(()),
            _ => None,
        })
        .await;
    }
}

#[tokio::test]
async fn a_relayed_connection_becomes_a_direct_one() {
    let world = World::new(Network::Open, 2);
    let relay = relay().await;
    let (mut listener, circuit) = Running::listening(&world, Config::default(), &relay).await;
    let mut dialler = Running::start(node(&world, Config::default()));
    dialler.dial(circuit);
    dialler.connected().await;
    listener.connected().await;
    // It is a connection like any other: pings go over it.
    let (peer, event) = dialler
        .expect("a ping over the new connection", |event| match event {
            SwarmEvent::ConnectionEstablished {
                peer_id, endpoint, ..
            } if is_direct(endpoint.get_remote_address()) => Some((*peer_id, true)),
            SwarmEvent::Behaviour(NodeEvent::Ping(event)) if event.result.is_ok() => {
                Some((event.peer, false))
            }
            _ => None,
        })
        .await;
    assert!(peer == listener.peer || !event);
    assert_eq!(world.open_connections(), 2, "one session");
}

#[tokio::test]
async fn a_connection_by_turn_is_known_as_one_until_another_pair_is_selected() {
    let world = World::new(Network::Turn, 2);
    let relay = relay().await;
    let (mut listener, circuit) = Running::listening(&world, Config::default(), &relay).await;
    let mut dialler = Running::start(node(&world, Config::default()));
    dialler.dial(circuit);
    for end in [&mut dialler, &mut listener] {
        let pair = end.expect("a direct connection", |event| match event {
            SwarmEvent::Behaviour(NodeEvent::Webrtc(Event::Connected {
                selected_pair, ..
            })) => Some(*selected_pair),
            _ => None,
        });
        assert_eq!(pair.await, Some(SelectedPair::Turn));
    }
    world.select_pair(SelectedPair::Direct);
    for end in [&mut dialler, &mut listener] {
        end.expect("that another pair is selected", |event| match event {
            SwarmEvent::Behaviour(NodeEvent::Webrtc(Event::SelectedPairChanged(_))) => Some(()),
            _ => None,
        })
        .await;
    }
}

#[tokio::test]
async fn who_is_connected_by_webrtc_relays_for_others() {
    let world = World::new(Network::Open, 2);
    let relay = relay().await;
    let (mut middle, circuit) = Running::listening(&world, Config::default(), &relay).await;
    let mut ends = Vec::new();
    for _ in 0..2 {
        let mut swarm = node(&world, Config::default());
        swarm
            .listen_on(Multiaddr::empty().with(Protocol::WebRTC))
            .unwrap();
        let mut end = Running::start(swarm);
        end.dial(circuit.clone());
        end.connected().await;
        middle.connected().await;
        ends.push(end);
    }
    let [mut one, mut other] = <[Running; 2]>::try_from(ends).ok().unwrap();
    drop(relay);

    let through_middle = webrtc(middle.peer).with(Protocol::P2pCircuit);
    other.listens.try_send(through_middle.clone()).unwrap();
    let direct = from_circuit(&through_middle)
        .unwrap()
        .with(Protocol::P2p(other.peer));
    other
        .expect("an address through the middle", |event| match event {
            SwarmEvent::NewListenAddr { address, .. } => (*address == direct).then_some(()),
            _ => None,
        })
        .await;
    one.dial(through_middle.with(Protocol::P2p(other.peer)));
    let (one_peer, other_peer) = (one.peer, other.peer);
    one.connected_to(other_peer).await;
    other.connected_to(one_peer).await;
}

#[tokio::test]
async fn the_address_can_be_dialled_without_a_connection_before() {
    let world = World::new(Network::Open, 2);
    let relay = relay().await;
    let (mut listener, circuit) = Running::listening(&world, Config::default(), &relay).await;
    let config = Config {
        upgrade: false,
        ..Config::default()
    };
    let mut dialler = Running::start(node(&world, config));
    dialler.dial(from_circuit(&circuit).unwrap());
    dialler.connected().await;
    listener.connected().await;
}

#[tokio::test]
async fn where_ice_fails_the_relayed_connection_stays() {
    let world = World::new(Network::Shut, 2);
    let relay = relay().await;
    let (mut listener, circuit) = Running::listening(&world, Config::default(), &relay).await;
    let mut dialler = Running::start(node(&world, Config::default()));
    dialler.dial(circuit);
    let report = dialler
        .expect("that it fails", |event| match event {
            SwarmEvent::Behaviour(NodeEvent::Webrtc(Event::Failed {
                report,
                retry: Some(_),
                ..
            })) => Some(*report),
            _ => None,
        })
        .await
        .expect("a report");
    assert!(
        matches!(report.failure, Some(Failure::IceFailed | Failure::GivenUp)),
        "{report:?}"
    );
    let from = dialler.peer;
    listener
        .expect("that it failed from there", |event| match event {
            SwarmEvent::Behaviour(NodeEvent::Webrtc(Event::Failed { peer, .. })) => {
                (*peer == from).then_some(())
            }
            _ => None,
        })
        .await;
    assert_eq!(world.open_connections(), 0, "nothing leaks");
    dialler
        .expect("a ping over the relay", |event| match event {
            SwarmEvent::Behaviour(NodeEvent::Ping(event)) if event.peer == listener.peer => {
                event.result.is_ok().then_some(())
            }
            _ => None,
        })
        .await;
}

#[tokio::test]
async fn both_offer_at_once_and_one_session_remains() {
    for _ in 0..10 {
        let world = World::new(Network::Open, 2);
        let relay = relay().await;
        let config = || Config {
            upgrade: false,
            upgrade_inbound: false,
            ..Config::default()
        };
        let (mut one, circuit_one) = Running::listening(&world, config(), &relay).await;
        let (mut other, circuit_other) = Running::listening(&world, config(), &relay).await;
        one.dial(from_circuit(&circuit_other).unwrap());
        other.dial(from_circuit(&circuit_one).unwrap());
        tokio::join!(one.connected(), other.connected());
        // A session that was over before the other began is a second connection for a moment.
        let alone = timeout(PATIENCE, async {
            while world.open_connections() != 2 {
                tokio::task::yield_now().await;
            }
        });
        assert!(alone.await.is_ok(), "{}", world.open_connections());
    }
}

#[tokio::test]
async fn who_does_not_listen_is_not_connected_to() {
    let world = World::new(Network::Open, 2);
    let relay = relay().await;
    let mut swarm = node(&world, Config::default());
    let circuit = relay.address.clone().with(Protocol::P2pCircuit);
    swarm.listen_on(circuit.clone()).unwrap();
    let mut listener = Running::start(swarm);
    listener
        .expect("the circuit", |event| match event {
            SwarmEvent::NewListenAddr { .. } => Some(()),
            _ => None,
        })
        .await;
    let mut dialler = Running::start(node(&world, Config::default()));
    dialler.dial(circuit.with(Protocol::P2p(listener.peer)));
    let report = dialler
        .expect("that it fails", |event| match event {
            SwarmEvent::Behaviour(NodeEvent::Webrtc(Event::Failed { report, .. })) => Some(*report),
            _ => None,
        })
        .await;
    assert_eq!(
        report.and_then(|report| report.failure),
        Some(Failure::Signaling)
    );
    assert_eq!(world.open_connections(), 0, "nothing leaks");
}
