//! What was said in this session, kept in memory with a bound.

use std::collections::{HashMap, VecDeque};

use libp2p::PeerId;
use moim_protocol::{
    message::MessageId,
    room::RoomText,
    text::{Name, Text},
    topic::Topic,
};

use crate::snapshot::Path;

/// Messages kept per conversation; at 16 KiB each at most 8 MiB.
const CONVERSATION_MESSAGES_MAX: usize = 512;

/// Direct conversations kept; the one that was quiet longest goes first.
const CONVERSATIONS_MAX: usize = 256;

/// Something said in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomMessage {
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
    /// The author's clock when it was said, Unix time in milliseconds. For display only.
    pub sent: u64,
}

impl RoomMessage {
    pub(crate) fn new(topic: Topic, from: PeerId, name: Option<Name>, said: RoomText) -> Self {
        Self {
            id: said.id,
            topic,
            from,
            name,
            text: said.text,
            sent: said.sent.0,
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
    /// The author's clock, Unix time in milliseconds. For display only.
    pub sent: u64,
    /// The way it came or went.
    pub path: Path,
}

/// Direct conversations by the other peer.
#[derive(Debug, Default)]
pub(crate) struct History {
    conversations: HashMap<PeerId, VecDeque<DirectMessage>>,
    /// Other peers, the most recently active last.
    recent: VecDeque<PeerId>,
}

impl History {
    pub(crate) fn push(&mut self, other: PeerId, message: DirectMessage) {
        self.recent.retain(|peer| *peer != other);
        self.recent.push_back(other);
        if self.recent.len() > CONVERSATIONS_MAX
            && let Some(quiet) = self.recent.pop_front()
        {
            self.conversations.remove(&quiet);
        }
        push_bounded(self.conversations.entry(other).or_default(), message);
    }

    pub(crate) fn conversation(&self, other: &PeerId) -> Vec<DirectMessage> {
        self.conversations
            .get(other)
            .map(|messages| messages.iter().cloned().collect())
            .unwrap_or_default()
    }
}

/// Appends and, over the bound, drops the oldest.
pub(crate) fn push_bounded<T>(messages: &mut VecDeque<T>, message: T) {
    if messages.len() >= CONVERSATION_MESSAGES_MAX {
        messages.pop_front();
    }
    messages.push_back(message);
}
