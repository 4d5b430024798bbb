//! The server without sockets, and clients that do as they like. See [`crate::fuzzing`].

use std::{
    collections::{HashMap, HashSet},
    fmt,
    net::{IpAddr, SocketAddr},
    sync::LazyLock,
    time::{Duration, Instant, SystemTime},
};

use libp2p::{PeerId, identity::Keypair};
use md5::{Digest as _, Md5};
use moim_protocol::rate::Source;

use super::{
    Counters, Credentials, Issued, Quotas, Settings,
    clock::Clock,
    credentials::{Client, REALM, Secrets},
    framing::{self, Frame},
    relay::{Relay, Step},
    request::{self, ALLOCATE, ERROR, SUCCESS},
};
use crate::{
    limits,
    stun::{
        self,
        wire::{Message, Transaction, Writer, attribute},
    },
};

/// How much time the lab lets pass at most in one step, so that it passes the ends of things rather than time itself.
const STEP_MAX: Duration = Duration::from_secs(3_600);
const TRANSACTION: Transaction = [9; 12];
const QUOTAS: Quotas = Quotas {
    all: 6,
    per_peer: 2,
    per_address: 3,
};
/// Bytes of a refusal, which anybody gets who sends 20: a nonce, the realm, an error, and the header.
const UNSIGNED_ANSWER_BYTES_MAX: usize = 20 + 20 + 8 + 8 + 12;
/// Bytes that are put around data on its way to a client: a header, an address and the attribute's header.
const AROUND_DATA: usize = 20 + 24 + 4 + 3;
const METHODS: [u16; 4] = [ALLOCATE, 0x0004, 0x0008, 0x0009];

/// Who the users are. To make their keys takes longer than most runs.
static PEERS: LazyLock<[PeerId; 4]> = LazyLock::new(|| {
    [0, 1, 2, 3].map(|number| {
        let key = Keypair::ed25519_from_bytes([number; 32]).expect("any 32 bytes are a key");
        key.public().to_peer_id()
    })
});

/// Four users, eight clients (the latter four by TCP, all at four addresses), and what they were allowed.
pub struct TurnLab {
    relay: Relay,
    credentials: Credentials,
    counters: Counters,
    now: Instant,
    users: Vec<Issued>,
    /// Until when a client may send to an address.
    granted: HashMap<(Client, IpAddr), Instant>,
    /// Whose allocation each client's is.
    owners: HashMap<Client, usize>,
    /// Addresses of allocations.
    relayed: HashMap<SocketAddr, Client>,
    /// What came on each TCP connection of a message that is not whole.
    input: HashMap<Client, Vec<u8>>,
    port: u16,
}

/// Without the passwords.
impl fmt::Debug for TurnLab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnLab")
            .field("relay", &self.relay)
            .finish_non_exhaustive()
    }
}

impl Default for TurnLab {
    fn default() -> Self {
        Self::new()
    }
}

/// Where messages end in what a TCP connection brings in these pieces: the same for all ways to cut it.
pub fn frames(pieces: &[&[u8]]) {
    let whole = take_frames(&mut pieces.concat());
    let mut rest = Vec::new();
    let mut all = Vec::new();
    for piece in pieces {
        rest.extend_from_slice(piece);
        let (messages, is_broken) = take_frames(&mut rest);
        all.extend(messages);
        if is_broken {
            assert_eq!((all, true), whole);
            return;
        }
        assert!(rest.len() < limits::TURN_MESSAGE_BYTES_MAX);
    }
    assert_eq!((all, false), whole);
}

fn take_frames(input: &mut Vec<u8>) -> (Vec<Vec<u8>>, bool) {
    let mut messages = Vec::new();
    loop {
        match framing::next(input) {
            Frame::Broken => return (messages, true),
            Frame::Part => return (messages, false),
            Frame::Whole(length) => {
                let rest = input.split_off(length);
                messages.push(std::mem::replace(input, rest));
            }
        }
    }
}

fn client(number: u8) -> Client {
    let address = match number % 4 {
        0 => "192.0.2.1:1000",
        1 => "192.0.2.1:1001",
        2 => "192.0.2.2:1000",
        _ => "[2001:db8::1]:1000",
    };
    let address = address.parse().expect("an address");
    if number % 8 < 4 {
        Client::Udp { socket: 0, address }
    } else {
        let stream = u64::from(number % 8);
        Client::Tcp { stream, address }
    }
}

