//! What somebody is sent whom the other side of a session names, and who wants nothing of it. The figures of
//! docs/security.md are printed with `--no-capture`.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket},
};

use super::*;
use crate::{
    config::Config,
    signaling::{Message, Signaling},
    testing::Pipe,
};

const CANDIDATES: usize = 64;

/// Each host that a session checks has so many ports at most.
const PORTS: usize = 4;

/// A network of somebody's, of 64 bits. It is for documentation: nobody is there.
const NETWORK: [u16; 4] = [0x2001, 0xdb8, 0, 0x64];

/// Sockets at one address.
struct ThirdParty(Vec<UdpSocket>);

impl ThirdParty {
    /// At the address of somebody's candidate.
    fn beside(candidate: &str) -> Self {
        let candidate: serde_json::Value = serde_json::from_str(candidate).expect("JSON");
        let line = candidate["candidate"].as_str().expect("a candidate");
        let ip: IpAddr = line.split(' ').nth(4).expect("ip").parse().expect("ip");
        let sockets = (0..CANDIDATES).map(|_| {
            let socket = UdpSocket::bind((ip, 0)).expect("binds");
            socket.set_nonblocking(true).expect("a socket");
            socket
        });
        Self(sockets.collect())
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        let sockets = self.0.iter();
        sockets.map(|it| it.local_addr().expect("bound")).collect()
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

/// Many addresses of the network of somebody who has it whole.
fn in_a_network() -> Vec<SocketAddr> {
    let [a, b, c, d] = NETWORK;
    let ips = (1..=CANDIDATES as u16).map(|n| Ipv6Addr::new(a, b, c, d, n, 0, 0, 1));
    ips.map(|ip| (ip, 4_000).into()).collect()
}

fn candidate(address: SocketAddr) -> String {
    let (ip, port) = (address.ip(), address.port());
    serde_json::json!({
        "candidate": format!("candidate:1 1 udp 2113937151 {ip} {port} typ host"),
        "sdpMid": "0",
        "sdpMLineIndex": 0,
    })
    .to_string()
}

/// Hands an offer on, and says that the offerer is where `addresses` says, given a candidate of its. Gives how much was
/// signalled.
async fn lie(
    offerer: &mut Signaling<Pipe>,
    answerer: &mut Signaling<Pipe>,
    addresses: impl FnOnce(&str) -> Vec<SocketAddr>,
) -> usize {
    let mut signalled = 0;
    loop {
        let message = poll_fn(|cx| offerer.poll_message(cx)).await.expect("read");
        match message.expect("more to come") {
            Message::Candidate(Some(own)) => {
                for candidate in addresses(&own).into_iter().map(candidate) {
                    signalled += candidate.len();
                    answerer.queue(&Message::Candidate(Some(candidate)));
                }
                poll_fn(|cx| answerer.poll_flush(cx)).await.expect("sent");
                return signalled;
            }
            Message::Offer(offer) => {
                signalled += offer.len();
                answerer.queue(&Message::Offer(offer));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Lets a session have such candidates until it is given up. Gives what it was signalled, and to whom it has sent how
/// many bytes.
async fn session_with(
    addresses: impl FnOnce(&str) -> Vec<SocketAddr>,
) -> (usize, Vec<(SocketAddr, usize)>) {
    let timeout = Config::default().timeout;
    let (left, ours) = pipe();
    let (theirs, right) = pipe();
    let (deceiver, deceived) = (connection(), connection());
    let shared = deceived.0.clone();
    let [offer, answer] = [
        (deceiver, left, Role::Offerer),
        (deceived, right, Role::Answerer),
    ]
    .map(|(peer, end, role)| {
        let session = session::connect(peer, end, role, timeout, Reachable::default());
        tokio::spawn(session)
    });
    let (mut offerer, mut answerer) = (Signaling::new(ours), Signaling::new(theirs));
    let signalled = lie(&mut offerer, &mut answerer, addresses).await;
    let (_, connected) = answer.await.expect("no panic");
    assert!(connected.is_err(), "nobody is there");
    offer.abort();
    (signalled, shared.with(Vec::new(), |agent| agent.sent()))
}

#[tokio::test]
async fn who_is_named_by_a_stranger_is_sent_little() {
    let mut third = None;
    let beside = |own: &str| third.insert(ThirdParty::beside(own)).addresses();
    let (signalled, _) = session_with(beside).await;
    let (sockets, datagrams, bytes) = third.expect("named").was_sent();
    println!(
        " | {CANDIDATES} candidates of a third party, {signalled} bytes: {datagrams} datagrams, {bytes} bytes to \
         {sockets} ports of it"
    );
    assert!((1..=PORTS).contains(&sockets), "{sockets}");
    assert!(bytes < signalled, "{bytes} for {signalled}");
}

#[tokio::test]
async fn who_is_named_by_a_stranger_is_sent_little_at_all_of_its_addresses() {
    let (signalled, sent) = session_with(|_| in_a_network()).await;
    let third: Vec<_> = sent
        .iter()
        .filter(|(to, _)| matches!(to.ip(), IpAddr::V6(ip) if ip.segments().starts_with(&NETWORK)))
        .collect();
    let addresses: BTreeSet<_> = third.iter().map(|(to, _)| to).collect();
    let (datagrams, addresses) = (third.len(), addresses.len());
    let bytes: usize = third.iter().map(|(_, bytes)| bytes).sum();
    println!(
        " | {CANDIDATES} addresses of a third party's /64, {signalled} bytes: {datagrams} datagrams, {bytes} bytes to \
         {addresses} of them"
    );
    // None where this machine has no address of IPv6.
    assert!(addresses <= PORTS, "{addresses}");
    assert!(bytes < signalled, "{bytes} for {signalled}");
}
