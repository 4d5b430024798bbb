//! The handles that user interfaces hold: [`Peer`] and [`Room`].

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use libp2p::PeerId;
use moim_protocol::{message::MessageId, text::Text, topic::Topic};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    builder::PeerBuilder,
    command::Command,
    error::{JoinError, LookupError, SayError, SendError},
    event::{EventStream, Readers},
    history::{Cursor, DirectMessage, RoomMessage},
    platform,
    reason::NotInDht,
    snapshot::{Member, Profile, Receipt, Snapshot, Status},
};

#[cfg(feature = "programs")]
mod programs;

/// How long a DHT operation waits for a peer that is on its way into the DHT: some dials, not a
/// user's patience.
const DHT_PATIENCE: Duration = Duration::from_secs(10);

/// A running peer. Cheap to clone; when the last clone and the last [`Room`] are dropped, the peer
/// leaves its rooms and stops.
#[derive(Clone, Debug)]
pub struct Peer {
    pub(crate) id: PeerId,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) snapshot: watch::Receiver<Snapshot>,
    #[cfg(feature = "programs")]
    pub(crate) accepted: crate::streams::Accepted,
    pub(crate) readers: Readers,
}

impl Peer {
    /// Settings of a peer to be started.
    pub fn builder() -> PeerBuilder {
        PeerBuilder::default()
    }

    /// This peer's id.
    pub fn id(&self) -> PeerId {
        self.id
    }

    /// The peer's state: the current value at once, and changes as they come.
    pub fn snapshot(&self) -> watch::Receiver<Snapshot> {
        self.snapshot.clone()
    }

    /// Everything that happens from now on, for one more reader with a bound of its own. The stream that
    /// [`PeerBuilder::start`] gives has what happened before as well.
    pub fn events(&self) -> EventStream {
        self.readers.join(None)
    }

    /// Joins the room of `topic`: announces presence and starts to look for the other members.
    /// Returns as soon as the room is open on this side; members appear as they are found, also
    /// when the network comes up only later.
    ///
    /// # Errors
    /// [`JoinError`]; being offline is not one.
    pub async fn join(&self, topic: Topic, profile: Profile) -> Result<Room, JoinError> {
        let handle = Arc::new(());
        let members = self
            .ask(|reply| Command::Join {
                topic: topic.clone(),
                profile,
                handle: Arc::downgrade(&handle),
                reply,
            })
            .await
            .ok_or(JoinError::Stopped)??;
        Ok(Room {
            topic,
            members,
            peer: self.clone(),
            hold: Arc::new(Mutex::new(Some(Hold {
                handle,
                commands: self.commands.clone(),
            }))),
        })
    }

    /// Sends a direct message, cleaned as [`Text::new`] does. Resolves when the receiver *has accepted and stored* it. Dropping
    /// the future does not take the message back.
    ///
    /// # Errors
    /// [`SendError`], at the latest after [`limits::OUTBOX_DEADLINE`](crate::limits::OUTBOX_DEADLINE).
    pub async fn send(&self, to: PeerId, text: impl AsRef<str>) -> Result<Receipt, SendError> {
        self.send_with_id(platform::message_id(), to, text).await
    }

    /// Like [`Peer::send`], with an id chosen by the caller (see [`Peer::new_message_id`]), so
    /// that it can be shown before the receipt is there.
    ///
    /// # Errors
    /// As [`Peer::send`].
    pub async fn send_with_id(
        &self,
        id: MessageId,
        to: PeerId,
        text: impl AsRef<str>,
    ) -> Result<Receipt, SendError> {
        let text = Text::new(text.as_ref())?;
        if to == self.id {
            return Err(SendError::ToSelf);
        }
        self.ask(|reply| Command::Send {
            id,
            to,
            text,
            reply,
        })
        .await
        .unwrap_or(Err(SendError::Stopped))
    }

    /// A fresh random message id.
    pub fn new_message_id() -> MessageId {
        platform::message_id()
    }

    /// What was written to and received from `other` in this session, oldest first.
    pub async fn conversation(&self, other: PeerId) -> Vec<DirectMessage> {
        self.ask(|reply| Command::Conversation { other, reply })
            .await
            .unwrap_or_default()
    }

    /// Who is in `topic`, without joining it: asks the DHT and the members found there, for at
    /// most `wait`, and returns earlier once nobody new turns up.
    ///
    /// # Errors
    /// [`LookupError`].
    pub async fn lookup(&self, topic: Topic, wait: Duration) -> Result<Vec<Member>, LookupError> {
        self.in_dht().await.map_err(LookupError::NotConnected)?;
        self.ask(|reply| Command::Lookup { topic, wait, reply })
            .await
            .unwrap_or(Err(LookupError::Stopped))
    }

    /// Tells the peer that the device lost (`false`) or regained (`true`) its network or woke from
    /// sleep, so that it redials at once instead of at the end of a pause. A page need not: the peer hears it from the
    /// browser.
    pub fn network_changed(&self, online: bool) {
        // A full queue means that the driver is busy anyway; it will notice by itself.
        let _ = self.commands.try_send(Command::NetworkChanged { online });
    }

