//! Input that no honest peer sends. Whatever it is, the node goes on and serves the honest.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
};

use crate::{client::Client, process::Node, soon, until};

const MIB: usize = 1024 * 1024;

/// What is thrown at every port.
fn garbage() -> Vec<Vec<u8>> {
    let http = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    let mut long_header = b"GET / HTTP/1.1\r\nCookie: ".to_vec();
    long_header.resize(MIB, b'a');
    // A multistream-select message that says it is as long as a varint can.
    let long_varint = vec![0xff; 10];
    let multistream = b"\x13/multistream/1.0.0\n".to_vec();
    let with = |tail: &[u8]| [multistream.clone(), tail.to_vec()].concat();
    let noise = with(b"\x07/noise\n");
    vec![
        vec![0],
        vec![0; 10_000],
        vec![0xff; 10_000],
        http,
        long_header,
        long_varint.clone(),
        multistream.clone(),
        with(&b"\x03ls\n".repeat(1000)),
        with(&long_varint),
        with(b"\x05/nop\n"),
        // Noise messages: one that never comes, an empty one, a broken one.
        [noise.clone(), b"\xff\xff".to_vec()].concat(),
        [noise.clone(), b"\x00\x00".to_vec()].concat(),
        [noise, b"\x00\x20".to_vec(), vec![7; 32]].concat(),
        // TLS.
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        // STUN binding requests: broken, and with a user name that nobody has.
        b"\x00\x01\x00\x08\x21\x12\xa4\x42".to_vec(),
        stun(b"nobody:nobody"),
        stun(&[0xff; 500]),
        // QUIC: version 1 Initial with nonsense, an unknown version, a short header.
        [b"\xc0\x00\x00\x00\x01\x08".to_vec(), vec![5; 1200]].concat(),
        [b"\xc0\xde\xad\xbe\xef\x08".to_vec(), vec![5; 1200]].concat(),
        [vec![0x40], vec![9; 100]].concat(),
        // DTLS.
        b"\x16\xfe\xff\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x01".to_vec(),
    ]
}

/// A STUN binding request with this user name.
pub(crate) fn stun(user: &[u8]) -> Vec<u8> {
    let padding = vec![0; user.len().next_multiple_of(4) - user.len()];
    let attribute = [
        &[0, 6],
        &(user.len() as u16).to_be_bytes()[..],
        user,
        &padding,
    ]
    .concat();
    let length = (attribute.len() as u16).to_be_bytes();
    [
        &[0, 1],
        &length[..],
        b"\x21\x12\xa4\x42",
        &[3; 12],
        &attribute,
    ]
    .concat()
}

async fn assert_serves_everybody(node: &Node) {
    node.assert_alive().await;
    for transport in ["tcp", "quic", "ws", "webrtc"] {
        Client::new().await.connect(&node.address(transport)).await;
    }
}

#[tokio::test]
async fn garbage_on_every_port_harms_nobody() {
    let node = Node::start().await;
    for port in [node.port("tcp"), node.port("ws"), node.http_port()] {
        for bytes in garbage() {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            // The node may have hung up before everything was sent.
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            let _ = soon("the node to hang up", stream.read_to_end(&mut Vec::new())).await;
        }
    }
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for port in [node.port("quic"), node.port("webrtc")] {
        for bytes in garbage() {
            let datagram = &bytes[..bytes.len().min(1400)];
            socket.send_to(datagram, ("127.0.0.1", port)).await.unwrap();
        }
    }
    assert_serves_everybody(&node).await;
}

#[tokio::test]
async fn silent_connections_leave_room_for_others() {
    let node = Node::start().await;
    let mut silent = Vec::new();
    for port in [node.port("tcp"), node.port("ws")] {
        for _ in 0..150 {
            silent.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
        }
    }
    assert_serves_everybody(&node).await;
}

/// A WebSocket connection before libp2p's own handshake.
async fn websocket(node: &Node) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", node.port("ws")))
        .await
        .unwrap();
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon("the upgrade", stream.read_u8()).await.unwrap());
    }
    assert!(
        head.starts_with(b"HTTP/1.1 101"),
        "{}",
        String::from_utf8_lossy(&head)
    );
    stream
}

/// The head of a masked binary frame with a payload of `length`.
fn frame_head(opcode_and_fin: u8, length: usize) -> Vec<u8> {
    let mut head = vec![opcode_and_fin, 0xff];
    head.extend((length as u64).to_be_bytes());
    head.extend([0; 4]);
    head
}

/// Sends until the node hangs up; returns how many bytes of payload were sent until then.
async fn send_until_closed(mut stream: TcpStream, frames: impl Iterator<Item = Vec<u8>>) -> usize {
    let mut sent = 0;
    for bytes in frames {
        if soon("the node to take or refuse", stream.write_all(&bytes))
            .await
            .is_err()
        {
            return sent;
        }
        sent += bytes.len();
    }
    let mut rest = Vec::new();
    let _ = soon("the node to hang up", stream.read_to_end(&mut rest)).await;
    sent
}

#[tokio::test]
async fn a_huge_websocket_message_is_refused_and_not_buffered() {
    const HUGE: usize = 200 * MIB;
    let node = Node::start().await;
    #[cfg(target_os = "linux")]
    let before = node.memory_kib();

    // In one frame.
    let chunks = std::iter::repeat_n(vec![0; MIB], HUGE / MIB);
    let frame = std::iter::once(frame_head(0x82, HUGE)).chain(chunks);
    let sent = send_until_closed(websocket(&node).await, frame).await;
    assert!(sent < HUGE / 2, "{sent}");

    // In fragments without end.
    let fragments = (0..HUGE / MIB * 4).map(|n| {
        let opcode = if n == 0 { 0x02 } else { 0x00 };
        [frame_head(opcode, MIB / 4), vec![0; MIB / 4]].concat()
    });
    let sent = send_until_closed(websocket(&node).await, fragments).await;
    assert!(sent < HUGE / 2, "{sent}");

    #[cfg(target_os = "linux")]
    {
        let grown = node.memory_kib().saturating_sub(before);
        assert!(grown < 32 * 1024, "{grown} KiB");
    }
    assert_serves_everybody(&node).await;
}

#[tokio::test]
async fn a_text_message_or_a_close_instead_of_a_handshake_ends_the_connection() {
    let node = Node::start().await;
    for head in [
        frame_head(0x81, 5),
        frame_head(0x88, 0),
        frame_head(0x8f, 5),
    ] {
        let mut stream = websocket(&node).await;
        stream
            .write_all(&[head, b"hello".to_vec()].concat())
            .await
            .unwrap();
        let _ = stream.shutdown().await;
        let _ = soon("the node to hang up", stream.read_to_end(&mut Vec::new())).await;
    }
    assert_serves_everybody(&node).await;
}

#[tokio::test]
async fn peers_that_vanish_in_the_middle_of_things_are_forgotten() {
    let node = Node::start().await;
    for transport in ["tcp", "quic", "ws", "webrtc"] {
        let address = node.address(transport);
        let mut client = Client::new().await;
        client.connect(&address).await;
        client.reserve(&address).await;
        // Not closed in order: dropped with everything under way.
        drop(client);
    }
    until("the node to notice", async || {
        node.metric("moim_bootstrap_relay_reservations").await == 0
    })
    .await;
    assert_serves_everybody(&node).await;
}
