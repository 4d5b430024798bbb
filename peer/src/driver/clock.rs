//! Whether this device's clock is so wrong that others take nothing from it. A pure machine.
//!
//! What a peer signs is dated by its own clock, and everybody refuses what is dated more than ten minutes
//! from theirs. So the bootstrap nodes that the user has named are asked what time it is, and who refuses
//! a date or has one that is refused is remembered. The clock is never corrected by what others say, only
//! the user is told: whoever could move it would hold signatures for another day.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use libp2p::PeerId;
use moim_protocol::{UnixMillis, limits};
use web_time::Instant;

use crate::snapshot::ClockOff;

/// From this on a clock is off: two that are half of what may lie between two peers from the right time,
/// one of them ahead and the other behind, are the whole of it apart.
const OFF_MIN: Duration = Duration::from_millis(limits::CLOCK_SKEW_MAX.as_millis() as u64 / 2);

/// How far off it is, is told in these steps.
const STEP: Duration = Duration::from_secs(60);

/// The two clocks of this device have moved apart by so much that one was set, or the device asleep.
const JUMP_MIN: Duration = Duration::from_secs(2);

/// So many peers have to disagree about a date where no node has said what time it is: one may be wrong.
const REFUSALS_MIN: usize = 2;

/// Peers that are remembered for that.
const REFUSALS_MAX: usize = 8;

/// Nodes whose time is remembered: as many as there may be.
const NODES_MAX: usize = 16;

#[derive(Debug)]
pub(super) struct Clock {
    /// What nodes have said, and when.
    readings: HashMap<PeerId, (UnixMillis, Instant)>,
    /// Peers that refuse our dates, or whose dates are refused here.
    disagree: HashSet<PeerId>,
    /// Both clocks when they were looked at last.
    clocks: (Instant, UnixMillis),
}

impl Clock {
    pub(super) fn new(now: Instant, wall: UnixMillis) -> Self {
        Self {
            readings: HashMap::new(),
            disagree: HashSet::new(),
            clocks: (now, wall),
        }
    }

    /// A node has said what time it is.
    pub(super) fn told(&mut self, node: PeerId, time: UnixMillis, now: Instant) {
        if self.readings.len() < NODES_MAX || self.readings.contains_key(&node) {
            self.readings.insert(node, (time, now));
        }
    }

    /// A peer and this one do not agree on what is too old or of the future.
    pub(super) fn disagrees(&mut self, peer: PeerId) {
        if self.disagree.len() < REFUSALS_MAX {
            self.disagree.insert(peer);
        }
    }

    /// A peer has taken what this one has dated.
    pub(super) fn agrees(&mut self) {
        self.disagree.clear();
    }

    /// Looks at both clocks. Returns whether the nodes have to be asked again.
    pub(super) fn tick(&mut self, now: Instant, wall: UnixMillis) -> bool {
        let (last, last_wall) = std::mem::replace(&mut self.clocks, (now, wall));
        let expected = last_wall.saturating_add(now.saturating_duration_since(last));
        let jumped = expected.0.abs_diff(wall.0) >= millis(JUMP_MIN);
        if jumped {
            self.disagree.clear();
            // The monotonic clock may have stood still while the device slept; then what was read by it
            // tells nothing any more. No sleep sets the wall clock back.
            if wall > expected {
                self.readings.clear();
            }
        }
        jumped
    }

