//! Strangers who hold back what they owe, at every protocol of a peer: answers, the end of a question, and taking what
//! they have asked for.

use std::{
    collections::{BTreeSet, HashMap},
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, future::join_all};
use libp2p::{
    Multiaddr, PeerId, Transport as _,
    core::{
        Endpoint,
        muxing::{StreamMuxer as _, StreamMuxerBox, SubstreamBox},
        transport::{Boxed, DialOpts, ListenerId, PortUse, TransportEvent},
        upgrade::Version,
    },
    identity::Keypair,
    noise, quic, tcp, yamux,
};
use moim_peer::{BootstrapSource, DhtMode};
use moim_protocol::names;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    common::{PATIENCE, TestPeer, builder, server},
    hostile_relay::{field, hears, varint},
};

const HELLO: &[u8] = b"\x13/multistream/1.0.0\n";
const IDENTIFY: &str = "/ipfs/id/1.0.0";
const PING: &str = "/ipfs/ping/1.0.0";
const HOP: &str = "/libp2p/circuit/relay/0.2.0/hop";
const STOP: &str = "/libp2p/circuit/relay/0.2.0/stop";

/// What a stream may take to be given up: libp2p's own limits are 60 s.
const GIVES_UP_WITHIN: Duration = Duration::from_secs(75);

/// How long between two looks at whether a stream takes anything.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How long between two bytes of an answer. Of a message that says how long it is, 32 bytes follow the first.
const DRIP: Duration = Duration::from_secs(3);

type Transport = Boxed<(PeerId, StreamMuxerBox)>;

/// By TCP, or by QUIC, by which each stream is granted so many bytes and no more.
fn transport(keypair: &Keypair, grants: u32) -> Transport {
    let tcp = tcp::tokio::Transport::new(tcp::Config::default())
        .upgrade(Version::V1)
        .authenticate(noise::Config::new(keypair).expect("noise"))
        .multiplex(yamux::Config::default())
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
    let mut config = quic::Config::new(keypair);
    config.max_stream_data = grants;
    let quic = quic::tokio::Transport::new(config)
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
    tcp.or_transport(quic)
        .map(|either, _| either.into_inner())
        .boxed()
}

fn line(text: &str) -> Vec<u8> {
    [varint(text.len() as u64 + 1), text.into(), b"\n".to_vec()].concat()
}

/// What is asked for on a stream, after the greeting.
async fn asked(stream: &mut SubstreamBox) -> io::Result<String> {
    stream.read_exact(&mut [0; HELLO.len()]).await?;
    let mut length = [0];
    stream.read_exact(&mut length).await?;
    let mut name = vec![0; length[0].into()];
    stream.read_exact(&mut name).await?;
    name.pop();
    String::from_utf8(name).map_err(io::Error::other)
}

async fn agree(stream: &mut SubstreamBox, protocol: &str) -> io::Result<()> {
    stream.write_all(&[HELLO, &line(protocol)].concat()).await?;
    stream.flush().await
}

async fn answer_pings(mut stream: SubstreamBox) -> io::Result<()> {
    let mut ping = [0; 32];
    loop {
        stream.read_exact(&mut ping).await?;
        stream.write_all(&ping).await?;
        stream.flush().await?;
    }
}

/// Every protocol that a peer is asked by, with a question that has an answer or one that has no end. Whether the stream
/// may stay open without a word, as one of kad or ping that is used again.
const QUESTIONS: [(&str, &[u8], bool); 9] = [
    (names::KAD_PROTOCOL, b"\x07\x08\x04\x12\x03key", true),
    (names::KAD_PROTOCOL, b"\x7f", true),
    (IDENTIFY, b"", false),
    (PING, &[7; 32], true),
    (names::PRESENCE_PROTOCOL, b"{", false),
    (names::MESSAGE_PROTOCOL, b"{", false),
    (names::REFUSAL_PROTOCOL, b"{", false),
    (STOP, b"\x7f", false),
    ("/libp2p/dcutr", b"\x7f", false),
];

