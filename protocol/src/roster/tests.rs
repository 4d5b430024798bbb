use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::{
    limits::{BODY_BYTES_MAX, CLOCK_SKEW_MAX, GONE_MAX, PRESENCE_TTL},
    presence::Presence,
    presence_wire::Response,
    testing::{WALL, here, keypair, largest, left, millis, peer, presence, seconds, start, topic},
};

mod full;
mod gone;
mod pages;

const ME: u16 = 0;

/// Who brings what it does not matter who brings.
const SOMEBODY: u16 = 9_999;

/// A room, and its clocks, which a test moves.
struct Room {
    roster: Roster,
    start: Instant,
    now: Instant,
}

impl Room {
    fn new() -> Self {
        let start = start();
        Self {
            roster: Roster::new(topic(), peer(ME)),
            start,
            now: start,
        }
    }

    fn at(&mut self, seconds: u64) -> &mut Self {
        self.now = self.start + Duration::from_secs(seconds);
        self
    }

    fn wall(&self) -> UnixMillis {
        WALL.saturating_add(self.now - self.start)
    }

    fn hear(&mut self, signed: &SignedPresence) -> Result<Verdict, RosterError> {
        self.hear_aged(signed, Duration::ZERO)
    }

    fn hear_aged(
        &mut self,
        signed: &SignedPresence,
        age: Duration,
    ) -> Result<Verdict, RosterError> {
        self.hear_by(SOMEBODY, signed, age)
    }

    fn hear_by(
        &mut self,
        by: u16,
        signed: &SignedPresence,
        age: Duration,
    ) -> Result<Verdict, RosterError> {
        let (by, wall) = (peer(by), self.wall());
        let result = self
            .roster
            .handle_presence(signed.clone(), by, age, self.now, wall);
        self.check();
        result
    }

    fn tick(&mut self) -> Vec<PeerId> {
        let gone = self.roster.tick(self.now);
        self.check();
        assert!(
            self.roster
                .poll_timeout()
                .is_none_or(|deadline| deadline > self.now)
        );
        gone
    }

    fn remaining(&self, n: u16) -> Option<Duration> {
        Some(
            self.roster
                .get(&peer(n))?
                .expires
                .saturating_duration_since(self.now),
        )
    }

    /// What must hold after every input.
    fn check(&self) {
        let roster = &self.roster;
        assert!(roster.len() <= MEMBERS_MAX);
        assert_eq!(roster.members.len(), roster.by_end.len());
        assert_eq!(roster.gone.by_peer.len(), roster.gone.by_end.len());
        assert!(roster.gone.by_peer.len() <= GONE_MAX);
        assert!(roster.replaced.len() <= MEMBERS_MAX);
        assert!(!roster.contains(&roster.me));
        for peer in roster.suspended.keys() {
            assert!(!roster.contains(peer), "on the list and off it");
        }
        // In a crowd a part of it will do.
        for (peer, entry) in roster.members.iter().take(20) {
            assert!(roster.by_end.contains(&(entry.expires, *peer)));
            assert!(entry.expires <= self.now + PRESENCE_TTL);
            assert!(!roster.gone.by_peer.contains_key(peer), "here and gone");
        }
    }
}

/// Signed at a time after the start.
fn here_at(n: u16, sequence: u64, seconds: u64) -> SignedPresence {
    let issued = WALL.saturating_add(Duration::from_secs(seconds));
    let expires = issued.saturating_add(PRESENCE_TTL);
    Presence {
        issued,
        expires,
        ..presence(n, sequence)
    }
    .sign(&keypair(n))
    .unwrap()
}

#[test]
fn a_member_joins_lives_on_and_leaves() {
    let mut room = Room::new();
    assert_eq!(room.hear(&here(1, 1)).unwrap(), Verdict::Joined);
    assert_eq!(
        room.at(45).hear(&here_at(1, 2, 45)).unwrap(),
        Verdict::Updated
    );
    assert_eq!(room.remaining(1), Some(seconds(120)));
    assert_eq!(room.at(60).hear(&left(1, 3)).unwrap(), Verdict::Left);
    assert!(room.roster.is_empty());
    assert_eq!(room.roster.poll_timeout(), None);
}

#[test]
fn who_vanishes_is_gone_after_its_life() {
    let mut room = Room::new();
    room.hear(&here(1, 1)).unwrap();
    assert_eq!(room.roster.poll_timeout(), Some(room.start + seconds(120)));
    assert_eq!(room.at(119).tick(), []);
    assert_eq!(room.at(120).tick(), [peer(1)]);
    assert_eq!(room.tick(), []);
    assert!(!room.roster.contains(&peer(1)));
}