    /// Leaves every room, says so to their members and the DHT, closes all connections and stops.
    pub async fn stop(self) {
        let _ = self.ask(|reply| Command::Stop { reply }).await;
    }

    /// Waits until the peer is in the DHT; otherwise says what keeps it out.
    async fn in_dht(&self) -> Result<(), NotInDht> {
        let mut snapshot = self.snapshot.clone();
        let connected = snapshot.wait_for(|snapshot| snapshot.status == Status::Connected);
        match platform::within(DHT_PATIENCE, connected).await {
            // A stopped peer says so when it is asked.
            Some(_) => Ok(()),
            None => Err(self.snapshot.borrow().why_not_in_dht()),
        }
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.ok()?;
        answer.await.ok()
    }
}

/// A joined topic. Cheap to clone. [Left](Room::leave) by one clone it is left by all; so it is when the last one is
/// dropped.
#[derive(Clone, Debug)]
pub struct Room {
    topic: Topic,
    members: watch::Receiver<Vec<Member>>,
    peer: Peer,
    /// Gone when it is left.
    hold: Arc<Mutex<Option<Hold>>>,
}

/// What keeps a room joined. The driver leaves when it is gone, whatever became of the command.
#[derive(Debug)]
struct Hold {
    handle: Arc<()>,
    commands: mpsc::Sender<Command>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.handle = Arc::default();
        // Wakes the driver. One with a full queue is awake.
        let _ = self.commands.try_send(Command::RoomDropped);
    }
}

impl Room {
    /// The topic.
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The other members, ordered by name and id: the current list at once, changes as they come.
    pub fn members(&self) -> watch::Receiver<Vec<Member>> {
        self.members.clone()
    }

    /// Says something to everyone in the room, cleaned as [`Text::new`] does. Returns the message as it was sent; with nobody
    /// there it is said to nobody.
    ///
    /// # Errors
    /// [`SayError`].
    pub async fn say(&self, text: impl AsRef<str>) -> Result<RoomMessage, SayError> {
        let text = Text::new(text.as_ref())?;
        let topic = self.topic.clone();
        self.peer
            .ask(|reply| Command::Say { topic, text, reply })
            .await
            .unwrap_or(Err(SayError::Stopped))
    }

    /// What happens in this room from now on, for one more reader with a bound of its own: who comes and goes, and what
    /// others say. The stream ends when the room is left.
    ///
    /// A reader that is told that it [lagged](crate::PeerEvent::Lagged) makes it good by the history:
    ///
    /// ```no_run
    /// # use moim_peer::{Cursor, PeerEvent, Room, RoomMessage};
    /// # fn show(message: &RoomMessage) {}
    /// # async fn read(room: Room) {
    /// let mut events = room.events();
    /// let mut last = Cursor::default();
    /// while let Some(event) = events.next().await {
    ///     let said = match event {
    ///         PeerEvent::RoomMessage(message) => vec![message],
    ///         PeerEvent::Lagged(_) => room.history_after(last).await,
    ///         _ => continue,
    ///     };
    ///     for message in said {
    ///         // What the history has given may come as an event too.
    ///         if message.cursor > last {
    ///             show(&message);
    ///             last = message.cursor;
    ///         }
    ///     }
    /// }
    /// # }
    /// ```
    pub fn events(&self) -> EventStream {
        if self.lock_hold().is_some() {
            self.peer.readers.join(Some(self.topic.hash()))
        } else {
            Readers::ended()
        }
    }

    /// What was said here in this session, own messages too, oldest first. At most
    /// [`limits::CONVERSATION_MESSAGES_MAX`](crate::limits::CONVERSATION_MESSAGES_MAX) messages are kept; of more, whoever
    /// has said most loses the oldest.
    pub async fn history(&self) -> Vec<RoomMessage> {
        self.history_after(Cursor::default()).await
    }

    /// Of the history what came after `cursor`, that of the last message that was read.
    pub async fn history_after(&self, cursor: Cursor) -> Vec<RoomMessage> {
        let topic = self.topic.clone();
        self.peer
            .ask(|reply| Command::RoomHistory {
                topic,
                after: cursor,
                reply,
            })
            .await
            .unwrap_or_default()
    }

    /// Leaves the room and says so. Resolves when members and DHT servers were told, at the latest
    /// after two seconds. What still waits to be said is answered with [`SayError::Left`].
    pub fn leave(&self) -> impl Future<Output = ()> + use<> {
        let (hold, peer, topic) = (self.take_hold(), self.peer.clone(), self.topic.clone());
        async move {
            // Without it the room was left before, and may have been joined anew.
            if hold.is_some() {
                let _ = peer.ask(|reply| Command::Leave { topic, reply }).await;
            }
        }
    }

    /// Tells the driver to leave without waiting for those who are told; for where nothing can be awaited.
    pub fn leave_now(&self) {
        drop(self.take_hold());
    }

    fn lock_hold(&self) -> MutexGuard<'_, Option<Hold>> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_hold(&self) -> Option<Hold> {
        self.lock_hold().take()
    }
}
