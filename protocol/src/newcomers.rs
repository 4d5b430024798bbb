//! What was said in a room by those who are not known as members (yet).
//!
//! Gossip may bring a newcomer's words before its presence. They wait for it a moment, so that they are shown under a name;
//! whoever has not said by then that it is in the room is no member, and shown as that.

use std::collections::VecDeque;

use libp2p_identity::PeerId;
use web_time::Instant;

use crate::{
    limits::{NEWCOMER_PATIENCE, NEWCOMERS_HELD_MAX},
    time::after,
};

/// Messages (`T`) whose authors are not known as members. See the [module](self).
#[derive(Debug)]
pub struct Newcomers<T> {
    /// In the order in which they came, and so of their deadlines.
    waiting: VecDeque<(Instant, PeerId, T)>,
}

impl<T> Default for Newcomers<T> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
        }
    }
}

impl<T> Newcomers<T> {
    /// Takes what somebody said who is no member. Where there is no more room, the one that waits longest is returned,
    /// to be shown as no member's.
    pub fn push(&mut self, author: PeerId, item: T, now: Instant) -> Option<T> {
        let deadline = after(now, NEWCOMER_PATIENCE);
        self.waiting.push_back((deadline, author, item));
        if self.waiting.len() <= NEWCOMERS_HELD_MAX {
            return None;
        }
        self.waiting.pop_front().map(|(_, _, item)| item)
    }

    /// The author has become a member: what it said, in order.
    pub fn joined(&mut self, author: &PeerId) -> Vec<T> {
        let mut said = Vec::new();
        for entry in std::mem::take(&mut self.waiting) {
            if entry.1 == *author {
                said.push(entry.2);
            } else {
                self.waiting.push_back(entry);
            }
        }
        said
    }

    /// What has waited long enough, in order: to be shown as no member's.
    pub fn tick(&mut self, now: Instant) -> Vec<T> {
        let mut said = Vec::new();
        while let Some((deadline, ..)) = self.waiting.front()
            && *deadline <= now
        {
            said.extend(self.waiting.pop_front().map(|(_, _, item)| item));
        }
        said
    }

    /// When [`tick`](Self::tick) has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.front().map(|(deadline, ..)| *deadline)
    }
}

#[cfg(test)]
mod tests;
