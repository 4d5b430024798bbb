//! What somebody is sent whom the other side of a session names, and who wants nothing of it. The figures of
//! docs/security.md are printed with `--no-capture`.

use std::net::UdpSocket;

use super::*;
use crate::{
    config::Config,
    signaling::{Message, Signaling},
    testing::Pipe,
};

const CANDIDATES: usize = 64;

/// Each address that a session checks has so many ports at most.
const PORTS: usize = 4;

/// Sockets at one address.
struct ThirdParty(Vec<UdpSocket>);

impl ThirdParty {
    /// At the address of somebody's candidate.
    fn beside(candidate: &str) -> Self {
        let candidate: serde_json::Value = serde_json::from_str(candidate).expect("JSON");
        let line = candidate["candidate"].as_str().expect("a candidate");
        let ip: std::net::IpAddr = line.split(' ').nth(4).expect("ip").parse().expect("ip");
        let sockets = (0..CANDIDATES).map(|_| {
            let socket = UdpSocket::bind((ip, 0)).expect("binds");
            socket.set_nonblocking(true).expect("a socket");
            socket
        });
        Self(sockets.collect())
    }

    fn candidates(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|socket| {
            let address = socket.local_addr().expect("bound");
            let (ip, port) = (address.ip(), address.port());
            serde_json::json!({
                "candidate": format!("candidate:1 1 udp 2113937151 {ip} {port} typ host"),
                "sdpMid": "0",
                "sdpMLineIndex": 0,
            })
            .to_string()
        })
    }

    /// How many sockets were sent something, how many datagrams, and how many bytes.
    fn was_sent(&self) -> (usize, usize, usize) {
        let (mut sockets, mut datagrams, mut bytes) = (0, 0, 0);
        let mut buffer = [0; 2048];
        for socket in &self.0 {
            let before = datagrams;
            while let Ok(size) = socket.recv(&mut buffer) {
                datagrams += 1;
                bytes += size;
            }
            sockets += usize::from(datagrams > before);
        }
        (sockets, datagrams, bytes)
    }
}

/// Hands an offer on, and says of a third party that it is where the offerer is.
async fn lie(offerer: &mut Signaling<Pipe>, answerer: &mut Signaling<Pipe>) -> (ThirdParty, usize) {
    let mut signalled = 0;
    loop {
        let message = poll_fn(|cx| offerer.poll_message(cx)).await.expect("read");
        match message.expect("more to come") {
            Message::Candidate(Some(candidate)) => {
                let third = ThirdParty::beside(&candidate);
                for candidate in third.candidates() {
                    signalled += candidate.len();
                    answerer.queue(&Message::Candidate(Some(candidate)));
                }
                poll_fn(|cx| answerer.poll_flush(cx)).await.expect("sent");
                return (third, signalled);
            }
            Message::Offer(offer) => {
                signalled += offer.len();
                answerer.queue(&Message::Offer(offer));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn who_is_named_by_a_stranger_is_sent_little() {
    let timeout = Config::default().timeout;
    let (left, ours) = pipe();
    let (theirs, right) = pipe();
    let [offer, answer] = [(left, Role::Offerer), (right, Role::Answerer)].map(|(end, role)| {
        let session = session::connect(connection(), end, role, timeout, Reachable::default());
        tokio::spawn(session)
    });
    let (mut offerer, mut answerer) = (Signaling::new(ours), Signaling::new(theirs));
    let (third, signalled) = lie(&mut offerer, &mut answerer).await;
    let (_, connected) = answer.await.expect("no panic");
    assert!(connected.is_err(), "nobody is there");
    offer.abort();
    let (sockets, datagrams, bytes) = third.was_sent();
    println!(
        " | {CANDIDATES} candidates of a third party, {signalled} bytes: {datagrams} datagrams, {bytes} bytes to \
         {sockets} ports of it"
    );
    assert!((1..=PORTS).contains(&sockets), "{sockets}");
    assert!(bytes < signalled, "{bytes} for {signalled}");
}
