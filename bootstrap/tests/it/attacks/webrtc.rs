//! What strangers do with WebRTC's and QUIC's ports who go some way with it, or come from where they are not.

use std::{
    collections::{HashMap, VecDeque},
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use hmac::{Hmac, Mac as _};
use libp2p::{Multiaddr, swarm::dial_opts::DialOpts};
use sha1::Sha1;
use tokio::{net::UdpSocket, time::interval};

use super::{ATTACKER, Siege};
use crate::{client::Client, process::Node, soon};

const BINDING: u16 = 0x0001;
const SUCCESS: u16 = 0x0101;

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const ICE_CONTROLLING: u16 = 0x802a;

/// A STUN message, signed where there is a password.
fn stun(
    kind: u16,
    transaction: [u8; 12],
    attributes: &[(u16, &[u8])],
    password: Option<&str>,
) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, value) in attributes {
        body.extend(kind.to_be_bytes());
        body.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        body.extend(*value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let signature = if password.is_some() { 24 } else { 0 };
    let length = u16::try_from(body.len() + signature).unwrap().to_be_bytes();
    let cookie = 0x2112_a442_u32.to_be_bytes();
    let mut message = [
        &kind.to_be_bytes()[..],
        &length,
        &cookie,
        &transaction,
        &body,
    ]
    .concat();
    if let Some(password) = password {
        let mut hmac = Hmac::<Sha1>::new_from_slice(password.as_bytes()).unwrap();
        hmac.update(&message);
        message.extend(MESSAGE_INTEGRITY.to_be_bytes());
        message.extend([0, 20]);
        message.extend(hmac.finalize().into_bytes());
    }
    message
}

/// Name and password of a client, and what it calls the node.
fn name(number: u64) -> String {
    format!("libp2p+webrtc+v1/{number:032}")
}

/// The check of a client that nobody has seen before.
fn check(number: u64) -> Vec<u8> {
    let name = name(number);
    let user = format!("{name}:{name}");
    let attributes = [
        (USERNAME, user.as_bytes()),
        (PRIORITY, &[110, 255, 255, 255]),
        (ICE_CONTROLLING, &[7; 8]),
        (USE_CANDIDATE, &[]),
    ];
    stun(BINDING, [5; 12], &attributes, Some(&name))
}

/// Somebody with whom the node has agreed on a way, and who may now send it DTLS.
async fn arrive(port: u16, number: u64) -> UdpSocket {
    let socket = UdpSocket::bind(SocketAddr::from((ATTACKER, 0)))
        .await
        .unwrap();
    socket.connect(("127.0.0.1", port)).await.unwrap();
    let mut buffer = [0; 2048];
    // The node asks first whether somebody is there, and the ICE of its connection once more.
    for _ in 0..2 {
        socket.send(&check(number)).await.unwrap();
        let length = soon("a question", socket.recv(&mut buffer)).await.unwrap();
        assert_eq!(buffer[..2], BINDING.to_be_bytes());
        // A fingerprint, and who is preferred.
        assert!(length <= check(number).len() + 12, "{length}");
        let transaction = buffer[8..20].try_into().unwrap();
        let mapped = [
            &[0, 1][..],
            &(port ^ 0x2112).to_be_bytes(),
            b"\x5e\x12\xa4\x43",
        ]
        .concat();
        let mapped = [(XOR_MAPPED_ADDRESS, &mapped[..])];
        let answer = stun(SUCCESS, transaction, &mapped, Some(&name(number)));
        socket.send(&answer).await.unwrap();
    }
    while buffer[..2] != SUCCESS.to_be_bytes() {
        socket.send(&check(number)).await.unwrap();
        let answered = soon("the node's answer", socket.recv(&mut buffer));
        answered.await.unwrap();
    }
    socket
}

/// A record with part of a handshake message of 8,000 bytes.
fn fragment(number: u16, offset: usize, length: usize) -> Vec<u8> {
    let three = |value: usize| u32::try_from(value).unwrap().to_be_bytes()[1..].to_vec();
    let content = [
        vec![1],
        three(8_000),
        number.to_be_bytes().to_vec(),
        three(offset),
        three(length),
        vec![7; length],
    ]
    .concat();
    let size = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0][..], &size, &content].concat()
}

