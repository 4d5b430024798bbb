//! What the handle asks of the driver.

use std::{sync::Weak, time::Duration};

use libp2p::PeerId;
use moim_protocol::{message::MessageId, text::Text, topic::Topic};
use tokio::sync::{oneshot, watch};

use crate::{
    error::{JoinError, LookupError, SayError, SendError},
    history::{Cursor, DirectMessage, RoomMessage},
    snapshot::{Member, Profile, Receipt},
};

#[cfg(feature = "programs")]
mod programs;
#[cfg(feature = "programs")]
pub(crate) use self::programs::ForPrograms;

/// Commands that may wait for the driver. It handles each in microseconds, so a full queue means
/// that the caller floods it; the handle then waits.
pub(crate) const COMMAND_CAPACITY: usize = 64;

/// The answer to a command. A dropped receiver means that nobody waits any more.
pub(crate) type Reply<T> = oneshot::Sender<T>;

#[derive(Debug)]
pub(crate) enum Command {
    Conversation {
        other: PeerId,
        reply: Reply<Vec<DirectMessage>>,
    },
    Join {
        topic: Topic,
        profile: Profile,
        /// Gone with the room's handle: then it is left.
        handle: Weak<()>,
        reply: Reply<Result<watch::Receiver<Vec<Member>>, JoinError>>,
    },
    /// `reply` is answered once the signed `left` was handed to members and DHT servers, or after a
    /// short deadline.
    Leave { topic: Topic, reply: Reply<()> },
    Lookup {
        topic: Topic,
        wait: Duration,
        reply: Reply<Result<Vec<Member>, LookupError>>,
    },
    /// What only programs ask for.
    #[cfg(feature = "programs")]
    ForPrograms(ForPrograms),
    /// The device lost or regained its network, or woke up.
    NetworkChanged { online: bool },
    RoomHistory {
        topic: Topic,
        after: Cursor,
        reply: Reply<Vec<RoomMessage>>,
    },
    Say {
        topic: Topic,
        text: Text,
        reply: Reply<Result<RoomMessage, SayError>>,
    },
    Send {
        id: MessageId,
        to: PeerId,
        text: Text,
        reply: Reply<Result<Receipt, SendError>>,
    },
    /// A room's handle is gone.
    RoomDropped,
    /// Panic in the driver.
    /// As if the platform said so.
    #[cfg(test)]
    #[allow(dead_code, reason = "a browser says so itself")]
    Change(crate::platform::Change),
    #[cfg(test)]
    #[allow(dead_code, reason = "only programs can catch it")]
    Panic,
    /// Leave every room, close every connection, end.
    Stop { reply: Reply<()> },
}
