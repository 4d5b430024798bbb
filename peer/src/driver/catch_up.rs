//! What of a room's talk was missed, and asking those who said it.
//!
//! Gossip carries what is said now to those who are connected now. What was under way on a connection
//! that broke, or said before two members had found each other, is asked for: whenever a connection to
//! a member comes or goes, a message shows that an earlier one is missing, or the other side asks and
//! names something new.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use libp2p::{PeerId, request_response::OutboundFailure};
use moim_protocol::{
    limits::{BODY_BYTES_MAX, CATCH_UP_MESSAGES_MIN},
    message::{Position, Request, Response},
    room::RoomText,
    topic::TopicHash,
    wire::{ErrorCode, WireError},
};
use web_time::Instant;

use super::{Driver, direct::Transmission};

/// How long a member is left alone that has said more than its share.
const PUT_OFF: Duration = Duration::from_secs(1);

/// Who is being asked for what was missed in one room. Holds connected peers only.
#[derive(Debug, Default)]
pub(super) struct CatchingUp {
    asking: HashMap<PeerId, Asking>,
    /// Up to where each has given what it has. What is still missing of that is not to be had, and
    /// not asked for because the other side asks.
    given: HashMap<PeerId, Position>,
    /// Who has said so much lately that it is not asked now, and when to look again.
    later: HashSet<PeerId>,
    look_again: Option<Instant>,
}

#[derive(Debug, Default)]
struct Asking {
    /// How far that peer's talk was known when it was asked.
    known: Position,
    /// There was a reason to ask once more meanwhile.
    again: bool,
}

impl CatchingUp {
    /// Whether to ask now. Else it will be asked after the answer that is under way.
    fn begin(&mut self, peer: PeerId, known: Position) -> bool {
        if let Some(asking) = self.asking.get_mut(&peer) {
            asking.again = true;
            return false;
        }
        self.asking.insert(
            peer,
            Asking {
                known,
                again: false,
            },
        );
        true
    }

    /// The peer has answered, and said everything up to `said`. Returns whether to ask it again.
    fn answered(&mut self, peer: PeerId, said: Position, known: Position) -> bool {
        // Else it is disconnected meanwhile.
        let Some(asking) = self.asking.remove(&peer) else {
            return false;
        };
        self.given.insert(peer, said);
        // An answer that brought nothing new will not bring more.
        asking.again || (known < said && known > asking.known)
    }

    /// The peer has not answered. Returns whether there was a reason to ask again.
    fn failed(&mut self, peer: &PeerId) -> bool {
        self.asking.remove(peer).is_some_and(|asking| asking.again)
    }

    /// Whether a peer that has said everything up to `said` has something to give.
    fn has_news(&self, peer: &PeerId, said: Position, known: Position) -> bool {
        said.sequence > 0 && said > known && self.given.get(peer).is_none_or(|given| said > *given)
    }

    pub(super) fn disconnected(&mut self, peer: &PeerId) {
        self.asking.remove(peer);
        self.given.remove(peer);
        self.later.remove(peer);
    }

    fn put_off(&mut self, peer: PeerId, now: Instant) {
        self.later.insert(peer);
        self.look_again.get_or_insert(now + PUT_OFF);
    }

    /// Who was put off, when it is time to look again.
    fn due(&mut self, now: Instant) -> HashSet<PeerId> {
        if self.look_again.is_none_or(|at| now < at) {
            return HashSet::new();
        }
        self.look_again = None;
        std::mem::take(&mut self.later)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.look_again
    }
}

/// The bytes of what was written; the rest of a message is counted by number.
fn bytes_of(messages: &[RoomText]) -> usize {
    messages
        .iter()
        .map(|message| message.text.as_str().len())
        .sum()
}

impl Driver {
    /// Asks a peer for what was missed of its talk, in every room that it is in.
    pub(super) fn catch_up_with(&mut self, peer: PeerId, now: Instant) {
        let topics: Vec<TopicHash> = self
            .rooms
            .iter()
            .filter(|(_, room)| room.search.roster.contains(&peer))
            .map(|(topic, _)| *topic)
            .collect();
        for topic in topics {
            self.catch_up(topic, peer, now);
        }
    }

