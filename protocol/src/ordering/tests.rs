use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::testing::{millis, peer, seconds, start};

const NOTHING: [u64; 0] = [];

/// A machine whose clock a test moves; messages are `(session, sequence)`.
struct Receiver {
    ordering: Ordering<(u64, u64)>,
    now: Instant,
}

impl Receiver {
    fn new() -> Self {
        Self {
            ordering: Ordering::new(),
            now: start(),
        }
    }

    fn hear_from(&mut self, n: u16, session: u64, sequence: u64) -> Vec<(PeerId, (u64, u64))> {
        let item = (session, sequence);
        let out = self
            .ordering
            .handle(peer(n), session, sequence, false, item, self.now);
        self.check();
        out
    }

    /// From peer 1, session 1: the sequence numbers that are delivered.
    fn hear(&mut self, sequence: u64) -> Vec<u64> {
        self.hear_from(1, 1, sequence)
            .into_iter()
            .map(|(_, (_, sequence))| sequence)
            .collect()
    }

    fn wait(&mut self, pause: std::time::Duration) -> Vec<u64> {
        self.now += pause;
        let out = self.ordering.tick(self.now);
        self.check();
        assert!(
            self.ordering
                .poll_timeout()
                .is_none_or(|deadline| deadline > self.now)
        );
        out.into_iter().map(|(_, (_, sequence))| sequence).collect()
    }

    /// What must hold after every input.
    fn check(&self) {
        let ordering = &self.ordering;
        assert!(ordering.senders.len() <= ORDER_SENDERS_MAX);
        assert_eq!(ordering.senders.len(), ordering.by_use.len());
        assert!(ordering.held() <= ORDER_HELD_TOTAL_MAX);
        let mut held = 0;
        for sender in ordering.senders.values() {
            assert!(sender.sessions.len() <= ORDER_SESSIONS_MAX);
            assert!(sender.sessions.is_sorted_by(|a, b| a.number < b.number));
            for session in &sender.sessions {
                held += session.held.len();
                assert!(session.held.len() <= ORDER_HELD_MAX);
                assert!(session.missed.len() <= ORDER_MISSED_MAX);
                assert!(
                    session
                        .held
                        .keys()
                        .all(|sequence| *sequence > session.through + 1)
                );
                assert!(
                    session
                        .missed
                        .iter()
                        .all(|(a, b)| a <= b && *b <= session.through)
                );
                for (_, deadline) in session.held.values() {
                    assert!(ordering.waiting.contains_key(deadline));
                }
            }
        }
        assert_eq!(held, ordering.held());
    }
}

#[test]
fn messages_in_order_are_not_held() {
    let mut receiver = Receiver::new();
    for sequence in 1..=5 {
        assert_eq!(receiver.hear(sequence), [sequence]);
    }
    assert_eq!(receiver.ordering.poll_timeout(), None);
}

#[test]
fn a_gap_is_waited_for_and_filled() {
    let mut receiver = Receiver::new();
    assert_eq!(receiver.hear(1), [1]);
    assert_eq!(receiver.hear(4), NOTHING);
    assert_eq!(receiver.hear(3), NOTHING);
    assert_eq!(receiver.ordering.held(), 2);
    assert_eq!(receiver.hear(2), [2, 3, 4]);
    assert_eq!(receiver.ordering.poll_timeout(), None);
}

#[test]
fn a_gap_is_waited_for_no_longer_than_two_seconds() {
    let mut receiver = Receiver::new();
    receiver.hear(1);
    assert_eq!(receiver.hear(3), NOTHING);
    assert_eq!(
        receiver.ordering.poll_timeout(),
        Some(receiver.now + ORDER_GAP_MAX)
    );
    assert_eq!(receiver.wait(millis(1999)), NOTHING);
    assert_eq!(receiver.wait(millis(1)), [3]);
    assert_eq!(receiver.hear(4), [4], "and goes on from there");
}

