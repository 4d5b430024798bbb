//! Strangers who would have a peer call where they like, or speak for it.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, FutureExt as _, StreamExt as _};
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder,
    core::SignedEnvelope,
    dcutr, identify,
    identity::Keypair,
    kad,
    multiaddr::Protocol,
    noise, ping, relay,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use moim_peer::{BootstrapSource, Peer, Topic};
use moim_protocol::{names, presence::presence_record_key};
use n0_future::time::timeout;
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    common::{PATIENCE, TestPeer, builder, peer, server, test},
    hostile_relay::{field, varint},
};

/// Listens where nobody should call.
struct Canary(TcpListener);

impl Canary {
    async fn at(ip: IpAddr) -> (Self, u16) {
        let listener = TcpListener::bind((ip, 0)).await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        (Self(listener), port)
    }

    async fn called(&self) {
        let call = timeout(PATIENCE, self.0.accept()).await;
        call.expect("a call in time").expect("a call");
    }

    fn assert_untouched(&self) {
        let call = self.0.accept().now_or_never();
        assert!(call.is_none(), "somebody called {:?}", self.0.local_addr());
    }
}

/// A member that is nobody, signed for with these addresses, whatever they are.
fn presence(topic: &Topic, addresses: &[String]) -> kad::Record {
    let keypair = Keypair::generate_ed25519();
    let peer = keypair.public().to_peer_id();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("later");
    let now = u64::try_from(now.as_millis()).expect("not yet");
    let payload = json!({
        "v": 1, "type": "presence", "peer": peer.to_string(), "topic": topic.hash().to_hex(),
        "name": "Eve", "addresses": addresses, "sequence": now, "issued": now,
        "expires": now + 120_000, "state": "here",
    });
    let envelope = SignedEnvelope::new(
        &keypair,
        names::PRESENCE_DOMAIN.to_owned(),
        names::PRESENCE_PAYLOAD_TYPE.to_vec(),
        payload.to_string().into_bytes(),
    );
    let bytes = envelope.expect("the key signs").into_protobuf_encoding();
    let key = presence_record_key(topic.hash(), &peer);
    kad::Record::new(key, bytes)
}

/// Puts records to the server.
async fn put(records: Vec<kad::Record>, source: &BootstrapSource) {
    let mut swarm: Swarm<kad::Behaviour<kad::store::MemoryStore>> =
        SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(
                tcp::Config::default(),
                noise::Config::new,
                yamux::Config::default,
            )
            .expect("transport")
            .with_behaviour(|key| {
                let me = key.public().to_peer_id();
                let config = kad::Config::new(libp2p::StreamProtocol::new(names::KAD_PROTOCOL));
                let mut kad =
                    kad::Behaviour::with_config(me, kad::store::MemoryStore::new(me), config);
                kad.set_mode(Some(kad::Mode::Client));
                kad
            })
            .expect("behaviour")
            .build();
    let (peer, address) = split(source);
    swarm.behaviour_mut().add_address(&peer, address);
    let mut waiting = records.len();
    for record in records {
        let one = kad::Quorum::One;
        swarm.behaviour_mut().put_record(record, one).expect("kept");
    }
    let putting = async {
        while waiting > 0 {
            if let SwarmEvent::Behaviour(kad::Event::OutboundQueryProgressed {
                result: kad::QueryResult::PutRecord(result),
                ..
            }) = swarm.select_next_some().await
            {
                result.expect("acknowledged");
                waiting -= 1;
            }
        }
    };
    timeout(PATIENCE, putting).await.expect("put in time");
}

fn split(source: &BootstrapSource) -> (PeerId, Multiaddr) {
    let BootstrapSource::Address(address) = source else {
        panic!("an address")
    };
    let mut address = address.clone();
    match address.pop() {
        Some(Protocol::P2p(peer)) => (peer, address),
        other => panic!("no peer id in the address but {other:?}"),
    }
}

/// Canaries on this machine, and addresses that would lead to them.
struct Trap {
    canaries: [Canary; 3],
    addresses: Vec<String>,
}