#[test]
fn whoever_brings_its_own_presence_is_here_whatever_its_clock_says() {
    let (ahead, ahead_ms) = (seconds(1_800), 1_800_000);
    let dated = |sequence, issued: UnixMillis| {
        Presence {
            issued,
            expires: issued.saturating_add(PRESENCE_TTL),
            ..presence(1, sequence)
        }
        .sign(&keypair(1))
        .unwrap()
    };
    for (off, sequence) in [
        (WALL.saturating_add(ahead), WALL.0 + ahead_ms),
        (UnixMillis(WALL.0 - ahead_ms), WALL.0 - ahead_ms),
    ] {
        let mut room = Room::new();
        let signed = dated(sequence, off);
        let told = room.hear(&signed).unwrap_err();
        assert!(matches!(told, RosterError::Date(_)), "by others: {told}");
        let in_person = |room: &mut Room, signed| room.hear_by(1, signed, Duration::ZERO).unwrap();
        assert_eq!(in_person(&mut room, &signed), Verdict::Joined);
        assert_eq!(room.remaining(1), Some(PRESENCE_TTL));
        // The clock is set right: the sequence goes on, or begins anew with the program.
        let right = dated(WALL.0 + 1, WALL);
        let by_others = room.hear(&right).unwrap();
        let began_anew = sequence > right.presence().sequence;
        let expected = if began_anew {
            Verdict::Unchanged
        } else {
            Verdict::Updated
        };
        assert_eq!(by_others, expected);
        if began_anew {
            assert_eq!(in_person(&mut room, &right), Verdict::Updated);
        }
        // What is not of the future stays as it is, whoever brings it.
        assert_eq!(
            in_person(&mut room, &dated(WALL.0, WALL)),
            Verdict::Unchanged
        );
        assert_eq!(room.at(120).tick(), [peer(1)]);
    }
}

#[test]
fn a_life_counts_from_signing_whoever_passes_it_on() {
    let mut room = Room::new();
    room.hear_aged(&here(1, 1), seconds(100)).unwrap();
    assert_eq!(room.remaining(1), Some(seconds(20)));
    // The same again, from somebody who claims that it is fresh.
    assert_eq!(room.at(10).hear(&here(1, 1)).unwrap(), Verdict::Unchanged);
    assert_eq!(room.remaining(1), Some(seconds(10)));
    assert_eq!(room.at(20).tick(), [peer(1)]);
}

#[test]
fn the_same_presence_does_not_come_back() {
    let mut room = Room::new();
    room.hear(&here(1, 5)).unwrap();
    assert_eq!(room.at(120).tick(), [peer(1)]);
    for seconds in [121, 300, 719] {
        assert_eq!(
            room.at(seconds).hear(&here(1, 5)).unwrap(),
            Verdict::Unchanged
        );
        assert_eq!(room.hear(&here(1, 4)).unwrap(), Verdict::Unchanged);
    }
    // By then it is refused for its date, and need not be remembered any longer.
    assert!(matches!(
        room.at(721).hear(&here(1, 5)),
        Err(RosterError::Date(PresenceError::Expired))
    ));
    room.tick();
    assert!(room.roster.gone.by_peer.is_empty());
}

#[test]
fn it_is_also_remembered_before_the_tick_that_removes_it() {
    let mut room = Room::new();
    room.hear(&here(1, 5)).unwrap();
    assert_eq!(room.at(125).hear(&here(1, 5)).unwrap(), Verdict::Unchanged);
    assert_eq!(room.tick(), [peer(1)]);
    assert_eq!(room.hear(&here(1, 5)).unwrap(), Verdict::Unchanged);
}

#[test]
fn who_comes_back_is_a_member_again() {
    let mut room = Room::new();
    room.hear(&here(1, 5)).unwrap();
    room.at(120).tick();
    assert_eq!(room.hear(&here_at(1, 6, 120)).unwrap(), Verdict::Joined);
    assert_eq!(room.at(130).hear(&left(1, 7)).unwrap(), Verdict::Left);
    assert_eq!(room.hear(&here_at(1, 8, 130)).unwrap(), Verdict::Joined);
}

#[test]
fn what_has_lived_its_life_elsewhere_is_refused_and_not_remembered() {
    let mut room = Room::new();
    for age in [seconds(120), Duration::MAX] {
        assert!(matches!(
            room.hear_aged(&here(1, 1), age),
            Err(RosterError::Expired)
        ));
    }
    // The age was a lie; the peer itself says it is here.
    assert_eq!(room.hear(&here(1, 1)).unwrap(), Verdict::Joined);
}