/// A ClientHello that is whole, of this number, with a cookie.
fn hello(number: u16, cookie: u8) -> Vec<u8> {
    let suites = [0xc0, 0x2b];
    // Extended master secret, curves, and ways to sign.
    let extensions = [
        0, 23, 0, 0, 0, 10, 0, 4, 0, 2, 0, 23, 0, 13, 0, 4, 0, 2, 4, 3,
    ];
    let body = [
        &[254, 253][..],
        &[cookie; 32],
        &[0, 20],
        &[cookie; 20],
        &[0, 2],
        &suites,
        &[1, 0],
        &[0, extensions.len() as u8],
        &extensions,
    ]
    .concat();
    let length = (body.len() as u32).to_be_bytes();
    let content = [
        &[1][..],
        &length[1..],
        &number.to_be_bytes(),
        &[0; 3],
        &length[1..],
        &body,
    ]
    .concat();
    let size = (content.len() as u16).to_be_bytes();
    [&[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0][..], &size, &content].concat()
}

/// The next records of an attack.
type Form = fn(usize) -> Vec<u8>;

const FORMS: [(&str, Form); 8] = [
    ("of one byte", |n| fragment(0, n % 8_000, 1)),
    ("from the end", |n| fragment(0, 7_999 - n % 8_000, 1)),
    ("without bytes", |_| fragment(0, 0, 0)),
    ("that overlap", |n| fragment(0, n % 100, 100)),
    ("of every other byte", |n| fragment(0, 2 * n % 8_000, 1)),
    ("of many messages", |n| fragment(n as u16, 1, 8)),
    ("whole, again and again", |n| hello(0, n as u8)),
    ("whole, each another one", |n| hello(n as u16, n as u8)),
];

