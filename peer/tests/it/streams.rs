//! Streams of programs' own, between peers of this program.

use std::{io, time::Duration};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, future::join_all, io::copy};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol, Swarm, SwarmBuilder, noise,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use moim_peer::{
    AcceptError, BootstrapSource, DirectTransport, Duplex, ErrorCode, OpenError, Path, Peer,
    PeerBuilder, PeerId as Id, ProtocolName, Reach, limits,
};
use moim_protocol::{
    names,
    stream_wire::{Request, Response},
};
use n0_future::time::timeout;
use tokio::task::JoinHandle;

use crate::{
    common::{PATIENCE, TestPeer, peer, server, test},
    strangers::{relay_with, running},
};

fn name(name: &str) -> ProtocolName {
    name.parse().expect("valid")
}

/// Sends back what comes, until that ends, on every stream.
fn echo(peer: &Peer, protocol: &str) -> JoinHandle<()> {
    let mut incoming = peer.accept(name(protocol)).expect("free");
    tokio::spawn(async move {
        while let Some(stream) = incoming.next().await {
            tokio::spawn(async move {
                let (reading, mut writing) = stream.split();
                copy(reading, &mut writing).await?;
                writing.close().await
            });
        }
    })
}

async fn open(from: &TestPeer, to: Id, protocol: &str) -> Duplex {
    let opening = timeout(PATIENCE, from.peer.open(to, name(protocol)));
    opening.await.expect("in time").expect("opens")
}

/// Says something, and hears it back.
async fn round_trip(stream: &mut Duplex, text: &[u8]) {
    let exchange = async {
        stream.write_all(text).await?;
        stream.flush().await?;
        let mut heard = vec![0; text.len()];
        stream.read_exact(&mut heard).await?;
        Ok::<_, io::Error>(heard)
    };
    let heard = timeout(PATIENCE, exchange).await.expect("in time");
    assert_eq!(heard.expect("comes back"), text);
}

async fn read_to_end(stream: &mut Duplex) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    let reading = timeout(PATIENCE, stream.read_to_end(&mut read));
    reading.await.expect("in time").map(|_| read)
}

/// Two peers that know of each other by a room.
async fn pair(ada: PeerBuilder, bob: PeerBuilder) -> (TestPeer, TestPeer, [moim_peer::Room; 2]) {
    let ada = TestPeer::start(ada).await;
    let bob = TestPeer::start(bob).await;
    let rooms = [
        ada.join("streams", "Ada").await,
        bob.join("streams", "Bob").await,
    ];
    for (peer, room) in [(&ada, &rooms[0]), (&bob, &rooms[1])] {
        peer.members(room, "the other is connected", |members| {
            let mut members = members.iter();
            members.any(|member| matches!(member.reach, Reach::Connected(_)))
        })
        .await;
    }
    (ada, bob, rooms)
}

#[test]
async fn a_stream_goes_by_tcp_and_by_quic_and_each_half_ends_by_itself() {
    let (_server, source) = server().await;
    for (listen, transport) in [
        ("/ip4/127.0.0.1/tcp/0", DirectTransport::Tcp),
        ("/ip4/127.0.0.1/udp/0/quic-v1", DirectTransport::Quic),
    ] {
        let builder = || {
            Peer::builder()
                .bootstrap([source.clone()])
                .listen([listen.parse().expect("valid")])
        };
        let (ada, bob, _rooms) = pair(builder(), builder()).await;
        let mut incoming = bob.peer.accept(name("half/1")).expect("free");
        let served = tokio::spawn(async move {
            let mut stream = incoming.next().await.expect("a stream");
            let asked = read_to_end(&mut stream).await.expect("ends");
            assert_eq!(asked, b"how many?");
            stream.write_all(b"two").await.expect("may still write");
            stream.close().await.expect("ends");
            stream.peer()
        });
        let mut stream = open(&ada, bob.peer.id(), "half/1").await;
        assert_eq!(stream.path(), Path::Direct(transport));
        assert_eq!(
            (stream.peer(), stream.protocol()),
            (bob.peer.id(), &name("half/1"))
        );
        stream.write_all(b"how many?").await.expect("takes it");
        stream.close().await.expect("ends");
        assert_eq!(read_to_end(&mut stream).await.expect("ends"), b"two");
        let asker = timeout(PATIENCE, served).await.expect("in time");
        assert_eq!(asker.expect("served"), ada.peer.id());
    }
}