#[test]
fn a_false_age_does_not_shorten_a_life() {
    let mut room = Room::new();
    room.hear(&here(1, 1)).unwrap();
    assert_eq!(
        room.hear_aged(&here(1, 2), seconds(119)).unwrap(),
        Verdict::Updated
    );
    assert_eq!(room.remaining(1), Some(seconds(120)));
}

#[test]
fn clocks_that_differ_do_not_change_a_life() {
    for skew in [-600_i64, -60, 60, 599] {
        let mut room = Room::new();
        let wall = UnixMillis(WALL.0.saturating_add_signed(skew * 1000));
        let verdict =
            room.roster
                .handle_presence(here(1, 1), peer(SOMEBODY), Duration::ZERO, room.now, wall);
        assert_eq!(verdict.unwrap(), Verdict::Joined, "{skew}");
        assert_eq!(room.remaining(1), Some(PRESENCE_TTL), "{skew}");
    }
}

#[test]
fn dates_far_from_this_clock_are_refused() {
    let mut room = Room::new();
    let wall = WALL.saturating_sub(CLOCK_SKEW_MAX + millis(1));
    let result =
        room.roster
            .handle_presence(here(1, 1), peer(SOMEBODY), Duration::ZERO, room.now, wall);
    assert!(matches!(
        result,
        Err(RosterError::Date(PresenceError::Future))
    ));
    let wall = WALL.saturating_add(PRESENCE_TTL + CLOCK_SKEW_MAX + millis(1));
    let result =
        room.roster
            .handle_presence(left(1, 1), peer(SOMEBODY), Duration::ZERO, room.now, wall);
    let error = result.unwrap_err();
    assert!(matches!(error, RosterError::Date(PresenceError::Expired)));
    assert_eq!(error.code(), ErrorCode::Expired);
}

#[test]
fn other_topics_and_oneself_are_kept_out() {
    let mut room = Room::new();
    let other = Presence {
        topic: TopicHash::from_bytes([1; 32]),
        ..presence(1, 1)
    };
    let error = room.hear(&other.sign(&keypair(1)).unwrap()).unwrap_err();
    assert!(matches!(error, RosterError::WrongTopic));
    assert_eq!(error.code(), ErrorCode::Invalid);
    assert_eq!(room.hear(&here(ME, 1)).unwrap(), Verdict::Own);
    assert_eq!(room.hear(&left(ME, 2)).unwrap(), Verdict::Own);
    assert!(room.roster.is_empty());
}

/// A peer that vanished is handed on by newcomers who each have it from the one before.
#[test]
fn newcomers_do_not_keep_a_vanished_peer_alive() {
    let mut first = Room::new();
    first.hear(&here(1, 1)).unwrap();
    let mut rooms = vec![first];
    for seconds in [50, 90, 110, 119, 120, 130] {
        let last = rooms.last_mut().unwrap().at(seconds);
        let page = last.roster.entries(None, None, last.now, BODY_BYTES_MAX);
        let mut next = Room::new();
        next.start = rooms[0].start;
        next.at(seconds);
        for (signed, age) in page.entries {
            assert_eq!(age, Duration::from_secs(seconds));
            next.hear_aged(&signed, age).unwrap();
        }
        assert_eq!(next.roster.contains(&peer(1)), seconds < 120, "{seconds}");
        rooms.push(next);
    }
    for room in &mut rooms {
        room.at(120).tick();
        assert!(room.roster.is_empty());
    }
}

/// One thousand and some signed presences, signed once for all tests.
static CROWD: LazyLock<Vec<SignedPresence>> =
    LazyLock::new(|| (1..=1030).map(|n| here(n, 1)).collect());

#[test]
fn a_full_room_takes_a_newcomer_in_place_of_who_is_past_half_its_life() {
    let mut room = Room::new();
    for signed in &CROWD[..MEMBERS_MAX] {
        assert_eq!(room.hear(signed).unwrap(), Verdict::Joined);
    }
    let newcomer = &CROWD[MEMBERS_MAX];
    let error = room.at(60).hear(newcomer).unwrap_err();
    assert!(matches!(error, RosterError::Full));
    assert_eq!(error.code(), ErrorCode::Busy);

    // One of them is not heard of any more; the others are.
    room.at(61);
    let quiet = CROWD[500].presence().peer;
    let others = room
        .roster
        .members
        .values_mut()
        .filter(|e| e.signed.presence().peer != quiet);
    room.roster.by_end = others
        .map(|entry| {
            entry.expires = room.now + PRESENCE_TTL;
            (entry.expires, entry.signed.presence().peer)
        })
        .chain([(room.start + PRESENCE_TTL, quiet)])
        .collect();
    assert_eq!(room.hear(newcomer).unwrap(), Verdict::Joined);
    assert!(!room.roster.contains(&quiet));
    assert_eq!(
        room.roster.poll_timeout(),
        Some(room.now),
        "to be reported at once"
    );
    assert!(matches!(
        room.hear(&CROWD[MEMBERS_MAX + 1]),
        Err(RosterError::Full)
    ));
    assert_eq!(room.tick(), [quiet]);
    assert_eq!(room.tick(), []);
}