/// A stranger asks everything at an address. Each stream ends in time.
async fn ask(address: Multiaddr) {
    let is_quic = address.to_string().contains("quic");
    let mut connections = JoinSet::new();
    let mut streams = Vec::new();
    let mut transports = Vec::new();
    for (protocol, question, may_stay) in QUESTIONS {
        // As much as it takes to agree on the protocol, and the beginning of an answer.
        let grants = HELLO.len() + line(protocol).len() + 2;
        let mut transport = transport(&Keypair::generate_ed25519(), grants as u32);
        let options = DialOpts {
            role: Endpoint::Dialer,
            port_use: PortUse::New,
        };
        let dial = transport.dial(address.clone(), options).expect("dials");
        let (_, mut muxer) = dial.await.expect("a connection");
        transports.push(transport);
        let opening = poll_fn(|cx| Pin::new(&mut muxer).poll_outbound(cx));
        let stream = opening.await.expect("a stream");
        streams.push((protocol, question, may_stay, stream));
        // With pings answered the connection is alive by all that the peer can see.
        connections.spawn(serve(muxer, None));
    }
    let ended = streams
        .into_iter()
        .map(async |(protocol, question, may_stay, mut stream)| {
            let bytes = [HELLO, &line(protocol), question].concat();
            // Its connection may be closed already, with the stream.
            let _ = stream.write_all(&bytes).await;
            let _ = stream.flush().await;
            let end = async {
                if is_quic {
                    // Nothing is read. A stream that the peer has dropped takes no more of the question.
                    while stream.write_all(&[0x7f; 64]).await.is_ok()
                        && stream.flush().await.is_ok()
                    {
                        sleep(LOOK_AGAIN).await;
                    }
                } else if !may_stay {
                    let mut buffer = [0; 1024];
                    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
                }
            };
            let ended = timeout(GIVES_UP_WITHIN, end).await;
            assert!(ended.is_ok(), "{protocol} at {address}");
        });
    join_all(ended).await;
}

/// The streams that a peer has opened to a stranger who answers none of them.
#[derive(Clone)]
struct Held {
    asked: Arc<Mutex<BTreeSet<String>>>,
    ended: mpsc::Sender<(String, Duration)>,
    /// What it says of itself, if anything.
    introduction: Option<Arc<Vec<u8>>>,
}

impl Held {
    async fn hold(self, mut stream: SubstreamBox, protocol: String) -> io::Result<()> {
        agree(&mut stream, &protocol).await?;
        if protocol == IDENTIFY
            && let Some(introduction) = &self.introduction
        {
            stream.write_all(introduction).await?;
            return stream.close().await;
        }
        let asked = self.asked.lock();
        asked
            .unwrap_or_else(PoisonError::into_inner)
            .insert(protocol.clone());
        let began = Instant::now();
        let mut buffer = [0; 1024];
        while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
        // The end of the question is not the end of the stream: that comes when it takes nothing more. A byte now and
        // then is no answer, and must be no reason to wait longer.
        while began.elapsed() < GIVES_UP_WITHIN {
            sleep(DRIP).await;
            if stream.write_all(b" ").await.is_err() || stream.flush().await.is_err() {
                break;
            }
        }
        // Nobody may wait for it any more.
        let _ = self.ended.try_send((protocol, began.elapsed()));
        Ok(())
    }
}

/// Answers pings for ever, and holds what else there is, or says that it doesn't speak it.
async fn serve(mut muxer: StreamMuxerBox, held: Option<Held>) {
    let mut streams = JoinSet::new();
    loop {
        let next = poll_fn(|cx| {
            // It says where the other end is, when that changes.
            let _ = Pin::new(&mut muxer).poll(cx);
            Pin::new(&mut muxer).poll_inbound(cx)
        });
        let Ok(mut stream) = next.await else {
            return;
        };
        let held = held.clone();
        streams.spawn(async move {
            let protocol = asked(&mut stream).await?;
            if protocol == PING {
                agree(&mut stream, PING).await?;
                return answer_pings(stream).await;
            }
            match held {
                Some(held) => held.hold(stream, protocol).await,
                None => {
                    agree(&mut stream, "na").await?;
                    stream.close().await
                }
            }
        });
    }
}

/// Who a stranger is, and that it serves everything.
fn introduction(keypair: &Keypair, address: &Multiaddr) -> Vec<u8> {
    let mut message = field(1, &keypair.public().encode_protobuf());
    message.extend(field(2, &address.to_vec()));
    for protocol in [
        names::KAD_PROTOCOL,
        names::MESSAGE_PROTOCOL,
        names::PRESENCE_PROTOCOL,
        names::ICE_SERVERS_PROTOCOL,
        names::TIME_PROTOCOL,
        HOP,
        IDENTIFY,
        PING,
        "/libp2p/autonat/2/dial-request",
    ] {
        message.extend(field(3, protocol.as_bytes()));
    }
    message.extend(field(5, names::IDENTIFY_PROTOCOL.as_bytes()));
    [varint(message.len() as u64), message].concat()
}