#[test]
async fn who_is_not_connected_is_dialled_for_a_stream() {
    let (server, source) = server().await;
    let ada = peer(&source).await;
    ada.connected().await;
    let _echo = echo(&server.peer, "echo/1");
    let stranger = ada.peer.open(Id::random(), name("echo/1"));
    let mut stream = open(&ada, server.peer.id(), "echo/1").await;
    round_trip(&mut stream, b"hello").await;
    let error = timeout(PATIENCE, stranger)
        .await
        .expect("in time")
        .unwrap_err();
    assert!(matches!(error, OpenError::NotConnected(_)), "{error:?}");
    let own = ada.peer.open(ada.peer.id(), name("echo/1")).await;
    assert_eq!(own.unwrap_err(), OpenError::ToSelf);
}

#[test]
async fn what_nobody_accepts_is_refused_and_so_is_what_nobody_takes() {
    let (server, source) = server().await;
    let ada = peer(&source).await;
    let error = ada
        .peer
        .open(server.peer.id(), name("x"))
        .await
        .unwrap_err();
    assert_eq!(error, OpenError::UnknownProtocol);

    let mut incoming = server.peer.accept(name("x")).expect("free");
    let again = server.peer.accept(name("x"));
    assert_eq!(again.unwrap_err(), AcceptError::AlreadyAccepted);
    let mut streams = Vec::new();
    for _ in 0..limits::STREAMS_WAITING_MAX {
        streams.push(open(&ada, server.peer.id(), "x").await);
    }
    let error = ada
        .peer
        .open(server.peer.id(), name("x"))
        .await
        .unwrap_err();
    assert_eq!(error, OpenError::Refused(ErrorCode::Busy));
    incoming.next().await.expect("waits").reset();
    streams.push(open(&ada, server.peer.id(), "x").await);

    drop(incoming);
    let error = ada
        .peer
        .open(server.peer.id(), name("x"))
        .await
        .unwrap_err();
    assert_eq!(error, OpenError::UnknownProtocol);
    // Those that nobody took are gone with it.
    let error = read_to_end(&mut streams[1]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);

    let _echo = echo(&server.peer, "echo/1");
    drop(streams);
    let opening =
        (0..limits::STREAMS_PER_PEER + 1).map(|_| ada.peer.open(server.peer.id(), name("echo/1")));
    let opened = join_all(opening).await;
    let busy = opened
        .iter()
        .filter(|opened| matches!(opened, Err(OpenError::Busy)));
    assert_eq!(busy.count(), 1, "{opened:?}");
}

#[test]
async fn a_reset_and_a_lost_connection_are_told_from_an_end() {
    let (_server, source) = server().await;
    for listen in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"] {
        let builder = || {
            Peer::builder()
                .bootstrap([source.clone()])
                .listen([listen.parse().expect("valid")])
        };
        let (ada, bob, _rooms) = pair(builder(), builder()).await;
        let mut incoming = bob.peer.accept(name("x")).expect("free");

        let mut stream = open(&ada, bob.peer.id(), "x").await;
        let mut other = incoming.next().await.expect("came");
        stream.write_all(b"half a wo").await.expect("takes it");
        stream.flush().await.expect("sends it");
        other.read_exact(&mut [0; 9]).await.expect("arrives");
        stream.reset();
        let error = read_to_end(&mut other).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{listen}");

        let mut stream = open(&ada, bob.peer.id(), "x").await;
        let _other = incoming.next().await.expect("came");
        bob.peer.stop().await;
        read_to_end(&mut stream).await.unwrap_err();
        assert!(incoming.next().await.is_none());
    }
}

/// Far more than any window.
const MUCH: usize = 8 << 20;