impl Trap {
    async fn lay() -> Self {
        let (here, here_port) = Canary::at(Ipv4Addr::LOCALHOST.into()).await;
        let (beside, beside_port) = Canary::at(Ipv4Addr::new(127, 0, 0, 98).into()).await;
        let (six, six_port) = Canary::at(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])).await;
        let relay = PeerId::random();
        let addresses = [
            "/ip4/127.0.0.1/tcp/HERE/x-parity-ws/%0D%0AFLUSHALL%0D%0A",
            "/ip4/127.0.0.1/tcp/HERE/x-parity-ws/%2Fgoform%2Freboot",
            "/ip4/127.0.0.1/tcp/HERE/x-parity-wss/%2Fa",
            "/ip4/127.0.0.1/tcp/HERE/tls/x-parity-ws/%2Fa",
            "/dns4/user@localhost/tcp/HERE/wss",
            "/dns4/localhost/tcp/HERE",
            "/dns4/localhost/tcp/HERE/ws",
            "/dns4/x.localhost/tcp/HERE/wss",
            "/dns4/127.0.0.1/tcp/HERE",
            "/dns4/2130706433/tcp/HERE/ws",
            "/ip4/127.0.0.1/tcp/HERE/x-parity-ws/%2Fa/p2p/RELAY/p2p-circuit",
            "/dns4/localhost/tcp/HERE/p2p/RELAY/p2p-circuit",
            "/ip4/127.0.0.98/tcp/BESIDE",
            "/ip4/127.0.0.98/tcp/BESIDE/ws",
            "/ip4/127.0.0.98/tcp/BESIDE/wss",
            "/ip4/127.0.0.98/tcp/BESIDE/p2p/RELAY/p2p-circuit",
            "/ip4/0.0.0.0/tcp/HERE",
            "/ip6/::ffff:127.0.0.1/tcp/HERE",
            "/ip6/::1/tcp/SIX",
            "/ip6/::1/tcp/SIX/ws",
            "/ip6/64:ff9b::7f00:1/tcp/HERE",
            "/ip6/2002:7f00:1::1/tcp/HERE",
            "/ip4/127.0.0.1/tcp/22",
            "/ip4/127.0.0.1/tcp/6379",
            "/memory/7",
            "/unix/tmp%2Fa",
            "/dnsaddr/localhost",
            "/newproto/7",
        ]
        .iter()
        .map(|text| {
            text.replace("HERE", &here_port.to_string())
                .replace("BESIDE", &beside_port.to_string())
                .replace("SIX", &six_port.to_string())
                .replace("RELAY", &relay.to_string())
        })
        .collect();
        Self {
            canaries: [here, beside, six],
            addresses,
        }
    }

    fn assert_untouched(&self) {
        for canary in &self.canaries {
            canary.assert_untouched();
        }
    }
}

#[test]
async fn members_in_the_dht_lead_nowhere_but_to_peers() {
    let (_server, source) = server().await;
    let topic = Topic::new("trap").expect("a topic");
    let trap = Trap::lay().await;
    // Tried last, so that all others have been by then.
    let (open, open_port) = Canary::at(Ipv4Addr::LOCALHOST.into()).await;
    let last = format!("/ip4/127.0.0.1/tcp/{open_port}/ws");
    let records = trap.addresses.chunks(7).map(|traps| {
        let addresses: Vec<String> = traps.iter().chain([&last]).cloned().collect();
        presence(&topic, &addresses)
    });
    let records: Vec<kad::Record> = records.collect();
    let members = records.len();
    put(records, &source).await;

    let ada = peer(&source).await;
    let _room = ada.join("trap", "Ada").await;
    for _ in 0..members {
        open.called().await;
    }
    trap.assert_untouched();
}

#[derive(NetworkBehaviour)]
struct Puncher {
    identify: identify::Behaviour,
    relay: relay::client::Behaviour,
    streams: libp2p_stream::Behaviour,
}

