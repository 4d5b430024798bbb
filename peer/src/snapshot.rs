//! What a user sees of a peer: plain data, read from `watch` channels.

use std::{fmt, time::Duration};

use libp2p::{Multiaddr, PeerId};
use moim_protocol::{
    message::MessageId,
    record::RecordKey,
    refusal_wire::Refusal,
    text::{Name, NameError},
    topic::Topic,
};

use crate::reason::{NoDirectWay, NodeFault, NotInDht};

/// This device's clock is so wrong that others take little or nothing from it: what a peer signs is dated,
/// and everybody refuses what is dated more than ten minutes from their own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockOff {
    /// It is ahead of that of every bootstrap node that has said what time it is.
    Ahead {
        /// By how much, in whole minutes.
        by: Duration,
    },
    /// It is behind.
    Behind {
        /// By how much, in whole minutes.
        by: Duration,
    },
    /// Several peers refuse what is dated by it, and no node has said what time it is.
    Unknown,
}

impl ClockOff {
    /// `ahead`, `behind` or `unknown`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ahead { .. } => "ahead",
            Self::Behind { .. } => "behind",
            Self::Unknown => "unknown",
        }
    }

    /// By how much, if that is known.
    pub fn by(&self) -> Option<Duration> {
        match self {
            Self::Ahead { by } | Self::Behind { by } => Some(*by),
            Self::Unknown => None,
        }
    }
}

/// How a peer presents itself to a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    name: Name,
}

impl Profile {
    /// A profile with a display name as somebody types it.
    ///
    /// # Errors
    /// [`NameError`] when that is no name.
    pub fn named(name: &str) -> Result<Self, NameError> {
        Name::new(name).map(Self::from)
    }

    /// The display name.
    pub fn name(&self) -> &Name {
        &self.name
    }
}

impl From<Name> for Profile {
    fn from(name: Name) -> Self {
        Self { name }
    }
}

/// Whether the peer takes part in the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Not in the DHT yet since the start.
    #[default]
    Connecting,
    /// In the DHT: at least one DHT server is connected and the routing table is filled.
    Connected,
    /// Was in the DHT, lost every DHT server, and tries again.
    Reconnecting {
        /// Why it is not back yet.
        why: NotInDht,
    },
    /// The device says that it has no network.
    Offline,
    /// Cannot get into the DHT; attempts go on with growing pauses.
    Failed {
        /// What failed.
        why: NotInDht,
    },
}

impl Status {
    /// The state as a word: `connecting`, `connected`, `reconnecting`, `offline` or `failed`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Connecting => "connecting",
            Self::Failed { .. } => "failed",
            Self::Offline => "offline",
            Self::Reconnecting { .. } => "reconnecting",
        }
    }

    /// Why the peer is not connected, where something is known.
    pub fn why(&self) -> Option<&NotInDht> {
        match self {
            Self::Failed { why } | Self::Reconnecting { why } => Some(why),
            Self::Connected | Self::Connecting | Self::Offline => None,
        }
    }
}

/// The transport of a connection without a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DirectTransport {
    /// QUIC (RFC 9000).
    Quic,
    /// TCP.
    Tcp,
    /// WebRTC, either `/webrtc-direct` or `/webrtc`.
    WebRtc,
    /// WebSocket, plain or TLS.
    WebSocket,
}

impl fmt::Display for DirectTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quic => "quic",
            Self::Tcp => "tcp",
            Self::WebRtc => "webrtc",
            Self::WebSocket => "websocket",
        })
    }
}

/// The way a connection takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// Straight to the other peer.
    Direct(DirectTransport),
    /// By WebRTC, encrypted end to end, with a TURN server in between that carries every datagram.
    Turn,
    /// Encrypted end to end, carried by a relay.
    Relayed {
        /// The relay.
        by: PeerId,
    },
}

impl Path {
    /// `direct`, `turn` or `relayed`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Direct(_) => "direct",
            Self::Turn => "turn",
            Self::Relayed { .. } => "relayed",
        }
    }

    /// The transport, if no relay of this network is in between.
    pub fn transport(&self) -> Option<DirectTransport> {
        match self {
            Self::Direct(transport) => Some(*transport),
            Self::Turn => Some(DirectTransport::WebRtc),
            Self::Relayed { .. } => None,
        }
    }

    /// Whether a relay of this network carries it. What goes by a TURN server is to the network a connection
    /// like a direct one: it has no bounds, and lasts without the bootstrap node's relay.
    pub fn is_relayed(&self) -> bool {
        matches!(self, Self::Relayed { .. })
    }
}

/// How a member of a room is reached right now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reach {
    /// A connection is being made.
    #[default]
    Connecting,
    /// There is a connection. With several, the direct one counts.
    Connected(Path),
    /// No connection of our own: what is said in the room arrives through other members, and a
    /// direct message opens a connection first. Large rooms have such members, and so have
    /// members whose addresses do not answer.
    Unconnected,
}

