//! Connections made by hand, from an address of one's choice, that say whatever one likes.

use std::{
    collections::{HashMap, HashSet},
    io,
    net::SocketAddr,
};

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::{
    core::upgrade::OutboundConnectionUpgrade as _, identity::Keypair, noise,
    tcp::tokio::TcpStream as Libp2pTcpStream,
};
use moim_protocol::names;
use tokio::net::{TcpSocket, TcpStream};

use crate::soon;

/// "I speak multistream-select, version 1."
pub(super) const HELLO: &[u8] = b"\x13/multistream/1.0.0\n";
/// "Let us speak Noise."
pub(super) const NOISE: &[u8] = b"\x07/noise\n";
const YAMUX: &[u8] = b"\x0d/yamux/1.0.0\n";

/// yamux' frame types and flags, as its specification numbers them.
pub(super) const DATA: u8 = 0;
pub(super) const WINDOW_UPDATE: u8 = 1;
pub(super) const PING: u8 = 2;
pub(super) const GO_AWAY: u8 = 3;
pub(super) const SYN: u16 = 1;
pub(super) const FIN: u16 = 4;
pub(super) const RST: u16 = 8;

/// A TCP connection from `ip`.
pub(super) async fn tcp(ip: [u8; 4], port: u16) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_nodelay(true)?;
    socket.bind(SocketAddr::from((ip, 0)))?;
    socket
        .connect(SocketAddr::from(([127, 0, 0, 1], port)))
        .await
}

/// An encrypted, authenticated connection on which both sides have agreed to speak yamux.
pub(super) struct Raw {
    io: noise::Output<Libp2pTcpStream>,
    next_stream: u32,
}

impl Raw {
    pub(super) async fn connect(ip: [u8; 4], port: u16, keypair: &Keypair) -> io::Result<Self> {
        Self::over(tcp(ip, port).await?, keypair).await
    }

    /// Over a TCP connection that is there already.
    pub(super) async fn over(stream: TcpStream, keypair: &Keypair) -> io::Result<Self> {
        let mut stream = Libp2pTcpStream(stream);
        stream.write_all(&[HELLO, NOISE].concat()).await?;
        stream.flush().await?;
        stream
            .read_exact(&mut [0; HELLO.len() + NOISE.len()])
            .await?;
        let noise = noise::Config::new(keypair).map_err(io::Error::other)?;
        let (_, mut io) = noise
            .upgrade_outbound(stream, "/noise")
            .await
            .map_err(io::Error::other)?;
        io.write_all(&[HELLO, YAMUX].concat()).await?;
        io.flush().await?;
        io.read_exact(&mut [0; HELLO.len() + YAMUX.len()]).await?;
        Ok(Self { io, next_stream: 1 })
    }

    /// Opens a stream and says on it that one would like to speak `protocol`, and then `payload`.
    pub(super) fn stream(&mut self, protocol: &str, payload: &[u8]) -> Vec<u8> {
        let body = [HELLO, &line(protocol), payload].concat();
        let id = self.next_id();
        [frame(DATA, SYN, id, body.len() as u32), body].concat()
    }

    /// The same, saying that nothing follows. Gives the stream's number, too.
    pub(super) fn request(&mut self, protocol: &str, payload: &[u8]) -> (u32, Vec<u8>) {
        let body = [HELLO, &line(protocol), payload].concat();
        let id = self.next_id();
        let head = frame(DATA, SYN | FIN, id, body.len() as u32);
        (id, [head, body].concat())
    }

    /// Makes these requests to the DHT, and says how many were answered.
    pub(super) async fn ask(&mut self, requests: impl IntoIterator<Item = Vec<u8>>) -> usize {
        let answers = self.ask_by(KAD, requests).await;
        answers.iter().filter(|it| !it.is_empty()).count()
    }

    /// Makes these requests, some at a time, each on a stream of its own that says nothing further. Gives
    /// what was answered, in no order.
    pub(super) async fn ask_by(
        &mut self,
        protocol: &str,
        requests: impl IntoIterator<Item = Vec<u8>>,
    ) -> Vec<Vec<u8>> {
        let asked = self.try_ask_by(protocol, requests).await;
        asked.expect("a connection")
    }

    /// The same of a node that may hang up.
    pub(super) async fn try_ask_by(
        &mut self,
        protocol: &str,
        requests: impl IntoIterator<Item = Vec<u8>>,
    ) -> io::Result<Vec<Vec<u8>>> {
        /// Fewer than the node takes of a protocol from a connection at one time.
        const AT_ONCE: usize = 16;
        let mut requests = requests.into_iter();
        let mut all = Vec::new();
        loop {
            let some: Vec<_> = requests.by_ref().take(AT_ONCE).collect();
            if some.is_empty() {
                return Ok(all);
            }
            let (streams, bytes): (Vec<_>, Vec<_>) =
                some.iter().map(|it| self.request(protocol, it)).unzip();
            self.send(&bytes.concat()).await?;
            all.extend(self.ended(&streams).await?.into_values());
        }
    }