    /// How wrong the clock is, if it is. Where nodes differ, one that agrees with it is enough.
    pub(super) fn off(&self, now: Instant, wall: UnixMillis) -> Option<ClockOff> {
        let apart = self.readings.values().map(|(time, at)| {
            let theirs = time.saturating_add(now.saturating_duration_since(*at));
            (wall.0.abs_diff(theirs.0), wall > theirs)
        });
        let Some((apart, ahead)) = apart.min() else {
            let all = self.disagree.len() >= REFUSALS_MIN;
            return all.then_some(ClockOff::Unknown);
        };
        if apart < millis(OFF_MIN) {
            return None;
        }
        let steps = apart.saturating_add(millis(STEP) / 2) / millis(STEP);
        let by = Duration::from_secs(steps.saturating_mul(STEP.as_secs()));
        Some(if ahead {
            ClockOff::Ahead { by }
        } else {
            ClockOff::Behind { by }
        })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform;

    const WALL: UnixMillis = UnixMillis(1_800_000_000_000);

    const fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    fn before(wall: UnixMillis, by: Duration) -> UnixMillis {
        UnixMillis(wall.0 - millis(by))
    }

    fn clock(start: Instant) -> Clock {
        Clock::new(start, WALL)
    }

    #[test]
    fn what_others_would_refuse_is_told_and_less_is_not() {
        let start = platform::now();
        let ahead = |by| Some(ClockOff::Ahead { by: minutes(by) });
        let behind = |by| Some(ClockOff::Behind { by: minutes(by) });
        for (theirs, expected) in [
            (WALL, None),
            (before(WALL, minutes(4)), None),
            (WALL.saturating_add(minutes(4)), None),
            (before(WALL, minutes(5)), ahead(5)),
            (before(WALL, minutes(30)), ahead(30)),
            (before(WALL, Duration::from_secs(1_829)), ahead(30)),
            (WALL.saturating_add(minutes(30)), behind(30)),
            (
                WALL.saturating_add(minutes(60 * 24 * 365)),
                behind(60 * 24 * 365),
            ),
            (UnixMillis(0), ahead(30_000_000)),
        ] {
            let mut clock = clock(start);
            clock.told(PeerId::random(), theirs, start);
            assert_eq!(clock.off(start, WALL), expected, "{theirs:?}");
            // The same an hour later.
            let (later, wall) = (start + minutes(60), WALL.saturating_add(minutes(60)));
            assert!(!clock.tick(later, wall));
            assert_eq!(clock.off(later, wall), expected, "{theirs:?} later");
        }
    }

    #[test]
    fn one_node_that_agrees_is_enough() {
        let start = platform::now();
        let mut clock = clock(start);
        clock.told(PeerId::random(), before(WALL, minutes(60)), start);
        assert!(clock.off(start, WALL).is_some());
        clock.told(PeerId::random(), WALL, start);
        assert_eq!(clock.off(start, WALL), None);
        clock.disagrees(PeerId::random());
        clock.disagrees(PeerId::random());
        assert_eq!(clock.off(start, WALL), None, "whatever peers say");
    }

    #[test]
    fn a_clock_that_is_set_right_is_right_at_once() {
        for by in [minutes(30), minutes(60 * 24)] {
            // It was ahead, and is set back.
            let start = platform::now();
            let mut ahead = clock(start);
            ahead.told(PeerId::random(), before(WALL, by), start);
            assert_eq!(ahead.off(start, WALL), Some(ClockOff::Ahead { by }));
            let (now, right) = (start + minutes(1), before(WALL, by - minutes(1)));
            assert!(ahead.tick(now, right), "asks again");
            assert_eq!(ahead.off(now, right), None);
            // It was behind, and is set forward.
            let mut behind = clock(start);
            behind.told(PeerId::random(), WALL.saturating_add(by), start);
            assert_eq!(behind.off(start, WALL), Some(ClockOff::Behind { by }));
            let right = WALL.saturating_add(by + minutes(1));
            assert!(behind.tick(now, right), "asks again");
            assert_eq!(behind.off(now, right), None);
        }
    }

    #[test]
    fn sleep_is_no_wrong_clock() {
        let start = platform::now();
        let mut clock = clock(start);
        let node = PeerId::random();
        clock.told(node, WALL, start);
        // An hour by the one clock, nothing by the other.
        let woken = WALL.saturating_add(minutes(60));
        assert!(clock.tick(start, woken));
        assert_eq!(clock.off(start, woken), None);
        clock.told(node, woken, start);
        assert_eq!(clock.off(start, woken), None);
    }

    #[test]
    fn without_a_node_two_who_disagree_are_a_reason_to_look() {
        let start = platform::now();
        let mut clock = clock(start);
        let peer = PeerId::random();
        clock.disagrees(peer);
        clock.disagrees(peer);
        assert_eq!(clock.off(start, WALL), None, "one may be wrong");
        clock.disagrees(PeerId::random());
        assert_eq!(clock.off(start, WALL), Some(ClockOff::Unknown));
        for _ in 0..100 {
            clock.disagrees(PeerId::random());
        }
        assert_eq!(clock.disagree.len(), REFUSALS_MAX);
        let disagree = clock.disagree.clone();
        clock.agrees();
        assert_eq!(clock.off(start, WALL), None, "somebody takes it");
        clock.disagree = disagree;
        // The clock is set: it is to be seen who disagrees then.
        assert!(clock.tick(start, before(WALL, minutes(30))));
        assert_eq!(clock.off(start, WALL), None);
    }
}
