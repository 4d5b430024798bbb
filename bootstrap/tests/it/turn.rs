//! The TURN server as a client sees it.

use std::{net::SocketAddr, time::Duration};

use moim_protocol::ice_wire::{Request, Response};
use tokio::{
    net::UdpSocket,
    time::{Instant, interval, timeout},
};

use crate::{
    process::{Node, run_to_end},
    soon, stun,
    turn_client::{TurnClient, bare_allocate, credentials, message, server_address},
    until,
};

const ON: [&str; 1] = ["--turn=on"];
const LAB: [&str; 2] = ["--turn=on", "--turn-allow-private=on"];

async fn peer() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

async fn hears(peer: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 4_096];
    let (length, from) = soon("a datagram", peer.recv_from(&mut buffer))
        .await
        .unwrap();
    (buffer[..length].to_vec(), from)
}

/// The value of a metric with this label.
async fn metric(node: &Node, name: &str) -> u64 {
    node.metric(&format!("moim_bootstrap_turn_{name}")).await
}

#[tokio::test]
async fn it_is_off_unless_it_is_wanted() {
    let node = Node::start().await;
    assert_eq!(node.ready.turn, [""; 0]);
    let Response::Servers { servers, ttl: None } = stun::ask(&node, Request::Get.encode()).await
    else {
        panic!("servers");
    };
    assert!(servers.iter().all(|server| server.credential.is_none()));
    let server: SocketAddr = node.ready.stun[0]
        .strip_prefix("stun:")
        .unwrap()
        .parse()
        .unwrap();
    tokio::net::TcpStream::connect(server).await.unwrap_err();

    let data = tempfile::tempdir().unwrap();
    let output = run_to_end(data.path(), &["--turn=on", "--stun=off"]).await;
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("--turn on needs"), "{text}");
}

#[tokio::test]
async fn a_peer_is_told_of_it_with_credentials_of_its_own() {
    let node = Node::start_with(&ON).await;
    let (one, ttl) = credentials(&node).await;
    let address = server_address(&node);
    assert_eq!(
        one.urls,
        [
            format!("stun:{address}"),
            format!("turn:{address}?transport=udp"),
            format!("turn:{address}?transport=tcp"),
        ]
    );
    assert_eq!(ttl, 3_600);
    let (two, _) = credentials(&node).await;
    assert_ne!(one.username, two.username);
    assert_ne!(one.credential, two.credential);
    let username = one.username.unwrap();
    let (expires, peer) = username.split_once(':').unwrap();
    assert!(expires.parse::<u64>().unwrap() > 1_700_000_000);
    assert!(peer.starts_with("12D3KooW"), "{peer}");
}

/// Everything that a client does, in order.
async fn life(mut client: TurnClient, node: &Node) {
    let (peer, address) = peer().await;
    let allocated = client.allocate().await;
    assert_eq!(allocated.code(), 0);
    assert_eq!(allocated.lifetime(), 600);
    let relayed = allocated.relayed();
    assert!((49_152..=65_535).contains(&relayed.port()));
    assert_eq!(metric(node, "allocations").await, 1);

    assert_eq!(client.permit(address).await.code(), 0);
    client.send(address, b"to the peer").await;
    assert_eq!(hears(&peer).await, (b"to the peer".to_vec(), relayed));
    peer.send_to(b"to the client", relayed).await.unwrap();
    assert_eq!(client.receive().await, (None, b"to the client".to_vec()));

    assert_eq!(client.bind(0x4abc, address).await.code(), 0);
    client.send_by_channel(0x4abc, b"by channel").await;
    assert_eq!(hears(&peer).await, (b"by channel".to_vec(), relayed));
    peer.send_to(b"and back", relayed).await.unwrap();
    let channel = Some(0x4abc);
    assert_eq!(client.receive().await, (channel, b"and back".to_vec()));

    // Whoever was not permitted is not heard: the next that comes is from who was.
    let stranger = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    stranger.send_to(b"unasked", relayed).await.unwrap();
    peer.send_to(b"asked", relayed).await.unwrap();
    assert_eq!(client.receive().await, (channel, b"asked".to_vec()));

    let bytes = "bytes_total{direction=\"ToPeer\"}";
    assert_eq!(metric(node, bytes).await, 21);
    let bytes = "bytes_total{direction=\"ToClient\"}";
    assert_eq!(metric(node, bytes).await, 26);
    assert_eq!(client.refresh(1_200).await.lifetime(), 1_200);
    assert_eq!(client.refresh(100_000).await.lifetime(), 3_600);
    assert_eq!(client.refresh(0).await.lifetime(), 0);
    assert_eq!(client.refresh(600).await.code(), 437);
    assert_eq!(metric(node, "allocations").await, 0);
    // The port is free again.
    UdpSocket::bind(relayed).await.unwrap();
    assert_eq!(client.allocate().await.code(), 0);
    assert_eq!(metric(node, "allocations_accepted_total").await, 2);
}

