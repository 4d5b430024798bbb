//! The node as libp2p peers see it: every transport, the DHT, the relay, AutoNAT.

use libp2p::{
    Multiaddr, PeerId, autonat,
    identity::Keypair,
    kad::{GetProvidersOk, GetRecordOk, QueryResult, Quorum, Record},
    multiaddr::Protocol,
    swarm::SwarmEvent,
};
use moim_protocol::{
    UnixMillis, limits, names,
    presence::{Presence, State, presence_record_key},
    record::{self, record_key},
    topic::{Topic, TopicHash},
};

use crate::{
    client::{BehaviourEvent, Client, ping_each_other},
    process::Node,
    soon, until,
};

const TRANSPORTS: [&str; 4] = ["tcp", "quic", "ws", "webrtc"];

#[tokio::test]
async fn every_transport_connects_and_identifies() {
    let node = Node::start().await;
    for transport in TRANSPORTS {
        let mut client = Client::new().await;
        client.connect(&node.address(transport)).await;
        let info = client.identify().await;
        assert_eq!(info.public_key.to_peer_id(), node.peer_id(), "{transport}");
        assert_eq!(info.protocol_version, names::IDENTIFY_PROTOCOL);
        let protocols: Vec<_> = info.protocols.iter().map(ToString::to_string).collect();
        for protocol in [
            names::KAD_PROTOCOL,
            "/ipfs/id/1.0.0",
            "/ipfs/ping/1.0.0",
            "/libp2p/circuit/relay/0.2.0/hop",
            "/libp2p/autonat/2/dial-request",
        ] {
            assert!(
                protocols.iter().any(|p| p == protocol),
                "{protocol} in {protocols:?}"
            );
        }
        assert!(
            !protocols.iter().any(|p| p.contains("meshsub")),
            "{protocols:?}"
        );
        assert_eq!(
            info.listen_addrs.len(),
            TRANSPORTS.len(),
            "{:?}",
            info.listen_addrs
        );
    }
}

#[tokio::test]
async fn a_wrong_peer_id_in_the_address_is_noticed() {
    let node = Node::start().await;
    let mut address = node.address("ws");
    address.pop();
    let mut client = Client::new().await;
    client
        .swarm
        .dial(address.with(Protocol::P2p(PeerId::random())))
        .unwrap();
    let error = client.until("the refusal", |_, event| match event {
        SwarmEvent::OutgoingConnectionError { error, .. } => Some(error.to_string()),
        SwarmEvent::ConnectionEstablished { .. } => panic!("connected to somebody else"),
        _ => None,
    });
    assert!(error.await.contains("peer ID"));
}

/// The room of everybody here.
pub(crate) const TOPIC: &str = "global-chat";

pub(crate) fn topic() -> TopicHash {
    Topic::new(TOPIC).unwrap().hash()
}

pub(crate) fn wall() -> UnixMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixMillis::from_epoch(since.unwrap())
}

pub(crate) fn presence(keypair: &Keypair, sequence: u64, state: State) -> Record {
    let peer = keypair.public().to_peer_id();
    let issued = wall();
    let presence = Presence {
        peer,
        topic: topic(),
        name: "Ann".parse().unwrap(),
        addresses: vec!["/ip4/192.0.2.1/tcp/1".parse().unwrap()],
        sequence,
        issued,
        expires: issued.saturating_add(limits::PRESENCE_TTL),
        state,
    };
    let signed = presence.sign(keypair).unwrap();
    Record::new(presence_record_key(topic(), &peer), signed.into_bytes())
}

pub(crate) async fn put(client: &mut Client, record: Record) -> bool {
    client
        .swarm
        .behaviour_mut()
        .kad
        .put_record(record, Quorum::One)
        .unwrap();
    let result = client.result(|result| match result {
        QueryResult::PutRecord(result) => Some(result),
        _ => None,
    });
    result.await.is_ok()
}