#[test]
fn no_message_waits_longer_whatever_comes_between() {
    let mut receiver = Receiver::new();
    receiver.hear(1);
    assert_eq!(receiver.hear(9), NOTHING);
    assert_eq!(receiver.wait(seconds(1)), NOTHING);
    assert_eq!(receiver.hear(3), NOTHING);
    // 9 has waited for two seconds: all before it go with it.
    assert_eq!(receiver.wait(seconds(1)), [3, 9]);
    assert_eq!(receiver.wait(seconds(5)), NOTHING);
}

#[test]
fn what_follows_a_released_message_without_gap_goes_too() {
    let mut receiver = Receiver::new();
    receiver.hear(1);
    receiver.hear(3);
    receiver.wait(seconds(1));
    receiver.hear(4);
    receiver.hear(6);
    assert_eq!(receiver.wait(seconds(1)), [3, 4]);
    assert_eq!(receiver.wait(seconds(1)), [6]);
}

#[test]
fn late_messages_are_delivered_late_and_once() {
    let mut receiver = Receiver::new();
    receiver.hear(1);
    receiver.hear(5);
    assert_eq!(receiver.wait(seconds(2)), [5]);
    assert_eq!(receiver.hear(3), [3]);
    assert_eq!(receiver.hear(3), NOTHING);
    assert_eq!(receiver.hear(4), [4]);
    assert_eq!(receiver.hear(2), [2]);
    for sequence in 1..=5 {
        assert_eq!(receiver.hear(sequence), NOTHING, "{sequence} again");
    }
    assert_eq!(receiver.hear(6), [6]);
}

#[test]
fn duplicates_are_dropped_also_while_they_wait() {
    let mut receiver = Receiver::new();
    assert_eq!(receiver.hear(1), [1]);
    assert_eq!(receiver.hear(1), NOTHING);
    assert_eq!(receiver.hear(3), NOTHING);
    let deadline = receiver.ordering.poll_timeout();
    receiver.wait(seconds(1));
    assert_eq!(receiver.hear(3), NOTHING);
    assert_eq!(receiver.ordering.poll_timeout(), deadline, "not put off");
    assert_eq!(receiver.hear(2), [2, 3]);
}

#[test]
fn a_latecomer_starts_with_whatever_comes_first() {
    let mut receiver = Receiver::new();
    assert_eq!(receiver.hear(17), [17]);
    assert_eq!(receiver.hear(18), [18]);
    // Said before it joined and still under way.
    assert_eq!(receiver.hear(16), [16]);
    assert_eq!(receiver.hear(16), NOTHING);
}

#[test]
fn senders_do_not_wait_for_each_other() {
    let mut receiver = Receiver::new();
    receiver.hear_from(1, 1, 1);
    assert_eq!(receiver.hear_from(1, 1, 3), []);
    assert_eq!(receiver.hear_from(2, 1, 1), [(peer(2), (1, 1))]);
    assert_eq!(receiver.hear_from(2, 1, 2), [(peer(2), (1, 2))]);
}

#[test]
fn a_new_session_starts_anew_and_lets_go_what_waited() {
    let mut receiver = Receiver::new();
    receiver.hear_from(1, 10, 1);
    assert_eq!(receiver.hear_from(1, 10, 3), []);
    let out = receiver.hear_from(1, 20, 1);
    assert_eq!(out, [(peer(1), (10, 3)), (peer(1), (20, 1))]);
    assert_eq!(receiver.ordering.poll_timeout(), None);
    // What still comes of the session before is delivered without waiting, and once.
    assert_eq!(receiver.hear_from(1, 10, 5).len(), 1);
    assert_eq!(receiver.hear_from(1, 10, 2).len(), 1);
    for sequence in [1, 2, 3, 5] {
        assert_eq!(receiver.hear_from(1, 10, sequence), [], "{sequence} again");
    }
    assert_eq!(receiver.hear_from(1, 20, 2).len(), 1);
}

