//! The STUN server as a client sees it.

use std::{net::SocketAddr, time::Duration};

use libp2p::{request_response, swarm::SwarmEvent};
use moim_protocol::ice_wire::{Request, Response};
use tokio::{net::UdpSocket, time::timeout};

use crate::{
    client::{BehaviourEvent, Client},
    process::Node,
    soon,
};

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

/// What the node answers to `body` in the ICE servers protocol.
pub(crate) async fn ask(node: &Node, body: Vec<u8>) -> Response {
    let mut client = Client::new().await;
    client.connect(&node.address("ws")).await;
    let ice = &mut client.swarm.behaviour_mut().ice;
    ice.send_request(&node.peer_id(), body);
    let answer = client
        .until("an answer", |_, event| match event {
            SwarmEvent::Behaviour(BehaviourEvent::Ice(event)) => Some(event),
            _ => None,
        })
        .await;
    match answer {
        request_response::Event::Message {
            message: request_response::Message::Response { response, .. },
            ..
        } => Response::decode(&response).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_peer_is_told_of_the_server() {
    let node = Node::start().await;
    let Response::Servers { servers, ttl } = ask(&node, Request::Get.encode()).await else {
        panic!("servers");
    };
    let urls: Vec<String> = servers.into_iter().flat_map(|server| server.urls).collect();
    assert_eq!(urls, node.ready.stun);
    assert_eq!(ttl, None);

    let without = Node::start_with(&["--stun=off"]).await;
    assert_eq!(without.ready.stun, [""; 0]);
    let none = Response::Servers {
        servers: Vec::new(),
        ttl: None,
    };
    assert_eq!(ask(&without, Request::Get.encode()).await, none);
}

#[tokio::test]
async fn bad_requests_are_answered_with_an_error_and_do_no_harm() {
    let node = Node::start().await;
    for body in [&b""[..], b"{}", br#"{"v":1,"type":"set"}"#, &[b'x'; 70_000]] {
        let answer = ask(&node, body.to_vec()).await;
        assert!(matches!(answer, Response::Error { .. }), "{answer:?}");
    }
    node.assert_alive().await;
}
