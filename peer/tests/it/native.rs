//! What only a native peer can show.

use std::time::{Duration, Instant};

use moim_peer::{
    BootstrapSource, DhtMode, LeaveReason, Multiaddr, Path, Peer, PeerEvent, PeerId, Profile,
    ProviderKey, Reach, Status,
};
use n0_future::time::timeout;

use crate::common::{PATIENCE, TestPeer, peer, server, test, topic};

#[test]
async fn peers_that_can_be_dialled_are_connected_directly() {
    let (_server, source) = server().await;
    let ada = peer(&source).await;
    let bob = peer(&source).await;
    let ada_room = ada.join("close", "Ada").await;
    let bob_room = bob.join("close", "Bob").await;
    for (peer, room) in [(&ada, &ada_room), (&bob, &bob_room)] {
        peer.members(room, "reached directly", |members| {
            members
                .iter()
                .any(|member| matches!(member.reach, Reach::Connected(Path::Direct(_))))
        })
        .await;
    }
}

#[test]
async fn a_peer_that_vanishes_is_gone_when_its_presence_expires() {
    let (_server, source) = server().await;
    let mut ada = peer(&source).await;
    let _ada_room = ada.join("fragile", "Ada").await;
    let lifetime = Duration::from_secs(4);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("runtime");
    let builder = Peer::builder()
        .bootstrap([source.clone()])
        .presence_lifetime(lifetime)
        .listen(["/ip4/127.0.0.1/tcp/0".parse().expect("valid")]);
    // A runtime of its own, so that it can be taken away without a word.
    let (bob, room) = runtime
        .spawn(async move {
            let (peer, events) = builder.start().await.expect("starts");
            let room = peer
                .join(topic("fragile"), Profile::named("Bob").expect("a name"))
                .await
                .expect("joins");
            (peer.id(), (peer, events, room))
        })
        .await
        .expect("joined");
    ada.expect("that Bob joins", |event| match event {
        PeerEvent::MemberJoined { member, .. } if member.peer == bob => Some(()),
        _ => None,
    })
    .await;
    // Longer than one life: he is kept by renewing it.
    timeout(lifetime + lifetime / 2, async {
        ada.expect("that Bob leaves while he lives", |event| match event {
            PeerEvent::MemberLeft { .. } => Some(()),
            _ => None,
        })
        .await;
    })
    .await
    .expect_err("a living peer renews its presence");

    std::mem::forget(room);
    runtime.shutdown_background();
    let vanished = Instant::now();
    let reason = ada
        .expect("that Bob is gone", |event| match event {
            PeerEvent::MemberLeft { peer, reason, .. } if *peer == bob => Some(*reason),
            _ => None,
        })
        .await;
    assert_eq!(reason, LeaveReason::Expired);
    assert!(
        vanished.elapsed() <= lifetime + Duration::from_secs(1),
        "{:?}",
        vanished.elapsed()
    );
}

#[test]
async fn one_good_bootstrap_address_among_bad_ones_is_enough() {
    let (server, source) = server().await;
    let stranger = PeerId::random();
    let BootstrapSource::Address(address) = &source else {
        panic!("an address")
    };
    let mut wrong_id = address.clone();
    wrong_id.pop();
    let bad: Vec<BootstrapSource> = [
        "/ip4/127.0.0.1/tcp/9".to_owned(),
        format!("{wrong_id}/p2p/{stranger}"),
        "http://127.0.0.1:9/bootstrap.json".to_owned(),
        "/ip4/127.0.0.1/udp/9/webrtc-direct".to_owned(),
    ]
    .iter()
    .map(|text| text.parse().expect("well-formed"))
    .collect();
    let ada =
        TestPeer::start(Peer::builder().bootstrap(bad.clone().into_iter().chain([source.clone()])))
            .await;
    ada.connected().await;

    let bob = TestPeer::start(Peer::builder().bootstrap(bad)).await;
    let mut snapshot = bob.peer.snapshot();
    let failed = snapshot.wait_for(|snapshot| matches!(snapshot.status, Status::Failed { .. }));
    let failed = timeout(PATIENCE, failed)
        .await
        .expect("in time")
        .expect("runs")
        .clone();
    let reason = failed.status.why().expect("a reason").to_string();
    for part in [
        "/ip4/127.0.0.1/tcp/9",
        "another peer",
        "http://127.0.0.1:9/bootstrap.json",
        "webrtc-direct",
    ] {
        assert!(reason.contains(part), "{part} is not in: {reason}");
    }
    drop(server);
}

/// Each dials the other as soon as the DHT names it. Where both dials come to nothing, they try again after ten seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_come_at_the_same_moment_meet_at_once() {
    const ROUNDS: usize = 40;
    const WITHIN: Duration = Duration::from_secs(5);
    let (_server, source) = server().await;
    for round in 0..ROUNDS {
        let (ada, bob) = tokio::join!(peer(&source), peer(&source));
        let topic = format!("moment {round}");
        let began = Instant::now();
        let (ada_room, bob_room) = tokio::join!(ada.join(&topic, "Ada"), bob.join(&topic, "Bob"));
        for (peer, room) in [(&ada, &ada_room), (&bob, &bob_room)] {
            peer.members(room, "the other is connected", |members| {
                members
                    .iter()
                    .any(|member| matches!(member.reach, Reach::Connected(_)))
            })
            .await;
        }
        let took = began.elapsed();
        assert!(took < WITHIN, "round {round}: {took:?}");
    }
}

/// What is told without an answer is said on a stream that is dropped at once.
#[test]
async fn what_is_provided_arrives_by_tcp_and_by_quic() {
    for listen in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"] {
        let listen: Multiaddr = listen.parse().expect("valid");
        let server = Peer::builder()
            .dht_mode(DhtMode::Server)
            .listen([listen.clone()]);
        let server = TestPeer::start(server).await;
        let mut snapshot = server.peer.snapshot();
        let listens = snapshot.wait_for(|snapshot| !snapshot.addresses.is_empty());
        let address = listens.await.expect("it runs").addresses[0].clone();
        let source = format!("{address}/p2p/{}", server.peer.id());
        let source: BootstrapSource = source.parse().expect("valid");
        let client = || {
            Peer::builder()
                .bootstrap([source.clone()])
                .listen([listen.clone()])
        };
        let (ada, eve) = (
            TestPeer::start(client()).await,
            TestPeer::start(client()).await,
        );
        let key = ProviderKey::of("something");
        ada.peer.provide(key).await.expect("told");
        // Nobody answers that it has come.
        let found = async {
            while eve.peer.providers(key).await.expect("answered") != [ada.peer.id()] {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, found).await.expect("found in time");
    }
}