/// Somebody who answers whoever would punch a hole to it with these addresses.
fn puncher(addresses: &[Multiaddr]) -> Swarm<Puncher> {
    let swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )
        .expect("transport")
        .with_relay_client(noise::Config::new, yamux::Config::default)
        .expect("relay")
        .with_behaviour(|key, relay| Puncher {
            identify: identify::Behaviour::new(identify::Config::new(
                names::IDENTIFY_PROTOCOL.to_owned(),
                key.public(),
            )),
            relay,
            streams: libp2p_stream::Behaviour::new(),
        })
        .expect("behaviour")
        .build();
    // DCUtR, section "RPC messages": CONNECT, with addresses.
    let addresses = addresses.iter().flat_map(|one| field(2, &one.to_vec()));
    let connect: Vec<u8> = [8, 100].into_iter().chain(addresses).collect();
    let connect = [varint(connect.len() as u64), connect].concat();
    let mut control = swarm.behaviour().streams.new_control();
    let mut asked = control.accept(dcutr::PROTOCOL_NAME).expect("nobody else's");
    tokio::spawn(async move {
        while let Some((_, mut stream)) = asked.next().await {
            let connect = connect.clone();
            tokio::spawn(async move {
                stream.read_exact(&mut [0; 1]).await?;
                stream.write_all(&connect).await?;
                stream.flush().await?;
                // Its SYNC, upon which it dials.
                stream.read_to_end(&mut Vec::new()).await
            });
        }
    });
    swarm
}

/// Has a relay run at the address at which it listens, which is given with its id.
pub(crate) fn running((mut node, address): (Swarm<Relay>, Multiaddr)) -> (String, JoinHandle<()>) {
    node.add_external_address(address.clone());
    let named = format!("{address}/p2p/{}", node.local_peer_id());
    let running = tokio::spawn(async move {
        loop {
            node.select_next_some().await;
        }
    });
    (named, running)
}

/// A peer that has reserved at this relay.
pub(crate) async fn behind(relay: &str) -> TestPeer {
    let source: BootstrapSource = relay.parse().expect("valid");
    let peer = TestPeer::start(builder(&source)).await;
    let mut snapshot = peer.peer.snapshot();
    let reserved = snapshot.wait_for(|snapshot| {
        let mut addresses = snapshot.addresses.iter();
        addresses.any(|address| address.to_string().contains("p2p-circuit"))
    });
    timeout(PATIENCE, reserved)
        .await
        .expect("reserved in time")
        .expect("runs");
    peer
}

/// By DCUtR a peer is asked to dial whoever has reached it through a relay.
#[test]
async fn holes_are_punched_to_peers_and_nowhere_else() {
    let (circuit, node) = running(relay(&[]).await);
    let ada = behind(&circuit).await;
    let trap = Trap::lay().await;
    let traps = trap.addresses.iter().filter_map(|text| text.parse().ok());
    let traps: Vec<Multiaddr> = traps.collect();
    for traps in traps.chunks(16) {
        // The first and the last to be tried, from whichever end that is.
        let (first, first_port) = Canary::at(Ipv4Addr::LOCALHOST.into()).await;
        let (last, last_port) = Canary::at(Ipv4Addr::LOCALHOST.into()).await;
        let ends = [first_port, last_port]
            .map(|port| Multiaddr::from(Ipv4Addr::LOCALHOST).with(Protocol::Tcp(port)));
        let addresses: Vec<Multiaddr> = [&ends[..1], traps, &ends[1..]].concat();
        let mut puncher = puncher(&addresses);
        let through = format!("{circuit}/p2p-circuit/p2p/{}", ada.peer.id());
        let through: Multiaddr = through.parse().expect("valid");
        puncher.dial(through).expect("dials");
        let punching = async {
            loop {
                puncher.select_next_some().await;
            }
        };
        tokio::select! {
            () = punching => {}
            ((), ()) = futures::future::join(first.called(), last.called()) => {}
        }
        trap.assert_untouched();
    }
    node.abort();
}

#[derive(NetworkBehaviour)]
pub(crate) struct Relay {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    relay: relay::Behaviour,
}