impl Reach {
    /// `connecting`, `direct`, `turn`, `relayed` or `unconnected`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Connected(path) => path.word(),
            Self::Unconnected => "unconnected",
        }
    }
}

/// One other member of a room. The peer itself is not in its member list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who it is.
    pub peer: PeerId,
    /// The display name it signed.
    pub name: Name,
    /// How it is reached.
    pub reach: Reach,
    /// Another one in the room (perhaps this peer itself) whose name looks like this one's: one of the two may want to be
    /// taken for the other, and only their ids tell them apart.
    pub looks_like: Option<PeerId>,
}

/// A bootstrap node address that was given and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootstrapNode {
    /// The multiaddr or URL as it was given.
    pub source: String,
    /// What became of it.
    pub state: BootstrapState,
}

/// What became of a bootstrap address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BootstrapState {
    /// Connected to this node.
    Connected {
        /// The node's id.
        peer: PeerId,
    },
    /// Being dialled or, for a URL, being fetched.
    Connecting,
    /// The last attempt failed; there will be another.
    Failed {
        /// What of it.
        why: NodeFault,
    },
    /// The node does not let this peer in; it is asked again after growing pauses.
    TurnedAway {
        /// What it said.
        why: Refusal,
    },
}

/// The peer's part in the DHT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DhtState {
    /// Whether this peer answers others' queries.
    pub server: bool,
    /// DHT servers that are connected.
    pub servers: usize,
    /// Peers in the routing table. Some of them may have gone since they were heard of.
    pub peers: usize,
}

/// One open connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The other side.
    pub peer: PeerId,
    /// The other side's address as this peer sees it.
    pub address: Multiaddr,
    /// The way it takes.
    pub path: Path,
    /// The last measured round trip.
    pub round_trip: Option<Duration>,
    /// The program at the other end as it names itself (identify `agentVersion`).
    pub agent: Option<String>,
    /// Whether the other side is a bootstrap node.
    pub bootstrap_node: bool,
    /// Of a relayed connection: why the last attempt to connect directly has failed.
    pub not_direct: Option<NotDirect>,
}

/// Why there is no direct connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotDirect {
    /// What failed.
    pub why: NoDirectWay,
    /// How far WebRTC came, if it was that.
    pub report: Option<moim_webrtc::Report>,
    /// When it is tried again by itself, if it is; counted from the failure.
    pub retry: Option<Duration>,
}

/// Everything a user may want to know about a peer at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The peer's own id.
    pub peer: PeerId,
    /// Whether it takes part in the network.
    pub status: Status,
    /// Whether this device's clock has to be set.
    pub clock: Option<ClockOff>,
    /// Addresses at which others reach it.
    pub addresses: Vec<Multiaddr>,
    /// The bootstrap addresses and what became of them.
    pub bootstrap: Vec<BootstrapNode>,
    /// Its part in the DHT.
    pub dht: DhtState,
    /// Open connections, ordered by peer.
    pub connections: Vec<Connection>,
    /// The topics of the joined rooms.
    pub rooms: Vec<Topic>,
}

impl Snapshot {
    /// Why this peer is not in the network, if a bootstrap node has said that it does not let it in.
    pub fn refusal(&self) -> Option<Refusal> {
        if self.status == Status::Connected {
            return None;
        }
        self.bootstrap.iter().find_map(|node| match node.state {
            BootstrapState::TurnedAway { why } => Some(why),
            _ => None,
        })
    }

    /// Why this peer is not in the DHT, as far as anything is known.
    pub(crate) fn why_not_in_dht(&self) -> NotInDht {
        if self.status == Status::Offline {
            return NotInDht::Offline;
        }
        if let Some(why) = self.status.why() {
            return why.clone();
        }
        let nodes: Vec<_> = self
            .bootstrap
            .iter()
            .filter_map(|node| match node.state {
                BootstrapState::TurnedAway { why } => {
                    Some((node.source.clone(), NodeFault::TurnedAway(why)))
                }
                BootstrapState::Failed { why } => Some((node.source.clone(), why)),
                BootstrapState::Connected { .. } | BootstrapState::Connecting => None,
            })
            .collect();
        if nodes.is_empty() {
            NotInDht::NoAnswer
        } else {
            NotInDht::Nodes(nodes)
        }
    }
}

/// Proof that a direct message was accepted and stored by its receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The message.
    pub id: MessageId,
    /// Who has it.
    pub to: PeerId,
    /// The way it took; `None` if its connection was closed before that was looked at.
    pub path: Option<Path>,
}

/// A value was stored in the DHT: the servers closest to its key have it. The others follow, see
/// [`PeerEvent::CopiesGrown`](crate::PeerEvent::CopiesGrown).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The key it was stored under.
    pub key: RecordKey,
    /// How many DHT servers acknowledged that they keep it; at least 1.
    pub copies: usize,
}

/// A value read from the DHT.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// The key.
    pub key: RecordKey,
    /// The newest JSON value found.
    pub value: serde_json::Value,
    /// Who signed it.
    pub publisher: PeerId,
}
