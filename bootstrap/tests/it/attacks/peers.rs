//! Peers that tell more about themselves than there is, and peers that are in two places.

use libp2p::{Multiaddr, identity::Keypair, multiaddr::Protocol};

use super::{
    ATTACKER, Siege,
    raw::{Raw, field, prefixed},
};
use crate::client::{Client, pong_from};

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

#[tokio::test]
async fn peers_that_introduce_themselves_with_thousands_of_addresses_and_protocols() {
    let siege = Siege::lay().await;
    let mut held = Vec::new();
    for (addresses, protocols) in [(5_000, 0), (0, 5_000), (300, 10), (10, 300)] {
        let keypair = Keypair::generate_ed25519();
        let mut raw = Raw::connect(ATTACKER, siege.node.port("tcp"), &keypair)
            .await
            .unwrap();
        let message = introduction(&keypair, addresses, protocols);
        for _ in 0..300 {
            let pushed = raw.stream("/ipfs/id/push/1.0.0", &message);
            // It need not take them all.
            let sent = raw.send(&pushed);
            if !matches!(
                tokio::time::timeout(std::time::Duration::from_secs(1), sent).await,
                Ok(Ok(()))
            ) {
                break;
            }
        }
        held.push(raw);
    }
    siege
        .judge(
            "introductions with up to 5,000 addresses and protocols, again and again",
            16,
            "",
        )
        .await;
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
