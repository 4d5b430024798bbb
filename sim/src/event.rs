//! What can happen.

use libp2p_identity::PeerId;
use moim_protocol::presence::SignedPresence;
use moim_room::{Failure, Protocol, RequestId};
use multiaddr::Multiaddr;

use crate::gossip::{Control, MessageNumber};

/// Numbers a peer of the simulation.
pub type Index = usize;

/// Numbers a bootstrap node.
pub type ServerIndex = usize;

/// Tells a connection between two peers from the next one between them.
pub type LinkNumber = u64;

/// From whom to whom, by which connection.
#[derive(Clone, Copy, Debug)]
pub struct Hop {
    /// Who sends.
    pub from: Index,
    /// Who gets it.
    pub to: Index,
    /// By which connection.
    pub link: LinkNumber,
}

/// A request on its way.
#[derive(Debug)]
pub struct Question {
    /// The way.
    pub hop: Hop,
    /// By which protocol.
    pub protocol: Protocol,
    /// What the asker calls it.
    pub request: RequestId,
    /// What it says.
    pub body: Vec<u8>,
}

/// An answer on its way.
#[derive(Debug)]
pub struct Reply {
    /// The way.
    pub hop: Hop,
    /// What the asker calls its request.
    pub request: RequestId,
    /// What it says.
    pub body: Vec<u8>,
}

/// A presence on its way to a bootstrap node.
#[derive(Debug)]
pub struct Put {
    /// Who puts it.
    pub node: Index,
    /// Where.
    pub server: ServerIndex,
    /// The presence.
    pub signed: SignedPresence,
    /// Whether it is a farewell.
    pub is_last: bool,
}

/// Providers on their way to who asked for them.
#[derive(Debug)]
pub struct Named {
    /// Who asked.
    pub node: Index,
    /// For which query.
    pub query: u64,
    /// Those that the bootstrap node knows.
    pub providers: Vec<(PeerId, Vec<Multiaddr>)>,
}

/// What happens at some moment.
#[derive(Debug)]
pub enum Event {
    /// A room has something to do.
    Timer(Index),
    /// Dials may be due.
    Dials(Index),
    /// Whom a room wants a connection to is to be asked.
    Wanted(Index),
    /// Gossipsub's heartbeat.
    Heartbeat(Index),
    /// Connections are looked through for those that nobody needs, and lost members for those that are gone.
    Housekeeping(Index),
    /// A dial has succeeded, if the other side is still there.
    Dialled(Index, Index),
    /// A dial has failed.
    DialFailed(Index, Index),
    /// A relayed connection has become a direct one.
    Upgraded(Hop),
    /// The relayed connection beside a direct one is closed.
    HandedOver(Hop),
    /// A connection is seen to be closed, at one end.
    Closed {
        /// Who sees it.
        at: Index,
        /// Who was at the other end.
        who: Index,
        /// Which one.
        link: LinkNumber,
    },
    /// A connected peer is heard to listen, or not to any more.
    Listens(Hop, bool),
    /// A request arrives.
    Asks(Box<Question>),
    /// An answer arrives.
    Answers(Box<Reply>),
    /// No answer has come.
    NoAnswer(Index, RequestId, Failure),
    /// A message of the gossip arrives.
    Gossip(Hop, MessageNumber),
    /// A control message of the gossip arrives.
    Control(Hop, Box<Control>),
    /// A presence arrives at a bootstrap node.
    Put(Box<Put>),
    /// A bootstrap node has acknowledged a presence.
    PutDone(Index, bool),
    /// A query for providers arrives at a bootstrap node.
    Finds(Index, ServerIndex, u64),
    /// Its answer arrives.
    Named(Box<Named>),
    /// A query has ended.
    QueryEnds(Index, u64),
    /// A peer sees that a bootstrap node is gone, or is connected to it.
    Server(Index, ServerIndex, bool),
    /// Somebody does something.
    Deed(Index, Deed),
    /// Something happens to all.
    Turn(Turn),
    /// The invariants are looked at.
    Check,
}

/// What people do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Somebody joins the room.
    Join,
    /// Somebody says something.
    Say,
    /// Somebody leaves the room, and says so.
    Leave,
    /// Somebody is gone without a word.
    Vanish,
    /// One connection breaks, to be made again.
    BreakConnection,
    /// A liar lies.
    Lie,
}

/// What happens to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The network falls into two parts of this share, or is one again.
    Split(Option<u8>),
    /// All bootstrap nodes are gone, or back.
    Servers(bool),
    /// What is measured is measured from now on.
    Measure,
}
