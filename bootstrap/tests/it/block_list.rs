//! Who is blocked gets nothing, from a moment after the operator said so.

use libp2p::{identity::Keypair, swarm::SwarmEvent};
use moim_protocol::presence::State;

use crate::{
    client::Client,
    network::{presence, put},
    process::{Node, run_to_end},
    soon, until,
};

async fn block(node: &Node, arguments: [&str; 2]) -> String {
    let [verb, entry] = arguments;
    let output = run_to_end(node.data.path(), &["block", verb, entry]).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Whether the node lets this peer stay.
async fn is_welcome(client: &mut Client, node: &Node) -> bool {
    client.swarm.dial(node.address("tcp")).unwrap();
    let peer = node.peer_id();
    client
        .until("to be let in or refused", |_, event| match event {
            SwarmEvent::Behaviour(crate::client::BehaviourEvent::Ping(ping))
                if ping.peer == peer =>
            {
                Some(ping.result.is_ok())
            }
            SwarmEvent::ConnectionClosed { .. } | SwarmEvent::OutgoingConnectionError { .. } => {
                Some(false)
            }
            _ => None,
        })
        .await
}

#[tokio::test]
async fn a_blocked_peer_loses_its_connection_and_its_records_and_gets_no_other() {
    let node = Node::start().await;
    let keypair = Keypair::generate_ed25519();
    let mut rude = Client::with_key(keypair.clone()).await;
    rude.connect(&node.address("ws")).await;
    rude.identify().await;
    let kad = &mut rude.swarm.behaviour_mut().kad;
    kad.add_address(&node.peer_id(), node.address("ws"));
    assert!(put(&mut rude, presence(&keypair, 1, State::Here)).await);

    let id = rude.id().to_string();
    let said = block(&node, ["add", &id]).await;
    assert_eq!(said, format!("{id} is blocked\n"));
    rude.until_disconnected().await;
    assert!(!is_welcome(&mut rude, &node).await);
    until("its record to go", async || {
        node.metric("moim_bootstrap_dht_records").await == 0
            && node.metric("moim_bootstrap_dht_providers").await == 0
    })
    .await;
    assert!(node.rejected("blocked").await >= 1);
    // Others are as welcome as before.
    assert!(is_welcome(&mut Client::new().await, &node).await);

    block(&node, ["remove", &id]).await;
    soon("to be let in again", async {
        while !is_welcome(&mut rude, &node).await {}
    })
    .await;
}

#[tokio::test]
async fn a_range_written_by_hand_is_in_force_and_a_broken_line_is_named() {
    let node = Node::start().await;
    let mut client = Client::new().await;
    client.connect(&node.address("tcp")).await;
    let list = "# Rude addresses\nnobody\n127.0.0.0/8 # all of them\n";
    std::fs::write(node.data.path().join("blocked.txt"), list).unwrap();
    client.until_disconnected().await;
    assert!(!is_welcome(&mut client, &node).await);
    let log = node.log();
    let line = log.lines().find(|line| line.contains("`nobody`")).unwrap();
    assert!(line.contains(r#""line":2"#), "{line}");

    let output = run_to_end(node.data.path(), &["block", "list"]).await;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "127.0.0.0/8\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("line 2"));
    let output = run_to_end(node.data.path(), &["block", "add", "everybody"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("neither a peer id"));
}

#[tokio::test]
async fn a_list_that_vanishes_lets_nobody_in_and_an_empty_one_everybody() {
    let node = Node::start().await;
    let file = node.data.path().join("blocked.txt");
    std::fs::write(&file, "127.0.0.0/8\n").unwrap();
    node.until_logged("the block list is in force").await;
    std::fs::remove_file(&file).unwrap();
    node.until_logged("the block list is gone").await;
    let log = node.log();
    let line = log.lines().find(|line| line.contains("is gone")).unwrap();
    assert!(line.contains(r#""level":"ERROR""#), "{line}");
    assert!(!is_welcome(&mut Client::new().await, &node).await);
    std::fs::write(&file, "").unwrap();
    soon("everybody to be let in", async {
        while !is_welcome(&mut Client::new().await, &node).await {}
    })
    .await;
}

#[tokio::test]
async fn a_node_does_not_start_without_the_list_that_it_had() {
    let node = Node::start().await;
    let list = "192.0.2.0/24\n";
    std::fs::write(node.data.path().join("blocked.txt"), list).unwrap();
    node.until_logged("the block list is in force").await;
    let (_, _, data) = node.stop("TERM").await;
    let file = data.path().join("blocked.txt");
    std::fs::remove_file(&file).unwrap();

    let output = run_to_end(data.path(), &[]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for word in ["blocked.txt is missing", "from a copy", "an empty file"] {
        assert!(said.contains(word), "{word} in: {said}");
    }
    std::fs::write(&file, "").unwrap();
    Node::start_in(data, &[]).await.assert_alive().await;
}