/// A relay that says of itself that it is where these are.
async fn relay(addresses: &[Multiaddr]) -> (Swarm<Relay>, Multiaddr) {
    relay_with(relay::Config::default(), addresses).await
}

pub(crate) async fn relay_with(
    config: relay::Config,
    addresses: &[Multiaddr],
) -> (Swarm<Relay>, Multiaddr) {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )
        .expect("transport")
        .with_behaviour(|key| {
            let me = key.public().to_peer_id();
            let mut relay = relay::Behaviour::new(me, config);
            relay.set_status(Some(relay::Status::Enable));
            Relay {
                identify: identify::Behaviour::new(identify::Config::new(
                    names::IDENTIFY_PROTOCOL.to_owned(),
                    key.public(),
                )),
                ping: ping::Behaviour::new(
                    ping::Config::new().with_interval(Duration::from_millis(100)),
                ),
                relay,
            }
        })
        .expect("behaviour")
        .build();
    for address in addresses {
        swarm.add_external_address(address.clone());
    }
    swarm
        .listen_on("/ip4/127.0.0.1/tcp/0".parse().expect("valid"))
        .expect("listens");
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    (swarm, address)
}

const LIES: [&str; 3] = [
    "/ip4/203.0.113.66/tcp/4001",
    "/dns4/evil.example/tcp/443/wss",
    "/ip4/127.0.0.1/tcp/6379/x-parity-ws/%0D%0AFLUSHALL%0D%0A",
];

fn lies() -> Vec<Multiaddr> {
    LIES.map(|text| text.parse().expect("valid")).to_vec()
}

pub(crate) fn addresses(peer: &TestPeer) -> Vec<String> {
    let snapshot = peer.peer.snapshot();
    let snapshot = snapshot.borrow();
    snapshot.addresses.iter().map(ToString::to_string).collect()
}

#[test]
async fn who_dials_a_peer_does_not_become_its_relay() {
    let (_server, source) = server().await;
    let ada = peer(&source).await;
    ada.connected().await;
    let own = addresses(&ada);
    let (mut stranger, _) = relay(&lies()).await;
    let address: Multiaddr = own[0].parse().expect("valid");
    stranger.dial(address).expect("dials");
    let (mut known, mut answers) = (false, 0);
    let watching = async {
        // Whatever the peer wants of somebody whom it has come to know, it wants at once.
        while answers < 10 {
            match stranger.select_next_some().await {
                SwarmEvent::Behaviour(RelayEvent::Relay(event)) => {
                    panic!("asked to relay: {event:?}")
                }
                SwarmEvent::Behaviour(RelayEvent::Identify(identify::Event::Sent { .. })) => {
                    known = true;
                }
                SwarmEvent::Behaviour(RelayEvent::Ping(ping)) if known => {
                    ping.result.expect("answered");
                    answers += 1;
                }
                SwarmEvent::OutgoingConnectionError { error, .. } => panic!("{error}"),
                SwarmEvent::ConnectionClosed { cause, .. } => panic!("closed: {cause:?}"),
                _ => {}
            }
        }
    };
    timeout(PATIENCE, watching).await.expect("in time");
    assert_eq!(addresses(&ada), own);
}

#[test]
async fn a_relay_is_named_as_it_was_reached_and_not_as_it_calls_itself() {
    let (mut node, address) = relay(&lies()).await;
    let id = *node.local_peer_id();
    let node = tokio::spawn(async move {
        loop {
            node.select_next_some().await;
        }
    });
    let source: BootstrapSource = format!("{address}/p2p/{id}").parse().expect("valid");
    let ada = TestPeer::start(Peer::builder().bootstrap([source])).await;
    let mut snapshot = ada.peer.snapshot();
    let reserved = snapshot.wait_for(|snapshot| !snapshot.addresses.is_empty());
    timeout(PATIENCE, reserved)
        .await
        .expect("reserved in time")
        .expect("runs");
    let circuit = format!("{address}/p2p/{id}/p2p-circuit");
    let mut named = addresses(&ada);
    named.sort();
    assert_eq!(named, [circuit.clone(), format!("{circuit}/webrtc")]);
    node.abort();
}
