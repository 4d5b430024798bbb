//! The relay used up, and used against somebody.

use std::time::Duration;

use libp2p::{PeerId, identity::Keypair};
use tokio::time::interval;

use super::{
    ATTACKER, Siege,
    raw::{DATA, Raw, field, frame, prefixed},
};
use crate::{
    client::{Client, pong_from},
    network::circuit,
    until,
};

/// Circuit Relay v2, section "Hop protocol".
pub(super) const HOP: &str = "/libp2p/circuit/relay/0.2.0/hop";

pub(super) fn connect_to(peer: &PeerId) -> Vec<u8> {
    let peer = field(1, &peer.to_bytes());
    prefixed(&[vec![8, 1], field(2, &peer)].concat())
}

pub(super) fn reserve() -> Vec<u8> {
    prefixed(&[8, 0])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_peer_wants_every_circuit_and_floods_another_with_them() {
    let siege = Siege::lay().await;
    let ws = siege.node.address("ws");
    let mut victim = Client::new().await;
    victim.connect(&ws).await;
    victim.reserve(&ws).await;
    let id = victim.id();
    let victim = tokio::spawn(async move { victim.run().await });

    let keypair = Keypair::generate_ed25519();
    let mut raw = Raw::connect(ATTACKER, siege.node.port("tcp"), &keypair)
        .await
        .unwrap();
    let mut streams = Vec::new();
    for _ in 0..400 {
        streams.push(raw.next_id());
        let mut opened = raw.stream(HOP, &connect_to(&id));
        // A stream that is known here.
        let this = *streams.last().unwrap();
        opened[4..8].copy_from_slice(&this.to_be_bytes());
        if raw.send(&opened).await.is_err() {
            break;
        }
    }
    until("the relay to have enough of it", async || {
        siege.node.rejected("relay-circuit").await != 0
    })
    .await;
    let flood = tokio::spawn(async move {
        let mut n = 0;
        raw.send_all(|| {
            n += 1;
            let stream = streams[n % streams.len()];
            Some([frame(DATA, 0, stream, 1_000), vec![0xff; 1_000]].concat())
        })
        .await
    });
    // The victim can still be reached, through the same relay.
    let tcp = siege.node.address("tcp");
    let mut guest = Client::new().await;
    guest.connect(&tcp).await;
    guest.swarm.dial(circuit(&tcp, id)).unwrap();
    pong_from(&mut guest, id).await;
    siege
        .judge(
            "400 circuits to one peer by another, with garbage at line rate",
            // A window of yamux for each of 256 circuits.
            64,
            "the flooded peer reached meanwhile",
        )
        .await;
    let circuits = siege.node.metric("moim_bootstrap_relay_circuits").await;
    assert!(circuits < 270, "{circuits}");
    flood.abort();
    victim.abort();
}

#[tokio::test]
async fn one_peer_wants_every_reservation() {
    let siege = Siege::lay().await;
    let keypair = Keypair::generate_ed25519();
    let mut held = Vec::new();
    for _ in 0..8 {
        let mut raw = Raw::connect(ATTACKER, siege.node.port("tcp"), &keypair)
            .await
            .unwrap();
        for _ in 0..100 {
            let asked = raw.stream(HOP, &reserve());
            if raw.send(&asked).await.is_err() {
                break;
            }
        }
        held.push(raw);
    }
    until("the relay to have enough of it", async || {
        siege.node.rejected("relay-reservation").await != 0
    })
    .await;
    // The ninth connection of a peer is one too many.
    let ninth = Raw::connect(ATTACKER, siege.node.port("tcp"), &keypair).await;
    if let Ok(ninth) = ninth {
        ninth.closed().await;
    }
    assert_eq!(siege.node.rejected("peer").await, 1);
    let asking = async {
        let mut pace = interval(Duration::from_millis(10));
        for n in 0.. {
            pace.tick().await;
            let raw = &mut held[n % 8];
            let asked = raw.stream(HOP, &reserve());
            raw.send(&asked).await.unwrap();
        }
        unreachable!("without end")
    };
    siege
        .judge_amid(
            asking,
            "800 reservations asked for by one peer, and 100 a second more",
            16,
            "",
        )
        .await;
    assert!(siege.node.metric("moim_bootstrap_relay_reservations").await <= 10);
}
