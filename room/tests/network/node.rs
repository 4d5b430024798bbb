//! A peer of the network.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Duration,
};

use libp2p_identity::{Keypair, PeerId};
use moim_protocol::message::MessageId;
use moim_room::{AskId, GossipId, RequestId, Room};

use super::net::Index;

/// Something gossip has brought, until there is a verdict.
#[derive(Debug)]
pub struct Brought {
    pub id: GossipId,
    pub from: Index,
    pub author: Index,
    pub data: Vec<u8>,
}

#[derive(Debug)]
pub struct Node {
    pub keypair: Keypair,
    pub peer: PeerId,
    pub room: Option<Room>,
    pub timer: Option<Duration>,
    /// What of the gossip has been here.
    pub seen: HashSet<[u8; 32]>,
    pub brought: Option<Brought>,
    /// Who is known to hear the gossip.
    pub hears: BTreeSet<Index>,
    pub dialling: BTreeSet<Index>,
    pub dial_failed: BTreeSet<Index>,
    /// Requests that wait for an answer, to whom and by which connection.
    pub requests: BTreeMap<RequestId, (Index, u64)>,
    /// Requests to be answered.
    pub asked: BTreeMap<AskId, (Index, u64, RequestId)>,
    pub joined: Option<Duration>,
    /// When it left or died.
    pub ended: Option<Duration>,
    pub said: Vec<(MessageId, Duration)>,
    pub heard: BTreeMap<PeerId, Vec<MessageId>>,
    pub has_left: bool,
}

impl Node {
    pub fn new(number: usize) -> Self {
        let mut seed = [3; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        let keypair = Keypair::ed25519_from_bytes(seed).unwrap();
        Self {
            peer: keypair.public().to_peer_id(),
            keypair,
            room: None,
            timer: None,
            seen: HashSet::new(),
            brought: None,
            hears: BTreeSet::new(),
            dialling: BTreeSet::new(),
            dial_failed: BTreeSet::new(),
            requests: BTreeMap::new(),
            asked: BTreeMap::new(),
            joined: None,
            ended: None,
            said: Vec::new(),
            heard: BTreeMap::new(),
            has_left: false,
        }
    }
}