#[test]
fn who_was_replaced_and_returns_before_anybody_noticed_never_left() {
    let mut room = Room::new();
    for signed in &CROWD[..MEMBERS_MAX] {
        room.hear(signed).unwrap();
    }
    room.at(61).hear(&CROWD[MEMBERS_MAX]).unwrap();
    let replaced = room.roster.replaced[0].1;
    let signed = CROWD
        .iter()
        .find(|signed| signed.presence().peer == replaced)
        .unwrap();
    assert_eq!(
        room.hear_aged(signed, seconds(61)).unwrap(),
        Verdict::Updated
    );
    assert!(room.tick().iter().all(|peer| *peer != replaced));
}

/// Peers 1 to 4, sequence numbers 1 to 6, `here` and `left`.
static WORDS: LazyLock<Vec<Vec<[SignedPresence; 2]>>> = LazyLock::new(|| {
    (1..=4)
        .map(|n| (1..=6).map(|s| [here(n, s), left(n, s)]).collect())
        .collect()
});

proptest! {
    /// Against a model that remembers everything.
    #[test]
    fn only_higher_numbers_count_and_only_they_lengthen_a_life(
        inputs in prop::collection::vec((0_u16..4, 0_usize..6, 0_usize..2, 0_u64..150, 0_u64..20), 1..60)
    ) {
        let mut room = Room::new();
        let mut highest = [0; 4];
        let mut elapsed = 0;
        for (n, sequence, state, age, pause) in inputs {
            elapsed += pause;
            room.at(elapsed).tick();
            let signed = &WORDS[usize::from(n)][sequence][state];
            let before = room.remaining(n + 1);
            let verdict = room.hear_aged(signed, Duration::from_secs(age));
            let remaining = room.remaining(n + 1);
            let sequence = sequence as u64 + 1;
            let is_newer = sequence > highest[usize::from(n)];
            match verdict {
                Ok(Verdict::Joined) => {
                    prop_assert!(is_newer && before.is_none() && state == 0);
                    prop_assert_eq!(remaining, Some(Duration::from_secs(120 - age)));
                }
                Ok(Verdict::Updated) => {
                    prop_assert!(is_newer && before.is_some() && state == 0);
                    prop_assert_eq!(remaining, before.max(Some(Duration::from_secs(120 - age))));
                }
                Ok(Verdict::Left) => {
                    prop_assert!(is_newer && before.is_some() && state == 1);
                    prop_assert_eq!(remaining, None);
                }
                Ok(Verdict::Unchanged) => {
                    prop_assert!(!is_newer || (state == 1 && before.is_none()));
                    prop_assert_eq!(remaining, before);
                }
                Ok(Verdict::Own) => prop_assert!(false),
                Err(RosterError::Expired) => {
                    prop_assert!(is_newer && state == 0 && age >= 120);
                    prop_assert_eq!(remaining, before);
                }
                Err(RosterError::Date(_)) => {
                    prop_assert!(elapsed > 720);
                    prop_assert_eq!(remaining, before);
                }
                Err(ref error) => prop_assert!(false, "{}", error),
            }
            if verdict.is_ok() && is_newer {
                highest[usize::from(n)] = sequence;
            }
        }
    }

    /// However often and whenever a presence is passed on, it ends 120 s after it was signed.
    #[test]
    fn nothing_outlives_what_was_signed(pauses in prop::collection::vec(0_u64..60, 1..20)) {
        let origin = start();
        let mut carried = vec![(here(1, 1), Duration::ZERO)];
        let mut elapsed = 0;
        for pause in pauses {
            let mut room = Room { start: origin, now: origin, ..Room::new() };
            room.at(elapsed);
            for (signed, age) in &carried {
                let _ = room.hear_aged(signed, *age);
            }
            elapsed += pause;
            room.at(elapsed).tick();
            prop_assert!(elapsed < 120 || room.roster.is_empty());
            carried = room.roster.entries(None, None, room.now, BODY_BYTES_MAX).entries;
        }
    }
}