impl TurnLab {
    /// Nobody has an allocation.
    #[must_use]
    pub fn new() -> Self {
        let now = Instant::now();
        let secrets = Secrets {
            passwords: [1; 32],
            nonces: [2; 32],
        };
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let credentials = Credentials::new(secrets, Clock::new(now, wall), STEP_MAX);
        let counters = Counters::default();
        let settings = Settings {
            quotas: QUOTAS,
            bytes_per_second: 10_000,
            allocation_bytes_per_second: 4_000,
            allow_private: false,
        };
        let mut relay = Relay::new(settings, credentials.clone(), counters.clone(), now);
        let own: IpAddr = "203.0.113.5".parse().expect("an address");
        relay.set_own(HashSet::from([own]));
        let users = PEERS.iter().map(|peer| credentials.issue(peer, now));
        Self {
            relay,
            users: users.collect(),
            credentials,
            counters,
            now,
            granted: HashMap::new(),
            owners: HashMap::new(),
            relayed: HashMap::new(),
            input: HashMap::new(),
            port: 50_000,
        }
    }

    /// Time passes.
    pub fn wait(&mut self, seconds: u16) {
        self.now += Duration::from_secs(seconds.into()).min(STEP_MAX);
        self.relay.on_time(self.now);
        self.settle();
    }

