//! Peers come and go by the hundred, and leave nothing behind.

use futures::future::join_all;
use libp2p::identity::Keypair;
use moim_protocol::presence::State;

use crate::{
    client::Client,
    network::{presence, put},
    process::Node,
    until,
};

/// Peers of one cycle.
const PEERS: usize = 50;
/// After so many cycles allocators and caches have what they need.
const WARM_UP: usize = 7;
/// All cycles.
const CYCLES: usize = 14;
/// Growth in between that is no growth: 3 KiB left of each peer would be more.
const GROWTH_MAX_KIB: u64 = 1024;

/// One joins by WebSocket, reserves at the relay and announces somebody who was announced in every
/// cycle before: what the DHT keeps of everybody for two minutes is not what is looked for here.
async fn come(node: &Node, announced: &Keypair, cycle: usize) -> Client {
    let mut client = Client::new().await;
    let address = node.address("ws");
    client.connect(&address).await;
    client.identify().await;
    client.reserve(&address).await;
    let kad = &mut client.swarm.behaviour_mut().kad;
    kad.add_address(&node.peer_id(), address);
    let record = presence(announced, 1 + cycle as u64, State::Here);
    assert!(put(&mut client, record).await);
    client
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn memory_is_flat_over_cycles_of_peers_that_come_and_go() {
    let node = Node::start().await;
    let announced: Vec<_> = (0..PEERS).map(|_| Keypair::generate_ed25519()).collect();
    let mut memory = Vec::new();
    for cycle in 0..CYCLES {
        let peers = announced.iter().map(|one| come(&node, one, cycle));
        let peers = join_all(peers).await;
        drop(peers);
        until("all to be gone", async || {
            node.get_json("/health").await["peers"] == 0
        })
        .await;
        memory.push(node.memory_kib());
    }
    let grown = memory[CYCLES - 1].saturating_sub(memory[WARM_UP]);
    assert!(grown <= GROWTH_MAX_KIB, "{memory:?}");
}
