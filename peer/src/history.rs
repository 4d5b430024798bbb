//! What was said in this session, kept in memory with a bound.

use std::collections::{HashMap, HashSet, VecDeque};

use libp2p::PeerId;
use moim_protocol::{
    UnixMillis,
    limits::{
        CONVERSATION_BYTES_MAX, CONVERSATION_MESSAGES_MAX, CONVERSATIONS_BYTES_MAX,
        CONVERSATIONS_MAX,
    },
    message::MessageId,
    text::{Name, Text},
    topic::Topic,
};

use crate::snapshot::Path;

/// Where a message stands in what this peer keeps of a room: later messages have greater ones. Of no meaning to other
/// peers, nor after the room was left. The default one stands before every message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor(u64);

/// Something said in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomMessage {
    /// Where it stands in the history.
    pub cursor: Cursor,
    /// Unique per message, chosen by its author.
    pub id: MessageId,
    /// The room.
    pub topic: Topic,
    /// The author, proven by its signature.
    pub from: PeerId,
    /// The display name in the author's presence when it was said; `None` if the author is no member as far as this peer
    /// knows. What stands beside the message itself is not shown: anybody could write anybody's name there.
    pub name: Option<Name>,
    /// What was said.
    pub text: Text,
    /// The author's clock when it was said. For display only.
    pub sent: UnixMillis,
}

impl RoomMessage {
    pub(crate) fn new(cursor: Cursor, topic: Topic, message: moim_room::Message) -> Self {
        let moim_room::Message {
            id,
            from,
            name,
            text,
            sent,
        } = message;
        Self {
            cursor,
            id,
            topic,
            from,
            name,
            text,
            sent,
        }
    }

    #[cfg(test)]
    pub(crate) fn example(topic: Topic) -> Self {
        Self {
            cursor: Cursor(0),
            id: MessageId::from_bytes([0; 16]),
            topic,
            from: PeerId::from_bytes(&[0, 1, 7]).expect("valid"),
            name: None,
            text: Text::new("hello").expect("valid"),
            sent: UnixMillis(0),
        }
    }
}

/// A direct message that was received or sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectMessage {
    /// Unique per message, chosen by its author.
    pub id: MessageId,
    /// The author, proven by the connection's handshake.
    pub from: PeerId,
    /// The receiver.
    pub to: PeerId,
    /// What was written.
    pub text: Text,
    /// The author's clock. For display only.
    pub sent: UnixMillis,
    /// The way it came or went; `None` if its connection was closed before that was looked at.
    pub path: Option<Path>,
}

/// What is kept in a [`Conversation`].
pub(crate) trait Entry {
    /// Who said it.
    fn from(&self) -> PeerId;
    /// How much of memory is the author's choice.
    fn bytes(&self) -> usize;
}

impl Entry for RoomMessage {
    fn from(&self) -> PeerId {
        self.from
    }

    fn bytes(&self) -> usize {
        let name = self.name.as_ref().map_or(0, |name| name.as_str().len());
        self.text.as_str().len().saturating_add(name)
    }
}

impl Entry for DirectMessage {
    fn from(&self) -> PeerId {
        self.from
    }

    fn bytes(&self) -> usize {
        self.text.as_str().len()
    }
}

/// What was said in one place, the oldest first, at most [`CONVERSATION_MESSAGES_MAX`] messages and
/// [`CONVERSATION_BYTES_MAX`] bytes. Over that, whoever has said most loses the oldest of theirs.
#[derive(Debug)]
pub(crate) struct Conversation<T> {
    messages: VecDeque<T>,
    bytes: usize,
    next: u64,
}

impl<T> Default for Conversation<T> {
    fn default() -> Self {
        Self {
            messages: VecDeque::new(),
            bytes: 0,
            next: 0,
        }
    }
}

impl<T: Entry> Conversation<T> {
    pub(crate) fn push(&mut self, message: T) {
        self.bytes = self.bytes.saturating_add(message.bytes());
        self.messages.push_back(message);
        while self.messages.len() > CONVERSATION_MESSAGES_MAX {
            self.drop_one(|_| 1);
        }
        while self.bytes > CONVERSATION_BYTES_MAX {
            self.drop_one(Entry::bytes);
        }
    }

    /// The place of the message that is pushed next.
    pub(crate) fn next_cursor(&mut self) -> Cursor {
        self.next = self.next.saturating_add(1);
        Cursor(self.next)
    }

