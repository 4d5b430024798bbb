//! A peer of the simulation, and a bootstrap node.

use std::collections::{BTreeMap, HashMap};

use libp2p_identity::{Keypair, PeerId};
use moim_protocol::{
    allowance::Shares,
    limits::{CATCH_UP_ALL, CATCH_UP_PER_PEER, LISTS_ALL, LISTS_PER_PEER, SHARES_MAX},
    providers::ProviderTable,
};
use moim_room::{RequestId, Room};
use multiaddr::{Multiaddr, Protocol};
use web_time::Instant;

use crate::{
    bits::Bits,
    event::{Index, LinkNumber, ServerIndex},
    gossip::Gossip,
    measure::Traffic,
    reach::Reach,
    terrain::{Nat, Place},
    time::Time,
};

/// A connection, as one end sees it.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Which one.
    pub number: LinkNumber,
    /// By which bootstrap node it is relayed, if it is.
    pub relay: Option<ServerIndex>,
    /// Since when there is one between the two.
    pub since: Time,
    /// When what was sent last arrives: nothing overtakes it.
    pub last: Time,
}

/// A peer. One that was made up by a liar has no room and never joins.
#[derive(Debug)]
pub struct Node {
    /// Its key.
    pub keypair: Keypair,
    /// Who it is.
    pub peer: PeerId,
    /// Where it is.
    pub place: Place,
    /// By how many milliseconds its wall clock is ahead.
    pub skew: i64,
    /// Whether it lies.
    pub is_liar: bool,
    /// Whether a liar has made it up.
    pub is_made_up: bool,
    /// Its room, from when it joins until everybody is told that it has left.
    pub room: Option<Box<Room>>,
    /// When it joined.
    pub joined: Option<Time>,
    /// When it left or vanished.
    pub ended: Option<Time>,
    /// When its room has something to do, as planned.
    pub timer: Time,
    /// When dials are due, as planned.
    pub dials_at: Time,
    /// Whether it is planned to ask the room whom it wants.
    pub asks_wanted: bool,
    /// The connections that it sees.
    pub links: BTreeMap<Index, Link>,
    /// Whom it dials.
    pub reach: Reach,
    /// Its part in the gossip.
    pub gossip: Gossip,
    /// Whom it does not listen to, until when.
    pub deaf: BTreeMap<Index, Time>,
    /// Requests that wait for an answer.
    pub requests: HashMap<RequestId, (Index, LinkNumber)>,
    /// Which bootstrap nodes it is connected to.
    pub servers: Vec<bool>,
    /// The query for providers that is under way, if one is, and how many there were.
    pub query: (Option<u64>, u64),
    /// How much it answers others.
    pub lists: Shares<PeerId>,
    /// How much it answers who missed something.
    pub catch_ups: Shares<PeerId>,
    /// When its line is free to send.
    pub line_free: Time,
    /// Whom it lists.
    pub listed: Bits,
    /// What it has heard of each other, as numbers of what was said.
    pub heard: BTreeMap<Index, Vec<usize>>,
    /// What it has sent and got.
    pub traffic: Traffic,
}

/// The address of the machine that a peer is on: one network for each.
fn host(index: Index) -> [u8; 4] {
    let [.., a, b, c] = (index as u32).to_be_bytes();
    [20 + a, b, c, 1]
}