    /// A client makes a request with a user's credentials, for UDP, with these peers and attributes.
    pub fn request(
        &mut self,
        (from, user): (u8, u8),
        method: u8,
        peers: &[SocketAddr],
        attributes: &[(u16, &[u8])],
    ) {
        let (client, user) = (client(from), usize::from(user % 4));
        let method = METHODS[usize::from(method % 4)];
        let mut writer = Writer::new(method, &TRANSACTION);
        if method == ALLOCATE {
            writer = writer.with(attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
        }
        for peer in peers {
            writer = writer.with_address(attribute::XOR_PEER_ADDRESS, *peer);
        }
        for (kind, value) in attributes {
            writer = writer.with(*kind, value);
        }
        let issued = self.users[user].clone();
        let key = Md5::digest(format!("{}:{REALM}:{}", issued.username, issued.password));
        let request = writer
            .with(attribute::USERNAME, issued.username.as_bytes())
            .with(attribute::REALM, REALM.as_bytes())
            .with(
                attribute::NONCE,
                self.credentials.nonce(client, self.now).as_bytes(),
            )
            .sign(&key);
        let Some(kind) = self.on_message(client, &request) else {
            return;
        };
        if kind & ERROR != SUCCESS {
            return;
        }
        if method == ALLOCATE {
            self.owners.insert(client, user);
        }
        // What a channel is bound to may be sent to, too.
        let until = self.now
            + match method {
                0x0009 => limits::TURN_CHANNEL_LIFETIME,
                _ => limits::TURN_PERMISSION_LIFETIME,
            };
        if method >= 0x0008 {
            for peer in peers_of(&request) {
                self.granted.insert((client, peer.ip()), until);
            }
        }
        self.settle();
    }

    /// A client sends a datagram, or a piece of what comes on its TCP connection.
    pub fn receive(&mut self, from: u8, bytes: &[u8]) {
        let client = client(from);
        if !client.is_tcp() {
            if bytes.len() <= limits::TURN_MESSAGE_BYTES_MAX {
                self.receive_message(client, bytes);
            }
            return;
        }
        let mut input = self.input.remove(&client).unwrap_or_default();
        input.extend_from_slice(bytes);
        let (messages, is_broken) = take_frames(&mut input);
        for message in messages {
            self.receive_message(client, &message);
        }
        if is_broken {
            self.relay.forget(client);
        } else {
            self.input.insert(client, input);
        }
        self.settle();
    }

    fn receive_message(&mut self, client: Client, bytes: &[u8]) {
        if let Some(kind) = self.on_message(client, bytes) {
            // Without a signature there is nothing but refusals, and these are bounded.
            assert_eq!(kind & ERROR, ERROR, "{kind:04x}");
        }
        self.settle();
    }

    /// A client sends data to a peer in a Send indication.
    pub fn send(&mut self, from: u8, peer: SocketAddr, data: &[u8]) {
        let message = Writer::new(request::SEND_INDICATION, &TRANSACTION)
            .with_address(attribute::XOR_PEER_ADDRESS, peer)
            .with(attribute::DATA, data)
            .finish();
        if message.len() <= limits::TURN_MESSAGE_BYTES_MAX {
            self.receive_message(client(from), &message);
        }
    }

    /// A client sends data on a channel.
    pub fn send_on_channel(&mut self, from: u8, number: u16, data: &[u8]) {
        let client = client(from);
        if let Some(message) = request::write_channel_data(number, data, client.is_tcp())
            && message.len() <= limits::TURN_MESSAGE_BYTES_MAX
        {
            let step = self.relay.on_data(client, &message, self.now);
            check(&self.granted, &self.relayed, self.now, client, step);
            self.settle();
        }
    }

    /// A datagram comes to one of the allocations.
    pub fn receive_from_peer(&mut self, allocation: u8, peer: SocketAddr, data: &[u8]) {
        let mut all: Vec<_> = self.relayed.clone().into_iter().collect();
        all.sort_unstable_by_key(|(address, _)| *address);
        let Some((relayed, owner)) = all.get(usize::from(allocation) % all.len().max(1)) else {
            return;
        };
        match self.relay.on_peer(*relayed, peer, data, self.now) {
            Step::Nothing => {}
            Step::ToClient(client, message) => {
                assert_eq!(client, *owner);
                let until = self.granted.get(&(client, peer.ip()));
                assert!(until.is_some_and(|until| *until > self.now), "{peer}");
                assert!(message.len() <= data.len() + AROUND_DATA);
            }
            other => panic!("{other:?}"),
        }
        self.settle();
    }

    /// What the server does with a message. Returns the type of the answer to a request.
    fn on_message(&mut self, client: Client, bytes: &[u8]) -> Option<u16> {
        if stun::message::answer(bytes, client.address()).is_some() {
            return None;
        }
        if !request::is_request(bytes) {
            let step = self.relay.on_data(client, bytes, self.now);
            check(&self.granted, &self.relayed, self.now, client, step);
            return None;
        }
        let answer = match self.relay.on_request(client, bytes, self.now)? {
            Step::ToClient(to, answer) => {
                assert_eq!(to, client);
                answer
            }
            Step::Open(opening) => {
                assert_eq!(opening.client(), client);
                self.port += 1;
                let ip = if opening.is_ipv6 {
                    "2001:db8::5"
                } else {
                    "203.0.113.5"
                };
                let relayed = SocketAddr::new(ip.parse().expect("an address"), self.port);
                self.relayed.insert(relayed, client);
                // Who gets a new one has no rights of an old one.
                self.granted.retain(|(owner, _), _| *owner != client);
                self.relay.opened(opening, Ok(relayed), self.now)
            }
            other => panic!("{other:?}"),
        };
        let message = Message::parse(&answer).expect("answers are messages");
        let is_signed = message
            .iter()
            .any(|one| one.kind == attribute::MESSAGE_INTEGRITY);
        assert!(is_signed || answer.len() <= UNSIGNED_ANSWER_BYTES_MAX);
        Some(message.kind)
    }

    /// Forgets what has ended, and counts what there is.
    fn settle(&mut self) {
        for closed in self.relay.take_closed() {
            self.relayed.remove(&closed).expect("it was open");
        }
        let Self { owners, relay, .. } = self;
        owners.retain(|client, _| relay.knows(*client));
        assert_eq!(self.owners.len(), self.relayed.len());
        assert_eq!(self.counters.allocations.get(), self.relayed.len() as i64);
        assert!(self.owners.len() <= QUOTAS.all as usize);
        let count = |is_one: &dyn Fn(&Client, usize) -> bool| {
            let owners = self.owners.iter();
            owners
                .filter(|(client, user)| is_one(client, **user))
                .count()
        };
        for (client, user) in &self.owners {
            assert!(count(&|_, other| other == *user) <= QUOTAS.per_peer as usize);
            let source = Source::from(client.ip());
            let of_source = count(&|other, _| Source::from(other.ip()) == source);
            assert!(of_source <= QUOTAS.per_address as usize);
        }
    }
}

/// The addresses that a request names.
fn peers_of(request: &[u8]) -> Vec<SocketAddr> {
    let message = Message::parse(request).expect("we have written it");
    let request = request::Request::read(message).expect("it is one");
    request.peers.into_iter().flatten().collect()
}

/// What is to be done with data of a client.
fn check(
    granted: &HashMap<(Client, IpAddr), Instant>,
    relayed: &HashMap<SocketAddr, Client>,
    now: Instant,
    client: Client,
    step: Step<'_>,
) {
    match step {
        Step::Nothing => {}
        // To another allocation of this server.
        Step::ToClient(to, _) => assert!(relayed.values().any(|owner| *owner == to)),
        Step::ToPeer { from, to, .. } => {
            assert_eq!(relayed.get(&from), Some(&client));
            let until = granted.get(&(client, to.ip()));
            assert!(until.is_some_and(|until| *until > now), "{to}");
            assert!(to.port() != 0 && is_public(to.ip()), "{to}");
            assert_eq!(to.is_ipv6(), from.is_ipv6());
        }
        Step::Open(opening) => panic!("{opening:?}"),
    }
}

/// Not of this machine, and not of a network around it.
fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            !(ip.is_loopback()
                || ip.is_private()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.is_broadcast()
                || ip.is_unspecified())
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
                || ip.is_multicast()
                || ip.is_unspecified())
        }
    }
}
