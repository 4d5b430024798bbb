//! What is said in the room, both ways.

use std::time::Duration;

use libp2p_identity::PeerId;
use moim_protocol::{
    message::{MessageId, Position, Request, Response},
    room::{RoomMessage, RoomText},
    text::{Name, Text},
    topic::TopicHash,
};
use web_time::Instant;

use crate::{
    around::Around,
    authors::Authors,
    catching_up::CatchingUp,
    input::Failure,
    now::Now,
    output::{Message, Output, text_bytes},
    saying::Saying,
    talk::Talk,
    telling::Telling,
};

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Conversation {
    me: PeerId,
    topic: TopicHash,
    /// Under which we say something.
    name: Name,
    joined: Instant,
    authors: Authors,
    talk: Talk,
    catching_up: CatchingUp,
    saying: Saying,
}

impl Conversation {
    pub(crate) fn new(me: PeerId, topic: TopicHash, name: Name, now: Now) -> Self {
        Self {
            me,
            topic,
            name,
            joined: now.instant,
            authors: Authors::new(now.instant),
            talk: Talk::default(),
            catching_up: CatchingUp::default(),
            saying: Saying::new(now),
        }
    }

    /// Says something, when its turn comes.
    pub(crate) fn say(
        &mut self,
        (id, text): (MessageId, Text),
        telling: &Telling,
        around: &mut Around,
        now: Now,
    ) {
        self.saying.push(id, text, &mut around.out);
        self.say_due(telling, around, now);
    }

    /// Says what waited for its turn.
    fn say_due(&mut self, telling: &Telling, around: &mut Around, now: Now) {
        while let Some(text) = self.saying.next(&self.name, now) {
            let id = text.id;
            let mut message = Message::new(self.me, text.clone());
            message.name = text.name.clone();
            telling.publish(&RoomMessage::Text(text), &mut around.out);
            // Those whom gossip does not reach (yet) are told that there is something to ask for.
            for peer in around.connected_members() {
                if !around.links.hears(&peer) {
                    self.catch_up(peer, around, now.instant);
                }
            }
            around.out.push(Output::Said { id, message });
        }
    }

    /// Whether so much of an author is passed on, whatever it is.
    pub(crate) fn takes(
        &mut self,
        author: PeerId,
        bytes: usize,
        around: &Around,
        now: Instant,
    ) -> bool {
        let is_near = around.is_near(&author);
        self.authors.take(author, is_near, bytes, now)
    }

    /// Whether a text is passed on, which takes so many `bytes`.
    pub(crate) fn takes_text(
        &mut self,
        author: PeerId,
        text: &RoomText,
        bytes: usize,
        around: &Around,
        now: Instant,
    ) -> bool {
        // Anybody may play again what was said before: that is not the author's doing.
        if self.talk.has(&author, text) {
            return self.authors.take_again(bytes, now);
        }
        self.takes(author, bytes, around, now)
    }

    /// Takes what gossip has brought.
    pub(crate) fn hear(
        &mut self,
        author: PeerId,
        text: RoomText,
        around: &mut Around,
        now: Instant,
    ) {
        let Around { members, out, .. } = around;
        if self.talk.hear(author, text, members, now, out) {
            self.catch_up(author, around, now);
        }
    }

    /// Somebody has become a member.
    pub(crate) fn joined(&mut self, peer: PeerId, around: &mut Around, now: Instant) {
        self.talk.joined(&peer, &around.members, &mut around.out);
        self.catch_up(peer, around, now);
    }

    /// Asks a peer for what was missed of its talk, and tells it how far ours goes.
    pub(crate) fn catch_up(&mut self, peer: PeerId, around: &mut Around, now: Instant) {
        if !around.links.is_connected(&peer) {
            return;
        }
        let is_near = around.is_near(&peer);
        if !self.authors.may_catch_up(peer, is_near, now) {
            self.catching_up.put_off(peer, now);
            return;
        }
        let known = self.talk.known(&peer);
        let request = Request::CatchUp {
            topic: self.topic,
            said: self.saying.newest(),
            known,
            member_for: now.saturating_duration_since(self.joined),
        };
        let Around { asking, out, .. } = around;
        self.catching_up.ask(peer, known, &request, asking, out);
    }

