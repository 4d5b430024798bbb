//! Datagrams from nobody.

use std::{net::SocketAddr, time::Duration};

use tokio::{net::UdpSocket, time::interval};

use super::{ATTACKER, Siege};
use crate::{client::Client, hostile::stun};

#[tokio::test]
async fn beginnings_of_quic_and_webrtc_that_come_to_nothing() {
    const DATAGRAMS: u64 = 20_000;
    let siege = Siege::lay().await;
    let socket = UdpSocket::bind(SocketAddr::from((ATTACKER, 0)))
        .await
        .unwrap();
    let begin = async |number: u64| {
        // QUIC version 1 Initials (RFC 9000, section 17.2.2), each of another connection.
        let mut initial = b"\xc0\x00\x00\x00\x01\x08".to_vec();
        initial.extend(number.to_be_bytes());
        initial.extend([0; 1_200]);
        // The first binding request of a client of WebRTC-direct, each another one's.
        let name = format!("libp2p+webrtc+v1/{number:032}");
        let request = stun(format!("{name}:{name}").as_bytes());
        for (transport, datagram) in [("quic", initial), ("webrtc", request)] {
            let to = ("127.0.0.1", siege.node.port(transport));
            socket.send_to(&datagram, to).await.unwrap();
        }
    };
    for number in 0..DATAGRAMS {
        begin(number).await;
    }
    let beginning = async {
        let mut pace = interval(Duration::from_millis(1));
        let mut number = DATAGRAMS;
        loop {
            pace.tick().await;
            begin(number).await;
            number += 1;
        }
    };
    siege
        .judge_amid(
            beginning,
            "20,000 beginnings of QUIC and of WebRTC each, and 1,000 a second more",
            16,
            "",
        )
        .await;
    for transport in ["quic", "webrtc"] {
        let address = siege.node.address(transport);
        Client::new().await.connect(&address).await;
    }
}