#[test]
fn a_sender_whose_clock_was_set_back_is_still_heard() {
    let mut receiver = Receiver::new();
    receiver.hear_from(1, 20, 1);
    for sequence in [1, 2, 4, 3] {
        assert_eq!(receiver.hear_from(1, 10, sequence).len(), 1, "{sequence}");
    }
    assert_eq!(receiver.hear_from(1, 10, 4), []);
}

#[test]
fn extreme_numbers_do_no_harm() {
    let mut receiver = Receiver::new();
    assert_eq!(receiver.hear(0), NOTHING);
    assert_eq!(receiver.hear(u64::MAX), [u64::MAX]);
    assert_eq!(receiver.hear(u64::MAX), NOTHING);
    assert_eq!(receiver.hear(1), [1]);
    assert_eq!(receiver.hear(u64::MAX - 1), [u64::MAX - 1]);
    assert_eq!(receiver.hear_from(1, u64::MAX, 1).len(), 1);
    assert_eq!(receiver.hear_from(1, 0, 1).len(), 1);
    assert_eq!(receiver.hear_from(1, u64::MAX, u64::MAX), []);
    assert_eq!(receiver.wait(seconds(2)), [u64::MAX]);
}

#[test]
fn a_session_that_holds_too_much_goes_on() {
    let mut receiver = Receiver::new();
    receiver.hear(1);
    let held = ORDER_HELD_MAX as u64;
    for sequence in 3..3 + held {
        assert_eq!(receiver.hear(sequence), NOTHING);
    }
    let all: Vec<u64> = (3..=3 + held).collect();
    assert_eq!(receiver.hear(3 + held), all);
    assert_eq!(receiver.hear(2), [2]);
}

#[test]
fn what_waits_in_all_is_bounded() {
    let mut receiver = Receiver::new();
    for n in 1..=17 {
        receiver.hear_from(n, 1, 1);
        for sequence in 0..ORDER_HELD_MAX as u64 {
            let out = receiver.hear_from(n, 1, 3 + sequence);
            assert_eq!(out.len(), usize::from(n == 17), "{n}, {sequence}");
        }
    }
    assert_eq!(receiver.ordering.held(), ORDER_HELD_TOTAL_MAX);
}

#[test]
fn gaps_that_are_remembered_are_bounded() {
    let mut receiver = Receiver::new();
    receiver.hear(1);
    for step in 1..=100 {
        receiver.hear(1 + 2 * step);
        receiver.wait(seconds(2));
    }
    assert_eq!(receiver.hear(200), [200]);
    assert_eq!(receiver.hear(2), NOTHING, "forgotten, not delivered twice");
    // Filling a range from its middle makes two of it.
    receiver.hear(100_000);
    receiver.wait(seconds(2));
    for sequence in (300..600).step_by(2) {
        assert_eq!(receiver.hear(sequence), [sequence]);
    }
}

#[test]
fn the_quietest_sender_makes_room_and_loses_nothing() {
    let mut ordering = Ordering::new();
    let now = start();
    let id = |n: usize| {
        let digest = (n as u32).to_be_bytes();
        let multihash = multiaddr::multihash::Multihash::wrap(0, &digest).unwrap();
        PeerId::from_multihash(multihash).unwrap()
    };
    for n in 0..ORDER_SENDERS_MAX {
        ordering.handle(id(n), 1, 1, false, n, now);
    }
    assert!(ordering.handle(id(1), 1, 3, false, 77, now).is_empty());
    // 0 was heard again since, 1 was not after 0.
    ordering.handle(id(0), 1, 2, false, 0, now);
    for n in 2..ORDER_SENDERS_MAX {
        ordering.handle(id(n), 1, 2, false, n, now);
    }
    let out = ordering.handle(id(ORDER_SENDERS_MAX), 1, 1, false, 99, now);
    assert_eq!(out, [(id(1), 77), (id(ORDER_SENDERS_MAX), 99)]);
    assert_eq!(ordering.senders.len(), ORDER_SENDERS_MAX);
    assert_eq!(ordering.poll_timeout(), None);
}

