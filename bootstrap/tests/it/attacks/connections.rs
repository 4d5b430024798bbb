//! Connections in masses, and connections that never come to anything.

use std::time::{Duration, Instant};

use futures::future::join_all;
use libp2p::identity::Keypair;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    ATTACKER, Siege,
    raw::{HELLO, NOISE, Raw, tcp},
};
use crate::{process::Node, soon, until};

#[tokio::test]
async fn thousands_of_silent_connections_from_one_address() {
    const CONNECTIONS: usize = 3_000;
    let siege = Siege::lay().await;
    let mut held = Vec::new();
    for n in 0..CONNECTIONS {
        let port = siege.node.port(if n % 2 == 0 { "tcp" } else { "ws" });
        held.extend(tcp(ATTACKER, port).await);
    }
    siege
        .judge("3,000 silent connections from one address", 16, "")
        .await;
    // Of a stock node's pending connections they would have taken all.
    let refused =
        siege.node.rejected("address-pending").await + siege.node.rejected("address-rate").await;
    assert!(refused > CONNECTIONS as u64 / 2, "{refused}");
    assert_eq!(siege.node.rejected("pending").await, 0);
    soon("the log to name it", async {
        while !siege.node.log().contains("127.0.0.66") {
            siege.node.assert_alive().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_crowd_of_identities_from_one_address() {
    const CONNECTIONS: usize = 900;
    let siege = Siege::lay().await;
    let port = siege.node.port("tcp");
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        held.extend(Raw::connect(ATTACKER, port, &Keypair::generate_ed25519()).await);
    }
    let extra = format!("{} of {CONNECTIONS} let in", held.len());
    siege
        .judge("900 identities from one address", 64, &extra)
        .await;
    assert!(held.len() <= 1_000, "{}", held.len());
    let refused = siege.node.rejected("address-rate").await
        + siege.node.rejected("address-connections").await;
    assert_eq!(refused as usize, CONNECTIONS - held.len());
    assert!(refused > 0);
}

/// Whoever is not let in is told why, which takes a handshake: a few of them.
#[tokio::test]
async fn knocking_at_a_door_that_stays_closed() {
    const KNOCKS: u32 = 900;
    const SOURCES: u32 = 60;
    let siege = Siege::lay().await;
    std::fs::write(
        siege.node.data.path().join("blocked.txt"),
        "127.0.0.64/26\n",
    )
    .unwrap();
    let port = siege.node.port("tcp");
    until("the list to be in force", async || {
        let keypair = Keypair::generate_ed25519();
        let _ = Raw::connect(ATTACKER, port, &keypair).await;
        siege.node.rejected("blocked").await > 0
    })
    .await;
    let started = Instant::now();
    let knock = async |n: u32| {
        let source = 66 + u8::try_from(n % SOURCES).unwrap();
        let keypair = Keypair::generate_ed25519();
        Raw::connect([127, 0, 0, source], port, &keypair)
            .await
            .is_ok()
    };
    let mut told = 0;
    for n in 0..KNOCKS {
        told += u64::from(knock(n).await);
    }
    let allowed = 32 + 8 * (started.elapsed().as_secs() + 1);
    assert!(told > 0 && told <= allowed, "{told} of {allowed}");
    let extra = format!("{told} told why");
    let knocking = async {
        loop {
            knock(started.elapsed().subsec_millis()).await;
        }
    };
    siege
        .judge_amid(
            knocking,
            "900 knocks of blocked addresses, and more",
            16,
            &extra,
        )
        .await;
}

/// What is said before one falls silent, or drips.
fn openings() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let upgrade = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    vec![
        ("TCP", "tcp", Vec::new()),
        ("multistream without a newline", "tcp", b"\x40/".to_vec()),
        ("multistream", "tcp", HELLO.to_vec()),
        ("Noise", "tcp", [HELLO, NOISE, b"\xff\xff"].concat()),
        ("WebSocket's TCP", "ws", Vec::new()),
        ("WebSocket's head", "ws", upgrade[..60].to_vec()),
        ("WebSocket", "ws", upgrade.to_vec()),
    ]
}

/// Sends one harmless byte a second until the node hangs up; says how long that took.
async fn drip(mut stream: TcpStream, byte: u8) -> Duration {
    let started = Instant::now();
    let mut buffer = [0; 4096];
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            read = stream.read(&mut buffer) => match read {
                Ok(read) if read > 0 => {}
                _ => return started.elapsed(),
            },
            _ = ticks.tick() => if stream.write_all(&[byte]).await.is_err() {
                return started.elapsed();
            },
        }
    }
}

#[tokio::test]
async fn slow_connections_at_each_stage_of_the_handshake() {
    /// The node's own time-out, and some for a busy machine.
    const CLOSED_WITHIN: Duration = Duration::from_secs(15);
    let siege = Siege::lay().await;
    let mut dripping = Vec::new();
    for (stage, transport, opening) in openings() {
        for _ in 0..30 {
            let mut stream = tcp(ATTACKER, siege.node.port(transport)).await.unwrap();
            stream.write_all(&opening).await.unwrap();
            dripping.push(tokio::spawn(
                async move { (stage, drip(stream, b'a').await) },
            ));
        }
    }
    siege
        .judge("slow handshakes at 7 stages, 30 of each", 16, "")
        .await;
    for done in join_all(dripping).await {
        let (stage, time) = done.unwrap();
        assert!(time < CLOSED_WITHIN, "{stage}: {time:?}");
    }
}

#[tokio::test]
async fn no_file_left_for_another_connection() {
    let node = Node::start_with_files(256, &["--limit-loopback"]).await;
    let siege = Siege::lay_to(node).await;
    let mut held = Vec::new();
    for transport in ["tcp", "ws"] {
        for _ in 0..300 {
            held.extend(tcp(ATTACKER, siege.node.port(transport)).await);
        }
    }
    siege
        .judge("600 connections to a node with 256 files", 16, "")
        .await;
    assert_eq!(siege.node.rejected("accept").await, 0);
}

#[tokio::test]
async fn a_node_that_uses_all_its_memory_takes_no_more_connections() {
    let node = Node::start_with(&["--max-memory=1"]).await;
    let refused = Raw::connect(ATTACKER, node.port("tcp"), &Keypair::generate_ed25519()).await;
    // It may be told why, and nothing more.
    if let Ok(told) = refused {
        told.closed().await;
    }
    assert_eq!(node.rejected("memory").await, 1);
    node.assert_alive().await;
}