    /// Drops the oldest message of whoever has most of what there is too much of.
    fn drop_one(&mut self, measure: impl Fn(&T) -> usize) {
        let mut shares: HashMap<PeerId, usize> = HashMap::new();
        for message in &self.messages {
            let share = shares.entry(message.from()).or_default();
            *share = share.saturating_add(measure(message));
        }
        // Of two that have said as much, whoever said it first.
        let largest = shares.values().max().copied();
        let index = self
            .messages
            .iter()
            .position(|message| shares.get(&message.from()).copied() == largest);
        if let Some(message) = index.and_then(|index| self.messages.remove(index)) {
            self.bytes = self.bytes.saturating_sub(message.bytes());
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.messages.iter()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Direct conversations by the other peer: at most [`CONVERSATIONS_MAX`], with at most
/// [`CONVERSATIONS_BYTES_MAX`] bytes together.
#[derive(Debug, Default)]
pub(crate) struct History {
    conversations: HashMap<PeerId, Conversation<DirectMessage>>,
    /// Other peers, the most recently active last.
    recent: VecDeque<PeerId>,
    /// Those to whom something was said.
    answered: HashSet<PeerId>,
}

impl History {
    pub(crate) fn push(&mut self, other: PeerId, message: DirectMessage) {
        self.recent.retain(|peer| *peer != other);
        self.recent.push_back(other);
        if message.from != other {
            self.answered.insert(other);
        }
        self.conversations.entry(other).or_default().push(message);
        while self.recent.len() > CONVERSATIONS_MAX || self.bytes() > CONVERSATIONS_BYTES_MAX {
            self.drop_one();
        }
    }

    /// Drops the conversation that was quiet longest: first of strangers, to whom nothing was ever said
    /// and of whom there can be any number.
    fn drop_one(&mut self) {
        let stranger = self
            .recent
            .iter()
            .position(|peer| !self.answered.contains(peer));
        if let Some(peer) = self.recent.remove(stranger.unwrap_or(0)) {
            self.conversations.remove(&peer);
            self.answered.remove(&peer);
        }
    }

    /// Whether something was said to a peer.
    pub(crate) fn is_answered(&self, other: &PeerId) -> bool {
        self.answered.contains(other)
    }

    fn bytes(&self) -> usize {
        self.conversations.values().map(Conversation::bytes).sum()
    }

    pub(crate) fn conversation(&self, other: &PeerId) -> Vec<DirectMessage> {
        self.conversations
            .get(other)
            .map(|messages| messages.iter().cloned().collect())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::DirectTransport;

    fn said(from: PeerId, text: &str) -> RoomMessage {
        RoomMessage {
            from,
            text: Text::new(text).expect("valid"),
            ..RoomMessage::example(Topic::new("global-chat").expect("valid"))
        }
    }

    fn direct(from: PeerId, to: PeerId, text: &str) -> DirectMessage {
        DirectMessage {
            id: MessageId::from_bytes([0; 16]),
            from,
            to,
            text: Text::new(text).expect("valid"),
            sent: UnixMillis(0),
            path: Some(Path::Direct(DirectTransport::Tcp)),
        }
    }

    #[test]
    fn who_floods_a_room_forgets_itself_first() {
        let (ada, flooder) = (PeerId::random(), PeerId::random());
        for text in ["x", &"x".repeat(16_384)] {
            let mut room = Conversation::default();
            for number in 0..20 {
                room.push(said(ada, &format!("{number}")));
            }
            for _ in 0..2_000 {
                room.push(said(flooder, text));
                assert!(room.bytes() <= CONVERSATION_BYTES_MAX);
                assert!(room.iter().count() <= CONVERSATION_MESSAGES_MAX);
            }
            let kept: Vec<_> = room.iter().filter(|message| message.from == ada).collect();
            assert_eq!(kept.len(), 20);
            assert_eq!(kept[0].text.as_str(), "0");
            let bytes: usize = room.iter().map(Entry::bytes).sum();
            assert_eq!(bytes, room.bytes());
        }
    }

    #[test]
    fn one_alone_keeps_what_it_said_last() {
        let ada = PeerId::random();
        let mut room = Conversation::default();
        for number in 0..1_000 {
            room.push(said(ada, &format!("{number}")));
        }
        let first = 1_000 - CONVERSATION_MESSAGES_MAX;
        let texts = room.iter().map(|message| message.text.as_str().to_owned());
        assert!(texts.eq((first..1_000).map(|number| format!("{number}"))));
    }

    #[test]
    fn strangers_forget_each_other_and_nobody_that_was_answered() {
        let (me, friend) = (PeerId::random(), PeerId::random());
        let mut history = History::default();
        history.push(friend, direct(friend, me, "hello"));
        history.push(friend, direct(me, friend, "hello, friend"));
        let long = "x".repeat(16_384);
        for _ in 0..300 {
            let stranger = PeerId::random();
            for _ in 0..10 {
                history.push(stranger, direct(stranger, me, &long));
            }
            assert!(history.bytes() <= CONVERSATIONS_BYTES_MAX);
            assert!(history.recent.len() <= CONVERSATIONS_MAX);
            assert_eq!(history.recent.len(), history.conversations.len());
        }
        assert_eq!(history.conversation(&friend).len(), 2);
        for _ in 0..2 * CONVERSATIONS_MAX {
            let answered = PeerId::random();
            history.push(answered, direct(me, answered, "hello"));
        }
        assert_eq!(history.recent.len(), CONVERSATIONS_MAX);
        assert_eq!(history.answered.len(), CONVERSATIONS_MAX);
    }
}
