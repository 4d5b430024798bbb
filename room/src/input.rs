//! What a machine is told.

use std::time::Duration;

use libp2p_identity::PeerId;
use moim_protocol::{
    message::{MessageId, Position},
    presence_wire,
    text::Text,
};
use multiaddr::Multiaddr;

/// A request of another peer, numbered by the caller, who keeps the way back for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AskId(pub u64);

/// A message of the room's gossip, numbered by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GossipId(pub u64);

/// A request of this machine, numbered by the machine. Another machine may use the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub(crate) u64);

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// No answer came in time.
    Timeout,
    /// Its connection was closed.
    ConnectionClosed,
    /// Its stream broke.
    Io,
    /// There was no connection, or the other side does not speak the protocol.
    Other,
}

/// What a machine is told. A [`Lookup`](crate::Lookup) heeds those inputs that are about connections, the DHT and its
/// own requests; every other one it treats like a room that was left.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Input {
    /// The user says something. One of [`Said`](crate::Output::Said) and [`NotSaid`](crate::Output::NotSaid) follows.
    Say {
        /// The id of the message, drawn at random.
        id: MessageId,
        /// What is said.
        text: Text,
    },
    /// The user leaves the room. [`Left`](crate::Output::Left) follows when everybody was told.
    Leave,

    /// The own addresses are others, best first. They are announced after a moment.
    AddressesChanged(Vec<Multiaddr>),
    /// Announces the own presence at once: the DHT is back.
    AnnounceNow,
    /// The device is in another network, or slept: others may take this peer for gone, so everybody is told that it is here.
    NetworkChanged,
    /// Looks for members in the DHT at once, and densely again: for either reason.
    LookupAgain,
    /// Whether there is a DHT server to ask. It is not until the caller says so.
    Dht(bool),
    /// The DHT names providers of the topic, with the addresses that are known of them.
    Providers {
        /// Who announced itself, this peer perhaps among them.
        providers: Vec<(PeerId, Vec<Multiaddr>)>,
        /// Whether a server has said so, and not this peer's own store.
        is_answer: bool,
    },
    /// The DHT servers have answered to the [presence](crate::Output::PutPresence) that they were given.
    Announced {
        /// Whether one of them took it.
        accepted: bool,
    },
    /// The last [presence](crate::Output::PutPresence) is handed over to the DHT, or cannot be.
    LeftHandedOver,

    /// A connection to a peer was opened, the first or another.
    Connected(PeerId),
    /// A connection to a peer was closed, and there is another: what was on its way on the closed one is lost.
    ConnectionClosed(PeerId),
    /// The last connection to a peer was closed.
    Disconnected(PeerId),
    /// A connected peer hears the room's gossip.
    Listens(PeerId),
    /// A peer does not hear the room's gossip any more.
    ListensNoMore(PeerId),
    /// Whether a member names an address at which it may be reached. Kept for members alone, and while they are.
    Reachable(PeerId, bool),
    /// A member was connected and cannot be reached any more. It is taken off the list until it is heard of again.
    Lost(PeerId),
    /// A peer has said something elsewhere: if it was lost, it is back.
    HeardFrom(PeerId),
    /// Another swarm has taken the place of the one there was: there are no connections, and no answers to come.
    Restarted,

    /// A peer asks by the presence protocol. One [`Answer`](crate::Output::Answer) follows before the next input.
    Asked {
        /// What the answer is to carry.
        ask: AskId,
        /// Who asks.
        from: PeerId,
        /// What it asks.
        request: presence_wire::Request,
    },
    /// A peer asks by the message protocol for what it missed. One [`Answer`](crate::Output::Answer) follows before the
    /// next input.
    AskedMissed {
        /// What the answer is to carry.
        ask: AskId,
        /// Who asks.
        from: PeerId,
        /// How far its own talk goes.
        said: Position,
        /// How far it knows this peer's talk.
        known: Position,
        /// How long it has been in the room.
        member_for: Duration,
    },
    /// A request of this machine is answered.
    Answered {
        /// Which one.
        request: RequestId,
        /// The answer as it came.
        body: Vec<u8>,
    },
    /// A request of this machine has no answer.
    Failed {
        /// Which one.
        request: RequestId,
        /// Why.
        why: Failure,
    },
    /// A neighbour has brought a message of the room's gossip, whose author has signed it. One
    /// [`Verdict`](crate::Output::Verdict) follows before the next input.
    Gossip {
        /// What the verdict is to carry.
        id: GossipId,
        /// Who has brought it.
        neighbour: PeerId,
        /// Who has said it.
        author: PeerId,
        /// What was said.
        data: Vec<u8>,
    },
}
