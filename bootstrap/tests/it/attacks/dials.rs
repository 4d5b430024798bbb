//! Strangers who would have the node dial what they like: by every way in which it is told addresses, at
//! every kind of address that leads into its own machine or network, or writes a stranger's text there.
//!
//! A *canary* listens where the node must not call. What the node does dial, because Moim is run there, is
//! told by one beside them.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use futures::{FutureExt as _, StreamExt as _};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, autonat,
    connection_limits::{self, ConnectionLimits},
    identify, kad,
    multiaddr::Protocol,
    noise,
    swarm::{FromSwarm, NetworkBehaviour, NewExternalAddrCandidate, SwarmEvent},
    tcp, yamux,
};
use moim_protocol::names;
use tokio::net::TcpListener;

use super::{Siege, newcomer::HonestRoom};
use crate::{
    client::{BehaviourEvent, Client},
    process::Node,
    soon, until,
};

/// Listens where nobody should call.
struct Canary {
    listener: TcpListener,
    ip: IpAddr,
    port: u16,
}

impl Canary {
    async fn at(ip: IpAddr) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { listener, ip, port }
    }

    /// Waits until somebody calls.
    async fn called(&self) {
        soon("a call", self.listener.accept()).await.unwrap();
    }

    fn assert_untouched(&self) {
        let call = self.listener.accept().now_or_never();
        assert!(call.is_none(), "somebody called {}:{}", self.ip, self.port);
    }
}

/// Canaries on the node's machine, and addresses that would lead to them.
struct Trap {
    canaries: Vec<Canary>,
    addresses: Vec<Multiaddr>,
}

impl Trap {
    async fn lay() -> Self {
        // Where the node itself is; another loopback address; IPv6's.
        let here = Canary::at(Ipv4Addr::LOCALHOST.into()).await;
        let beside = Canary::at(Ipv4Addr::new(127, 0, 0, 99).into()).await;
        let six = Canary::at(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])).await;
        let relay = PeerId::random();
        let texts = [
            // A stranger's text in the first bytes.
            "/ip4/127.0.0.1/tcp/HERE/x-parity-ws/%2F%0D%0ASET%20pwned%201%0D%0A",
            "/ip4/127.0.0.1/tcp/HERE/x-parity-ws/%2Fgoform%2Freboot",
            "/ip4/127.0.0.1/tcp/HERE/x-parity-wss/%2Fa",
            "/ip4/127.0.0.1/tcp/HERE/tls/x-parity-ws/%2Fa",
            "/dns4/user@127.0.0.1/tcp/HERE/ws",
            "/dns4/localhost/tcp/HERE",
            "/dns4/localhost/tcp/HERE/ws",
            "/dns/localhost/tcp/HERE/wss",
            "/dns4/x.localhost/tcp/HERE",
            "/dns4/127.0.0.1/tcp/HERE",
            "/dns4/2130706433/tcp/HERE/ws",
            "/ip4/127.0.0.1/tcp/HERE/http",
            "/ip4/127.0.0.1/tcp/HERE/tls",
            "/ip4/127.0.0.1/tcp/HERE/ws/p2p/RELAY/p2p-circuit/ip4/127.0.0.1/tcp/HERE",
            "/ip4/127.0.0.1/tcp/HERE/x-parity-ws/%2Fa/p2p/RELAY/p2p-circuit",
            // Another host of the machine's.
            "/ip4/127.0.0.99/tcp/BESIDE",
            "/ip4/127.0.0.99/tcp/BESIDE/ws",
            "/ip4/127.0.0.99/tcp/BESIDE/wss",
            "/ip4/0.0.0.0/tcp/HERE",
            "/ip6/::ffff:127.0.0.1/tcp/HERE",
            "/ip6/::ffff:127.0.0.99/tcp/BESIDE/ws",
            "/ip6/::1/tcp/SIX",
            "/ip6/::1/tcp/SIX/ws",
            "/ip6/::/tcp/SIX",
            "/ip6/64:ff9b::7f00:1/tcp/HERE",
            "/ip6/2002:7f00:1::1/tcp/HERE",
            "/ip6/::127.0.0.1/tcp/HERE",
            // Other services, and no places at all.
            "/ip4/127.0.0.1/tcp/22",
            "/ip4/127.0.0.1/tcp/25/ws",
            "/ip4/127.0.0.1/tcp/6379",
            "/ip4/169.254.169.254/tcp/8080/ws",
            "/ip4/192.168.0.1/tcp/8080/ws",
            "/ip4/10.0.0.1/udp/8468/quic-v1",
            "/memory/7",
            "/unix/tmp%2Fsocket",
            "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234",
            "/dnsaddr/localhost",
        ];
        let addresses = texts.map(|text| {
            text.replace("HERE", &here.port.to_string())
                .replace("BESIDE", &beside.port.to_string())
                .replace("SIX", &six.port.to_string())
                .replace("RELAY", &relay.to_string())
                .parse()
                .unwrap()
        });
        Self {
            addresses: addresses.to_vec(),
            canaries: vec![here, beside, six],
        }
    }

    fn assert_untouched(&self) {
        for canary in &self.canaries {
            canary.assert_untouched();
        }
    }
}