/// 64 KiB of it.
async fn flood(socket: &UdpSocket, form: Form) {
    let mut sent = 0;
    let mut records = (0..).map(form);
    while sent < 64 * 1024 {
        let mut datagram = Vec::new();
        while datagram.len() < 1_000 {
            datagram.extend(records.next().unwrap());
        }
        sent += socket.send(&datagram).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fragments_of_dtls_in_every_form() {
    let siege = Siege::lay().await;
    let port = siege.node.port("webrtc");
    #[cfg(target_os = "linux")]
    let before = siege.node.processor_time();
    let arrived = Arc::new(AtomicU32::new(0));
    let arrivals = Arc::clone(&arrived);
    let attackers = tokio::spawn(async move {
        let mut pace = interval(Duration::from_millis(100));
        let mut held = VecDeque::new();
        for number in 0.. {
            let (_, form) = FORMS[number % FORMS.len()];
            pace.tick().await;
            let socket = arrive(port, number as u64).await;
            flood(&socket, form).await;
            held.push_back(socket);
            // The node has given up what is older.
            if held.len() > 150 {
                held.pop_front();
            }
            arrivals.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut slowest = Duration::ZERO;
    let mut asking = interval(Duration::from_millis(50));
    while arrived.load(Ordering::Relaxed) < 80 {
        assert!(!attackers.is_finished(), "it goes on");
        let asked = Instant::now();
        siege.node.assert_alive().await;
        slowest = slowest.max(asked.elapsed());
        asking.tick().await;
    }
    #[cfg(target_os = "linux")]
    let spent = (siege.node.processor_time() - before) / arrived.load(Ordering::Relaxed);
    #[cfg(not(target_os = "linux"))]
    let spent = Duration::ZERO;
    let extra = format!(
        "{} ms of the processor for each, /health answers in {} ms",
        spent.as_millis(),
        slowest.as_millis(),
    );
    siege
        .judge(
            "64 KiB of DTLS fragments by 80 connections, and 10 a second more",
            48,
            &extra,
        )
        .await;
    assert!(!attackers.is_finished(), "it went on");
    attackers.abort();
    // What a whole handshake takes, and whoever asks for /health meanwhile.
    assert!(spent < Duration::from_millis(300), "{spent:?}");
    let webrtc = siege.node.address("webrtc");
    Client::new().await.connect(&webrtc).await;
}

/// One of many addresses of the loopback network.
fn source(number: u32) -> SocketAddr {
    let [_, high, middle, low] = number.to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(127, 1 + high, middle, 1 + low % 250), 0))
}

/// Sends a datagram in the name of somebody, who hears nothing of it.
async fn forge(number: u32, datagram: &[u8], port: u16) {
    let socket = UdpSocket::bind(source(number * 3)).await.unwrap();
    let sent = socket.send_to(datagram, ("127.0.0.1", port)).await;
    sent.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_sources_at_webrtcs_port() {
    let siege = Siege::lay().await;
    let port = siege.node.port("webrtc");
    for number in 0..2_000 {
        forge(number, &check(number.into()), port).await;
    }
    // And on, at 400 a second.
    let more = tokio::spawn(async move {
        let mut pace = interval(Duration::from_micros(2_500));
        for number in 2_000.. {
            pace.tick().await;
            forge(number, &check(number.into()), port).await;
        }
    });
    let webrtc = siege.node.address("webrtc");
    let started = Instant::now();
    Client::new().await.connect(&webrtc).await;
    let extra = format!(
        "a newcomer by WebRTC takes {} ms",
        started.elapsed().as_millis()
    );
    siege
        .judge("2,000 forged WebRTC clients, and 400 a second", 16, &extra)
        .await;
    more.abort();
    for reason in ["pending", "address-pending", "address-rate"] {
        assert_eq!(siege.node.rejected(reason).await, 0, "{reason}");
    }
}

/// The first packets of so many connections of QUIC.
async fn initials(count: usize) -> Vec<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let mut client = Client::new().await;
    let address: Multiaddr = format!("/ip4/127.0.0.1/udp/{port}/quic-v1")
        .parse()
        .unwrap();
    let mut found = HashMap::new();
    let mut buffer = [0; 2048];
    soon("packets of QUIC", async {
        while found.len() < count {
            for _ in 0..20 {
                let dial = DialOpts::unknown_peer_id()
                    .address(address.clone())
                    .allocate_new_port()
                    .build();
                // Too many at a time, at times.
                let _ = client.swarm.dial(dial);
            }
            let receive = async {
                loop {
                    let (length, _) = socket.recv_from(&mut buffer).await.unwrap();
                    let packet = &buffer[..length];
                    // RFC 9000, section 17.2.2: the type, then the version and the destination's id.
                    if packet[0] & 0xf0 == 0xc0 && length >= 1_200 {
                        let id = packet[6..6 + usize::from(packet[5])].to_vec();
                        found.insert(id, packet.to_vec());
                    }
                }
            };
            tokio::select! {
                () = client.run() => {}
                () = receive => {}
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
    })
    .await;
    found.into_values().take(count).collect()
}

#[tokio::test]
async fn forged_sources_at_quics_port() {
    const FORGED: usize = 100;
    let packets = initials(FORGED).await;
    // Of which 19 may be set up by QUIC at a time.
    let node = Node::start_with_files(256, &["--limit-loopback"]).await;
    let siege = Siege::lay_to(node).await;
    let port = siege.node.port("quic");
    for (number, packet) in packets.iter().enumerate() {
        forge(number as u32, packet, port).await;
    }
    let webrtc = siege.node.address("webrtc");
    Client::new().await.connect(&webrtc).await;
    let refused = siege.node.rejected("pending").await;
    let extra = format!("{refused} refused");
    let forging = async {
        let mut pace = interval(Duration::from_millis(20));
        let mut number = FORGED as u32;
        loop {
            pace.tick().await;
            forge(number, &packets[number as usize % FORGED], port).await;
            number += 1;
        }
    };
    siege
        .judge_amid(
            forging,
            "100 connections by QUIC from as many sources to a node with 256 files, and 50 a second more",
            24,
            &extra,
        )
        .await;
    // QUIC's own share is taken: libp2p's does not make clients prove where they are.
    assert!(refused > 0);
}
