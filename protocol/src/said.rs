//! What a peer said in a room, kept for members that missed it.
//!
//! A member that was connected a moment too late, or whose connection broke with a message on it,
//! asks with [`Request::CatchUp`](crate::message::Request::CatchUp) and is given what it has not
//! heard. Only the one who said something gives it again: the connection proves that it did.

use std::{collections::VecDeque, time::Duration};

use web_time::Instant;

use crate::{
    json,
    limits::{BODY_BYTES_MAX, CATCH_UP_SLACK, SAID_LIFE, SAID_MAX},
    message::{MISSED_BYTES, Position},
    room::RoomText,
};

/// Our own messages of one session in one room. See the [module](self).
#[derive(Debug)]
pub struct Said {
    newest: Position,
    kept: VecDeque<Kept>,
}

#[derive(Debug)]
struct Kept {
    text: RoomText,
    since: Instant,
    /// In a `missed` body, with the comma after it.
    bytes: usize,
}

impl Said {
    /// Nothing said yet in a session that begins at `session`, see [`RoomText::session`].
    #[must_use]
    pub const fn new(session: u64) -> Self {
        Self {
            newest: Position {
                session,
                sequence: 0,
            },
            kept: VecDeque::new(),
        }
    }

    /// What the next message is numbered.
    #[must_use]
    pub const fn next(&self) -> Position {
        Position {
            session: self.newest.session,
            sequence: self.newest.sequence.saturating_add(1),
        }
    }

    /// The number of the newest message; its `sequence` is 0 before the first.
    #[must_use]
    pub const fn newest(&self) -> Position {
        self.newest
    }

    /// Keeps a message that is being said, which must carry the [`next`](Self::next) number.
    pub fn push(&mut self, text: RoomText, now: Instant) {
        self.forget(now);
        self.newest.sequence = text.sequence;
        let bytes = json::len(&text).saturating_add(1);
        self.kept.push_back(Kept {
            text,
            since: now,
            bytes,
        });
        if self.kept.len() > SAID_MAX {
            self.kept.pop_front();
        }
    }

    /// What somebody missed who knows everything up to `known`: the earliest first, as many as fit
    /// in one body.
    ///
    /// What was said before they came is not for them. They say how long they have been in the room
    /// (`member_for`), which is too short by the time that the question was under way; so what was
    /// said when we knew of them already (`met`) is theirs too, within [`CATCH_UP_SLACK`].
    pub fn missed(
        &mut self,
        known: Position,
        member_for: Duration,
        met: Option<Instant>,
        now: Instant,
    ) -> Vec<RoomText> {
        self.forget(now);
        let after = if known.session == self.newest.session {
            known.sequence
        } else {
            0
        };
        let is_theirs = |since: Instant| {
            let age = now.saturating_duration_since(since);
            age <= member_for
                || (met.is_some_and(|met| met <= since)
                    && age <= member_for.saturating_add(CATCH_UP_SLACK))
        };
        let mut room = BODY_BYTES_MAX.saturating_sub(MISSED_BYTES);
        self.kept
            .iter()
            .filter(|kept| kept.text.sequence > after && is_theirs(kept.since))
            .map_while(|kept| {
                room = room.checked_sub(kept.bytes)?;
                Some(kept.text.clone())
            })
            .collect()
    }

    fn forget(&mut self, now: Instant) {
        while self
            .kept
            .front()
            .is_some_and(|kept| now.saturating_duration_since(kept.since) > SAID_LIFE)
        {
            self.kept.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
