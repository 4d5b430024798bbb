//! Members that may be gone: whose word of it counts, and when they are taken off the list.
//!
//! Who vanishes says nothing. Its neighbours notice: they had a connection to it, and can't reach it any more. In a large
//! room nobody else does, so they say so. A member is taken off when [two](NEEDED) have said it that may be its
//! neighbours, and it has not spoken up [meanwhile](OBJECTION). That is SWIM's suspicion (Das, Gupta, Motivala, DSN
//! 2002), with neighbours that nobody can choose: a hash of both ids says who they are.

use std::{collections::BTreeMap, time::Duration};

use libp2p_identity::PeerId;
use moim_protocol::{
    UnixMillis, after,
    limits::{DOUBTED_MAX, PRESENCE_TTL_MAX},
    neighbours,
    random::Random,
    room::Doubt,
    roster::{Member, Roster},
};
use web_time::Instant;

use crate::links::Links;

/// So many have to say it. One alone may be cut off itself, or lie.
const NEEDED: usize = 2;

/// How long a member has to speak up: to hear of it, and to be heard, takes gossip a second at most.
const OBJECTION: Duration = Duration::from_secs(3);

/// Neighbours say it at different moments within this, so that few say the same.
const STAGGER: Duration = Duration::from_secs(1);

/// How long a doubt counts.
const LASTS: Duration = Duration::from_secs(60);

/// Whoever has said so lately that it is here is not in doubt: longer than a member waits before it says so again.
const FRESH: Duration = Duration::from_secs(10);

/// A member that speaks up this soon after a doubt was not gone: the doubt was wrong.
const WRONG_WITHIN: Duration = Duration::from_secs(15);

/// So many wrong doubts of one member may be honest: it has a bad connection.
const WRONG_MAX: u32 = 3;

/// Who is in doubt itself answers so many more: others may not have counted all.
const WRONG_ANSWERED: u32 = 2;

/// Who was wrong more often is not listened to for so long.
const DISBELIEVED_FOR: Duration = Duration::from_secs(10 * 60);

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Say it in the room.
    Say(Doubt),
    /// Take the member off the list: it has not spoken up.
    TakeOff(Doubt),
}

