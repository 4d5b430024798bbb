//! What a machine wants done, and what happened.

use std::{collections::VecDeque, mem};

use libp2p_identity::PeerId;
use moim_protocol::{
    UnixMillis,
    message::{self, MessageId},
    presence::{Presence, SignedPresence},
    presence_wire,
    room::RoomText,
    text::{Name, Text},
};
use multiaddr::Multiaddr;

use crate::input::{AskId, GossipId, RequestId};

/// Which of Moim's request protocols a request goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `/moim/presence/1.0.0`.
    Presence,
    /// `/moim/message/1.0.0`.
    Message,
}

/// The answer to a request of another peer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Response {
    /// To [`Input::Asked`](crate::Input::Asked).
    Presence(presence_wire::Response),
    /// To [`Input::AskedMissed`](crate::Input::AskedMissed).
    Message(message::Response),
}

impl Response {
    /// The body to be sent.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Presence(response) => response.encode(),
            Self::Message(response) => response.encode(),
        }
    }
}

/// The bytes of text in what somebody missed, by which it is counted; the rest of a message is counted by number.
#[must_use]
pub fn text_bytes(messages: &[RoomText]) -> usize {
    let bytes = messages.iter().map(|message| message.text.as_str().len());
    bytes.sum()
}

/// What becomes of a message of the room's gossip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Acceptance {
    /// It is passed on.
    Accept,
    /// It is not passed on, which is held against nobody.
    Ignore,
    /// Whoever passed it on should have known better.
    Reject,
}

/// A member of a room, without how it is reached: connections are the caller's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who it is.
    pub peer: PeerId,
    /// The display name it signed.
    pub name: Name,
    /// Another one in the room (perhaps this peer itself) whose name looks like this one's.
    pub looks_like: Option<PeerId>,
}

/// Something said in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Drawn at random by its author.
    pub id: MessageId,
    /// The author, proven by its signature or by its connection.
    pub from: PeerId,
    /// The display name in the author's presence when the message is shown; `None` if the author is no member as far
    /// as this peer knows. The name that stands in the message itself is not shown: anybody could write it there.
    pub name: Option<Name>,
    /// What was said.
    pub text: Text,
    /// When, by the author's clock.
    pub sent: UnixMillis,
}

/// How a member went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeaveReason {
    /// Its presence was not renewed in time.
    Expired,
    /// It said so, signed.
    Left,
    /// It was connected, and can't be reached any more. It is back as soon as it is heard of.
    Lost,
}

/// Why something was not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotSaid {
    /// The room was left.
    Left,
    /// [`SAY_WAITING_MAX`](moim_protocol::limits::SAY_WAITING_MAX) messages wait for their turn.
    TooFast,
}

/// What happened, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A member is in the room.
    Joined(Member),
    /// A member has another name, or one that looks like another's (no more).
    Updated {
        /// As it is now.
        member: Member,
        /// As it was.
        before: Member,
    },
    /// A member is gone.
    Left {
        /// Who.
        peer: PeerId,
        /// The name it had.
        name: Name,
        /// How it went.
        reason: LeaveReason,
    },
    /// Somebody else said something.
    Message(Message),
}

