//! Answers that are asked for and never taken, and connections whose other end is as good as dead.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, future::poll_fn};
use libp2p::{
    PeerId, Transport as _,
    core::{
        Endpoint,
        muxing::{StreamMuxer as _, StreamMuxerBox, SubstreamBox},
        transport::{Boxed, DialOpts, PortUse},
    },
    identity::Keypair,
    quic,
};
use moim_protocol::names;
use tokio::{
    net::TcpSocket,
    task::{JoinHandle, JoinSet},
};

use super::{
    ATTACKER, Siege,
    raw::{HELLO, KAD, PING, Raw, SYN, field, find_node, frame, line, prefixed},
    relay::{HOP, connect_to, reserve},
};
use crate::{LOOK_AGAIN, client::Client, soon, until};

const PING_PROTOCOL: &str = "/ipfs/ping/1.0.0";

/// What the node may take to give up an answer: its limit is 30 s.
const GIVES_UP_WITHIN: Duration = Duration::from_secs(45);

/// What the node may take to give up a connection: it looks four times a minute.
const CLOSES_WITHIN: Duration = Duration::from_secs(100);

/// Waits longer than others: these attacks are about the node's own time-outs.
async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(limit, future).await;
    result.unwrap_or_else(|_| panic!("waited too long: {what}"))
}

/// A QUIC connection that grants each stream so many bytes and no more, and answers pings, so that
/// it is alive by all that the node can see.
struct Grudging {
    // With it the socket would go.
    _transport: Boxed<(PeerId, StreamMuxerBox)>,
    muxer: StreamMuxerBox,
}

impl Grudging {
    async fn connect(siege: &Siege, grants: usize) -> Self {
        let mut config = quic::Config::new(&Keypair::generate_ed25519());
        config.max_stream_data = grants as u32;
        let mut transport = quic::tokio::Transport::new(config)
            .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
            .boxed();
        let options = DialOpts {
            role: Endpoint::Dialer,
            port_use: PortUse::New,
        };
        let dial = transport.dial(siege.node.address("quic"), options).unwrap();
        let (_, muxer) = soon("a connection", dial).await.unwrap();
        Self {
            _transport: transport,
            muxer,
        }
    }

    /// Asks on a stream of its own.
    async fn ask(&mut self, protocol: &str, question: &[u8]) -> SubstreamBox {
        let opening = poll_fn(|cx| std::pin::Pin::new(&mut self.muxer).poll_outbound(cx));
        let mut stream = soon("a stream", opening).await.unwrap();
        let bytes = [HELLO, &line(protocol), question].concat();
        soon("the question", stream.write_all(&bytes))
            .await
            .unwrap();
        stream.flush().await.unwrap();
        stream
    }

    /// Answers pings for ever.
    fn answer_pings(mut self) -> JoinHandle<()> {
        tokio::spawn(async move {
            let mut answering = JoinSet::new();
            loop {
                let next = poll_fn(|cx| std::pin::Pin::new(&mut self.muxer).poll_inbound(cx));
                let Ok(stream) = next.await else {
                    return;
                };
                answering.spawn(answer_pings_on(stream));
            }
        })
    }
}

async fn answer_pings_on(mut stream: SubstreamBox) -> std::io::Result<()> {
    let mut opening = vec![0; HELLO.len() + 1];
    stream.read_exact(&mut opening).await?;
    let mut asked = vec![0; usize::from(opening[HELLO.len()])];
    stream.read_exact(&mut asked).await?;
    if asked != [PING_PROTOCOL.as_bytes(), b"\n"].concat() {
        stream.write_all(&[HELLO, &line("na")].concat()).await?;
        stream.flush().await?;
        return stream.close().await;
    }
    stream
        .write_all(&[HELLO, &line(PING_PROTOCOL)].concat())
        .await?;
    stream.flush().await?;
    let mut ping = [0; 32];
    loop {
        stream.read_exact(&mut ping).await?;
        stream.write_all(&ping).await?;
        stream.flush().await?;
    }
}

/// AutoNAT v2's request for a dial to an address that leads nowhere.
fn dial_request() -> Vec<u8> {
    // /ip4/192.0.2.1/tcp/1
    let address = [4, 192, 0, 2, 1, 6, 0, 1];
    let request = [field(1, &address), vec![2 << 3 | 1], vec![7; 8]].concat();
    prefixed(&field(1, &request))
}