pub(crate) async fn is_provider(client: &mut Client, peer: PeerId) -> bool {
    client
        .swarm
        .behaviour_mut()
        .kad
        .get_providers(topic().provider_key().into());
    let found = client.result(|result| match result {
        QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders { providers, .. })) => {
            providers.contains(&peer).then_some(true)
        }
        QueryResult::GetProviders(_) => Some(false),
        _ => None,
    });
    found.await
}

#[tokio::test]
async fn the_dht_keeps_what_is_signed_and_shows_members_until_they_leave() {
    let node = Node::start().await;
    let (mut one, mut other) = (Client::new().await, Client::new().await);
    one.connect(&node.address("ws")).await;
    one.identify().await;
    other.connect(&node.address("tcp")).await;
    other.identify().await;
    for client in [&mut one, &mut other] {
        client
            .swarm
            .behaviour_mut()
            .kad
            .add_address(&node.peer_id(), node.address("tcp"));
    }

    // A value put by one is found by the other.
    let keypair = Keypair::generate_ed25519();
    let value = record::Record {
        key: "menu".parse().unwrap(),
        value: serde_json::json!({ "soup": 1 }),
        publisher: keypair.public().to_peer_id(),
        sequence: 1,
        issued: wall(),
        expires: wall().saturating_add(limits::RECORD_TTL_DEFAULT),
    };
    let signed = value.sign(&keypair).unwrap().into_bytes();
    assert!(put(&mut one, Record::new(record_key("menu"), signed.clone())).await);
    other
        .swarm
        .behaviour_mut()
        .kad
        .get_record(record_key("menu").into());
    let found = other.result(|result| match result {
        QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))) => Some(found.record.value),
        QueryResult::GetRecord(result) => panic!("{result:?}"),
        _ => None,
    });
    assert_eq!(found.await, signed);

    // A member is listed as soon as its presence is acknowledged, and gone as soon as its leave is.
    let member = Keypair::generate_ed25519();
    let member_id = member.public().to_peer_id();
    assert!(put(&mut one, presence(&member, 1, State::Here)).await);
    assert!(is_provider(&mut other, member_id).await);
    assert!(put(&mut one, presence(&member, 2, State::Left)).await);
    assert!(!is_provider(&mut other, member_id).await);
    // The numbers for HTTP are renewed every second.
    until("two records in the metrics", async || {
        node.metric("moim_bootstrap_dht_records").await == 2
    })
    .await;
}

#[tokio::test]
async fn what_the_dht_refuses_is_not_acknowledged_and_counted() {
    let node = Node::start().await;
    let mut client = Client::new().await;
    client.connect(&node.address("tcp")).await;
    client.identify().await;
    client
        .swarm
        .behaviour_mut()
        .kad
        .add_address(&node.peer_id(), node.address("tcp"));
    let member = Keypair::generate_ed25519();
    let mut forged = presence(&member, 1, State::Here);
    *forged.value.last_mut().unwrap() ^= 1;
    client.swarm.behaviour_mut().kad.put_record_to(
        forged,
        vec![node.peer_id()].into_iter(),
        Quorum::One,
    );
    let result = client.result(|result| match result {
        QueryResult::PutRecord(result) => Some(result),
        _ => None,
    });
    result.await.unwrap_err();
    until("the refusal in the metrics", async || {
        node.metric("moim_bootstrap_dht_refused_total").await == 1
    })
    .await;
    assert_eq!(node.metric("moim_bootstrap_dht_records").await, 0);
}

#[tokio::test]
async fn bootstrap_nodes_that_name_each_other_make_one_dht() {
    let first = Node::start().await;
    let list = format!("--bootstrap={}", first.address("tcp"));
    let second = Node::start_with(&[&list]).await;
    until("the nodes to find each other", async || {
        first.metric("moim_bootstrap_peers").await == 1
    })
    .await;

    // Who knows the one only is found by who knows the other only.
    let (mut one, mut other) = (Client::new().await, Client::new().await);
    for (client, node) in [(&mut one, &first), (&mut other, &second)] {
        client.connect(&node.address("ws")).await;
        client.identify().await;
        client
            .swarm
            .behaviour_mut()
            .kad
            .add_address(&node.peer_id(), node.address("ws"));
    }
    let member = Keypair::generate_ed25519();
    assert!(put(&mut one, presence(&member, 1, State::Here)).await);
    let member = member.public().to_peer_id();
    soon("the member to be found", async {
        while !is_provider(&mut other, member).await {}
    })
    .await;
}

