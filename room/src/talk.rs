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

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let ordered = self.ordering.poll_timeout();
        ordered
            .into_iter()
            .chain(self.newcomers.poll_timeout())
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use moim_protocol::limits::{NEWCOMERS_HELD_MAX, ORDER_GAP_MAX};

    use super::*;
    use crate::{
        now::Now,
        testing::{check, here, peer, start, text, topic},
    };

    struct Fixture {
        talk: Talk,
        members: Members,
        now: Now,
    }

    /// Peer 1 is a member, and peer 2 is none.
    fn fixture() -> Fixture {
        let now = start();
        let name = "Me".parse().unwrap();
        let mut members = Members::new(topic().hash(), peer(0), &name);
        let (signed, mut out) = (here(1, 1, now), Outputs::default());
        let taken = members.take(&signed, peer(1), Duration::ZERO, now, &mut out);
        taken.unwrap();
        let talk = Talk::default();
        Fixture { talk, members, now }
    }

    impl Fixture {
        fn hear(&mut self, author: u16, sequence: u64) -> (bool, Vec<Output>) {
            let (mut out, text) = (Outputs::default(), text(sequence, self.now));
            let members = &self.members;
            let now = self.now.instant;
            let is_missing = self.talk.hear(peer(author), text, members, now, &mut out);
            (is_missing, outputs(out))
        }

        fn tick(&mut self, now: Instant) -> Vec<Output> {
            let mut out = Outputs::default();
            self.talk.tick(&self.members, now, &mut out);
            outputs(out)
        }
    }

    fn outputs(mut out: Outputs) -> Vec<Output> {
        std::iter::from_fn(|| out.pop()).collect()
    }

    #[test]
    fn what_comes_too_early_waits_for_what_is_missing() {
        let mut fixture = fixture();
        let (is_missing, shown) = fixture.hear(1, 1);
        check(&shown, &["peer 1: message 1"]);
        assert!(!is_missing && fixture.talk.has(&peer(1), &text(1, fixture.now)));
        let (is_missing, shown) = fixture.hear(1, 3);
        check(&shown, &[]);
        assert!(is_missing && !fixture.talk.has(&peer(1), &text(2, fixture.now)));
        assert_eq!(fixture.talk.known(&peer(1)).sequence, 1);
        let end = fixture.now.instant + ORDER_GAP_MAX;
        assert_eq!(fixture.talk.poll_timeout(), Some(end));
        check(&fixture.tick(end), &["peer 1: message 3"]);
        let (_, shown) = fixture.hear(1, 2);
        check(&shown, &["peer 1: message 2"]);
        assert_eq!(fixture.talk.poll_timeout(), None);
    }

    #[test]
    fn what_is_not_to_be_had_is_not_waited_for() {
        let mut fixture = fixture();
        fixture.hear(1, 1);
        fixture.hear(1, 4);
        let (mut out, now) = (Outputs::default(), fixture.now.instant);
        let position = Position {
            session: text(1, fixture.now).session,
            sequence: 3,
        };
        let Fixture { talk, members, .. } = &mut fixture;
        talk.settle(peer(1), position, members, now, &mut out);
        check(&outputs(out), &["peer 1: message 4"]);
    }

    #[test]
    fn who_is_no_member_is_shown_under_no_name_after_a_moment() {
        let mut fixture = fixture();
        let (_, shown) = fixture.hear(2, 1);
        check(&shown, &[]);
        let end = fixture.talk.poll_timeout().unwrap();
        check(&fixture.tick(end), &["nobody: message 1"]);
        for sequence in 2..=NEWCOMERS_HELD_MAX as u64 + 1 {
            let (_, shown) = fixture.hear(2, sequence);
            check(&shown, &[]);
        }
        let (_, shown) = fixture.hear(2, NEWCOMERS_HELD_MAX as u64 + 2);
        check(&shown, &["nobody: message 2"]);
        let mut out = Outputs::default();
        let Fixture { talk, members, .. } = &mut fixture;
        talk.joined(&peer(2), members, &mut out);
        assert_eq!(outputs(out).len(), NEWCOMERS_HELD_MAX);
    }
}