    pub(super) fn next_id(&mut self) -> u32 {
        self.next_stream += 2;
        self.next_stream - 2
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.io.write_all(bytes).await?;
        self.io.flush().await
    }

    /// Sends what `next` gives until there is no more or the node hangs up, reading what it says
    /// meanwhile. Says how much was sent.
    pub(super) async fn send_all(self, mut next: impl FnMut() -> Option<Vec<u8>>) -> usize {
        let (mut reading, mut writing) = self.io.split();
        let mut sent = 0;
        let write = async {
            while let Some(bytes) = next() {
                if writing.write_all(&bytes).await.is_err() || writing.flush().await.is_err() {
                    break;
                }
                sent += 1;
            }
        };
        let read = async {
            let mut buffer = vec![0; 64 * 1024];
            while reading.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
        };
        futures::future::select(std::pin::pin!(write), std::pin::pin!(read)).await;
        sent
    }

    /// Reads until the node has ended each of these streams, and says what it answered on each; fails if the
    /// node hangs up instead.
    pub(super) async fn ended(&mut self, streams: &[u32]) -> io::Result<HashMap<u32, Vec<u8>>> {
        let mut open: HashSet<u32> = streams.iter().copied().collect();
        let mut answers: HashMap<u32, Vec<u8>> = HashMap::new();
        while !open.is_empty() {
            let mut head = [0; 12];
            self.io.read_exact(&mut head).await?;
            let [_, kind, f1, f2, s1, s2, s3, s4, l1, l2, l3, l4] = head;
            let (flags, stream) = (
                u16::from_be_bytes([f1, f2]),
                u32::from_be_bytes([s1, s2, s3, s4]),
            );
            let length = u32::from_be_bytes([l1, l2, l3, l4]);
            if kind == DATA {
                let mut data = vec![0; length as usize];
                self.io.read_exact(&mut data).await?;
                answers.entry(stream).or_default().extend(data);
            }
            if flags & (FIN | RST) != 0 {
                open.remove(&stream);
            }
        }
        // It has streams of its own.
        answers.retain(|stream, _| streams.contains(stream));
        for answer in answers.values_mut() {
            // That it speaks the protocol: a line of less than 128 bytes.
            if let Some((length, _)) = answer.strip_prefix(HELLO).and_then(<[u8]>::split_first) {
                answer.drain(..HELLO.len() + 1 + usize::from(*length));
            }
        }
        Ok(answers)
    }

    /// Waits until the node hangs up.
    pub(super) async fn closed(mut self) {
        let mut buffer = vec![0; 64 * 1024];
        soon("the node to hang up", async {
            while self.io.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
        })
        .await;
    }
}

/// A frame's head.
pub(super) fn frame(kind: u8, flags: u16, stream: u32, length: u32) -> Vec<u8> {
    let mut head = vec![0, kind];
    head.extend(flags.to_be_bytes());
    head.extend(stream.to_be_bytes());
    head.extend(length.to_be_bytes());
    head
}

/// A line of multistream-select.
pub(super) fn line(text: &str) -> Vec<u8> {
    prefixed(&[text.as_bytes(), b"\n"].concat())
}

/// Bytes after their length as a varint.
pub(super) fn prefixed(bytes: &[u8]) -> Vec<u8> {
    let (mut length, mut out) = (bytes.len(), Vec::new());
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(bytes);
    out
}

/// A field of a protobuf message that is bytes.
pub(super) fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    [vec![tag << 3 | 2], prefixed(bytes)].concat()
}

/// kad's PUT_VALUE.
pub(super) fn put_value(key: &[u8], value: &[u8]) -> Vec<u8> {
    let record = [field(1, key), field(2, value)].concat();
    prefixed(&[field(2, key), field(3, &record)].concat())
}

/// kad's PUT_VALUE of a record that names its publisher, as rust-libp2p does.
pub(super) fn put_value_of(key: &[u8], value: &[u8], publisher: &[u8]) -> Vec<u8> {
    // Field 666.
    let publisher = [&[0xd2, 0x29][..], &prefixed(publisher)].concat();
    let record = [field(1, key), field(2, value), publisher].concat();
    prefixed(&[field(2, key), field(3, &record)].concat())
}

/// kad's GET_VALUE.
pub(super) fn get_value(key: &[u8]) -> Vec<u8> {
    prefixed(&[vec![8, 1], field(2, key)].concat())
}

/// kad's ADD_PROVIDER, of this peer with an address that leads nowhere.
pub(super) fn add_provider(key: &[u8], keypair: &Keypair) -> Vec<u8> {
    // /ip4/192.0.2.1/tcp/1
    let address = [4, 192, 0, 2, 1, 6, 0, 1];
    let id = keypair.public().to_peer_id().to_bytes();
    let peer = [field(1, &id), field(2, &address)].concat();
    prefixed(&[vec![8, 2], field(2, key), field(9, &peer)].concat())
}

/// kad's FIND_NODE.
pub(super) fn find_node(key: &[u8]) -> Vec<u8> {
    prefixed(&[vec![8, 4], field(2, key)].concat())
}

/// The name of the DHT's protocol.
pub(super) const KAD: &str = names::KAD_PROTOCOL;