/// A bootstrap node at such an address that answers nothing but pings, and says who it is or not.
async fn silent(at: &str, introduces: bool, mut held: Held) -> BootstrapSource {
    let keypair = Keypair::generate_ed25519();
    let mut transport = transport(&keypair, 1 << 20);
    transport
        .listen_on(ListenerId::next(), at.parse().expect("valid"))
        .expect("listens");
    let next =
        async |transport: &mut Transport| poll_fn(|cx| Pin::new(&mut *transport).poll(cx)).await;
    let address = loop {
        if let TransportEvent::NewAddress { listen_addr, .. } = next(&mut transport).await {
            break listen_addr;
        }
    };
    held.introduction = introduces.then(|| Arc::new(introduction(&keypair, &address)));
    let source = format!("{address}/p2p/{}", keypair.public().to_peer_id());
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            if let TransportEvent::Incoming { upgrade, .. } = next(&mut transport).await {
                let held = held.clone();
                connections.spawn(async move {
                    if let Ok((_, muxer)) = upgrade.await {
                        serve(muxer, Some(held)).await;
                    }
                });
            }
        }
    });
    source.parse().expect("valid")
}

/// Asks a peer everything, by each of its addresses.
async fn ask_everything(peer: &TestPeer) {
    let addresses = peer.peer.snapshot().borrow().addresses.clone();
    let direct: Vec<_> = addresses
        .into_iter()
        .filter(|address| !address.to_string().contains("p2p-circuit"))
        .collect();
    assert_eq!(direct.len(), 2, "TCP and QUIC: {direct:?}");
    join_all(direct.into_iter().map(ask)).await;
}

/// Of each protocol that was asked, one stream at the least has ended, and each that has did so in time.
async fn all_end(asked: &Mutex<BTreeSet<String>>, mut ended: mpsc::Receiver<(String, Duration)>) {
    let mut longest: HashMap<String, Duration> = HashMap::new();
    let all = || {
        let asked = asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Gossip is no question: its stream is there as long as the connection.
        asked.into_iter().filter(|name| !name.contains("meshsub"))
    };
    let ending = async {
        while all().count() == 0 || all().any(|name| !longest.contains_key(&name)) {
            let (protocol, time) = ended.recv().await.expect("somebody holds");
            assert!(
                time < GIVES_UP_WITHIN || protocol.contains("meshsub"),
                "{protocol} waits for {time:?}"
            );
            longest.insert(protocol, time);
        }
    };
    let waited = timeout(GIVES_UP_WITHIN * 2, ending).await;
    assert!(
        waited.is_ok(),
        "{:?} of {longest:?}",
        all().collect::<Vec<_>>()
    );
    for needed in [names::KAD_PROTOCOL, IDENTIFY, HOP] {
        assert!(
            longest.contains_key(needed),
            "{needed} was never asked: {longest:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stranger_holds_back_is_waited_for_so_long_and_no_longer() {
    let (mut honest, source) = server().await;
    let (ended, ends) = mpsc::channel(1_024);
    let held = Held {
        asked: Arc::default(),
        ended,
        introduction: None,
    };
    let asked = Arc::clone(&held.asked);
    let mut sources = vec![source.clone()];
    for at in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"] {
        for introduces in [true, false] {
            sources.push(silent(at, introduces, held.clone()).await);
        }
    }
    let quic = "/ip4/127.0.0.1/udp/0/quic-v1".parse().expect("valid");
    let tcp = "/ip4/127.0.0.1/tcp/0".parse().expect("valid");
    let mut victim = TestPeer::start(
        builder(&source)
            .bootstrap(sources)
            .listen([tcp, quic])
            .dht_mode(DhtMode::Server),
    )
    .await;
    let honest_room = honest.join("global-chat", "Honest").await;
    let room = victim.join("global-chat", "Victim").await;
    hears(&mut honest, &room, "can you hear me?").await;
    hears(&mut victim, &honest_room, "every word").await;
    let began = Instant::now();
    tokio::join!(ask_everything(&victim), all_end(&asked, ends), async {
        // Nobody of them answers, and the honest one does.
        let found = timeout(PATIENCE, victim.peer.get("menu")).await;
        assert_eq!(found.expect("in time").expect("an answer"), None);
    });
    // The victim goes on, and hears who is there.
    hears(&mut victim, &honest_room, "still there?").await;
    hears(&mut honest, &room, "yes").await;
    assert!(began.elapsed() < GIVES_UP_WITHIN * 2);
}
