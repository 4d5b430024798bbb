//! How much may be said in the room: by each author, and by all of them.

use libp2p_identity::PeerId;
use moim_protocol::{
    allowance::Shares,
    limits::{BODY_BYTES_MAX, CATCH_UP_MESSAGES_MIN, ROOM_TALK, SHARES_MAX, TALK_PER_AUTHOR},
};
use web_time::Instant;

/// What is left of what authors may say, by whatever way it comes. *Near* is a member that we are connected to: of those
/// there are no more than connections.
#[derive(Debug)]
pub(crate) struct Authors(Shares<PeerId>);

impl Authors {
    pub(crate) fn new(now: Instant) -> Self {
        Self(Shares::new(TALK_PER_AUTHOR, ROOM_TALK, SHARES_MAX, now))
    }

    /// Whether so much of an author is passed on: within the author's share and the room's.
    pub(crate) fn take(
        &mut self,
        author: PeerId,
        is_near: bool,
        bytes: usize,
        now: Instant,
    ) -> bool {
        self.0.take(author, is_near, bytes, now)
    }

    /// The same of what was said before, which counts for nobody in particular.
    pub(crate) fn take_again(&mut self, bytes: usize, now: Instant) -> bool {
        self.0.take_of_all(false, bytes, now)
    }

    /// Whether an author may be asked for what was missed of it: that counts as said.
    pub(crate) fn may_catch_up(&mut self, author: PeerId, is_near: bool, now: Instant) -> bool {
        let (messages, bytes) = (CATCH_UP_MESSAGES_MIN, BODY_BYTES_MAX);
        self.0.has(author, is_near, messages, bytes, now)
    }

    /// An author has said so much at once, by way of an answer.
    pub(crate) fn caught_up(
        &mut self,
        author: PeerId,
        messages: usize,
        bytes: usize,
        now: Instant,
    ) {
        let messages = u32::try_from(messages).unwrap_or(u32::MAX);
        self.0.spend(author, messages, bytes, now);
    }
}

#[cfg(test)]
mod tests {
    use moim_protocol::limits::SAY;

    use super::*;
    use crate::testing::{peer, start};

    #[test]
    fn an_author_has_a_share_and_the_room_has_one() {
        let now = start().instant;
        let mut authors = Authors::new(now);
        let said = |authors: &mut Authors, author: u16, is_near| {
            let author = peer(author);
            let all = 0..2 * ROOM_TALK.things.burst;
            let taken = all.filter(|_| authors.take(author, is_near, 10, now));
            u32::try_from(taken.count()).unwrap()
        };
        assert_eq!(said(&mut authors, 1, true), TALK_PER_AUTHOR.things.burst);
        const { assert!(TALK_PER_AUTHOR.things.burst >= 2 * SAY.things.burst) };
        let strangers: u32 = (2..40)
            .map(|author| said(&mut authors, author, false))
            .sum();
        let half = ROOM_TALK.things.burst / 2 - TALK_PER_AUTHOR.things.burst;
        assert_eq!(
            strangers,
            half + 1,
            "the other half is for those who are near"
        );
        assert!(!authors.take_again(10, now));
        assert_eq!(said(&mut authors, 41, true), TALK_PER_AUTHOR.things.burst);
    }

    #[test]
    fn what_was_missed_counts_as_said() {
        let now = start().instant;
        let mut authors = Authors::new(now);
        let mut answers = 0;
        while authors.may_catch_up(peer(1), true, now) {
            authors.caught_up(peer(1), 64, 30_000, now);
            answers += 1;
        }
        assert_eq!(answers, 4, "as many messages as there may be at once");
        assert!(authors.may_catch_up(peer(2), true, now));
    }
}
