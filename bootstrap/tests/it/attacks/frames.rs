//! Frames that lie, frames without end, and streams without use.

use std::time::Duration;

use libp2p::identity::Keypair;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    ATTACKER, Assault, Siege,
    raw::{
        DATA, FIN, GO_AWAY, HELLO, KAD, NOISE, PING, RST, Raw, SYN, WINDOW_UPDATE, frame, prefixed,
        tcp,
    },
};
use crate::soon;

const MIB: usize = 1024 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn huge_websocket_messages_from_many_connections_at_once() {
    const CONNECTIONS: usize = 20;
    let siege = Siege::lay().await;
    let mut assault = Assault::default();
    for n in 0..CONNECTIONS {
        let port = siege.node.port("ws");
        assault.wage(move || async move {
            let sent = huge_message(port, n).await.unwrap_or_default();
            assert!(sent < 100, "{sent} MiB taken");
        });
    }
    siege
        .judge(
            "20 WebSocket messages of 200 MiB at once, again and again",
            32,
            "",
        )
        .await;
    assault.end().await;
}

/// Sends a message of 200 MiB, in one frame or in fragments; says how many MiB of it were taken.
async fn huge_message(port: u16, n: usize) -> std::io::Result<usize> {
    let mut stream = tcp(ATTACKER, port).await?;
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    stream.write_all(head).await?;
    for number in 0..200 {
        let mut bytes = Vec::new();
        if n % 2 == 1 || number == 0 {
            let length = if n.is_multiple_of(2) { 200 * MIB } else { MIB };
            let opcode = if number == 0 { 2 } else { 0 };
            let fin = if n.is_multiple_of(2) { 0x80 } else { 0 };
            bytes.extend([fin | opcode, 0xff]);
            bytes.extend((length as u64).to_be_bytes());
            bytes.extend([0; 4]);
        }
        bytes.resize(bytes.len() + MIB, 0);
        if stream.write_all(&bytes).await.is_err() {
            return Ok(number);
        }
    }
    Ok(200)
}

#[tokio::test]
async fn websocket_messages_that_never_end() {
    const LENGTH: usize = 256 * 1024;
    let siege = Siege::lay().await;
    #[cfg(target_os = "linux")]
    let before = siege.node.memory_kib();
    let mut held = Vec::new();
    for _ in 0..100 {
        let mut stream = tcp(ATTACKER, siege.node.port("ws")).await.unwrap();
        let head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
        stream.write_all(head).await.unwrap();
        let mut answer = [0; 1024];
        let read = soon("the upgrade", stream.read(&mut answer)).await.unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 101"));
        let frame = [&[0x82, 0xff][..], &LENGTH.to_be_bytes(), &[0; 4]].concat();
        let most = [&frame[..], &[7; LENGTH - 1]].concat();
        stream.write_all(&most).await.unwrap();
        held.push(stream);
    }
    #[cfg(target_os = "linux")]
    let extra = format!(
        "+{} KiB in use",
        siege.node.memory_kib().saturating_sub(before)
    );
    #[cfg(not(target_os = "linux"))]
    let extra = String::new();
    siege
        .judge("100 WebSocket messages of 256 KiB, never ended", 48, &extra)
        .await;
    for mut stream in held {
        let mut rest = Vec::new();
        let _ = soon("the node to hang up", stream.read_to_end(&mut rest)).await;
    }
}

#[tokio::test]
async fn noise_messages_that_never_end() {
    let siege = Siege::lay().await;
    let mut held = Vec::new();
    for _ in 0..200 {
        let mut stream = tcp(ATTACKER, siege.node.port("tcp")).await.unwrap();
        let most = [HELLO, NOISE, b"\xff\xff", &[7; 65_000]].concat();
        stream.write_all(&most).await.unwrap();
        held.push(stream);
    }
    siege
        .judge("200 Noise messages of 65,535 bytes, never ended", 32, "")
        .await;
    for mut stream in held {
        let mut rest = Vec::new();
        let _ = soon("the node to hang up", stream.read_to_end(&mut rest)).await;
    }
}

/// A kind of yamux abuse: what is sent, message by message, after the handshake.
type Abuse = fn(&mut Raw, usize) -> Option<Vec<u8>>;

