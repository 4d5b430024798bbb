//! A small TURN client, written for these tests alone.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use hmac::{Hmac, Mac as _};
use md5::{Digest as _, Md5};
use moim_protocol::ice_wire::{IceServer, Request, Response};
use sha1::Sha1;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
};

use crate::{process::Node, soon, stun};

pub(crate) const ALLOCATE: u16 = 0x0003;
pub(crate) const REFRESH: u16 = 0x0004;
pub(crate) const CREATE_PERMISSION: u16 = 0x0008;
pub(crate) const CHANNEL_BIND: u16 = 0x0009;
const SEND: u16 = 0x0016;
const DATA_INDICATION: u16 = 0x0017;

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const CHANNEL_NUMBER: u16 = 0x000c;
const LIFETIME: u16 = 0x000d;
const XOR_PEER_ADDRESS: u16 = 0x0012;
const DATA: u16 = 0x0013;
const REALM: u16 = 0x0014;
const NONCE: u16 = 0x0015;
const XOR_RELAYED_ADDRESS: u16 = 0x0016;
const REQUESTED_TRANSPORT: u16 = 0x0019;

const COOKIE: u32 = 0x2112_a442;
const TRANSACTION: [u8; 12] = *b"transaction!";

enum Io {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

/// A client with credentials.
pub(crate) struct TurnClient {
    io: Io,
    pub(crate) server: IceServer,
    nonce: Vec<u8>,
}

/// A message: its kind and attributes.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) kind: u16,
    attributes: Vec<(u16, Vec<u8>)>,
    pub(crate) bytes: usize,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let mut attributes = Vec::new();
        let mut rest = &bytes[20..];
        while !rest.is_empty() {
            let (kind, length) = (be(&rest[..2]), usize::from(be(&rest[2..4])));
            attributes.push((kind, rest[4..4 + length].to_vec()));
            rest = &rest[4 + length.next_multiple_of(4)..];
        }
        Self {
            kind: be(&bytes[..2]),
            attributes,
            bytes: bytes.len(),
        }
    }

    fn get(&self, kind: u16) -> Option<&[u8]> {
        let mut all = self.attributes.iter().filter(|(one, _)| *one == kind);
        all.next().map(|(_, value)| &value[..])
    }

    /// The code of an error, 0 for a success.
    pub(crate) fn code(&self) -> u16 {
        let error = self.get(ERROR_CODE);
        error.map_or(0, |value| u16::from(value[2]) * 100 + u16::from(value[3]))
    }

    pub(crate) fn relayed(&self) -> SocketAddr {
        unxor(self.get(XOR_RELAYED_ADDRESS).expect("a port"))
    }

    pub(crate) fn lifetime(&self) -> u32 {
        u32::from_be_bytes(self.get(LIFETIME).unwrap().try_into().unwrap())
    }
}

fn be(bytes: &[u8]) -> u16 {
    u16::from_be_bytes(bytes.try_into().unwrap())
}

fn unxor(value: &[u8]) -> SocketAddr {
    let port = be(&value[2..4]) ^ 0x2112;
    let ip = u32::from_be_bytes(value[4..8].try_into().unwrap()) ^ COOKIE;
    SocketAddrV4::new(Ipv4Addr::from(ip), port).into()
}

/// XOR-PEER-ADDRESS. IPv6 only where the address is one.
fn peer(address: SocketAddr) -> (u16, Vec<u8>) {
    let port = (address.port() ^ 0x2112).to_be_bytes();
    let value = match address {
        SocketAddr::V4(address) => {
            let ip = u32::from(*address.ip()) ^ COOKIE;
            [&[0, 1], &port[..], &ip.to_be_bytes()].concat()
        }
        SocketAddr::V6(address) => {
            let mask = [&COOKIE.to_be_bytes()[..], &TRANSACTION].concat();
            let ip = address.ip().octets().into_iter().zip(mask);
            let ip: Vec<u8> = ip.map(|(a, b)| a ^ b).collect();
            [&[0, 2], &port[..], &ip].concat()
        }
    };
    (XOR_PEER_ADDRESS, value)
}