#[tokio::test]
async fn data_goes_both_ways_over_udp() {
    let node = Node::start_with(&LAB).await;
    life(TurnClient::udp(&node).await, &node).await;
}

#[tokio::test]
async fn data_goes_both_ways_over_tcp_and_its_end_is_the_end() {
    let node = Node::start_with(&LAB).await;
    life(TurnClient::tcp(&node).await, &node).await;
    // The client is gone by now.
    until("the port to be free", async || {
        metric(&node, "allocations").await + metric(&node, "connections").await == 0
    })
    .await;
}

#[tokio::test]
async fn stun_is_answered_over_tcp_in_pieces_and_at_once() {
    let node = Node::start_with(&ON).await;
    let mut client = TurnClient::tcp(&node).await;
    let binding = message(0x0001, &[]);
    for byte in &binding {
        client.write(&[*byte]).await;
    }
    assert_eq!(client.read().await.len(), 32);
    client.write(&[&binding[..], &binding].concat()).await;
    assert_eq!(client.read().await.len(), 32);
    assert_eq!(client.read().await.len(), 32);
}

#[tokio::test]
async fn two_clients_reach_each_other_without_the_lab_setting() {
    let node = Node::start_with(&ON).await;
    let (mut one, mut two) = (TurnClient::udp(&node).await, TurnClient::tcp(&node).await);
    let (port1, port2) = (
        one.allocate().await.relayed(),
        two.allocate().await.relayed(),
    );
    assert_eq!(one.bind(0x4000, port2).await.code(), 0);
    assert_eq!(two.permit(port1).await.code(), 0);
    one.send_by_channel(0x4000, b"hi").await;
    assert_eq!(two.receive().await, (None, b"hi".to_vec()));
    two.send(port1, b"ho").await;
    assert_eq!(one.receive().await, (Some(0x4000), b"ho".to_vec()));

    // Other ports of the machine are not reached by the permission for its address.
    let (victim, address) = peer().await;
    assert_eq!(one.permit(address).await.code(), 0);
    one.send(address, b"into the machine").await;
    // In order, so it has been looked at.
    assert_eq!(one.refresh(600).await.code(), 0);
    victim.try_recv(&mut [0; 64]).unwrap_err();
    let target = "refused_total{reason=\"Target\"}";
    assert_eq!(metric(&node, target).await, 1);
}

#[tokio::test]
async fn private_addresses_are_refused() {
    let node = Node::start_with(&ON).await;
    let mut client = TurnClient::udp(&node).await;
    assert_eq!(client.allocate().await.code(), 0);
    let targets = [
        "10.0.0.1:80",
        "172.16.0.1:80",
        "192.168.1.1:80",
        "100.64.0.1:80",
        "169.254.169.254:80",
        "127.0.0.2:80",
        "0.0.0.0:80",
        "224.0.0.1:80",
        "255.255.255.255:80",
        "[::ffff:192.168.1.1]:80",
        "[::ffff:127.0.0.2]:80",
    ];
    for target in targets {
        let target = target.parse().unwrap();
        assert_eq!(client.permit(target).await.code(), 403, "{target}");
        assert_eq!(client.bind(0x4000, target).await.code(), 403, "{target}");
        client.send(target, b"unasked").await;
    }
    for target in ["[::1]:80", "[fd00::1]:80", "[fe80::1]:80"] {
        let code = client.permit(target.parse().unwrap()).await.code();
        assert_eq!(code, 443, "{target}: the port is of IPv4");
    }
    let refused = metric(&node, "refused_total{reason=\"Target\"}").await;
    assert_eq!(refused, 2 * targets.len() as u64);
    assert_eq!(metric(&node, "bytes_total{direction=\"ToPeer\"}").await, 0);
}