#[test]
fn sessions_of_one_sender_are_bounded() {
    let mut receiver = Receiver::new();
    for session in 1..=10 {
        assert_eq!(receiver.hear_from(1, 2 * session, 1).len(), 1);
    }
    // An old one comes in between: the current one stays.
    assert_eq!(receiver.hear_from(1, 3, 1).len(), 1);
    assert_eq!(receiver.hear_from(1, 3, 1), []);
    assert_eq!(receiver.hear_from(1, 20, 1), []);
    assert_eq!(receiver.hear_from(1, 20, 2).len(), 1);
}

#[test]
fn what_has_come_is_told_from_what_is_missing() {
    let mut r = Receiver::new();
    r.hear_from(1, 2, 5);
    r.hear_from(1, 2, 7);
    let has = |r: &Receiver, session, sequence| r.ordering.has(&peer(1), session, sequence);
    for (session, sequence, came) in [
        (2, 5, true),
        (2, 7, true),
        (2, 6, false),
        (2, 4, false),
        (2, 8, false),
        (1, 5, false),
        (3, 5, false),
        (2, u64::MAX, false),
    ] {
        assert_eq!(has(&r, session, sequence), came, "{session}: {sequence}");
    }
    assert!(!r.ordering.has(&peer(2), 2, 5));
    r.hear_from(1, 2, 3);
    assert!(has(&r, 2, 3) && !has(&r, 2, 4) && !has(&r, 2, 2));
    // What comes of an earlier session waits for nothing.
    assert_eq!(r.hear_from(1, 1, 9).len(), 1);
    assert!(has(&r, 1, 9) && !has(&r, 1, 8));
}

#[test]
fn a_session_first_heard_in_the_middle_is_not_known_from_its_start() {
    let mut r = Receiver::new();
    r.hear(9);
    assert_eq!(known(&r), 0);
    r.hear(1_000);
    r.now += ORDER_GAP_MAX;
    r.ordering.tick(r.now);
    assert_eq!(known(&r), 1_000 - u64::try_from(SAID_MAX).unwrap());
}

fn known(r: &Receiver) -> u64 {
    let known = r.ordering.known(&peer(1));
    assert_eq!(known.session, 1);
    known.sequence
}

fn settle(r: &mut Receiver, sequence: u64) -> Vec<u64> {
    let position = Position {
        session: 1,
        sequence,
    };
    let out = r.ordering.settle(peer(1), position);
    r.check();
    out.into_iter().map(|(_, (_, sequence))| sequence).collect()
}

#[test]
fn what_is_known_ends_before_the_first_gap() {
    let mut r = Receiver::new();
    assert_eq!(r.ordering.known(&peer(1)), Position::default());
    r.hear(1);
    assert_eq!(known(&r), 1);
    r.hear(4);
    assert!(r.ordering.waits_for(&peer(1)));
    assert_eq!(known(&r), 1);
    // Delivered without those before it, which are still missing.
    r.wait(ORDER_GAP_MAX);
    assert!(!r.ordering.waits_for(&peer(1)));
    assert_eq!(known(&r), 1);
    r.hear(2);
    assert_eq!(known(&r), 2);
    r.hear(3);
    assert_eq!(known(&r), 4);
    // A gap that is further back than anybody keeps messages for does not count.
    let far = 6 + u64::try_from(SAID_MAX).unwrap();
    for sequence in 6..=far {
        r.hear(sequence);
    }
    r.wait(ORDER_GAP_MAX);
    assert_eq!(known(&r), far);
}

