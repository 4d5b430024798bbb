//! Rooms of many: nobody is shut out, whoever announced before and whether or not they exist.

use std::{collections::HashSet, time::Duration};

use futures::{StreamExt as _, future::join_all};
use libp2p::{Multiaddr, PeerId, Swarm, SwarmBuilder, kad, noise, swarm::SwarmEvent, tcp, yamux};
use moim_peer::{BootstrapSource, Peer, Room, Topic};

use crate::common::{PATIENCE, TestPeer, peer, server, test};

/// A stranger that announces `topic` like a member would, with an address where nobody answers,
/// and is never seen again.
async fn announce_and_vanish(topic: &Topic, source: &BootstrapSource) {
    let BootstrapSource::Address(address) = source else {
        panic!("an address")
    };
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
                let protocol = libp2p::StreamProtocol::new(moim_protocol::names::KAD_PROTOCOL);
                let mut kad = kad::Behaviour::with_config(
                    me,
                    kad::store::MemoryStore::new(me),
                    kad::Config::new(protocol),
                );
                kad.set_mode(Some(kad::Mode::Client));
                kad
            })
            .expect("behaviour")
            .build();
    swarm.add_external_address("/ip4/127.0.0.1/tcp/9".parse().expect("valid"));
    let (server, address) = split(address);
    swarm.behaviour_mut().add_address(&server, address);
    swarm
        .behaviour_mut()
        .start_providing(topic.hash().provider_key().into())
        .expect("kept");
    let announced = async {
        while let Some(event) = swarm.next().await {
            if let SwarmEvent::Behaviour(kad::Event::OutboundQueryProgressed {
                result: kad::QueryResult::StartProviding(result),
                ..
            }) = event
            {
                result.expect("announced");
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, announced)
        .await
        .expect("announced in time");
}

fn split(address: &Multiaddr) -> (PeerId, Multiaddr) {
    let mut address = address.clone();
    match address.pop() {
        Some(libp2p::multiaddr::Protocol::P2p(peer)) => (peer, address),
        other => panic!("no peer id in the address but {other:?}"),
    }
}

/// Members that know of somebody, a handful at a time: a crowd does not arrive in one instant.
async fn members(count: usize, topic: &str, source: &BootstrapSource) -> Vec<(TestPeer, Room)> {
    let mut all = Vec::new();
    while all.len() < count {
        let batch = join_all(
            (all.len()..count.min(all.len() + 6)).map(|number| async move {
                let peer = peer(source).await;
                let room = peer.join(topic, &format!("Member {number}")).await;
                (peer, room)
            }),
        )
        .await;
        join_all(
            batch.iter().map(|(peer, room)| {
                peer.members(room, "somebody is there", |list| !list.is_empty())
            }),
        )
        .await;
        all.extend(batch);
    }
    all
}

/// A peer that has only the DHT: no gossip, no connection to anybody but its way in.
async fn newcomer(source: &BootstrapSource) -> TestPeer {
    TestPeer::start(Peer::builder().bootstrap([source.clone()]).gossip(false)).await
}

async fn finds_all(newcomer: &TestPeer, topic: &str, others: &[(TestPeer, Room)]) {
    let room = newcomer.join(topic, "Newcomer").await;
    let all: HashSet<PeerId> = others.iter().map(|(other, _)| other.peer.id()).collect();
    newcomer
        .members(&room, "everybody is found, and nobody else", |members| {
            members
                .iter()
                .map(|member| member.peer)
                .collect::<HashSet<_>>()
                == all
        })
        .await;
    let me = newcomer.peer.id();
    join_all(others.iter().map(|(other, room)| {
        other.members(room, "the newcomer is known to everybody", move |members| {
            members.iter().any(|member| member.peer == me)
        })
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_without_gossip_finds_sixty_members_through_the_dht() {
    let (_server, source) = server().await;
    let others = members(60, "crowd", &source).await;
    finds_all(&newcomer(&source).await, "crowd", &others).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn announcements_by_peers_that_were_never_there_shut_nobody_out() {
    let (_server, source) = server().await;
    let topic = Topic::new("besieged").expect("valid");
    let others = members(30, "besieged", &source).await;
    join_all((0..30).map(|_| announce_and_vanish(&topic, &source))).await;
    finds_all(&newcomer(&source).await, "besieged", &others).await;
}

#[test]
async fn a_lookup_finds_members_without_joining() {
    let (_server, source) = server().await;
    let others = members(3, "library", &source).await;
    join_all(
        others.iter().map(|(other, room)| {
            other.members(room, "the others are there", |list| list.len() == 2)
        }),
    )
    .await;
    let asker = newcomer(&source).await;
    asker.connected().await;
    let found = asker
        .peer
        .lookup(
            Topic::new("library").expect("valid"),
            Duration::from_secs(10),
        )
        .await
        .expect("asked");
    let ids: HashSet<PeerId> = found.iter().map(|member| member.peer).collect();
    assert_eq!(
        ids,
        others
            .iter()
            .map(|(other, _)| other.peer.id())
            .collect::<HashSet<PeerId>>()
    );
    let nobody = asker
        .peer
        .lookup(
            Topic::new("nowhere").expect("valid"),
            Duration::from_secs(10),
        )
        .await
        .expect("asked");
    assert!(nobody.is_empty(), "{nobody:?}");
    let (other, room) = &others[0];
    assert!(
        !room
            .members()
            .borrow()
            .iter()
            .any(|member| member.peer == asker.peer.id()),
        "{}",
        other.peer.id()
    );
}