#[tokio::test]
async fn wrong_foreign_and_expired_credentials_are_refused() {
    let node = Node::start_with(&["--turn=on", "--turn-ttl=1"]).await;
    let (server, _) = credentials(&node).await;
    let mut wrong = server.clone();
    wrong.credential = Some("guessed".to_owned());
    let mut client = TurnClient::udp_with(&node, wrong).await;
    assert_eq!(client.allocate().await.code(), 401);

    let other = Node::start_with(&ON).await;
    let (foreign, _) = credentials(&other).await;
    let mut client = TurnClient::udp_with(&node, foreign).await;
    assert_eq!(client.allocate().await.code(), 401);

    // Good for a second: one port may come of it, then no other.
    let expired = async {
        // No faster than the server answers one address.
        let mut pace = interval(Duration::from_millis(50));
        loop {
            pace.tick().await;
            let mut client = TurnClient::udp_with(&node, server.clone()).await;
            if client.allocate().await.code() == 401 {
                return;
            }
        }
    };
    soon("the credentials to expire", expired).await;
    let mut renewed = TurnClient::udp(&node).await;
    assert_eq!(renewed.allocate().await.code(), 0);
    assert!(metric(&node, "refused_total{reason=\"Credentials\"}").await >= 3);
}

#[tokio::test]
async fn a_restarted_node_knows_none_of_its_credentials() {
    let data = tempfile::tempdir().unwrap();
    let node = Node::start_in(data, &ON).await;
    let (server, _) = credentials(&node).await;
    let (_, _, data) = node.stop("KILL").await;
    let node = Node::start_in(data, &ON).await;
    let mut client = TurnClient::udp_with(&node, server).await;
    assert_eq!(client.allocate().await.code(), 401);
}

#[tokio::test]
async fn quotas_hold() {
    let flags = [
        "--turn=on",
        "--turn-allocations=5",
        "--turn-allocations-per-peer=2",
        "--turn-allocations-per-address=4",
    ];
    let node = Node::start_with(&flags).await;
    let (server, _) = credentials(&node).await;
    let mut clients = Vec::new();
    for expected in [0, 0, 486] {
        let mut client = TurnClient::udp_with(&node, server.clone()).await;
        assert_eq!(client.allocate().await.code(), expected);
        clients.push(client);
    }
    for expected in [0, 0, 486] {
        let mut client = TurnClient::udp(&node).await;
        assert_eq!(client.allocate().await.code(), expected, "of the address");
        clients.push(client);
    }
    assert_eq!(metric(&node, "allocations").await, 4);
    assert_eq!(metric(&node, "refused_total{reason=\"Quota\"}").await, 2);
    assert_eq!(clients[0].refresh(0).await.code(), 0);
    assert_eq!(clients[5].allocate().await.code(), 0);

    let narrow = Node::start_with(&["--turn=on", "--turn-ports=61000-61000"]).await;
    let taken = UdpSocket::bind("127.0.0.1:61000").await;
    let mut client = TurnClient::udp(&narrow).await;
    assert_eq!(client.allocate().await.code(), 508, "{taken:?}");
    assert_eq!(
        metric(&narrow, "refused_total{reason=\"Capacity\"}").await,
        1
    );
}

#[tokio::test]
async fn a_line_is_no_wider_than_it_may_be() {
    let mut flags = LAB.to_vec();
    flags.push("--turn-mbit-per-allocation=1");
    let node = Node::start_with(&flags).await;
    let (_peer, address) = peer().await;
    // Over TCP, so that all of it comes to the server.
    let mut client = TurnClient::tcp(&node).await;
    assert_eq!(client.allocate().await.code(), 0);
    assert_eq!(client.bind(0x4000, address).await.code(), 0);
    let started = Instant::now();
    for _ in 0..2_000 {
        client.send_by_channel(0x4000, &[0; 1_000]).await;
    }
    assert_eq!(client.refresh(600).await.code(), 0, "it has seen all");
    let most = 125_000.0 * (1.0 + started.elapsed().as_secs_f64());
    let carried = metric(&node, "bytes_total{direction=\"ToPeer\"}").await;
    assert!(carried >= 125_000, "{carried}");
    assert!(carried as f64 <= most, "{carried} of {most}");
    let refused = metric(&node, "refused_total{reason=\"Rate\"}").await;
    assert_eq!(carried + 1_000 * refused, 2_000_000);
}