impl Node {
    /// A peer that has not joined.
    pub fn new(index: Index, place: Place, servers: usize, now: Instant, seed: u64) -> Self {
        let mut secret = [3; 32];
        secret[..8].copy_from_slice(&(index as u64).to_be_bytes());
        secret[8..16].copy_from_slice(&seed.to_be_bytes());
        #[expect(clippy::expect_used, reason = "any 32 bytes are a secret key")]
        let keypair = Keypair::ed25519_from_bytes(secret).expect("32 bytes are a key");
        Self {
            peer: keypair.public().to_peer_id(),
            keypair,
            place,
            skew: 0,
            is_liar: false,
            is_made_up: false,
            room: None,
            joined: None,
            ended: None,
            timer: Time::NEVER,
            dials_at: Time::NEVER,
            asks_wanted: false,
            links: BTreeMap::new(),
            reach: Reach::new(seed ^ index as u64),
            gossip: Gossip::default(),
            deaf: BTreeMap::new(),
            requests: HashMap::new(),
            servers: vec![false; servers],
            query: (None, 0),
            lists: Shares::new(LISTS_PER_PEER, LISTS_ALL, SHARES_MAX, now),
            catch_ups: Shares::new(CATCH_UP_PER_PEER, CATCH_UP_ALL, SHARES_MAX, now),
            line_free: Time::ZERO,
            listed: Bits::default(),
            heard: BTreeMap::new(),
            traffic: Traffic::default(),
        }
    }

    /// Whether it is in the room, for all that it knows itself.
    #[must_use]
    pub const fn is_present(&self) -> bool {
        self.joined.is_some() && self.ended.is_none()
    }

    /// Whether something that arrives finds anybody.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.room.is_some()
    }

    /// Whether it knows a bootstrap node that it is connected to.
    #[must_use]
    pub fn in_dht(&self) -> bool {
        self.servers.contains(&true)
    }

    /// Where it can be dialled, as it signs it.
    #[must_use]
    pub fn addresses(&self, index: Index, servers: &[Server]) -> Vec<Multiaddr> {
        let ip = host(index).into();
        if self.place.nat == Nat::None {
            let udp = Multiaddr::empty().with(Protocol::Ip4(ip));
            let tcp = udp.clone().with(Protocol::Tcp(40_000));
            return vec![udp.with(Protocol::Udp(40_000)).with(Protocol::QuicV1), tcp];
        }
        let relays = servers.iter().zip(&self.servers);
        let relays = relays.filter(|(_, is_connected)| **is_connected).take(2);
        relays
            .flat_map(|(server, _)| {
                let relay = server.address.clone().with(Protocol::P2p(server.peer));
                let circuit = relay.with(Protocol::P2pCircuit);
                [circuit.clone(), circuit.with(Protocol::WebRTC)]
            })
            .collect()
    }
}

/// What a bootstrap node did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    /// Requests of the DHT that it answered.
    pub requests: u64,
    /// Bytes of them that it got.
    pub got: u64,
    /// Bytes of them that it sent.
    pub sent: u64,
    /// Bytes that it relayed, each counted once.
    pub relayed: u64,
    /// The most connections that it had at one time.
    pub connections_most: usize,
}

/// A bootstrap node: its providers are the real table.
#[derive(Debug)]
pub struct Server {
    /// Who it is.
    pub peer: PeerId,
    /// Where it can be dialled.
    pub address: Multiaddr,
    /// Where it is.
    pub place: Place,
    /// Whether it is there.
    pub is_up: bool,
    /// Who provides the topic.
    pub table: ProviderTable,
    /// How many peers are connected.
    pub connections: usize,
    /// What it did.
    pub load: Load,
}

impl Server {
    /// A bootstrap node.
    pub fn new(number: ServerIndex, place: Place, seed: u64) -> Self {
        // No peer of the simulation has such an index.
        let index = 0x7f_0000 + number;
        let ip = host(index).into();
        Self {
            peer: Node::new(index, place, 0, Instant::now(), seed).peer,
            address: Multiaddr::empty()
                .with(Protocol::Ip4(ip))
                .with(Protocol::Udp(8_468))
                .with(Protocol::QuicV1),
            place,
            is_up: true,
            table: ProviderTable::new(Default::default(), seed ^ number as u64),
            connections: 0,
            load: Load::default(),
        }
    }
}

/// The network that a peer is in.
#[must_use]
pub fn network(index: Index) -> std::net::IpAddr {
    std::net::IpAddr::from(host(index))
}
