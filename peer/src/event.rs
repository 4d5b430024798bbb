//! What happened, for every part of a program that wants to know.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures::{Stream, StreamExt};
use libp2p::PeerId;
use moim_protocol::{
    text::Name,
    topic::{Topic, TopicHash},
};
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
    /// The reader was too slow: this many events are missing before the next one. What they would have told is in the
    /// snapshot, the member lists and the histories; what was said in a room since the last message that was read is in
    /// [`Room::history_after`](crate::Room::history_after).
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

impl PeerEvent {
    /// The room that it is about, if it is about one.
    pub fn topic(&self) -> Option<&Topic> {
        match self {
            Self::MemberJoined { topic, .. }
            | Self::MemberLeft { topic, .. }
            | Self::MemberUpdated { topic, .. } => Some(topic),
            Self::RoomMessage(message) => Some(&message.topic),
            Self::ClockChanged(_)
            | Self::CopiesGrown(_)
            | Self::DirectMessage(_)
            | Self::Lagged(_)
            | Self::StatusChanged(_) => None,
        }
    }
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

/// What happens, in order, for one reader. A reader that falls behind by more than so many events is told how many it
/// missed ([`PeerEvent::Lagged`]); the others are not held up by it. Ends when the peer has stopped, and that of a room
/// when the room is left.
#[derive(Debug)]
pub struct EventStream {
    receiver: mpsc::Receiver<PeerEvent>,
}

impl EventStream {
    /// The next event, or `None` at the end. Cancel-safe.
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

/// One who reads along.
#[derive(Debug)]
struct Reader {
    sender: mpsc::Sender<PeerEvent>,
    missed: u64,
    /// It reads of this room alone.
    room: Option<TopicHash>,
}

impl Reader {
    /// Never waits, and never hides that the reader fell behind.
    fn tell(&mut self, event: PeerEvent) {
        if self.missed > 0 {
            let lagged = PeerEvent::Lagged(self.missed);
            if self.sender.try_send(lagged).is_err() {
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

/// All who read along; `None` once the peer has stopped. The program chooses how many there are.
#[derive(Clone, Debug)]
pub(crate) struct Readers(Arc<Mutex<Option<Vec<Reader>>>>);

impl Readers {
    fn lock(&self) -> MutexGuard<'_, Option<Vec<Reader>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more, of everything or of one room, from now on.
    pub(crate) fn join(&self, room: Option<TopicHash>) -> EventStream {
        let (sender, receiver) = mpsc::channel(EVENT_CAPACITY);
        if let Some(readers) = self.lock().as_mut() {
            readers.retain(|reader| !reader.sender.is_closed());
            readers.push(Reader {
                sender,
                missed: 0,
                room,
            });
        }
        EventStream { receiver }
    }

    /// One for whom nothing happens any more.
    pub(crate) fn ended() -> EventStream {
        let (_, receiver) = mpsc::channel(1);
        EventStream { receiver }
    }
}

/// The driver's end.
#[derive(Debug)]
pub(crate) struct EventSink {
    readers: Readers,
}

impl Drop for EventSink {
    fn drop(&mut self) {
        *self.readers.lock() = None;
    }
}

impl EventSink {
    pub(crate) fn new() -> (Self, Readers) {
        let readers = Readers(Arc::new(Mutex::new(Some(Vec::new()))));
        let sink = Self {
            readers: readers.clone(),
        };
        (sink, readers)
    }

    /// Tells everybody whom it concerns.
    pub(crate) fn emit(&self, event: PeerEvent) {
        let mut readers = self.readers.lock();
        let Some(readers) = readers.as_mut() else {
            return;
        };
        let room = event.topic().map(Topic::hash);
        let concerned = readers
            .iter_mut()
            .filter(|reader| reader.room.is_none() || reader.room == room);
        let mut concerned: Vec<&mut Reader> = concerned.collect();
        let last = concerned.pop();
        for reader in concerned {
            reader.tell(event.clone());
        }
        if let Some(last) = last {
            last.tell(event);
        }
    }

    /// A room is left: nothing happens there any more.
    pub(crate) fn left(&self, room: TopicHash) {
        if let Some(readers) = self.readers.lock().as_mut() {
            readers.retain(|reader| reader.room != Some(room));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::history::RoomMessage;

    fn topic(name: &str) -> Topic {
        Topic::new(name).expect("valid")
    }

    fn said(room: &str) -> PeerEvent {
        PeerEvent::RoomMessage(RoomMessage::example(topic(room)))
    }

    /// Everything that waits, and whether more may come.
    fn read(events: &mut EventStream) -> (Vec<PeerEvent>, bool) {
        let mut all = Vec::new();
        loop {
            match events.next().now_or_never() {
                Some(Some(event)) => all.push(event),
                Some(None) => return (all, false),
                None => return (all, true),
            }
        }
    }

    #[test]
    fn each_reader_has_what_concerns_it() {
        let (sink, readers) = EventSink::new();
        let mut all = readers.join(None);
        let mut of_cats = readers.join(Some(topic("cats").hash()));
        let offline = PeerEvent::StatusChanged(Status::Offline);
        for event in [said("cats"), offline, said("dogs")] {
            sink.emit(event);
        }
        let mut late = readers.join(None);
        sink.emit(said("cats"));
        assert_eq!(read(&mut all).0.len(), 4);
        assert_eq!(read(&mut of_cats), (vec![said("cats"), said("cats")], true));
        assert_eq!(read(&mut late), (vec![said("cats")], true));
        sink.left(topic("cats").hash());
        assert_eq!(read(&mut of_cats), (vec![], false));
        assert_eq!(read(&mut all), (vec![], true));
        drop(sink);
        assert_eq!(read(&mut all), (vec![], false));
        assert_eq!(read(&mut readers.join(None)), (vec![], false), "too late");
    }

    #[test]
    fn a_slow_reader_is_told_what_it_missed_and_holds_up_nobody() {
        let (sink, readers) = EventSink::new();
        let (mut slow, mut quick) = (readers.join(None), readers.join(None));
        let mut heard = 0;
        for _ in 0..EVENT_CAPACITY + 10 {
            sink.emit(said("cats"));
            heard += read(&mut quick).0.len();
        }
        assert_eq!(heard, EVENT_CAPACITY + 10);
        assert_eq!(read(&mut slow).0.len(), EVENT_CAPACITY);
        sink.emit(said("cats"));
        assert_eq!(
            read(&mut slow),
            (vec![PeerEvent::Lagged(10), said("cats")], true)
        );
    }
}
