//! What of the room's talk was missed, and asking those who said it.
//!
//! Gossip carries what is said now to those who are connected now. What was under way on a connection
//! that broke, or said before two members had found each other, is asked for: whenever a connection to
//! a member comes or goes, a message shows that an earlier one is missing, or the other side asks and
//! names something new.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    time::Duration,
};

use libp2p_identity::PeerId;
use moim_protocol::{
    after,
    message::{Position, Request},
};
use web_time::Instant;

use crate::{
    asking::{Asking, Purpose},
    output::Outputs,
};

/// How long a member is left alone that has said more than its share.
const PUT_OFF: Duration = Duration::from_secs(1);

/// Who is being asked for what was missed. Holds connected peers only.
#[derive(Debug, Default)]
pub(crate) struct CatchingUp {
    asking: BTreeMap<PeerId, Question>,
    /// Up to where each has given what it has. What is still missing of that is not to be had, and
    /// not asked for because the other side asks.
    given: BTreeMap<PeerId, Position>,
    /// Who has said so much lately that it is not asked now, and when to look again.
    later: BTreeSet<PeerId>,
    look_again: Option<Instant>,
}

#[derive(Debug)]
struct Question {
    /// How far that peer's talk was known when it was asked.
    known: Position,
    /// There was a reason to ask once more meanwhile.
    again: bool,
}

impl CatchingUp {
    /// Asks a peer whose talk is known up to `known`; if it is being asked, once more after its answer.
    pub(crate) fn ask(
        &mut self,
        peer: PeerId,
        known: Position,
        request: &Request,
        asking: &mut Asking,
        out: &mut Outputs,
    ) {
        if let Some(question) = self.asking.get_mut(&peer) {
            question.again = true;
            return;
        }
        if asking.ask(peer, Purpose::Missed, request.encode(), out) {
            let again = false;
            self.asking.insert(peer, Question { known, again });
        }
    }

    /// The peer has answered, and said everything up to `said`. Returns whether to ask it again.
    pub(crate) fn answered(&mut self, peer: PeerId, said: Position, known: Position) -> bool {
        // Else it is disconnected meanwhile.
        let Some(question) = self.asking.remove(&peer) else {
            return false;
        };
        self.given.insert(peer, said);
        // An answer that brought nothing new will not bring more.
        question.again || (known < said && known > question.known)
    }

    /// The peer has not answered. Returns whether there was a reason to ask again.
    pub(crate) fn failed(&mut self, peer: &PeerId) -> bool {
        self.asking
            .remove(peer)
            .is_some_and(|question| question.again)
    }

    /// Whether a peer that has said everything up to `said` has something to give.
    pub(crate) fn has_news(&self, peer: &PeerId, said: Position, known: Position) -> bool {
        said.sequence > 0 && said > known && self.given.get(peer).is_none_or(|given| said > *given)
    }

    pub(crate) fn disconnected(&mut self, peer: &PeerId) {
        self.asking.remove(peer);
        self.given.remove(peer);
        self.later.remove(peer);
    }

    /// The peer is not to be asked now.
    pub(crate) fn put_off(&mut self, peer: PeerId, now: Instant) {
        self.later.insert(peer);
        self.look_again.get_or_insert_with(|| after(now, PUT_OFF));
    }

    /// Who was put off, when it is time to look again.
    pub(crate) fn due(&mut self, now: Instant) -> BTreeSet<PeerId> {
        if self.look_again.is_none_or(|at| now < at) {
            return BTreeSet::new();
        }
        self.look_again = None;
        mem::take(&mut self.later)
    }

    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        self.look_again
    }

    #[cfg(test)]
    pub(crate) fn assert_bounds(&self, is_connected: impl Fn(&PeerId) -> bool) {
        let asking = self.asking.keys().chain(self.given.keys());
        assert!(asking.chain(&self.later).all(is_connected));
    }
}

#[cfg(test)]
mod tests {
    use moim_protocol::topic::TopicHash;

    use super::*;
    use crate::testing::{peer, start, topic};

    fn at(sequence: u64) -> Position {
        let session = 1;
        Position { session, sequence }
    }

    fn request(topic: TopicHash) -> Request {
        Request::CatchUp {
            topic,
            said: at(0),
            known: at(0),
            member_for: Duration::ZERO,
        }
    }

    /// How many questions are asked when there is a reason to.
    fn ask(catching_up: &mut CatchingUp, known: Position) -> usize {
        let (mut asking, mut out) = (Asking::default(), Outputs::default());
        let request = request(topic().hash());
        catching_up.ask(peer(1), known, &request, &mut asking, &mut out);
        asking.len()
    }

    #[test]
    fn one_question_at_a_time_and_one_more_if_there_was_a_reason() {
        let mut catching_up = CatchingUp::default();
        assert_eq!(ask(&mut catching_up, at(0)), 1);
        assert_eq!(ask(&mut catching_up, at(0)), 0);
        assert!(catching_up.answered(peer(1), at(3), at(3)), "once more");
        assert_eq!(ask(&mut catching_up, at(3)), 1);
        assert!(!catching_up.answered(peer(1), at(3), at(3)));
        assert!(!catching_up.answered(peer(1), at(3), at(3)), "not asked");
    }

    #[test]
    fn who_has_more_is_asked_again_while_it_gives_something() {
        for (said, known, again) in [(9, 5, true), (9, 9, false), (9, 0, false)] {
            let mut catching_up = CatchingUp::default();
            ask(&mut catching_up, at(0));
            let answered = catching_up.answered(peer(1), at(said), at(known));
            assert_eq!(answered, again, "{said} {known}");
        }
    }

    #[test]
    fn what_is_not_to_be_had_is_no_news() {
        let mut catching_up = CatchingUp::default();
        assert!(!catching_up.has_news(&peer(1), at(0), Position::default()));
        assert!(catching_up.has_news(&peer(1), at(4), at(3)));
        ask(&mut catching_up, at(0));
        catching_up.answered(peer(1), at(4), at(3));
        assert!(!catching_up.has_news(&peer(1), at(4), at(3)));
        assert!(catching_up.has_news(&peer(1), at(5), at(3)));
        catching_up.disconnected(&peer(1));
        assert!(catching_up.has_news(&peer(1), at(4), at(3)));
    }

    #[test]
    fn who_is_put_off_is_asked_a_moment_later() {
        let now = start().instant;
        let mut catching_up = CatchingUp::default();
        catching_up.put_off(peer(1), now);
        catching_up.put_off(peer(2), now + PUT_OFF / 2);
        assert_eq!(catching_up.poll_timeout(), Some(now + PUT_OFF));
        assert!(catching_up.due(now).is_empty());
        assert_eq!(catching_up.due(now + PUT_OFF).len(), 2);
        assert!(catching_up.due(now + PUT_OFF).is_empty());
        assert_eq!(catching_up.poll_timeout(), None);
    }
}