const ABUSES: [Abuse; 10] = [
    // Frame longer than the window.
    |raw, n| {
        let id = raw.next_id();
        (n < 1).then(|| frame(DATA, SYN, id, 262_145))
    },
    // Frame of 4 GiB.
    |raw, n| {
        let id = raw.next_id();
        (n < 1).then(|| frame(DATA, SYN, id, u32::MAX))
    },
    // Window beyond all bounds.
    |raw, n| {
        let id = if n == 0 { raw.next_id() } else { 1 };
        let flags = if n == 0 { SYN } else { 0 };
        (n < 1_000).then(|| frame(WINDOW_UPDATE, flags, id, u32::MAX))
    },
    // Rapid resets.
    |raw, n| {
        let id = raw.next_id();
        (n < 20_000).then(|| {
            [
                frame(WINDOW_UPDATE, SYN, id, 0),
                frame(WINDOW_UPDATE, RST, id, 0),
            ]
            .concat()
        })
    },
    // 1,000 idle streams.
    |raw, n| {
        let id = raw.next_id();
        (n < 1_000).then(|| frame(WINDOW_UPDATE, SYN, id, 0))
    },
    // A stream that ignores its window.
    |raw, n| {
        let (id, flags) = if n == 0 { (raw.next_id(), SYN) } else { (1, 0) };
        (n < 1_000).then(|| [frame(DATA, flags, id, 60_000), vec![0; 60_000]].concat())
    },
    // Half-closed streams.
    |raw, n| {
        let id = raw.next_id();
        (n < 5_000).then(|| frame(DATA, SYN | FIN, id, 0))
    },
    // Unknown streams.
    |_, n| (n < 5_000).then(|| frame(DATA, 0, 9_999, 0)),
    // Pings.
    |_, n| (n < 50_000).then(|| frame(PING, SYN, 0, n as u32)),
    // Going away again and again.
    |_, n| (n < 1_000).then(|| frame(GO_AWAY, 0, 0, 0)),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn yamux_frames_that_lie_and_streams_without_use() {
    let siege = Siege::lay().await;
    let port = siege.node.port("tcp");
    let mut assault = Assault::default();
    let mut abuses = ABUSES.into_iter().cycle();
    assault.wage(move || {
        let abuse = abuses.next();
        async move {
            // It may be turned away, for connecting too fast.
            let _ = commit(port, abuse.unwrap()).await;
        }
    });
    siege
        .judge("10 kinds of yamux abuse, again and again", 32, "")
        .await;
    assault.end().await;
    siege.node.assert_alive().await;
}

async fn commit(port: u16, abuse: Abuse) -> std::io::Result<()> {
    let mut raw = Raw::connect(ATTACKER, port, &Keypair::generate_ed25519()).await?;
    let mut n = 0;
    while let Some(bytes) = abuse(&mut raw, n) {
        n += 1;
        let sent = tokio::time::timeout(Duration::from_secs(20), raw.send(&bytes)).await;
        if !matches!(sent, Ok(Ok(()))) {
            break;
        }
    }
    Ok(())
}

#[tokio::test]
async fn streams_that_never_say_what_they_are_for() {
    let siege = Siege::lay().await;
    let mut held = Vec::new();
    for _ in 0..20 {
        let keypair = Keypair::generate_ed25519();
        let mut raw = Raw::connect(ATTACKER, siege.node.port("tcp"), &keypair)
            .await
            .unwrap();
        for _ in 0..200 {
            let id = raw.next_id();
            let begun = [frame(DATA, SYN, id, 5), b"\x13/mul".to_vec()].concat();
            if raw.send(&begun).await.is_err() {
                break;
            }
        }
        held.push(raw);
    }
    siege
        .judge(
            "20 connections with 200 streams that agree on nothing",
            32,
            "",
        )
        .await;
}

#[tokio::test]
async fn dht_messages_that_are_too_long_or_never_end() {
    let siege = Siege::lay().await;
    let mut held = Vec::new();
    for _ in 0..50 {
        let keypair = Keypair::generate_ed25519();
        let mut raw = Raw::connect(ATTACKER, siege.node.port("tcp"), &keypair)
            .await
            .unwrap();
        // More than kad takes; a length without end; less than was promised.
        let long = prefixed(&vec![b'a'; 60_000]);
        let promised = [&b"\xff\x7f"[..], &[0; 1_000]].concat();
        for payload in [&long[..], &[0xff; 20], &promised] {
            let stream = raw.stream(KAD, payload);
            if raw.send(&stream).await.is_err() {
                break;
            }
        }
        held.push(raw);
    }
    siege
        .judge(
            "50 connections with DHT messages that lie about their length",
            24,
            "",
        )
        .await;
}