#[tokio::test]
async fn the_relay_carries_a_connection_from_each_transport_to_each_other() {
    let node = Node::start().await;
    for (listener_side, dialler_side) in [("ws", "tcp"), ("webrtc", "ws"), ("quic", "webrtc")] {
        let (mut listener, mut dialler) = (Client::new().await, Client::new().await);
        listener.connect(&node.address(listener_side)).await;
        let relayed = listener.reserve(&node.address(listener_side)).await;
        dialler.connect(&node.address(dialler_side)).await;
        let listener_id = listener.id();
        // Through the connection the dialler has.
        let address = circuit(&node.address(dialler_side), listener_id);
        dialler.swarm.dial(address).unwrap();
        ping_each_other(&mut listener, &mut dialler).await;
        assert!(
            relayed
                .to_string()
                .ends_with(&format!("/p2p-circuit/p2p/{listener_id}"))
        );
    }
    assert_eq!(
        node.metric("moim_bootstrap_relay_circuits_accepted_total")
            .await,
        3
    );
}

pub(crate) fn circuit(relay: &Multiaddr, to: PeerId) -> Multiaddr {
    relay
        .clone()
        .with(Protocol::P2pCircuit)
        .with(Protocol::P2p(to))
}

#[tokio::test]
async fn dozens_of_tabs_behind_one_address_get_reservations_and_circuits() {
    // More than libp2p's defaults allow one IP address: 60 of each at once, then one a minute; and
    // more circuits than its 16 in all and 4 per peer.
    const TABS: usize = 70;
    let node = Node::start().await;
    let address = node.address("ws");
    let mut host = Client::new().await;
    host.connect(&address).await;
    host.reserve(&address).await;
    let mut tabs = Vec::new();
    for _ in 0..TABS {
        let mut tab = Client::new().await;
        tab.connect(&address).await;
        tab.reserve(&address).await;
        tab.swarm.dial(circuit(&address, host.id())).unwrap();
        ping_each_other(&mut tab, &mut host).await;
        tabs.push(tab);
    }
    assert_eq!(
        node.metric("moim_bootstrap_relay_circuits").await,
        TABS as u64
    );
    until("all reservations in the metrics", async || {
        node.metric("moim_bootstrap_relay_reservations").await == TABS as u64 + 1
    })
    .await;
}

#[tokio::test]
async fn a_circuit_to_a_peer_without_reservation_is_denied() {
    let node = Node::start().await;
    let mut client = Client::new().await;
    client.connect(&node.address("ws")).await;
    client
        .swarm
        .dial(circuit(&node.address("ws"), PeerId::random()))
        .unwrap();
    client
        .until("the refusal", |_, event| match event {
            SwarmEvent::OutgoingConnectionError { .. } => Some(()),
            _ => None,
        })
        .await;
    assert_eq!(
        node.metric("moim_bootstrap_relay_circuits_denied_total{reason=\"no-reservation\"}")
            .await,
        1
    );
    node.assert_alive().await;
}

#[tokio::test]
async fn autonat_tells_a_peer_that_it_can_be_reached() {
    let node = Node::start().await;
    let mut client = Client::new().await;
    let address = client.listen("/ip4/127.0.0.1/tcp/0").await;
    client.connect(&node.address("tcp")).await;
    let tested = client.until("the result of a test", |_, event| match event {
        SwarmEvent::Behaviour(BehaviourEvent::Autonat(autonat::v2::client::Event {
            tested_addr,
            result,
            ..
        })) => Some((tested_addr, result)),
        _ => None,
    });
    let (tested, result) = tested.await;
    result.unwrap();
    assert_eq!(tested, address);
}