/// Sends `request` as fast as it can for a while; says how many bytes that were, and how many came
/// back.
async fn flood(node: &Node, request: &[u8]) -> (usize, usize) {
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(server_address(node)).await.unwrap();
    let (mut sent, mut received) = (0, 0);
    let mut buffer = [0; 4_096];
    for _ in 0..5_000 {
        sent += client.send(request).await.unwrap();
        while let Ok(length) = client.try_recv(&mut buffer) {
            received += length;
        }
    }
    while let Ok(length) = timeout(Duration::from_millis(200), client.recv(&mut buffer)).await {
        received += length.unwrap();
    }
    (sent, received)
}

#[tokio::test]
async fn it_is_no_amplifier() {
    let node = Node::start_with(&ON).await;
    let mut client = TurnClient::udp(&node).await;
    let request = bare_allocate();
    let refusal = client.ask(&request).await;
    assert_eq!((request.len(), refusal.bytes), (28, 56));
    let (sent, received) = flood(&node, &request).await;
    println!("sent {sent} bytes, got {received}");
    // The burst and what has come back of it meanwhile, at 56 bytes each.
    assert!(received <= 1_000 * 56, "{received}");
    assert!(received < sent, "{received} of {sent}");
    // Others are served.
    let other = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    other.connect(server_address(&node)).await.unwrap();
    other.send(&request).await.unwrap();
    let mut buffer = [0; 256];
    let length = soon("an answer", other.recv(&mut buffer)).await.unwrap();
    assert_eq!(length, 56);
}

#[tokio::test]
async fn garbage_does_no_harm() {
    let node = Node::start_with(&LAB).await;
    let mut client = TurnClient::udp(&node).await;
    let garbage = [
        &[][..],
        b"hello",
        &[0xff; 1_500],
        &[0x40; 3_000],
        &bare_allocate()[..27],
        &message(0x0016, &[]),
        &message(0x0009, &[(0x0012, vec![0; 3])]),
        &message(0x0008, &[(0x0008, vec![0; 20])]),
        &message(0x0003, &[(0x0008, vec![0; 2])]),
    ];
    for bytes in garbage {
        let mut other = TurnClient::udp_with(&node, client.server.clone()).await;
        other.write(bytes).await;
    }
    assert_eq!(client.allocate().await.code(), 0);
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 100], &[0x40; 100]] {
        let mut other = TurnClient::tcp(&node).await;
        other.write(bytes).await;
        assert!(other.ends().await, "{bytes:?}");
    }
    node.assert_alive().await;
}

#[tokio::test]
async fn a_tcp_connection_without_a_purpose_ends() {
    let node = Node::start_with(&ON).await;
    let mut silent = TurnClient::tcp(&node).await;
    let mut slow = TurnClient::tcp(&node).await;
    slow.write(&bare_allocate()[..10]).await;
    let mut busy = TurnClient::tcp(&node).await;
    assert_eq!(busy.allocate().await.code(), 0);
    assert!(silent.ends().await);
    assert!(slow.ends().await);
    assert_eq!(busy.refresh(600).await.code(), 0, "{}", busy.address());
}

#[tokio::test]
async fn one_that_reads_nothing_costs_no_memory_and_loses_its_connection() {
    let node = Node::start_with(&LAB).await;
    let (peer, address) = peer().await;
    let mut client = TurnClient::tcp(&node).await;
    let relayed = client.allocate().await.relayed();
    assert_eq!(client.bind(0x4000, address).await.code(), 0);
    let gone = async {
        while metric(&node, "connections").await > 0 {
            for _ in 0..1_000 {
                peer.send_to(&[0; 1_200], relayed).await.unwrap();
            }
        }
    };
    soon("the connection to end", gone).await;
    assert_eq!(metric(&node, "allocations").await, 0);
    node.assert_alive().await;
}