#[test]
fn what_is_not_to_be_had_is_not_waited_for() {
    let mut r = Receiver::new();
    r.hear(1);
    assert_eq!(r.hear(4), NOTHING);
    assert_eq!(settle(&mut r, 2), NOTHING);
    assert_eq!(known(&r), 2);
    assert_eq!(settle(&mut r, 3), [4]);
    assert_eq!(known(&r), 4);
    // It comes after all.
    assert_eq!(r.hear(2), [2]);
    assert_eq!(r.hear(2), NOTHING);
    assert_eq!(settle(&mut r, 3), NOTHING);
    assert_eq!(known(&r), 4);
    // Up to a message that is held, and beyond anything that has come.
    assert_eq!(r.hear(6), NOTHING);
    assert_eq!(settle(&mut r, 6), [6]);
    assert_eq!(settle(&mut r, 9), NOTHING);
    assert_eq!(known(&r), 9);
    assert_eq!(r.hear(10), [10]);
    // Before anything has come at all.
    let mut r = Receiver::new();
    assert_eq!(settle(&mut r, 0), NOTHING);
    assert_eq!(r.ordering.known(&peer(1)), Position::default());
    assert_eq!(settle(&mut r, 5), NOTHING);
    assert_eq!(known(&r), 5);
    assert_eq!(r.hear(6), [6]);
}

proptest! {
    /// Messages of two senders with two sessions each arrive in any order, some of them twice, at
    /// any time: each is delivered exactly once in the end.
    #[test]
    fn nothing_is_lost_and_nothing_comes_twice(
        inputs in prop::collection::vec((1_u16..3, 1_u64..3, 1_u64..20, 0_u64..900), 1..120)
    ) {
        let mut receiver = Receiver::new();
        let mut heard = HashSet::new();
        let mut delivered = Vec::new();
        for (n, session, sequence, pause) in inputs {
            receiver.now += millis(pause);
            delivered.extend(receiver.ordering.tick(receiver.now));
            heard.insert((peer(n), (session, sequence)));
            delivered.extend(receiver.hear_from(n, session, sequence));
        }
        receiver.now += ORDER_GAP_MAX;
        delivered.extend(receiver.ordering.tick(receiver.now));
        receiver.check();
        let once: HashSet<_> = delivered.iter().copied().collect();
        prop_assert_eq!(once.len(), delivered.len(), "twice");
        prop_assert_eq!(once, heard);
        prop_assert_eq!(receiver.ordering.held(), 0);
    }

    /// Messages that are shuffled by less than the wait come out in order.
    #[test]
    fn what_arrives_within_the_wait_is_in_order(
        delays in prop::collection::vec(0_u64..1900, 1..50),
    ) {
        let start = start();
        let mut arrivals: Vec<(u64, u64)> = delays
            .iter()
            .enumerate()
            .map(|(index, delay)| (if index == 0 { 0 } else { *delay }, index as u64 + 1))
            .collect();
        arrivals.sort();
        let mut ordering = Ordering::new();
        let mut delivered: HashMap<PeerId, Vec<u64>> = HashMap::new();
        for (at, sequence) in arrivals {
            let now = start + millis(at);
            let out = ordering.handle(peer(1), 1, sequence, false, sequence, now);
            for (from, item) in ordering.tick(now).into_iter().chain(out) {
                delivered.entry(from).or_default().push(item);
            }
        }
        let expected: Vec<u64> = (1..=delays.len() as u64).collect();
        prop_assert_eq!(delivered.remove(&peer(1)), Some(expected));
    }
}

#[test]
fn the_start_of_a_young_session_is_waited_for() {
    let now = start();
    let mut ordering = Ordering::new();
    assert!(
        ordering
            .handle(peer(1), 1, 2, true, "second", now)
            .is_empty()
    );
    let out = ordering.handle(peer(1), 1, 1, true, "first", now);
    assert_eq!(out, [(peer(1), "first"), (peer(1), "second")]);

    assert!(
        ordering
            .handle(peer(2), 1, 5, true, "fifth", now)
            .is_empty()
    );
    assert_eq!(
        ordering.tick(now + ORDER_GAP_MAX),
        [(peer(2), "fifth")],
        "not for ever"
    );
}
