//! Members that can't be reached.

use libp2p_identity::PeerId;
use web_time::Instant;

use super::{Roster, entry::Suspended};
use crate::{limits::SUSPENDED_MAX, presence::SignedPresence};

impl Roster {
    /// Takes a member that can't be reached off the list, also if others pass on what it has signed with a sequence number
    /// of at most `up_to`. Returns whether it was on it.
    pub fn suspend(&mut self, peer: &PeerId, up_to: u64) -> bool {
        let Some(entry) = self.remove(peer) else {
            return false;
        };
        let suspended = Suspended { entry, up_to };
        if self.suspended.len() < SUSPENDED_MAX {
            self.suspended.insert(*peer, suspended);
        } else {
            let until = suspended.entry.replayable;
            let sequence = suspended.entry.signed.presence().sequence;
            self.gone.insert(*peer, sequence, until, None);
        }
        true
    }

    /// Something was heard of a member that could not be reached: it is back, with the life that it had. `None` if it
    /// is no such member, or the room is full.
    pub fn resume(&mut self, peer: &PeerId, now: Instant) -> Option<&SignedPresence> {
        let is_alive = self.suspended.get(peer)?.entry.expires > now;
        if !is_alive || self.make_room(peer, peer, now).is_err() {
            return None;
        }
        let Suspended { entry, .. } = self.suspended.remove(peer)?;
        self.by_end.insert((entry.expires, *peer));
        self.members.insert(*peer, entry);
        self.members.get(peer).map(|entry| &entry.signed)
    }

    /// Members that can't be reached.
    pub fn suspended(&self) -> impl Iterator<Item = PeerId> {
        self.suspended.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        limits::PRESENCE_TTL,
        roster::Verdict,
        testing::{WALL, here, left, peer, start, topic},
    };

    fn room_with_bob() -> (Roster, Instant) {
        let (mut roster, now) = (Roster::new(topic(), peer(0)), start());
        let joined = roster.handle_presence(here(1, 5), peer(1), Duration::ZERO, now, WALL);
        assert_eq!(joined.unwrap(), Verdict::Joined);
        assert!(roster.suspend(&peer(1), 5));
        assert!(!roster.suspend(&peer(1), 5), "it is off the list");
        assert!(!roster.contains(&peer(1)));
        assert_eq!(roster.suspended().collect::<Vec<_>>(), [peer(1)]);
        (roster, now)
    }

    #[test]
    fn who_is_heard_of_again_is_back_with_the_life_that_it_had() {
        let (mut roster, now) = room_with_bob();
        let later = now + Duration::from_secs(20);
        let back = roster.resume(&peer(1), later).expect("it is back");
        assert_eq!(back.presence().sequence, 5);
        assert_eq!(roster.get(&peer(1)).unwrap().expires, now + PRESENCE_TTL);
        assert!(
            roster.resume(&peer(1), later).is_none(),
            "it is on the list"
        );
        assert!(roster.resume(&peer(2), later).is_none(), "it never was");
        assert_eq!(roster.suspended().count(), 0);
    }

    #[test]
    fn what_others_pass_on_does_not_bring_it_back_but_what_it_says_anew_does() {
        let (mut roster, now) = room_with_bob();
        let mut hear = |sequence| {
            let verdict =
                roster.handle_presence(here(1, sequence), peer(1), Duration::ZERO, now, WALL);
            verdict.unwrap()
        };
        assert_eq!(hear(5), Verdict::Unchanged);
        assert_eq!(hear(6), Verdict::Joined);
        assert_eq!(roster.suspended().count(), 0);
    }

    #[test]
    fn a_presence_that_others_know_is_no_sign_of_life_unless_it_comes_fresh() {
        let (passed_on, fresh) = (Duration::from_secs(1), Duration::ZERO);
        for (sequence, age, verdict) in [
            (7, passed_on, Verdict::Unchanged),
            (8, passed_on, Verdict::Joined),
            (5, fresh, Verdict::Unchanged),
            (6, fresh, Verdict::Joined),
        ] {
            let (mut roster, now) = (Roster::new(topic(), peer(0)), start());
            let first = roster.handle_presence(here(1, 5), peer(2), fresh, now, WALL);
            assert_eq!(first.unwrap(), Verdict::Joined);
            assert!(roster.suspend(&peer(1), 7));
            assert_eq!(roster.sequence(&peer(1)), Some(7));
            let signed = here(1, sequence);
            let next = roster.handle_presence(signed, peer(2), age, now, WALL);
            assert_eq!(next.unwrap(), verdict, "{sequence} at {age:?}");
        }
    }

    #[test]
    fn its_farewell_is_news_and_is_passed_on() {
        let (mut roster, now) = room_with_bob();
        let verdict = roster.handle_presence(left(1, 6), peer(1), Duration::ZERO, now, WALL);
        assert_eq!(verdict.unwrap(), Verdict::Left);
        assert!(roster.resume(&peer(1), now).is_none());
        assert_eq!(roster.entries(None, None, now, 100_000).entries.len(), 1);
    }

    #[test]
    fn its_life_ends_all_the_same() {
        let (mut roster, now) = room_with_bob();
        let end = now + PRESENCE_TTL;
        assert_eq!(roster.poll_timeout(), Some(end));
        assert!(roster.resume(&peer(1), end).is_none());
        assert_eq!(roster.tick(end), [peer(1)]);
        assert_eq!(roster.suspended().count(), 0);
        let again = roster.handle_presence(here(1, 5), peer(1), Duration::ZERO, now, WALL);
        assert_eq!(again.unwrap(), Verdict::Unchanged, "it is remembered");
    }

    #[test]
    fn only_so_many_are_kept() {
        let (mut roster, now) = (Roster::new(topic(), peer(0)), start());
        for n in 1..=u16::try_from(SUSPENDED_MAX).unwrap() + 3 {
            let joined = roster.handle_presence(here(n, 1), peer(n), Duration::ZERO, now, WALL);
            assert_eq!(joined.unwrap(), Verdict::Joined);
            assert!(roster.suspend(&peer(n), 1));
        }
        assert_eq!(roster.suspended().count(), SUSPENDED_MAX);
    }
}
