//! The STUN server as a client sees it.

use std::{net::SocketAddr, time::Duration};

use tokio::{net::UdpSocket, time::timeout};

use crate::{process::Node, soon};

const BINDING_REQUEST: [u8; 20] = [
    0x00, 0x01, 0x00, 0x00, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
];

async fn client(node: &Node) -> UdpSocket {
    let url = node.ready.stun.first().expect("it is on");
    let server: SocketAddr = url
        .strip_prefix("stun:")
        .and_then(|socket| socket.parse().ok())
        .expect("an address");
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(server).await.unwrap();
    client
}

async fn answer(client: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 256];
    let length = soon("an answer", client.recv(&mut buffer)).await.unwrap();
    buffer[..length].to_vec()
}

#[tokio::test]
async fn a_client_learns_its_address() {
    let node = Node::start().await;
    let client = client(&node).await;
    client.send(&BINDING_REQUEST).await.unwrap();
    let answer = answer(&client).await;
    let port = client.local_addr().unwrap().port() ^ 0x2112;
    let mut expected = vec![0x01, 0x01, 0x00, 0x0c];
    expected.extend(&BINDING_REQUEST[4..]);
    expected.extend([0x00, 0x20, 0x00, 0x08, 0x00, 0x01]);
    expected.extend(port.to_be_bytes());
    expected.extend([127 ^ 0x21, 0x12, 0xa4, 1 ^ 0x42]);
    assert_eq!(answer, expected);
    let metrics = node.get("/metrics").await.body;
    assert!(
        metrics.contains("moim_bootstrap_stun_answered_total 1\n"),
        "{metrics}"
    );
}

#[tokio::test]
async fn garbage_and_floods_are_not_answered_and_do_no_harm() {
    let node = Node::start().await;
    let client = client(&node).await;
    for garbage in [&[][..], b"hello", &[0xff; 1500], &BINDING_REQUEST[..19]] {
        client.send(garbage).await.unwrap();
    }
    // The first answer is that to the first question.
    client.send(&BINDING_REQUEST).await.unwrap();
    assert_eq!(answer(&client).await[8..20], BINDING_REQUEST[8..20]);

    const FLOOD: usize = 5_000;
    let mut answers = 0;
    for _ in 0..FLOOD {
        client.send(&BINDING_REQUEST).await.unwrap();
        while client.try_recv(&mut [0; 256]).is_ok() {
            answers += 1;
        }
    }
    let mut buffer = [0; 256];
    while timeout(Duration::from_millis(200), client.recv(&mut buffer))
        .await
        .is_ok()
    {
        answers += 1;
    }
    assert!(answers <= 1_000, "{answers}");

    let other = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    other.connect(client.peer_addr().unwrap()).await.unwrap();
    other.send(&BINDING_REQUEST).await.unwrap();
    assert_eq!(answer(&other).await.len(), 32, "somebody else is served");
}