#[test]
async fn who_writes_waits_for_who_reads() {
    let (server, source) = server().await;
    let ada = peer(&source).await;
    let mut incoming = server.peer.accept(name("much/1")).expect("free");
    let mut stream = open(&ada, server.peer.id(), "much/1").await;
    let mut other = incoming.next().await.expect("came");
    let data: Vec<u8> = (0..MUCH).map(|index| (index % 251) as u8).collect();
    let sent = data.clone();
    let mut writing = tokio::spawn(async move {
        stream.write_all(&sent).await?;
        stream.close().await?;
        Ok::<_, io::Error>(stream)
    });
    // Time enough for all of it on any machine, if nobody had to read it.
    let early = timeout(Duration::from_secs(3), &mut writing).await;
    early.expect_err("it does not wait");
    let read = read_to_end(&mut other).await.expect("ends");
    assert!(read == data, "{} of {MUCH} bytes", read.len());
    let written = timeout(PATIENCE, writing).await.expect("in time");
    written.expect("no panic").expect("written");
}

#[derive(NetworkBehaviour)]
struct Stranger {
    streams: libp2p_stream::Behaviour,
}

/// Somebody who has only streams, connected to a peer.
async fn stranger(address: Multiaddr) -> (libp2p_stream::Control, JoinHandle<()>) {
    let mut swarm: Swarm<Stranger> = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, || {
            let mut config = yamux::Config::default();
            config.set_max_num_streams(4096);
            config
        })
        .expect("transport")
        .with_behaviour(|_| Stranger {
            streams: libp2p_stream::Behaviour::new(),
        })
        .expect("behaviour")
        .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
        .build();
    swarm.dial(address).expect("dials");
    let connected = async {
        while !matches!(
            swarm.next_event().await,
            SwarmEvent::ConnectionEstablished { .. }
        ) {}
    };
    timeout(PATIENCE, connected).await.expect("connects");
    let control = swarm.behaviour().streams.new_control();
    let running = tokio::spawn(async move {
        loop {
            swarm.next_event().await;
        }
    });
    (control, running)
}

trait NextEvent {
    async fn next_event(&mut self) -> SwarmEvent<StrangerEvent>;
}

impl NextEvent for Swarm<Stranger> {
    async fn next_event(&mut self) -> SwarmEvent<StrangerEvent> {
        futures::StreamExt::select_next_some(self).await
    }
}

/// Opens a stream by hand, with this as what is said on it.
async fn by_hand(control: &mut libp2p_stream::Control, to: PeerId, said: &[u8]) -> Option<Stream> {
    let protocol = StreamProtocol::new(names::STREAM_PROTOCOL);
    let opening = timeout(PATIENCE, control.open_stream(to, protocol));
    let mut stream = opening.await.expect("in time").ok()?;
    stream.write_all(said).await.ok()?;
    stream.flush().await.ok()?;
    Some(stream)
}

/// What comes on a stream until it ends, one way or another.
async fn all(mut stream: Stream) -> Vec<u8> {
    let mut heard = Vec::new();
    let reading = timeout(PATIENCE, stream.read_to_end(&mut heard));
    let _ = reading.await.expect("it ends in time");
    heard
}

fn split(source: &BootstrapSource) -> (Multiaddr, PeerId) {
    let BootstrapSource::Address(address) = source else {
        panic!("an address")
    };
    let mut rest = address.clone();
    match rest.pop() {
        Some(libp2p::multiaddr::Protocol::P2p(peer)) => (address.clone(), peer),
        other => panic!("no peer id in the address but {other:?}"),
    }
}

