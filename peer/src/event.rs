//! What happened, for user interfaces.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::{Stream, StreamExt};
use libp2p::PeerId;
use moim_protocol::{text::Name, topic::Topic};
use tokio::sync::mpsc;

use crate::{
    history::{DirectMessage, RoomMessage},
    snapshot::{ClockOff, Member, Status, Stored},
};

/// Events a slow reader may be behind before the oldest are counted instead of kept. One event is
/// some hundred bytes, and a room of 200 joins at once.
pub(crate) const EVENT_CAPACITY: usize = 4096;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PeerEvent {
    /// This device's clock is found to be wrong, or right again (`None`).
    ClockChanged(Option<ClockOff>),
    /// The DHT servers that were given a value after its put was answered have answered too: so many keep it now.
    CopiesGrown(Stored),
    /// A direct message arrived and is stored in the peer's history.
    DirectMessage(DirectMessage),
    /// The reader was too slow: this many events are missing before the next one. What they would
    /// have told is in the snapshot, the member lists and the histories.
    Lagged(u64),
    /// A member is in the room.
    MemberJoined {
        /// The room's topic.
        topic: Topic,
        /// Who, and how reached so far.
        member: Member,
    },
    /// A member is gone.
    MemberLeft {
        /// The room's topic.
        topic: Topic,
        /// Who.
        peer: PeerId,
        /// The name it had.
        name: Name,
        /// How it went.
        reason: LeaveReason,
    },
    /// A member is reached in another way, has another name, or a name that looks like another's (no more).
    MemberUpdated {
        /// The room's topic.
        topic: Topic,
        /// The member as it is now.
        member: Member,
        /// The member as it was.
        before: Box<Member>,
    },
    /// Something was said in a room by somebody else.
    RoomMessage(RoomMessage),
    /// The peer's state changed.
    StatusChanged(Status),
}

/// How a member went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveReason {
    /// Its presence was not renewed in time.
    Expired,
    /// It said so, signed.
    Left,
    /// It was connected, and can't be reached any more. It is back as soon as it is heard of.
    Lost,
}

impl From<moim_room::LeaveReason> for LeaveReason {
    fn from(reason: moim_room::LeaveReason) -> Self {
        match reason {
            moim_room::LeaveReason::Left => Self::Left,
            moim_room::LeaveReason::Lost => Self::Lost,
            _ => Self::Expired,
        }
    }
}

impl LeaveReason {
    /// `expired`, `left` or `lost`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Left => "left",
            Self::Lost => "lost",
        }
    }
}

/// Everything that happens to a peer, in order. Ends when the peer has stopped.
#[derive(Debug)]
pub struct EventStream {
    receiver: mpsc::Receiver<PeerEvent>,
}

impl EventStream {
    /// The next event, or `None` once the peer has stopped. Cancel-safe.
    pub async fn next(&mut self) -> Option<PeerEvent> {
        StreamExt::next(self).await
    }
}

impl Stream for EventStream {
    type Item = PeerEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<PeerEvent>> {
        self.receiver.poll_recv(cx)
    }
}

/// The driver's end: never waits, and never hides that a reader fell behind.
#[derive(Debug)]
pub(crate) struct EventSink {
    sender: mpsc::Sender<PeerEvent>,
    missed: u64,
}

impl EventSink {
    pub(crate) fn channel() -> (Self, EventStream) {
        let (sender, receiver) = mpsc::channel(EVENT_CAPACITY);
        (Self { sender, missed: 0 }, EventStream { receiver })
    }

    pub(crate) fn emit(&mut self, event: PeerEvent) {
        if self.missed > 0 {
            if self
                .sender
                .try_send(PeerEvent::Lagged(self.missed))
                .is_err()
            {
                self.missed = self.missed.saturating_add(1);
                return;
            }
            self.missed = 0;
        }
        if let Err(mpsc::error::TrySendError::Full(_)) = self.sender.try_send(event) {
            self.missed = 1;
        }
    }
}
