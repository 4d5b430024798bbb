//! A member, and how long it is one.

use std::time::Duration;

use web_time::Instant;

use crate::presence::{Presence, SignedPresence};

/// A member of the room.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// What it says about itself.
    pub presence: &'a Presence,
    /// The same, with its proof.
    pub signed: &'a SignedPresence,
    /// When it is gone, unless it says again that it is here.
    pub expires: Instant,
}

impl Member<'_> {
    /// How old its presence is, as far as those say who have passed it on.
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        let left = self.expires.saturating_duration_since(now);
        self.presence.validity().ttl().saturating_sub(left)
    }
}

/// What is kept of a member, or of one that left.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) signed: SignedPresence,
    /// The end of its life.
    pub(super) expires: Instant,
    /// Until when somebody could show the same presence as new.
    pub(super) replayable: Instant,
}

impl Entry {
    pub(super) fn ttl(&self) -> Duration {
        self.signed.presence().validity().ttl()
    }

    pub(super) fn remaining(&self, now: Instant) -> Duration {
        self.expires.saturating_duration_since(now)
    }

    /// What a receiver has to take off the life it was signed for to get what remains of it.
    pub(super) fn age(&self, now: Instant) -> Duration {
        self.ttl().saturating_sub(self.remaining(now))
    }

    pub(super) fn member(&self) -> Member<'_> {
        Member {
            presence: self.signed.presence(),
            signed: &self.signed,
            expires: self.expires,
        }
    }
}

/// A member that can't be reached.
#[derive(Debug)]
pub(super) struct Suspended {
    pub(super) entry: Entry,
    /// Up to this sequence number its presences are no sign of life: others know them, and can't reach it.
    pub(super) up_to: u64,
}

impl Suspended {
    pub(super) fn sequence(&self) -> u64 {
        self.entry.signed.presence().sequence.max(self.up_to)
    }
}