#[test]
async fn a_thousand_streams_of_a_stranger_keep_nobody_out() {
    let (server, source) = server().await;
    let (address, id) = split(&source);
    let _echo = echo(&server.peer, "echo/1");
    let (control, running) = stranger(address).await;
    // None of them says what it wants.
    let opening = (0..1_000).map(|_| {
        let mut control = control.clone();
        async move { by_hand(&mut control, id, b"").await }
    });
    let opened = join_all(opening).await;
    let ada = peer(&source).await;
    let mut stream = open(&ada, id, "echo/1").await;
    round_trip(&mut stream, b"hello").await;
    let heard = join_all(opened.into_iter().flatten().map(all)).await;
    let busy = |heard: &&Vec<u8>| heard.windows(6).any(|part| part == br#""busy""#);
    assert!(heard.iter().any(|heard| busy(&heard)), "some are told why");
    let accepted = |heard: &Vec<u8>| heard.windows(8).any(|part| part == b"accepted");
    assert!(!heard.iter().any(accepted));
    // They have made room.
    let open = Request::Open {
        protocol: name("echo/1"),
    };
    let open = chunk(&open.encode());
    let mut control = control;
    let mut late = by_hand(&mut control, id, &open).await.expect("opens");
    let expected = chunk(&Response::Accepted.encode());
    let mut heard = vec![0; expected.len()];
    let reading = timeout(PATIENCE, late.read_exact(&mut heard)).await;
    reading.expect("in time").expect("an answer");
    assert_eq!(heard, expected);
    running.abort();
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("short");
    [&length.to_be_bytes(), bytes].concat()
}

#[test]
async fn a_header_that_is_none_is_refused_with_its_code() {
    let (_server, source) = server().await;
    let (address, id) = split(&source);
    let (mut control, running) = stranger(address).await;
    for (said, code) in [
        (chunk(b"{"), "invalid_json"),
        (chunk(br#"{"v":2,"type":"open"}"#), "unsupported_version"),
        (chunk(br#"{"v":1,"type":"shut"}"#), "unknown_type"),
        (chunk(br#"{"v":1,"type":"open","protocol":""}"#), "invalid"),
        (
            chunk(br#"{"v":1,"type":"open","protocol":"nobody's"}"#),
            "unknown_protocol",
        ),
        (chunk(&[b'x'; 0xffff]), "too_large"),
        (chunk(b""), "invalid_json"),
    ] {
        let stream = by_hand(&mut control, id, &said).await.expect("opens");
        let heard = all(stream).await;
        let heard = String::from_utf8_lossy(&heard);
        assert!(
            heard.contains(&format!(r#""code":"{code}""#)),
            "{code}: {heard:?}"
        );
    }
    running.abort();
}

#[test]
async fn a_stream_goes_over_a_circuit_until_there_is_a_direct_way() {
    let (relay, node) = running(relay_with(libp2p::relay::Config::default(), &[]).await);
    let (_server, source) = server().await;
    let relay: BootstrapSource = relay.parse().expect("valid");
    // Nobody can dial these.
    let builder = || Peer::builder().bootstrap([relay.clone(), source.clone()]);
    let start = || async {
        let peer = TestPeer::start(builder()).await;
        peer.connected().await;
        let mut snapshot = peer.peer.snapshot();
        let reserved = snapshot.wait_for(|snapshot| !snapshot.addresses.is_empty());
        let reserved = timeout(PATIENCE, reserved).await.expect("in time");
        reserved.expect("runs");
        peer
    };
    let (ada, bob) = (start().await, start().await);
    let bob_id = bob.peer.id();
    let _echo = echo(&bob.peer, "echo/1");
    let ada_room = ada.join("streams", "Ada").await;
    let _bob_room = bob.join("streams", "Bob").await;
    ada.members(&ada_room, "connected", |members| {
        let mut members = members.iter();
        members.any(|member| matches!(member.reach, Reach::Connected(_)))
    })
    .await;
    let mut early = open(&ada, bob_id, "echo/1").await;
    assert!(early.path().is_relayed(), "{:?}", early.path());
    round_trip(&mut early, b"by the relay").await;

    ada.members(&ada_room, "reached directly", |members| {
        let mut members = members.iter();
        members.any(|member| matches!(member.reach, Reach::Connected(Path::Direct(_))))
    })
    .await;
    let mut late = open(&ada, bob_id, "echo/1").await;
    assert_eq!(late.path(), Path::Direct(DirectTransport::WebRtc));
    round_trip(&mut late, b"directly").await;

    // The relayed connection stays for what is on it, and not longer.
    let connections = |relayed: bool| {
        move |snapshot: &moim_peer::Snapshot| {
            let mut connections = snapshot.connections.iter();
            connections.any(|open| open.peer == bob_id && open.path.is_relayed()) == relayed
        }
    };
    let mut snapshot = ada.peer.snapshot();
    let early_close = timeout(
        Duration::from_secs(3),
        snapshot.wait_for(connections(false)),
    );
    early_close.await.expect_err("it is closed under a stream");
    round_trip(&mut early, b"still by the relay").await;
    early.close().await.expect("ends");
    assert_eq!(read_to_end(&mut early).await.expect("ends"), b"");
    drop(early);
    let closed = timeout(PATIENCE, snapshot.wait_for(connections(false)));
    closed.await.expect("in time").expect("runs");
    round_trip(&mut late, b"still directly").await;
    node.abort();
}
