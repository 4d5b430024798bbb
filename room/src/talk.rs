//! What others say: in the order in which they said it, and under the names that they go by.

use libp2p_identity::PeerId;
use moim_protocol::{message::Position, newcomers::Newcomers, ordering::Ordering, room::RoomText};
use web_time::Instant;

use crate::{
    members::Members,
    output::{Event, Message, Output, Outputs},
};

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Talk {
    ordering: Ordering<Message>,
    /// What is in order and waits for its author's presence.
    newcomers: Newcomers<Message>,
}

impl Talk {
    /// Takes what somebody said, by whatever way it came, and shows what is due. Returns whether
    /// something that was said earlier is missing.
    pub(crate) fn hear(
        &mut self,
        author: PeerId,
        text: RoomText,
        members: &Members,
        now: Instant,
        out: &mut Outputs,
    ) -> bool {
        let (session, sequence, young) = (text.session, text.sequence, text.is_young());
        let message = Message::new(author, text);
        let ordering = &mut self.ordering;
        let ready = ordering.handle(author, session, sequence, young, message, now);
        let is_missing = self.ordering.waits_for(&author);
        self.deliver(ready, members, now, out);
        is_missing
    }

    /// What somebody said up to `position` and we have not, is not to be had.
    pub(crate) fn settle(
        &mut self,
        author: PeerId,
        position: Position,
        members: &Members,
        now: Instant,
        out: &mut Outputs,
    ) {
        let ready = self.ordering.settle(author, position);
        self.deliver(ready, members, now, out);
    }

    /// Shows what waited long enough, for earlier messages or for a presence.
    pub(crate) fn tick(&mut self, members: &Members, now: Instant, out: &mut Outputs) {
        let ready = self.ordering.tick(now);
        for message in self.newcomers.tick(now) {
            show(message, members, out);
        }
        self.deliver(ready, members, now, out);
    }

    /// Somebody has become a member: shows what waited for that.
    pub(crate) fn joined(&mut self, author: &PeerId, members: &Members, out: &mut Outputs) {
        for message in self.newcomers.joined(author) {
            show(message, members, out);
        }
    }

    /// What comes in order from a member is shown; what comes from somebody who is none (yet) waits for a presence.
    fn deliver(
        &mut self,
        messages: Vec<(PeerId, Message)>,
        members: &Members,
        now: Instant,
        out: &mut Outputs,
    ) {
        for (author, message) in messages {
            let due = if members.contains(&author) {
                Some(message)
            } else {
                self.newcomers.push(author, message, now)
            };
            if let Some(message) = due {
                show(message, members, out);
            }
        }
    }

    /// How far the talk of somebody is known.
    pub(crate) fn known(&self, author: &PeerId) -> Position {
        self.ordering.known(author)
    }

    /// Whether a message has come already.
    pub(crate) fn has(&self, author: &PeerId, text: &RoomText) -> bool {
        self.ordering.has(author, text.session, text.sequence)
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let ordered = self.ordering.next_deadline();
        ordered
            .into_iter()
            .chain(self.newcomers.next_deadline())
            .min()
    }
}

impl Message {
    /// What somebody has said, under no name yet.
    pub(crate) fn new(from: PeerId, said: RoomText) -> Self {
        Self {
            id: said.id,
            from,
            name: None,
            text: said.text,
            sent: said.sent,
        }
    }
}

/// Hands a message to the user, under the name in its author's presence.
fn show(mut message: Message, members: &Members, out: &mut Outputs) {
    message.name = members.name(&message.from);
    out.push(Output::Event(Event::Message(message)));
}