    /// Asks a peer for what was missed of its talk in one room, and tells it how far ours goes.
    pub(super) fn catch_up(&mut self, topic: TopicHash, peer: PeerId, now: Instant) {
        if !self.connections.is_connected(&peer) {
            return;
        }
        let is_near = self.is_near(topic, &peer);
        let Some(room) = self.rooms.get_mut(&topic) else {
            return;
        };
        // What is asked for counts as said.
        let (messages, bytes) = (CATCH_UP_MESSAGES_MIN, BODY_BYTES_MAX);
        if !room.hearing.talk.has(peer, is_near, messages, bytes, now) {
            room.catching_up.put_off(peer, now);
            return;
        }
        let known = room.ordering.known(&peer);
        if !room.catching_up.begin(peer, known) {
            return;
        }
        let request = Request::CatchUp {
            topic,
            said: room.said.newest(),
            known,
            member_for: now.saturating_duration_since(room.joined),
        };
        self.request_message(peer, request.encode(), Transmission::CatchUp(topic));
    }

    /// Asks those who were put off.
    pub(super) fn catch_up_due(&mut self, topic: TopicHash, now: Instant) {
        let due = match self.rooms.get_mut(&topic) {
            Some(room) => room.catching_up.due(now),
            None => return,
        };
        for peer in due {
            self.catch_up(topic, peer, now);
        }
    }

    pub(super) fn answer_catch_up(
        &mut self,
        topic: TopicHash,
        peer: PeerId,
        said: Position,
        (known, member_for): (Position, Duration),
        now: Instant,
    ) -> Response {
        let is_member = self.is_member(&peer);
        let shares = &mut self.shares.catch_ups;
        if !shares.has(peer, is_member, 1, BODY_BYTES_MAX, now) {
            return Response::error(ErrorCode::Busy, "asked for too much at once");
        }
        let Some(room) = self.rooms.get_mut(&topic) else {
            shares.spend(peer, 1, 0, now);
            return Response::error(ErrorCode::NotAMember, "this peer is not in that room");
        };
        let met = room.shown.get(&peer).map(|shown| shown.since);
        let messages = room.said.missed(known, member_for, met, now);
        shares.spend(peer, 1, bytes_of(&messages), now);
        let answer = Response::Missed {
            said: room.said.newest(),
            messages,
        };
        if room
            .catching_up
            .has_news(&peer, said, room.ordering.known(&peer))
        {
            self.catch_up(topic, peer, now);
        }
        answer
    }

    pub(super) fn on_caught_up(
        &mut self,
        topic: TopicHash,
        peer: PeerId,
        response: Result<Response, WireError>,
        now: Instant,
    ) {
        let Ok(Response::Missed { said, messages }) = response else {
            tracing::debug!(%peer, ?response, "cannot be asked for what was missed");
            if let Some(room) = self.rooms.get_mut(&topic)
                && room.catching_up.failed(&peer)
            {
                self.catch_up(topic, peer, now);
            }
            return;
        };
        if let Some(room) = self.rooms.get_mut(&topic) {
            let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
            let bytes = bytes_of(&messages);
            room.hearing.talk.spend(peer, count, bytes, now);
        }
        // What comes before the first, or is not among them, is not to be had: nothing waits for it.
        if messages.is_empty() {
            self.settle(topic, peer, said, now);
        }
        for text in messages {
            let before = Position {
                session: text.session,
                sequence: text.sequence.saturating_sub(1),
            };
            self.settle(topic, peer, before, now);
            // Its author keeps it for two minutes, by whatever clock.
            self.hear(topic, peer, text, now);
        }
        let Some(room) = self.rooms.get_mut(&topic) else {
            return;
        };
        let known = room.ordering.known(&peer);
        if room.catching_up.answered(peer, said, known) {
            self.catch_up(topic, peer, now);
        }
    }

    pub(super) fn on_catch_up_failed(
        &mut self,
        topic: TopicHash,
        peer: PeerId,
        error: &OutboundFailure,
        now: Instant,
    ) {
        tracing::debug!(%peer, %error, "not answered what was missed");
        if matches!(error, OutboundFailure::Timeout) {
            self.doubt_peer(&peer, now);
        }
        let Some(room) = self.rooms.get_mut(&topic) else {
            return;
        };
        // A connection broke or hangs; another may be there.
        let another = matches!(
            error,
            OutboundFailure::ConnectionClosed | OutboundFailure::Timeout
        );
        if room.catching_up.failed(&peer) || another {
            self.catch_up(topic, peer, now);
        }
    }
}