/// Every protocol of the node, with a question that has an answer, or one that has no end.
fn questions(host: &PeerId) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (HOP, reserve()),
        (HOP, connect_to(host)),
        (HOP, connect_to(&PeerId::random())),
        (HOP, vec![0x7f]),
        (KAD, find_node(b"key")),
        (KAD, vec![0x7f]),
        ("/ipfs/id/1.0.0", Vec::new()),
        (PING_PROTOCOL, vec![7; 32]),
        ("/libp2p/autonat/2/dial-request", dial_request()),
        ("/libp2p/autonat/2/dial-request", vec![0x7f]),
        (names::ICE_SERVERS_PROTOCOL, b"{".to_vec()),
        (names::TIME_PROTOCOL, b"{".to_vec()),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_of_any_protocol_is_owed_for_ever() {
    const STREAMS: usize = 8;
    let siege = Siege::lay().await;
    let ws = siege.node.address("ws");
    let mut host = Client::new().await;
    host.connect(&ws).await;
    host.reserve(&ws).await;
    let questions = questions(&host.id());
    let host = tokio::spawn(async move { host.run().await });

    let (mut held, mut connections) = (Vec::new(), Vec::new());
    for (protocol, question) in &questions {
        // As much as it takes to agree on the protocol, and the beginning of an answer.
        let grants = HELLO.len() + line(protocol).len() + 2;
        let mut connection = Grudging::connect(&siege, grants).await;
        for _ in 0..STREAMS {
            held.push((*protocol, connection.ask(protocol, question).await));
        }
        connections.push(connection.answer_pings());
    }
    // And who does not even take the agreement.
    let mut connection = Grudging::connect(&siege, 4).await;
    for (protocol, question) in &questions {
        held.push((*protocol, connection.ask(protocol, question).await));
    }
    connections.push(connection.answer_pings());

    let streams = held.len();
    siege
        .judge(
            "answers of every protocol asked for and not taken",
            32,
            &format!("{streams} streams"),
        )
        .await;
    let started = Instant::now();
    // A stream that the node has dropped takes no more of the question.
    for (protocol, stream) in &mut held {
        // Whoever reads one ping after the other, or one request, may be sent another.
        within(GIVES_UP_WITHIN, protocol, async {
            // As much as ends a question that is waited for, so that it is not the rest of it that takes long.
            while stream.write_all(&[0x7f; 1024]).await.is_ok() && stream.flush().await.is_ok() {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        })
        .await;
    }
    assert!(started.elapsed() < GIVES_UP_WITHIN);
    siege.node.assert_alive().await;
    // The connections as such are fine: what goes on is the honest part of them.
    let alive = connections.iter().filter(|it| !it.is_finished()).count();
    assert!(alive > 0, "the node gave up the connections instead");
    for connection in connections {
        connection.abort();
    }
    host.abort();
}

/// A peer that writes and never reads, with as little room for what it is sent as there may be.
async fn deaf(siege: &Siege) -> std::io::Result<JoinHandle<usize>> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4 * 1024)?;
    socket.bind(SocketAddr::from((ATTACKER, 0)))?;
    let port = siege.node.port("tcp");
    let stream = socket
        .connect(SocketAddr::from(([127, 0, 0, 1], port)))
        .await?;
    let mut raw = Raw::over(stream, &Keypair::generate_ed25519()).await?;
    Ok(tokio::spawn(async move {
        let mut sent = 0;
        // Each has an answer, until neither side takes anything any more.
        while raw.send(&frame(PING, SYN, 0, sent)).await.is_ok() {
            sent += 1;
        }
        sent as usize
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_as_good_as_dead_is_closed() {
    const CONNECTIONS: usize = 16;
    let siege = Siege::lay().await;
    let peers = async || siege.node.metric("moim_bootstrap_peers").await;
    // But for the members of the room.
    let staying = siege.room.members().len() as u64;
    until("the honest to be gone", async || peers().await == staying).await;
    let (mut silent, mut deaf_ones) = (Vec::new(), Vec::new());
    for _ in 0..CONNECTIONS {
        let keypair = Keypair::generate_ed25519();
        let port = siege.node.port("tcp");
        silent.push(Raw::connect(ATTACKER, port, &keypair).await.unwrap());
        deaf_ones.push(deaf(&siege).await.unwrap());
    }
    let all = staying + 2 * CONNECTIONS as u64;
    until("the attackers", async || peers().await >= all).await;
    siege
        .judge(
            "connections that say nothing, and connections that take nothing",
            32,
            &format!("{CONNECTIONS} of each"),
        )
        .await;
    within(CLOSES_WITHIN, "the node to close them", async {
        while peers().await > staying {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    })
    .await;
    siege.node.assert_alive().await;
    drop(silent);
    for deaf in deaf_ones {
        // It has heard of it, or will when it reads.
        deaf.abort();
    }
}
