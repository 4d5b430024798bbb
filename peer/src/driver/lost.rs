//! Members whose last connection has ended without a farewell: a program that was killed, a page whose browser was, a
//! device that is gone. They would be listed until their presence ends. A pure machine: it says who is to be taken off
//! the list, and is told what happened.
//!
//! **Invariant:** nobody's word counts. A member is taken off the list by a peer that had a connection to it, lost it, has
//! tried in vain to reach it again, and has heard from somebody else since, so that it is not itself that is cut off.

use std::{collections::HashMap, time::Duration};

use libp2p::PeerId;
use web_time::Instant;

/// How long a member has to be back. A device that comes into another network takes 3 to 12 s, and a dead connection
/// is noticed 5 to 10 s after its last sign of life.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// How long a lost connection is a reason for anything. What has not been found out then is left to the presence.
const JUDGED_WITHIN: Duration = Duration::from_secs(45);

/// How long what a member has said may go round before it is here.
const LATE: Duration = Duration::from_secs(2);

/// Members that are watched at one time; as many as there are connections.
const LOST_MAX: usize = 256;

#[derive(Debug)]
struct Since {
    lost: Instant,
    /// How often it has yet to be tried in vain to reach it.
    to_try: u32,
}

#[derive(Debug, Default)]
pub(super) struct Lost {
    members: HashMap<PeerId, Since>,
    /// When anybody was heard from last.
    heard: Option<Instant>,
}

impl Lost {
    /// The last connection to a member is gone. A dial that is under way already (`is_dialled`) says nothing: it may be
    /// by a way that has just ended. Returns whether that is news, so that others are to be asked for a sign of life.
    pub(super) fn lost(&mut self, peer: PeerId, is_dialled: bool, now: Instant) -> bool {
        if self.members.len() >= LOST_MAX || self.members.contains_key(&peer) {
            return false;
        }
        let to_try = 1 + u32::from(is_dialled);
        self.members.insert(peer, Since { lost: now, to_try });
        true
    }

    /// It was tried to reach a peer, at all of its addresses and in vain. That says something of the peer only if we
    /// hear from others.
    pub(super) fn failed(&mut self, peer: &PeerId) {
        let heard = self.heard;
        if let Some(since) = self.members.get_mut(peer)
            && heard.is_some_and(|heard| heard > since.lost)
        {
            since.to_try = since.to_try.saturating_sub(1);
        }
    }

    /// A member is connected again, or has left.
    pub(super) fn found(&mut self, peer: &PeerId) {
        self.members.remove(peer);
    }

    /// Something that a peer has said came by others. Right after the loss it may have been said before.
    pub(super) fn heard_of(&mut self, peer: &PeerId, now: Instant) {
        if let Some(since) = self.members.get(peer)
            && now >= since.lost + LATE
        {
            self.members.remove(peer);
        }
    }

    /// Somebody has answered on a connection.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = Some(now);
    }

    /// Who is to be taken off the list now.
    pub(super) fn poll(&mut self, now: Instant) -> Vec<PeerId> {
        self.members
            .retain(|_, since| now < since.lost + JUDGED_WITHIN);
        let is_gone = |since: &Since| since.to_try == 0 && now >= since.lost + GRACE;
        let gone = self.members.extract_if(|_, since| is_gone(since));
        gone.map(|(peer, _)| peer).collect()
    }

    /// When [`poll`](Self::poll) may have something to say that no event tells it.
    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let ends = self.members.values().map(|since| since.lost + GRACE);
        ends.filter(|end| *end > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn who_is_lost_and_cannot_be_reached_is_gone_after_the_grace() {
        let (start, bob) = (platform::now(), PeerId::random());
        let mut lost = Lost::default();
        assert!(lost.lost(bob, true, start));
        assert!(
            !lost.lost(bob, false, start + SECOND),
            "it is watched already"
        );
        lost.heard(start + SECOND);
        lost.failed(&bob);
        assert!(
            lost.poll(start + GRACE).is_empty(),
            "that was a dial of before"
        );
        lost.failed(&bob);
        assert_eq!(lost.poll_timeout(start), Some(start + GRACE));
        assert!(lost.poll(start + GRACE - SECOND).is_empty());
        assert_eq!(lost.poll(start + GRACE), [bob]);
        assert!(lost.poll(start + GRACE).is_empty(), "once");
        assert_eq!(lost.poll_timeout(start), None);
    }

    #[test]
    fn who_is_back_in_time_or_was_not_tried_stays() {
        let (start, bob, eve) = (platform::now(), PeerId::random(), PeerId::random());
        let mut lost = Lost::default();
        lost.lost(bob, false, start);
        lost.lost(eve, false, start);
        lost.heard(start + SECOND);
        lost.failed(&bob);
        lost.failed(&bob);
        lost.found(&bob);
        assert!(lost.poll(start + 2 * GRACE).is_empty());
    }

    #[test]
    fn who_talks_through_others_is_there() {
        let (start, bob, eve) = (platform::now(), PeerId::random(), PeerId::random());
        let mut lost = Lost::default();
        for peer in [bob, eve] {
            lost.lost(peer, false, start);
        }
        lost.heard(start + SECOND);
        for peer in [bob, eve, bob, eve] {
            lost.failed(&peer);
        }
        lost.heard_of(&eve, start + SECOND);
        lost.heard_of(&bob, start + LATE);
        assert_eq!(lost.poll(start + GRACE), [eve], "that was said before");
    }

    #[test]
    fn who_hears_from_nobody_is_cut_off_itself() {
        let (start, bob) = (platform::now(), PeerId::random());
        let mut lost = Lost::default();
        lost.heard(start);
        lost.lost(bob, false, start);
        lost.failed(&bob);
        assert!(lost.poll(start + 2 * GRACE).is_empty());
        lost.heard(start + 3 * GRACE);
        assert!(
            lost.poll(start + 3 * GRACE).is_empty(),
            "it was tried without a network"
        );
        lost.failed(&bob);
        lost.failed(&bob);
        assert_eq!(lost.poll(start + 3 * GRACE), [bob]);
    }

    #[test]
    fn what_was_lost_long_ago_is_no_reason_any_more() {
        let (start, bob) = (platform::now(), PeerId::random());
        let mut lost = Lost::default();
        lost.lost(bob, false, start);
        lost.heard(start + JUDGED_WITHIN);
        lost.failed(&bob);
        lost.failed(&bob);
        assert!(lost.poll(start + JUDGED_WITHIN).is_empty());
        lost.failed(&bob);
        lost.failed(&bob);
        assert!(lost.poll(start + 2 * JUDGED_WITHIN).is_empty());
    }

    #[test]
    fn only_so_many_are_watched() {
        let start = platform::now();
        let mut lost = Lost::default();
        for _ in 0..LOST_MAX {
            assert!(lost.lost(PeerId::random(), false, start));
        }
        assert!(!lost.lost(PeerId::random(), false, start));
    }
}
