//! Whether this peer was away without knowing: its device slept, or its network was gone for a while.
//!
//! Others have then lost their connections to it, and may have told the room. What it sees itself is that several of those
//! that it had lost come back at once.

use std::{collections::BTreeMap, time::Duration};

use libp2p_identity::PeerId;
use moim_protocol::after;
use web_time::Instant;

/// A connection that was gone for less is no reason for a doubt.
const GONE_FOR: Duration = Duration::from_secs(5);

/// Two that come back within this were not away both: this peer was.
const TOGETHER: Duration = Duration::from_secs(30);

/// Who was lost earlier is not waited for.
const WAITED_FOR: Duration = Duration::from_secs(15 * 60);

/// Members that are waited for: as many as there are connections.
const LOST_MAX: usize = 256;

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Away {
    lost: BTreeMap<PeerId, Instant>,
    /// When somebody came back, nobody else having done so since.
    back: Option<Instant>,
}

impl Away {
    /// The last connection to a member is gone.
    pub(crate) fn lost(&mut self, peer: PeerId, now: Instant) {
        self.lost.retain(|_, since| now < after(*since, WAITED_FOR));
        if self.lost.len() < LOST_MAX {
            self.lost.entry(peer).or_insert(now);
        }
    }

    /// A member is not expected back.
    pub(crate) fn forget(&mut self, peer: &PeerId) {
        self.lost.remove(peer);
    }

    /// A peer is connected. Returns whether this peer seems to have been away.
    pub(crate) fn connected(&mut self, peer: &PeerId, now: Instant) -> bool {
        let since = self.lost.remove(peer);
        if since.is_none_or(|since| now < after(since, GONE_FOR)) {
            return false;
        }
        let before = self.back.replace(now);
        let is_second = before.is_some_and(|before| now < after(before, TOGETHER));
        if is_second {
            self.back = None;
        }
        is_second
    }

    #[cfg(test)]
    pub(crate) fn assert_bounds(&self) {
        assert!(self.lost.len() <= LOST_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{peer, start};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn two_that_come_back_together_say_that_we_were_away() {
        for (case, gone_for, apart, is_away) in [
            ("we slept", 20, 3, true),
            ("a moment", 4, 1, false),
            ("each was away", 20, 31, false),
            ("long ago", 16 * 60, 1, true),
        ] {
            let (mut away, start) = (Away::default(), start().instant);
            away.lost(peer(1), start);
            away.lost(peer(2), start);
            let back = start + gone_for * SECOND;
            assert!(!away.connected(&peer(1), back), "{case}: the first");
            let second = away.connected(&peer(2), back + apart * SECOND);
            assert_eq!(second, is_away, "{case}");
        }
    }

    #[test]
    fn strangers_and_who_has_left_say_nothing() {
        let (mut away, start) = (Away::default(), start().instant);
        away.lost(peer(1), start);
        away.forget(&peer(1));
        for n in 1..5 {
            assert!(!away.connected(&peer(n), start + 60 * SECOND));
        }
    }

    #[test]
    fn so_many_are_waited_for() {
        let (mut away, start) = (Away::default(), start().instant);
        for n in 0..300 {
            away.lost(peer(n), start);
            away.assert_bounds();
        }
        away.lost(peer(999), start + WAITED_FOR);
        assert_eq!(away.lost.len(), 1);
    }
}
