//! Which connections are still alive, after something that may have killed them without a word: the
//! device has other addresses than before, it was asleep, a peer is there a second time, an answer does
//! not come. A pure machine: it says what to ping and what to close, and is told what happened.
//!
//! A dead TCP connection is silent: until the pings that go on all the time have noticed, which takes
//! most of a minute, everything that is sent to it is lost.

use std::{collections::HashMap, time::Duration};

use libp2p::swarm::ConnectionId;
use moim_protocol::UnixMillis;
use web_time::Instant;

/// How long a connection in doubt has to answer a ping: longer than a round trip over a relay on a bad
/// line, shorter than people wait.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Quiet time after a change of addresses before anything is done about it: they go and come one by one.
const CHANGE_SETTLES: Duration = Duration::from_millis(250);

/// Changes are looked at no more often than this, however often an interface comes and goes.
const CHANGE_PAUSE: Duration = Duration::from_secs(2);

/// Addresses that are told so soon after the start were there before it.
const START_SETTLES: Duration = Duration::from_secs(1);

/// The wall clock is so far ahead of the monotonic one that the device was asleep, or the clock was set.
const CLOCK_GAP: Duration = Duration::from_secs(5);

/// So long between two looks at the clock, where there is one every few seconds, the process was
/// stopped. A hidden page's timers fire once a minute; that is none.
const TICK_GAP: Duration = Duration::from_secs(75);

/// What the driver has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// The network is another one: ask all connections, and dial again whoever is not connected.
    Changed,
    /// Close a connection that has not answered.
    Close(ConnectionId),
}

#[derive(Debug)]
pub(super) struct Liveness {
    started: Instant,
    /// When a change is to be looked at.
    due: Option<Instant>,
    /// When one was looked at last.
    looked: Option<Instant>,
    /// Connections that were pinged, and until when they have to answer. Bounded by the connection
    /// limits of the swarm.
    asked: HashMap<ConnectionId, Instant>,
    /// Both clocks when they were looked at last.
    clocks: (Instant, UnixMillis),
}

impl Liveness {
    pub(super) fn new(now: Instant, wall: UnixMillis) -> Self {
        Self {
            started: now,
            due: None,
            looked: None,
            asked: HashMap::new(),
            clocks: (now, wall),
        }
    }

    /// The device has an address more or less.
    pub(super) fn addresses_changed(&mut self, now: Instant) {
        if now.saturating_duration_since(self.started) >= START_SETTLES {
            self.plan(now + CHANGE_SETTLES);
        }
    }

    /// The device is back in the network, or awake.
    pub(super) fn network_changed(&mut self, now: Instant) {
        self.plan(now);
    }

    fn plan(&mut self, at: Instant) {
        let free = self.looked.map(|looked| looked + CHANGE_PAUSE);
        let at = free.map_or(at, |free| at.max(free));
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// Looks at both clocks, as often as there is anything to do: while a device sleeps, the monotonic
    /// clock of some stands still and the wall clock does not.
    pub(super) fn tick(&mut self, now: Instant, wall: UnixMillis) {
        let (last, last_wall) = std::mem::replace(&mut self.clocks, (now, wall));
        let passed = now.saturating_duration_since(last);
        let passed_by_wall = Duration::from_millis(wall.0.saturating_sub(last_wall.0));
        if passed >= TICK_GAP || passed_by_wall > passed + CLOCK_GAP {
            self.network_changed(now);
        }
    }

    /// There is doubt about a connection. Returns whether to ping it: not if that is under way.
    pub(super) fn ask(&mut self, connection: ConnectionId, now: Instant) -> bool {
        let mut new = false;
        self.asked.entry(connection).or_insert_with(|| {
            new = true;
            now + ANSWER_WITHIN
        });
        new
    }

    /// A connection has answered, or is closed.
    pub(super) fn settled(&mut self, connection: ConnectionId) {
        self.asked.remove(&connection);
    }

    /// What is due now.
    pub(super) fn poll(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            self.looked = Some(now);
            actions.push(Action::Changed);
        }
        let silent = self.asked.extract_if(|_, until| *until <= now);
        actions.extend(silent.map(|(connection, _)| Action::Close(connection)));
        actions
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.asked.values().copied().chain(self.due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform;

    const WALL: UnixMillis = UnixMillis(1_800_000_000_000);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn connection(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    /// When changes are looked at, in milliseconds, if addresses change at these times.
    fn looks(changes: &[u64]) -> Vec<u64> {
        let start = platform::now();
        let mut liveness = Liveness::new(start, WALL);
        let mut looks = Vec::new();
        for at in (0..20_000).step_by(10) {
            let now = start + millis(at);
            if changes.contains(&at) {
                liveness.addresses_changed(now);
            }
            if liveness.poll(now).contains(&Action::Changed) {
                looks.push(at);
            }
        }
        looks
    }

    #[test]
    fn a_change_is_looked_at_soon_and_a_flapping_interface_not_all_the_time() {
        for (changes, expected) in [
            (&[0, 10, 990][..], &[][..]),
            (&[3_000], &[3_250]),
            (&[3_000, 3_100, 3_200], &[3_250]),
            (&[3_000, 3_300], &[3_250, 5_250]),
            (&[3_000, 6_000], &[3_250, 6_250]),
        ] {
            assert_eq!(looks(changes), expected, "{changes:?}");
        }
        let flapping: Vec<u64> = (2_000..12_000).step_by(100).collect();
        assert_eq!(
            looks(&flapping),
            [2_250, 4_250, 6_250, 8_250, 10_250, 12_250]
        );
    }

    #[test]
    fn what_does_not_answer_is_closed_once_and_what_answers_stays() {
        let start = platform::now();
        let mut liveness = Liveness::new(start, WALL);
        let [dead, alive, gone] = [1, 2, 3].map(connection);
        for asked in [dead, alive, gone] {
            assert!(liveness.ask(asked, start));
        }
        assert!(
            !liveness.ask(dead, start + millis(1_000)),
            "the first ping counts"
        );
        liveness.settled(alive);
        liveness.settled(gone);
        assert_eq!(liveness.poll(start + millis(1_999)), []);
        let end = start + ANSWER_WITHIN;
        assert_eq!(liveness.poll_timeout(), Some(end));
        assert_eq!(liveness.poll(end), [Action::Close(dead)]);
        assert_eq!(liveness.poll(end), []);
        assert_eq!(liveness.poll_timeout(), None);
    }

    #[test]
    fn sleep_is_noticed_by_either_clock_and_a_clock_that_is_set_back_is_none() {
        for (passed, passed_by_wall, slept) in [
            (5_000, 5_000, false),
            (5_000, 9_000, false),
            // The monotonic clock stood still.
            (100, 60_000, true),
            // It did not, or the process was stopped.
            (80_000, 80_000, true),
            // A hidden page.
            (61_000, 61_000, false),
            (5_000, 0, false),
        ] {
            let start = platform::now();
            let mut liveness = Liveness::new(start, WALL);
            let now = start + millis(passed);
            liveness.tick(now, WALL.saturating_add(millis(passed_by_wall)));
            let expected: &[Action] = if slept { &[Action::Changed] } else { &[] };
            assert_eq!(liveness.poll(now), expected, "{passed} {passed_by_wall}");
        }
    }
}
