//! What a room begins with.

use std::time::Duration;

use libp2p_identity::{Keypair, PeerId};
use moim_protocol::{text::Name, topic::Topic};
use multiaddr::Multiaddr;

/// How a room is joined.
#[derive(Clone, Debug)]
pub struct Config {
    /// Signs this peer's presence.
    pub keypair: Keypair,
    /// The room's topic.
    pub topic: Topic,
    /// The display name that this peer goes by in the room.
    pub name: Name,
    /// Where this peer can be dialled, best first.
    pub addresses: Vec<Multiaddr>,
    /// How long this peer is in a small room for others without saying so again: at most
    /// [`PRESENCE_TTL`](moim_protocol::limits::PRESENCE_TTL). In a larger room it is [more](moim_protocol::announcer::life).
    pub presence_lifetime: Duration,
    /// Whether there is gossip; without it, nothing is published and everybody is told directly.
    pub gossip: bool,
    /// Whether there is a DHT server to ask.
    pub in_dht: bool,
    /// Who is connected.
    pub connected: Vec<PeerId>,
    /// Who of them hears the room's gossip.
    pub listeners: Vec<PeerId>,
    /// The sequence of the last presence that this peer has signed before ([`Room::sequence`](crate::Room::sequence)), in
    /// whatever room; 0 if it has not. What is signed now is newer, also for who leaves and is back in the same
    /// millisecond.
    pub after: u64,
    /// Where jitter and choices come from. It should differ from peer to peer.
    pub seed: u64,
}