/// An address where somebody may be called, who tells of it.
async fn open() -> (Canary, Multiaddr) {
    let canary = Canary::at(Ipv4Addr::LOCALHOST.into()).await;
    let address = Multiaddr::from(canary.ip).with(Protocol::Tcp(canary.port));
    (canary, address)
}

/// Asks the node to dial these addresses of the client's, and waits for all answers. Says which it
/// reached.
async fn ask_for_dials(client: &mut Client, addresses: &[Multiaddr]) -> Vec<Multiaddr> {
    for addr in addresses {
        let candidate = FromSwarm::NewExternalAddrCandidate(NewExternalAddrCandidate { addr });
        client
            .swarm
            .behaviour_mut()
            .autonat
            .on_swarm_event(candidate);
    }
    let (mut waiting, mut reached) = (addresses.to_vec(), Vec::new());
    client
        .until("the node's answers", |_, event| {
            if let SwarmEvent::Behaviour(BehaviourEvent::Autonat(autonat::v2::client::Event {
                tested_addr,
                result,
                ..
            })) = event
            {
                waiting.retain(|address| *address != tested_addr);
                if result.is_ok() {
                    reached.push(tested_addr);
                }
            }
            waiting.is_empty().then_some(())
        })
        .await;
    reached
}

/// A client that asks for tests of its addresses as soon as it may.
async fn asker(node: &Node) -> Client {
    let mut client = Client::new().await;
    client.swarm.behaviour_mut().autonat = autonat::v2::client::Behaviour::new(
        rand::make_rng::<rand::rngs::StdRng>(),
        autonat::v2::client::Config::default()
            .with_max_candidates(usize::MAX)
            .with_probe_interval(Duration::from_millis(100)),
    );
    client.connect(&node.address("tcp")).await;
    client.identify().await;
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dials_back_go_to_the_asker_and_nowhere_else() {
    let siege = Siege::lay().await;
    let trap = Trap::lay().await;
    let mut client = asker(&siege.node).await;
    for addresses in trap.addresses.chunks(8) {
        assert_eq!(ask_for_dials(&mut client, addresses).await, []);
    }
    trap.assert_untouched();
    // It does dial the asker where it is.
    let listening = client.listen("/ip4/127.0.0.1/tcp/0").await;
    assert_eq!(
        ask_for_dials(&mut client, std::slice::from_ref(&listening)).await,
        [listening]
    );
    let asking = async {
        loop {
            let mut client = asker(&siege.node).await;
            for addresses in trap.addresses.chunks(8) {
                ask_for_dials(&mut client, addresses).await;
            }
        }
    };
    siege
        .judge_amid(
            asking,
            "dials back asked for to the node's own machine and network, again and again",
            16,
            "no byte arrives",
        )
        .await;
    trap.assert_untouched();
}

/// Waits until the node has looked for its neighbours in the DHT once more, and so has dialled whomever it
/// was named.
async fn has_looked_around(node: &Node, before: u64) {
    until("the node to look for its neighbours", async || {
        lookups(node).await > before
    })
    .await;
}

async fn lookups(node: &Node) -> u64 {
    let text = node.get("/metrics").await.body;
    let counts = text
        .lines()
        .filter(|line| line.starts_with("libp2p_kad_query_result_duration_seconds_count"))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
    counts.sum()
}

/// Somebody whom the node takes for a server of the DHT, and who calls nobody but the node.
struct Server(Swarm<ServerBehaviour>);

#[derive(NetworkBehaviour)]
struct ServerBehaviour {
    limits: connection_limits::Behaviour,
    identify: identify::Behaviour,
    kad: kad::Behaviour<kad::store::MemoryStore>,
}

impl Server {
    /// One that says of itself that it is where `addresses` are.
    fn new(addresses: &[Multiaddr]) -> Self {
        let mut swarm = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(
                tcp::Config::default(),
                noise::Config::new,
                yamux::Config::default,
            )
            .unwrap()
            .with_behaviour(|key| {
                let id = key.public().to_peer_id();
                let store = kad::store::MemoryStore::new(id);
                let protocol = StreamProtocol::new(names::KAD_PROTOCOL);
                let mut kad = kad::Behaviour::with_config(id, store, kad::Config::new(protocol));
                kad.set_mode(Some(kad::Mode::Server));
                let identify = identify::Config::new("/test/1".to_owned(), key.public());
                ServerBehaviour {
                    limits: connection_limits::Behaviour::new(ConnectionLimits::default()),
                    identify: identify::Behaviour::new(identify),
                    kad,
                }
            })
            .unwrap()
            .build();
        for address in addresses {
            swarm.add_external_address(address.clone());
        }
        Self(swarm)
    }

    /// Has an address for a peer of that name, if it is asked for peers.
    fn knows(&mut self, address: &Multiaddr) {
        let kad = &mut self.0.behaviour_mut().kad;
        kad.add_address(&PeerId::random(), address.clone());
    }

    /// Goes to the node.
    async fn join(&mut self, node: &Node) {
        self.0.dial(node.address("tcp")).unwrap();
        let limits = self.0.behaviour_mut().limits.limits_mut();
        *limits = ConnectionLimits::default().with_max_pending_outgoing(Some(0));
        soon("a connection", async {
            while !self.0.is_connected(&node.peer_id()) {
                self.0.select_next_some().await;
            }
        })
        .await;
    }

    /// Does what the node asks for, for ever.
    async fn run(&mut self) {
        loop {
            self.0.select_next_some().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_the_dht_lead_nowhere_but_to_servers() {
    let node = Node::start().await;
    let room = HonestRoom::gather(&node).await;
    let trap = Trap::lay().await;
    // An answer names twenty.
    for addresses in trap.addresses.chunks(16) {
        let (open, address) = open().await;
        let mut liar = Server::new(&["/ip4/127.0.0.1/tcp/9999".parse().unwrap()]);
        for address in addresses.iter().chain([&address]) {
            // Each of another peer's, so that none hides another.
            liar.knows(address);
        }
        let before = lookups(&node).await;
        liar.join(&node).await;
        tokio::select! {
            () = liar.run() => {}
            ((), (), _) = async {
                tokio::join!(open.called(), has_looked_around(&node, before), room.welcome())
            } => {}
        }
        trap.assert_untouched();
    }
    node.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn introductions_lead_nowhere_but_to_servers() {
    let node = Node::start().await;
    let room = HonestRoom::gather(&node).await;
    let trap = Trap::lay().await;
    let (open, address) = open().await;
    let mut liars = Vec::new();
    // Few of one peer's are kept.
    for addresses in trap.addresses.chunks(3) {
        let addresses: Vec<_> = [&address].into_iter().chain(addresses).cloned().collect();
        let mut liar = Server::new(&addresses);
        liar.join(&node).await;
        let id = *liar.0.local_peer_id();
        let known = until("the node to know who it is", async || {
            let log = node.log();
            log.lines()
                .any(|line| line.contains("identified") && line.contains(&id.to_string()))
        });
        tokio::select! {
            () = known => {}
            () = liar.run() => {}
        }
        liars.push(liar);
    }
    // Who is not there any more is dialled, to be asked.
    drop(liars);
    let mut newcomer = Server::new(&["/ip4/127.0.0.1/tcp/9999".parse().unwrap()]);
    let before = lookups(&node).await;
    newcomer.join(&node).await;
    tokio::select! {
        () = newcomer.run() => {}
        ((), (), _) = async {
            tokio::join!(open.called(), has_looked_around(&node, before), room.welcome())
        } => {}
    }
    trap.assert_untouched();
    node.assert_alive().await;
}

/// Dials that are asked for, to places that take calls and say nothing, must not keep the node from those
/// that its settings name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_dials_back_keep_the_node_from_no_other_node() {
    let (siege, other) = (Siege::lay().await, Node::start().await);
    let node = &siege.node;
    let mut slow = Vec::new();
    let mut askers = Vec::new();
    for _ in 0..10 {
        let mut asker = asker(node).await;
        for _ in 0..8 {
            let (canary, address) = open().await;
            let addr = &address;
            let candidate = FromSwarm::NewExternalAddrCandidate(NewExternalAddrCandidate { addr });
            asker
                .swarm
                .behaviour_mut()
                .autonat
                .on_swarm_event(candidate);
            slow.push(canary);
        }
        askers.push(tokio::spawn(async move { asker.run().await }));
    }
    let calls = slow.iter().map(|canary| Box::pin(canary.listener.accept()));
    let (call, ..) = soon("the node to be busy", futures::future::select_all(calls)).await;
    let held = call.unwrap();
    // The others of its share, or all 64 of them if there were none.
    until("more to be refused", async || {
        node.rejected("dial-back").await > 0
    })
    .await;
    let settings = format!("bootstrap = ['{}']", other.address("tcp"));
    std::fs::write(node.data.path().join("moim-bootstrap.toml"), settings).unwrap();
    let began = Instant::now();
    node.signal("HUP").await;
    other.until_logged(&node.peer_id().to_string()).await;
    // A slow dial takes ten.
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    siege
        .judge("80 dials back to places that say nothing", 16, "")
        .await;
    drop(held);
    for asker in askers {
        asker.abort();
    }
}