    /// A peer that has said everything up to `said` asks for what it missed of our talk.
    pub(crate) fn answer(
        &mut self,
        peer: PeerId,
        (known, member_for): (Position, Duration),
        around: &Around,
        now: Instant,
    ) -> Response {
        let met = around.members.met(&peer);
        let messages = self.saying.missed(known, member_for, met, now);
        Response::Missed {
            said: self.saying.newest(),
            messages,
        }
    }

    /// A peer has told how far its talk goes: asks for what is new of it.
    pub(crate) fn told(&mut self, peer: PeerId, said: Position, around: &mut Around, now: Instant) {
        let known = self.talk.known(&peer);
        if self.catching_up.has_news(&peer, said, known) {
            self.catch_up(peer, around, now);
        }
    }

    /// A peer has answered what was missed of its talk.
    pub(crate) fn caught_up(&mut self, peer: PeerId, body: &[u8], around: &mut Around, now: Now) {
        let (said, messages) = match Response::decode(body) {
            Ok(Response::Missed { said, messages }) => (said, messages),
            response => {
                tracing::debug!(%peer, ?response, "cannot be asked for what was missed");
                if self.catching_up.failed(&peer) {
                    self.catch_up(peer, around, now.instant);
                }
                return;
            }
        };
        let (count, bytes) = (messages.len(), text_bytes(&messages));
        self.authors.caught_up(peer, count, bytes, now.instant);
        let Around { members, out, .. } = around;
        // What comes before the first, or is not among them, is not to be had: nothing waits for it.
        if messages.is_empty() {
            self.talk.settle(peer, said, members, now.instant, out);
        }
        for text in messages {
            let before = Position {
                session: text.session,
                sequence: text.sequence.saturating_sub(1),
            };
            self.talk.settle(peer, before, members, now.instant, out);
            // Its author keeps it for two minutes, by whatever clock.
            self.talk.hear(peer, text, members, now.instant, out);
        }
        let known = self.talk.known(&peer);
        if self.catching_up.answered(peer, said, known) {
            self.catch_up(peer, around, now.instant);
        }
    }

    /// A peer has not answered what was missed of its talk.
    pub(crate) fn not_caught_up(
        &mut self,
        peer: PeerId,
        why: Failure,
        around: &mut Around,
        now: Instant,
    ) {
        // A connection broke or hangs; another may be there.
        let another = matches!(why, Failure::ConnectionClosed | Failure::Timeout);
        if self.catching_up.failed(&peer) || another {
            self.catch_up(peer, around, now);
        }
    }

    pub(crate) fn disconnected(&mut self, peer: &PeerId) {
        self.catching_up.disconnected(peer);
    }

    /// There are no connections any more, and no answers to come.
    pub(crate) fn restarted(&mut self) {
        self.catching_up = CatchingUp::default();
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, telling: &Telling, around: &mut Around, now: Now) {
        let Around { members, out, .. } = around;
        self.talk.tick(members, now.instant, out);
        self.say_due(telling, around, now);
        for peer in self.catching_up.due(now.instant) {
            self.catch_up(peer, around, now.instant);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let parts = [
            self.talk.poll_timeout(),
            self.saying.poll_timeout(),
            self.catching_up.poll_timeout(),
        ];
        parts.into_iter().flatten().min()
    }

    /// The room is left: nothing more is said, heard or asked.
    pub(crate) fn leave(&mut self, around: &mut Around) {
        self.saying.give_up(&mut around.out);
        self.talk = Talk::default();
        self.catching_up = CatchingUp::default();
    }

    #[cfg(test)]
    pub(crate) fn assert_bounds(&self, around: &Around) {
        self.catching_up
            .assert_bounds(|peer| around.links.is_connected(peer));
    }
}