/// What a machine wants done, and what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// A connected peer is to be asked. [`Answered`](crate::Input::Answered) or [`Failed`](crate::Input::Failed) is to
    /// follow.
    Ask {
        /// What the answer is to carry.
        request: RequestId,
        /// Who is asked.
        to: PeerId,
        /// By which protocol.
        protocol: Protocol,
        /// What it is asked.
        body: Vec<u8>,
    },
    /// The answer to a request of another peer.
    Answer {
        /// Which request.
        ask: AskId,
        /// The answer.
        response: Response,
    },
    /// To be published by the room's gossip.
    Publish(Vec<u8>),
    /// What becomes of a message of the room's gossip.
    Verdict {
        /// Which message.
        id: GossipId,
        /// What becomes of it.
        acceptance: Acceptance,
    },
    /// A neighbour brings more gossip than an honest one could pass on, and is not to be listened to for a while.
    Deafen(PeerId),

    /// This presence is to be put to the DHT servers closest to the topic. While an earlier one is on its way to them,
    /// the newest ([`Room::own`](crate::Room::own)) is the one that counts.
    PutPresence {
        /// The presence.
        signed: SignedPresence,
        /// It is a farewell: [`LeftHandedOver`](crate::Input::LeftHandedOver) is to follow, at once if there is no
        /// server to give it to.
        is_last: bool,
    },
    /// The DHT is to be asked who provides the topic, unless it is being asked already.
    FindProviders,
    /// What the DHT has named is enough; the query may end.
    LookupHasEnough,

    /// These addresses of a member are to be learnt, and with [`Reachable`](crate::Input::Reachable) is to be said
    /// whether it may be reached there.
    Met(Presence),
    /// A provider is to be connected to; it may be a member, or nobody at all.
    Stranger {
        /// Who it is.
        peer: PeerId,
        /// Where the DHT says it is.
        addresses: Vec<Multiaddr>,
    },
    /// A peer is no member of this room any more. It need not be reached, unless for another reason.
    Forget(PeerId),
    /// A list of members has come: whom to connect to can be decided now.
    HasList,
    /// A peer dates what it has just signed so that others would refuse it, or refuses what this one has just signed.
    ClockDisagrees(PeerId),
    /// A peer dates what it has just signed by the same time.
    ClockAgrees,
    /// A peer did not answer in time: its connections are in doubt.
    Doubt(PeerId),
    /// Others have brought something new that a member has signed.
    HeardOf(PeerId),
    /// A peer has said something in this room. Other rooms are to be [told](crate::Input::HeardFrom).
    Spoke(PeerId),

    /// Something was said.
    Said {
        /// As it was given to [`Say`](crate::Input::Say).
        id: MessageId,
        /// The message, for the history.
        message: Message,
    },
    /// Something was not said, and will not be.
    NotSaid {
        /// As it was given to [`Say`](crate::Input::Say).
        id: MessageId,
        /// Why not.
        why: NotSaid,
    },
    /// Something happened that people are told of.
    Event(Event),
    /// The list of members is another: whom to connect to is to be asked again. It comes after every other output.
    MembersChanged,

    /// The members that a [`Lookup`](crate::Lookup) has found. It is done.
    Found(Vec<Member>),
    /// No DHT server has told a [`Lookup`](crate::Lookup) anything. It is done.
    NoAnswer,
    /// Everybody was told that the room is left, or the time for it is over. The machine is done.
    Left,
}

/// What waits to be taken by the caller. It is bounded by what one input can bring about, as long as the caller takes
/// all of it before the next one.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    queue: VecDeque<Output>,
    members_changed: bool,
}

impl Outputs {
    /// Adds an output. One that says that the list of members is another marks it as that.
    pub(crate) fn push(&mut self, output: Output) {
        self.members_changed |= match &output {
            Output::Event(event) => !matches!(event, Event::Message(_)),
            Output::Forget(_) => true,
            _ => false,
        };
        self.queue.push_back(output);
    }

    /// The list of members is another, without anybody having come or gone.
    pub(crate) fn members_changed(&mut self) {
        self.members_changed = true;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The next output.
    pub(crate) fn pop(&mut self) -> Option<Output> {
        let next = self.queue.pop_front();
        next.or_else(|| mem::take(&mut self.members_changed).then_some(Output::MembersChanged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_the_list_are_told_once_and_last() {
        let peer = PeerId::random();
        let mut out = Outputs::default();
        out.push(Output::Forget(peer));
        out.push(Output::Forget(peer));
        out.push(Output::HasList);
        let all: Vec<Output> = std::iter::from_fn(|| out.pop()).collect();
        let forget = Output::Forget(peer);
        assert_eq!(
            all,
            [
                forget.clone(),
                forget,
                Output::HasList,
                Output::MembersChanged
            ]
        );
        out.push(Output::Doubt(peer));
        assert_eq!(out.pop(), Some(Output::Doubt(peer)));
        assert_eq!(out.pop(), None, "that is no change of the list");
    }
}