/// A message without a signature.
pub(crate) fn message(kind: u16, attributes: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, value) in attributes {
        body.extend(kind.to_be_bytes());
        body.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        body.extend(value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    let cookie = COOKIE.to_be_bytes();
    [
        &kind.to_be_bytes()[..],
        &length,
        &cookie,
        &TRANSACTION,
        &body,
    ]
    .concat()
}

/// An Allocate request as every client sends it first.
pub(crate) fn bare_allocate() -> Vec<u8> {
    message(ALLOCATE, &[(REQUESTED_TRANSPORT, vec![17, 0, 0, 0])])
}

/// What a peer is told of the server, and for how many seconds.
pub(crate) async fn credentials(node: &Node) -> (IceServer, u64) {
    let Response::Servers { servers, ttl } = stun::ask(node, Request::Get.encode()).await else {
        panic!("servers");
    };
    let server = servers.into_iter().next().expect("a server");
    (server, ttl.expect("a time").as_secs())
}

pub(crate) fn server_address(node: &Node) -> SocketAddr {
    let url = node.ready.turn.first().expect("TURN is on");
    url.strip_prefix("turn:").unwrap().parse().unwrap()
}

impl TurnClient {
    pub(crate) async fn udp(node: &Node) -> Self {
        let (server, _) = credentials(node).await;
        Self::udp_with(node, server).await
    }

    pub(crate) async fn udp_with(node: &Node, server: IceServer) -> Self {
        let io = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        io.connect(server_address(node)).await.unwrap();
        Self {
            io: Io::Udp(io),
            server,
            nonce: Vec::new(),
        }
    }

    pub(crate) async fn tcp(node: &Node) -> Self {
        let (server, _) = credentials(node).await;
        let io = TcpStream::connect(server_address(node)).await.unwrap();
        Self {
            io: Io::Tcp(io),
            server,
            nonce: Vec::new(),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match &self.io {
            Io::Tcp(io) => io.local_addr(),
            Io::Udp(io) => io.local_addr(),
        }
        .unwrap()
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        match &mut self.io {
            Io::Tcp(io) => io.write_all(bytes).await.unwrap(),
            Io::Udp(io) => _ = io.send(bytes).await.unwrap(),
        }
    }

    /// The next message or ChannelData, with its padding.
    pub(crate) async fn read(&mut self) -> Vec<u8> {
        let mut buffer = vec![0; 4_096];
        let length = match &mut self.io {
            Io::Udp(io) => soon("a datagram", io.recv(&mut buffer)).await.unwrap(),
            Io::Tcp(io) => {
                let head = io.read_exact(&mut buffer[..4]);
                soon("a message", head).await.unwrap();
                let length = usize::from(be(&buffer[2..4])).next_multiple_of(4);
                let whole = length + if buffer[0] < 0x40 { 20 } else { 4 };
                let rest = io.read_exact(&mut buffer[4..whole]);
                soon("a whole message", rest).await.unwrap();
                whole
            }
        };
        buffer.truncate(length);
        buffer
    }

    /// Whether the server ends the connection.
    pub(crate) async fn ends(&mut self) -> bool {
        let Io::Tcp(io) = &mut self.io else {
            return false;
        };
        let mut buffer = [0; 4_096];
        loop {
            match soon("the end", io.read(&mut buffer)).await {
                Ok(0) | Err(_) => return true,
                Ok(_) => {}
            }
        }
    }

    pub(crate) async fn ask(&mut self, request: &[u8]) -> Answer {
        self.write(request).await;
        let answer = self.read().await;
        assert_eq!(answer[8..20], request[8..20]);
        Answer::parse(&answer)
    }

    fn key(&self) -> [u8; 16] {
        let username = self.server.username.as_ref().unwrap();
        let password = self.server.credential.as_ref().unwrap();
        Md5::digest(format!("{username}:moim:{password}")).into()
    }

    fn sign(&self, kind: u16, attributes: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let username = self.server.username.as_ref().unwrap();
        let mut all = attributes.to_vec();
        all.push((USERNAME, username.clone().into_bytes()));
        all.push((REALM, b"moim".to_vec()));
        all.push((NONCE, self.nonce.clone()));
        // The length counts the signature, which is made without it.
        all.push((MESSAGE_INTEGRITY, vec![0; 20]));
        let whole = message(kind, &all);
        let mut mac = Hmac::<Sha1>::new_from_slice(&self.key()).unwrap();
        mac.update(&whole[..whole.len() - 24]);
        all.pop();
        all.push((MESSAGE_INTEGRITY, mac.finalize().into_bytes().to_vec()));
        message(kind, &all)
    }

    /// A signed request; with the nonce that the server wants, after the first.
    pub(crate) async fn request(&mut self, kind: u16, attributes: &[(u16, Vec<u8>)]) -> Answer {
        if self.nonce.is_empty() {
            let challenge = self.ask(&bare_allocate()).await;
            assert_eq!(challenge.code(), 401);
            self.nonce = challenge.get(NONCE).unwrap().to_vec();
        }
        let request = self.sign(kind, attributes);
        self.ask(&request).await
    }

    pub(crate) async fn allocate(&mut self) -> Answer {
        self.request(ALLOCATE, &[(REQUESTED_TRANSPORT, vec![17, 0, 0, 0])])
            .await
    }

    pub(crate) async fn refresh(&mut self, seconds: u32) -> Answer {
        let lifetime = (LIFETIME, seconds.to_be_bytes().to_vec());
        self.request(REFRESH, &[lifetime]).await
    }

    pub(crate) async fn permit(&mut self, address: SocketAddr) -> Answer {
        self.request(CREATE_PERMISSION, &[peer(address)]).await
    }

    pub(crate) async fn bind(&mut self, number: u16, address: SocketAddr) -> Answer {
        let number = [number.to_be_bytes(), [0, 0]].concat();
        self.request(CHANNEL_BIND, &[(CHANNEL_NUMBER, number), peer(address)])
            .await
    }

    pub(crate) async fn send(&mut self, address: SocketAddr, data: &[u8]) {
        let indication = message(SEND, &[peer(address), (DATA, data.to_vec())]);
        self.write(&indication).await;
    }

    pub(crate) async fn send_by_channel(&mut self, number: u16, data: &[u8]) {
        let length = u16::try_from(data.len()).unwrap().to_be_bytes();
        let mut bytes = [&number.to_be_bytes()[..], &length, data].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        self.write(&bytes).await;
    }

    /// What a peer has said, by Data indication or by this channel.
    pub(crate) async fn receive(&mut self) -> (Option<u16>, Vec<u8>) {
        let bytes = self.read().await;
        if bytes[0] >= 0x40 {
            let length = usize::from(be(&bytes[2..4]));
            return (Some(be(&bytes[..2])), bytes[4..4 + length].to_vec());
        }
        let answer = Answer::parse(&bytes);
        assert_eq!(answer.kind, DATA_INDICATION);
        (None, answer.get(DATA).unwrap().to_vec())
    }
}
