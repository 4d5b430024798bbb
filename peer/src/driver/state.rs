//! What the driver owns. Every part is a machine with its own file; the other files here tell the machines what the
//! swarm reports, and do with the swarm what the machines want done.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use libp2p::{Multiaddr, PeerId, Swarm, identity::Keypair, request_response::OutboundRequestId};
use moim_dials::Dials;
use moim_protocol::UnixMillis;
use tokio::sync::{mpsc, watch};
use web_time::Instant;

use super::{
    clock::Clock,
    connections::Connections,
    dial::Pace,
    direct::Direct,
    entry::Entry,
    kept::Kept,
    lifetimes::Lifetimes,
    liveness::Liveness,
    lost::Lost,
    programs::Programs,
    queries::Queries,
    reach::Reaching,
    relays::Relays,
    requests::Transmission,
    rooms::Rooms,
    seldom::Seldom,
    shares::PeerShares,
    shown::{Listed, Shown},
    thrift::Thrift,
};
use crate::{
    behaviour::Behaviour,
    bootstrap::Target,
    builder::{DhtMode, PeerBuilder},
    command::{Command, Reply},
    event::EventSink,
    platform,
    reason::DocumentFault,
    snapshot::{ClockOff, Snapshot, Status},
    swarm,
};

/// What the driver's own background tasks report.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) source: usize,
    /// It comes from this machine.
    pub(super) is_local: bool,
    /// With the time at which it was sent, by the clock there.
    pub(super) result: Result<(Target, Option<UnixMillis>), DocumentFault>,
}

/// Whether the peer is on its way out.
#[derive(Debug)]
pub(super) enum Stopping {
    No,
    /// Waiting for members and DHT servers to be told, and for values to be handed over until the deadline.
    Leaving(Vec<Reply<()>>, Instant),
}

/// The swarm, in which a connection that panics is closed where that can be caught.
pub(super) type PeerSwarm = Swarm<swarm::Guarded<Behaviour>>;

pub(crate) struct Driver {
    pub(super) me: PeerId,
    pub(super) keypair: Keypair,
    /// As they were given, but for the identity.
    pub(super) settings: PeerBuilder,
    pub(super) swarm: PeerSwarm,
    pub(super) platform: swarm::Platform,
    pub(super) dials: Dials,
    /// From where bootstrap nodes see us come, the last ones first.
    pub(super) seen_at: Vec<IpAddr>,
    pub(super) dht_mode: DhtMode,
    pub(super) presence_lifetime: Duration,
    pub(super) gossip: bool,
    pub(super) seed: u64,

    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) fetched: mpsc::Receiver<Fetched>,
    pub(super) fetched_sender: mpsc::Sender<Fetched>,
    pub(super) events: EventSink,
    pub(super) snapshot: watch::Sender<Snapshot>,

    pub(super) entry: Entry,
    pub(super) connections: Connections,
    pub(super) lifetimes: Lifetimes,
    pub(super) liveness: Liveness,
    pub(super) lost: Lost,
    pub(super) clock: Clock,
    pub(super) clock_off: Option<ClockOff>,
    pub(super) surroundings: platform::Surroundings,
    pub(super) relays: Relays,
    pub(super) reaching: Reaching,
    /// What others can bring about to have everybody dialled again.
    pub(super) revivals: Seldom,
    pub(super) pace: Pace,
    pub(super) queries: Queries,
    pub(super) programs: Programs,

    pub(super) rooms: Rooms,
    /// Those of a page that is not there at present.
    pub(super) put_away: Vec<Kept>,
    /// As the rooms were told last.
    pub(super) rooms_in_dht: bool,
    pub(super) told_addresses: Vec<Multiaddr>,

    pub(super) direct: Direct,
    pub(super) transmissions: HashMap<OutboundRequestId, Transmission>,
    pub(super) shares: PeerShares,

    pub(super) status: Status,
    pub(super) stopping: Stopping,
    /// Peers in the DHT's routing table.
    pub(super) routing: usize,
    pub(super) shown: Option<Shown>,
    pub(super) listed: Listed,
    /// Of looking at all members.
    pub(super) overview: Thrift,
}