#[derive(Debug)]
struct Doubted {
    /// The newest presence that this peer knew when it was doubted first. A newer one that comes fresh is a sign of life.
    known: u64,
    /// The newest that those who doubt know. It may be newer, and its author may claim anything.
    sequence: u64,
    /// Who doubts, up to as many as are needed, and since when.
    by: BTreeMap<PeerId, Instant>,
    since: Instant,
    /// When it is taken off, if enough doubt.
    judged: Option<Instant>,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Doubts {
    random: Random,
    doubted: BTreeMap<PeerId, Doubted>,
    /// Doubts of our own that are to be said, and when.
    own: BTreeMap<PeerId, (Instant, u64)>,
    /// How often members were wrong, and since when that is counted.
    wrong: BTreeMap<PeerId, (u32, Instant)>,
}

impl Doubts {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed ^ 0xd0b7),
            doubted: BTreeMap::new(),
            own: BTreeMap::new(),
            wrong: BTreeMap::new(),
        }
    }

    /// This peer has lost a member itself, whose presence was of this `age`. It says so in a moment, unless others have.
    pub(crate) fn lost(&mut self, peer: PeerId, sequence: u64, age: Duration, now: Instant) {
        if self.own.len() < DOUBTED_MAX {
            let wait = self.random.between(Duration::ZERO, STAGGER);
            let wait = wait.saturating_add(FRESH.saturating_sub(age));
            self.own.insert(peer, (after(now, wait), sequence));
        }
    }

    /// Whether others are to hear that `author` doubts. `others` is how many are in the room.
    pub(crate) fn is_believed(
        &self,
        author: PeerId,
        doubt: Doubt,
        roster: &Roster,
        others: usize,
        now: Instant,
    ) -> bool {
        let is_of_me = doubt.peer == roster.me();
        let most = WRONG_MAX.saturating_add(if is_of_me { WRONG_ANSWERED } else { 0 });
        let is_counted = |since: Instant| now < after(since, DISBELIEVED_FOR);
        let wrong = self.wrong.get(&author);
        let wrong = wrong.is_some_and(|(count, since)| *count > most && is_counted(*since));
        author != doubt.peer
            && !wrong
            && roster.contains(&author)
            && neighbours::may_doubt(author, doubt.peer, others)
    }

    /// A member that is [believed](Self::is_believed) has said that another may be gone, or that this peer may.
    pub(crate) fn hear(&mut self, author: PeerId, doubt: Doubt, roster: &Roster, now: Instant) {
        let Doubt { peer, sequence } = doubt;
        let is_fresh = |member: Member<'_>| member.age(now) < FRESH;
        let Some(known) = roster.sequence(&peer) else {
            return;
        };
        if known > sequence || roster.get(&peer).is_some_and(is_fresh) {
            return;
        }
        // Sequence numbers are times: what others know is newer by one life at most.
        let sequence = sequence.min(UnixMillis(known).saturating_add(PRESENCE_TTL_MAX).0);
        self.doubted
            .retain(|_, doubted| now < after(doubted.since, LASTS));
        if self.doubted.len() >= DOUBTED_MAX && !self.doubted.contains_key(&peer) {
            return;
        }
        let doubted = self.doubted.entry(peer).or_insert_with(|| Doubted {
            known,
            sequence,
            by: BTreeMap::new(),
            since: now,
            judged: None,
        });
        doubted.sequence = doubted.sequence.max(sequence);
        if doubted.by.len() < NEEDED {
            doubted.by.entry(author).or_insert(now);
            if doubted.by.len() >= NEEDED {
                doubted.judged = Some(after(now, OBJECTION));
            }
        }
    }

    /// A presence of a peer has come fresh, by gossip or from itself: what was said before counts no more, and may have been
    /// wrong.
    pub(crate) fn found(&mut self, peer: &PeerId, sequence: u64, now: Instant) {
        if self.own.get(peer).is_some_and(|(_, own)| *own < sequence) {
            self.own.remove(peer);
        }
        let is_older = |doubted: &Doubted| doubted.known < sequence;
        if !self.doubted.get(peer).is_some_and(is_older) {
            return;
        }
        let doubted = self.doubted.remove(peer);
        for (author, at) in doubted.into_iter().flat_map(|doubted| doubted.by) {
            if now < after(at, WRONG_WITHIN) {
                self.was_wrong(author, now);
            }
        }
    }

    fn was_wrong(&mut self, author: PeerId, now: Instant) {
        self.wrong
            .retain(|_, (_, since)| now < after(*since, DISBELIEVED_FOR));
        if self.wrong.len() < DOUBTED_MAX || self.wrong.contains_key(&author) {
            let (count, _) = self.wrong.entry(author).or_insert((0, now));
            *count = count.saturating_add(1);
        }
    }

    /// A member is here, whatever was said of it.
    pub(crate) fn is_here(&mut self, peer: &PeerId) {
        self.doubted.remove(peer);
        self.own.remove(peer);
    }

    /// What is due. Who is connected is looked at again in a while: a dead connection is noticed late.
    pub(crate) fn due(&mut self, links: &Links, now: Instant) -> Vec<Step> {
        let mut steps = Vec::new();
        let own = self.own.extract_if(.., |_, (at, _)| *at <= now);
        for (peer, (_, sequence)) in own {
            let doubted = self.doubted.get(&peer);
            let is_said = |doubted: &Doubted| {
                doubted.by.len() >= NEEDED
                    && doubted.sequence >= sequence
                    && now < after(doubted.since, LASTS)
            };
            if !doubted.is_some_and(is_said) {
                steps.push(Step::Say(Doubt { peer, sequence }));
            }
        }
        for (peer, doubted) in &mut self.doubted {
            if doubted.judged.is_none_or(|judged| judged > now) {
                continue;
            }
            if links.is_connected(peer) {
                let again = after(now, OBJECTION);
                doubted.judged = Some(again).filter(|_| now < after(doubted.since, LASTS));
            } else {
                doubted.judged = None;
                let (peer, sequence) = (*peer, doubted.sequence);
                steps.push(Step::TakeOff(Doubt { peer, sequence }));
            }
        }
        steps
    }

    /// When [`due`](Self::due) has something to say.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let judged = self.doubted.values().filter_map(|doubted| doubted.judged);
        let own = self.own.values().map(|(at, _)| *at);
        judged.chain(own).min()
    }

    /// Everything is begun anew, or the room is left.
    pub(crate) fn clear(&mut self) {
        self.doubted.clear();
        self.own.clear();
        self.wrong.clear();
    }

    #[cfg(test)]
    pub(crate) fn assert_bounds(&self) {
        assert!(self.doubted.len() <= DOUBTED_MAX);
        assert!(self.own.len() <= DOUBTED_MAX);
        assert!(self.wrong.len() <= DOUBTED_MAX);
        assert!(self.doubted.values().all(|it| it.by.len() <= NEEDED));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use moim_protocol::{limits::INTEGER_MAX, presence::SignedPresence};

    use super::*;
    use crate::{
        now::Now,
        testing::{here, peer, start, topic},
    };

    /// A room of some, whose presences are a minute old.
    struct Fixture {
        roster: Roster,
        links: Links,
        doubts: Doubts,
        now: Now,
    }

    fn fixture(members: u16) -> Fixture {
        let began = start();
        let mut roster = Roster::new(topic().hash(), peer(0));
        for n in 1..=members {
            take(&mut roster, here(n, 5, began), began);
        }
        Fixture {
            roster,
            links: Links::default(),
            doubts: Doubts::new(1),
            now: began.after(Duration::from_secs(60)),
        }
    }

    fn take(roster: &mut Roster, signed: SignedPresence, now: Now) {
        let by = signed.presence().peer;
        roster
            .handle_presence(signed, by, Duration::ZERO, now.instant, now.wall)
            .unwrap();
    }

    impl Fixture {
        fn hear(&mut self, author: u16, of: u16, sequence: u64) {
            let peer = peer(of);
            let doubt = Doubt { peer, sequence };
            let author = self::peer(author);
            let (now, others) = (self.now.instant, self.roster.len());
            if (self.doubts).is_believed(author, doubt, &self.roster, others, now) {
                self.doubts.hear(author, doubt, &self.roster, now);
            }
        }

        /// Who is taken off from now on.
        fn taken_off(&mut self) -> Vec<PeerId> {
            let mut taken = Vec::new();
            while let Some(next) = self.doubts.poll_timeout() {
                for step in self.doubts.due(&self.links, next) {
                    if let Step::TakeOff(doubt) = step {
                        assert_eq!(next, self.now.instant + OBJECTION);
                        taken.push(doubt.peer);
                    }
                }
            }
            taken
        }
    }

    #[test]
    fn two_members_that_may_be_neighbours_are_believed() {
        let mut room = fixture(8);
        room.hear(1, 7, 5);
        room.hear(1, 7, 5);
        assert_eq!(room.taken_off(), [], "one alone, however often");
        room.hear(2, 7, 5);
        assert_eq!(room.taken_off(), [peer(7)]);
    }

    #[test]
    fn whose_word_does_not_count() {
        for (case, author, of, sequence) in [
            ("nobody here", 99, 7, 5),
            ("of itself", 7, 7, 5),
            ("of nobody here", 2, 98, 5),
            ("of what is older than known", 2, 7, 4),
        ] {
            let mut room = fixture(8);
            room.hear(1, of, sequence);
            room.hear(author, of, sequence);
            assert_eq!(room.taken_off(), [], "{case}");
        }
    }

    #[test]
    fn in_a_large_room_it_is_the_neighbours_word() {
        let mut room = fixture(200);
        let may = |n: &u16| neighbours::may_doubt(peer(*n), peer(200), 200);
        let (near, far): (Vec<u16>, Vec<u16>) = (1..200).partition(may);
        assert!(
            near.len() > 20 && far.len() > 60,
            "{} and {}",
            near.len(),
            far.len()
        );
        for author in far {
            room.hear(author, 200, 5);
        }
        room.hear(near[0], 200, 5);
        assert_eq!(room.taken_off(), []);
        room.hear(near[1], 200, 5);
        assert_eq!(room.taken_off(), [peer(200)]);
    }

    #[test]
    fn who_speaks_up_is_not_in_doubt() {
        let mut room = fixture(8);
        room.hear(1, 7, 5);
        room.hear(2, 7, 5);
        take(&mut room.roster, here(7, 6, room.now), room.now);
        room.doubts.found(&peer(7), 6, room.now.instant);
        assert_eq!(room.taken_off(), []);
        room.hear(1, 7, 6);
        room.hear(2, 7, 6);
        assert_eq!(room.taken_off(), [], "it has only just spoken");
        room.now = room.now.after(FRESH);
        room.hear(1, 7, 6);
        room.hear(2, 7, 6);
        assert_eq!(room.taken_off(), [peer(7)]);
    }

    #[test]
    fn who_is_connected_stays_until_the_connection_is_seen_to_be_dead() {
        let mut room = fixture(8);
        room.links.connected(peer(7));
        room.hear(1, 7, 5);
        room.hear(2, 7, 5);
        let (first, mut now) = (room.now.instant, room.now.instant);
        while now < first + Duration::from_secs(12) {
            now = room.doubts.poll_timeout().expect("it is looked at again");
            assert_eq!(room.doubts.due(&room.links, now), []);
        }
        room.links.disconnected(&peer(7));
        let next = room.doubts.poll_timeout().unwrap();
        assert!(next <= now + OBJECTION);
        let step = Step::TakeOff(Doubt {
            peer: peer(7),
            sequence: 5,
        });
        assert_eq!(room.doubts.due(&room.links, next), [step]);
        // A connection that lives is not looked at for ever.
        room.links.connected(peer(8));
        room.hear(1, 8, 5);
        room.hear(2, 8, 5);
        assert_eq!(room.taken_off(), []);
    }

    #[test]
    fn a_doubt_of_our_own_is_said_unless_two_others_have() {
        for (others, is_said) in [(0, true), (1, true), (2, false)] {
            let mut room = fixture(8);
            room.roster.suspend(&peer(7), 5);
            room.doubts.lost(peer(7), 5, FRESH, room.now.instant);
            for author in 1..=others {
                room.hear(author, 7, 5);
            }
            let next = room.now.instant + STAGGER;
            let said = Doubt {
                peer: peer(7),
                sequence: 5,
            };
            let steps = room.doubts.due(&room.links, next);
            assert_eq!(steps.contains(&Step::Say(said)), is_said, "{others}");
        }
    }

    #[test]
    fn neighbours_say_it_at_different_moments() {
        let mut room = fixture(100);
        for n in 1..=100 {
            room.doubts.lost(peer(n), 5, FRESH, room.now.instant);
        }
        let mut moments = BTreeSet::new();
        while let Some(next) = room.doubts.poll_timeout() {
            assert!(!room.doubts.due(&room.links, next).is_empty());
            moments.insert(next);
        }
        assert!(moments.len() > 90);
        assert!(moments.iter().all(|at| *at <= room.now.instant + STAGGER));
    }

    #[test]
    fn an_old_doubt_counts_no_more() {
        let mut room = fixture(8);
        room.hear(1, 7, 5);
        room.now = room.now.after(LASTS);
        room.hear(2, 7, 5);
        assert_eq!(room.taken_off(), []);
    }

    #[test]
    fn who_cries_wolf_is_not_believed_for_a_while() {
        let mut room = fixture(8);
        let mut sequence = 5;
        for _ in 0..=WRONG_MAX {
            room.hear(1, 7, sequence);
            sequence += 1;
            take(&mut room.roster, here(7, sequence, room.now), room.now);
            room.doubts.found(&peer(7), sequence, room.now.instant);
            room.now = room.now.after(FRESH);
        }
        room.hear(1, 7, sequence);
        room.hear(2, 7, sequence);
        assert_eq!(room.taken_off(), [], "one of them is believed");
        room.now = room.now.after(DISBELIEVED_FOR);
        room.hear(1, 7, sequence);
        room.hear(2, 7, sequence);
        assert_eq!(room.taken_off(), [peer(7)]);
    }

    #[test]
    fn who_was_away_for_long_has_not_made_liars_of_those_who_said_so() {
        let mut room = fixture(8);
        for sequence in 5..20 {
            room.hear(1, 7, sequence);
            room.now = room.now.after(WRONG_WITHIN);
            take(&mut room.roster, here(7, sequence + 1, room.now), room.now);
            room.doubts.found(&peer(7), sequence + 1, room.now.instant);
            room.now = room.now.after(FRESH);
        }
        room.hear(1, 7, 20);
        room.hear(2, 7, 20);
        assert_eq!(room.taken_off(), [peer(7)]);
    }

    #[test]
    fn who_spoke_a_moment_ago_is_doubted_when_others_believe_it() {
        let mut room = fixture(8);
        let age = Duration::from_secs(2);
        room.doubts.lost(peer(7), 5, age, room.now.instant);
        let at = room.doubts.poll_timeout().unwrap();
        assert!(at >= room.now.instant + FRESH - age);
        assert!(at <= room.now.instant + FRESH - age + STAGGER);
    }

    /// Whoever doubts may claim to know a presence of any number; who speaks up is here all the same.
    #[test]
    fn a_doubt_of_what_was_never_said_is_answered_like_others() {
        let mut room = fixture(8);
        for author in [1, 2] {
            room.hear(author, 7, INTEGER_MAX);
        }
        take(&mut room.roster, here(7, 6, room.now), room.now);
        room.doubts.found(&peer(7), 6, room.now.instant);
        assert_eq!(room.taken_off(), []);
        room.now = room.now.after(FRESH);
        for author in [1, 2] {
            room.hear(author, 7, INTEGER_MAX);
        }
        let next = room.doubts.poll_timeout().unwrap();
        let steps = room.doubts.due(&room.links, next);
        let Some(Step::TakeOff(Doubt { sequence, .. })) = steps.first() else {
            panic!("it is taken off");
        };
        assert!(*sequence <= 6 + PRESENCE_TTL_MAX.as_millis() as u64);
    }
}
