//! Peers that tell more about themselves than there is, and peers that are in two places.

use std::time::Duration;

use libp2p::{Multiaddr, identity::Keypair, multiaddr::Protocol};

use super::{
    ATTACKER, Assault, Siege,
    raw::{Raw, field, prefixed},
};
use crate::{
    client::{Client, pong_from},
    until,
};

const IDENTIFY: &str = "/ipfs/id/1.0.0";

/// An identify message (libp2p/specs identify) with so many addresses and protocols.
fn introduction(keypair: &Keypair, addresses: usize, protocols: usize) -> Vec<u8> {
    let mut message = field(1, &keypair.public().encode_protobuf());
    for number in 0..addresses {
        let address = Multiaddr::empty()
            .with(Protocol::Ip4((number as u32).to_be_bytes().into()))
            .with(Protocol::Tcp(1));
        message.extend(field(2, &address.to_vec()));
    }
    for number in 0..protocols {
        message.extend(field(3, format!("/eve/{number}").as_bytes()));
    }
    prefixed(&message)
}

/// Tells the node 300 times over one connection who one is.
async fn introduce_oneself(port: u16, addresses: usize, protocols: usize) {
    let keypair = Keypair::generate_ed25519();
    let Ok(mut raw) = Raw::connect(ATTACKER, port, &keypair).await else {
        // Turned away, for connecting too fast.
        return;
    };
    let message = introduction(&keypair, addresses, protocols);
    for _ in 0..300 {
        let pushed = raw.stream("/ipfs/id/push/1.0.0", &message);
        // It need not take them all.
        let sent = tokio::time::timeout(Duration::from_secs(1), raw.send(&pushed)).await;
        if !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_introduce_themselves_with_thousands_of_addresses_and_protocols() {
    let siege = Siege::lay().await;
    let mut assault = Assault::default();
    for (addresses, protocols) in [(5_000, 0), (0, 5_000), (300, 10), (10, 300)] {
        let port = siege.node.port("tcp");
        assault.wage(move || introduce_oneself(port, addresses, protocols));
    }
    siege
        .judge(
            "introductions with up to 5,000 addresses and protocols, again and again",
            16,
            "",
        )
        .await;
    assault.end().await;
}

#[tokio::test]
async fn one_peer_id_in_two_places_takes_nothing_from_either() {
    let siege = Siege::lay().await;
    let keypair = Keypair::generate_ed25519();
    let mut first = Client::with_key(keypair.clone()).await;
    let mut second = Client::with_key(keypair).await;
    first.connect(&siege.node.address("ws")).await;
    second.connect(&siege.node.address("tcp")).await;
    pong_from(&mut second, siege.node.peer_id()).await;
    drop(second);
    pong_from(&mut first, siege.node.peer_id()).await;
    siege
        .judge("the same peer id from two places", 16, "")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_peer_asks_without_end_who_the_node_is() {
    const QUESTIONS: usize = 2_000;
    let siege = Siege::lay().await;
    let (port, keypair) = (siege.node.port("tcp"), Keypair::generate_ed25519());
    let mut raw = Raw::connect(ATTACKER, port, &keypair).await.unwrap();
    let mut answered = 0;
    // The node hangs up before all are answered.
    while let Ok(answers) = raw.try_ask_by(IDENTIFY, [Vec::new(), Vec::new()]).await {
        answered += answers.len();
        assert!(answered < QUESTIONS, "{answered} answers");
    }
    assert!(answered > 100, "{answered} answers, too few for the honest");
    let mut assault = Assault::default();
    assault.wage(move || {
        let keypair = keypair.clone();
        async move {
            // It may be turned away, for connecting too fast.
            if let Ok(mut raw) = Raw::connect(ATTACKER, port, &keypair).await {
                let questions = std::iter::repeat_n(Vec::new(), QUESTIONS);
                let _ = raw.try_ask_by(IDENTIFY, questions).await;
            }
        }
    });
    until("the node to have enough of it", async || {
        siege.node.rejected("introduction-rate").await != 0
    })
    .await;
    let extra = format!("{answered} answers, then the connection is closed");
    let attack = "one peer asks without end who the node is";
    siege.judge(attack, 16, &extra).await;
    assault.end().await;
}
