//! Which servers keep kad's queries waiting, and for how long they may. Pure: the time comes in.
//!
//! kad 0.49 waits for each server until its request times out, and loses a request together with the
//! connection that it was on while there is another to the same peer.

use std::{collections::HashMap, time::Duration};

use libp2p::PeerId;
use web_time::Instant;

use crate::config::REQUEST_TIMEOUT;

/// How long a server may be silent where others answer faster: hung servers then cost a put and a get less
/// than half a second. A server that is only slow is asked again by the next query.
pub(super) const PATIENCE: Duration = Duration::from_millis(350);

/// How long a dial may take before a query goes on without it. A handshake takes several round trips; the
/// dial itself goes on.
const DIAL_PATIENCE: Duration = Duration::from_secs(1);

/// A far network answers slowly: what is allowed grows with what is usual.
const TIMES_USUAL: u32 = 3;

/// Round trips of a dial, and the computing of both sides.
const DIAL_TIMES_USUAL: u32 = 8;

/// How often a server is given up before it is not even asked, until it answers or its requests have timed out.
/// Once is not enough: a server may keep silent to a record that it refuses.
const GIVEN_UP_MAX: u32 = 2;

/// What an answer adds to what is usual.
const SMOOTHING: u32 = 8;

/// Questions to a server that it has not answered yet.
#[derive(Debug)]
struct Asked {
    open: u32,
    /// When it was asked, or answered last.
    since: Instant,
    is_silent: bool,
    /// How often it was given up since it answered last.
    given_up: u32,
}

/// Every server that was asked something and has not answered; no more than there are connections and
/// dials.
#[derive(Debug, Default)]
pub(super) struct Silence {
    asked: HashMap<PeerId, Asked>,
    dialled: HashMap<PeerId, Instant>,
    /// How long an answer takes, smoothed; without any there is nothing to compare with.
    usual: Option<Duration>,
    /// Two servers that have answered something, the first two.
    answerers: [Option<PeerId>; 2],
}

impl Silence {
    /// A server is asked something.
    pub(super) fn asked(&mut self, peer: PeerId, now: Instant) {
        let asked = self.asked.entry(peer).or_insert(Asked {
            open: 0,
            since: now,
            is_silent: false,
            given_up: 0,
        });
        asked.open = asked.open.saturating_add(1);
        if std::mem::take(&mut asked.is_silent) {
            asked.since = now;
        }
    }

    /// A question to a server has failed.
    pub(super) fn failed(&mut self, peer: &PeerId) {
        if let Some(asked) = self.asked.get_mut(peer) {
            asked.open = asked.open.saturating_sub(1);
            if asked.open == 0 {
                self.asked.remove(peer);
            }
        }
    }

    /// A server has answered something.
    pub(super) fn answered(&mut self, peer: &PeerId, now: Instant) {
        let Some(asked) = self.asked.get_mut(peer) else {
            return;
        };
        let took = now.saturating_duration_since(asked.since);
        self.usual = Some(match self.usual {
            None => took,
            Some(usual) => usual.saturating_mul(SMOOTHING - 1).saturating_add(took) / SMOOTHING,
        });
        asked.since = now;
        asked.is_silent = false;
        asked.given_up = 0;
        self.failed(peer);
        if !self.answerers.contains(&Some(*peer))
            && let Some(place) = self.answerers.iter_mut().find(|place| place.is_none())
        {
            *place = Some(*peer);
        }
    }

    /// A server is dialled for a query.
    pub(super) fn dialling(&mut self, peer: PeerId, now: Instant) {
        self.dialled.entry(peer).or_insert(now);
    }

    /// A connection to a peer is there, with the questions that have waited for it.
    pub(super) fn connected(&mut self, peer: PeerId, now: Instant) {
        if self.dialled.remove(&peer).is_some() {
            self.asked(peer, now);
        }
    }

    /// A dial has failed; kad knows.
    pub(super) fn dial_failed(&mut self, peer: &PeerId) {
        self.dialled.remove(peer);
    }

    /// A connection is closed, and what was asked on it with it. Whether something was.
    pub(super) fn closed(&mut self, peer: &PeerId) -> bool {
        self.asked.remove(peer).is_some()
    }

    /// Whether this server was given up and has not answered since.
    pub(super) fn keeps_silent(&self, peer: &PeerId) -> bool {
        self.asked.get(peer).is_some_and(|asked| asked.is_silent)
    }

    /// Whether this server was given up so often that it is not asked.
    pub(super) fn is_silent(&self, peer: &PeerId) -> bool {
        let asked = self.asked.get(peer);
        asked.is_some_and(|asked| asked.is_silent && asked.given_up >= GIVEN_UP_MAX)
    }

    /// The next server that queries should go on without; each once for what it was asked so far.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<PeerId> {
        // Whatever became of it, nobody waits for that answer any more.
        self.asked
            .retain(|_, asked| now.saturating_duration_since(asked.since) < REQUEST_TIMEOUT);
        let dial_allowed = self.dial_allowed();
        let silent = self.asked.iter().find(|(peer, asked)| {
            !asked.is_silent && now.saturating_duration_since(asked.since) >= self.allowed(peer)
        });
        if let Some((peer, _)) = silent {
            let peer = *peer;
            if let Some(asked) = self.asked.get_mut(&peer) {
                asked.is_silent = true;
                asked.given_up = asked.given_up.saturating_add(1);
            }
            return Some(peer);
        }
        let (peer, _) = self
            .dialled
            .iter()
            .find(|(_, since)| now.saturating_duration_since(**since) >= dial_allowed)?;
        let peer = *peer;
        self.dialled.remove(&peer);
        Some(peer)
    }

    /// When [`overdue`](Self::overdue) may have something to say.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let asked = self
            .asked
            .iter()
            .filter(|(_, asked)| !asked.is_silent)
            .filter_map(|(peer, asked)| asked.since.checked_add(self.allowed(peer)));
        let dialled = self
            .dialled
            .values()
            .filter_map(|since| since.checked_add(self.dial_allowed()));
        asked.chain(dialled).min()
    }

    /// How long this server may be silent. The only one there is has nobody to be compared with, and without it there is
    /// nothing to go on with.
    fn allowed(&self, peer: &PeerId) -> Duration {
        let is_alone = self.answerers.iter().flatten().all(|other| other == peer);
        match self.usual {
            Some(usual) if !is_alone => PATIENCE.max(usual.saturating_mul(TIMES_USUAL)),
            _ => REQUEST_TIMEOUT,
        }
    }

    fn dial_allowed(&self) -> Duration {
        self.usual.map_or(REQUEST_TIMEOUT, |usual| {
            DIAL_PATIENCE.max(usual.saturating_mul(DIAL_TIMES_USUAL))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_millis(1);

    fn after_an_answer(now: Instant) -> (Silence, [PeerId; 2]) {
        let mut silence = Silence::default();
        let peers = [PeerId::random(), PeerId::random()];
        silence.asked(peers[0], now);
        silence.answered(&peers[0], now + FAST);
        (silence, peers)
    }

    #[test]
    fn a_silent_server_is_given_up_once_and_forgiven_when_it_answers() {
        let now = Instant::now();
        let (mut silence, [_, hung]) = after_an_answer(now);
        silence.asked(hung, now);
        assert_eq!(silence.poll_timeout(), Some(now + PATIENCE));
        assert_eq!(silence.overdue(now + PATIENCE / 2), None);
        assert_eq!(silence.overdue(now + PATIENCE), Some(hung));
        assert_eq!(silence.overdue(now + PATIENCE), None);
        assert_eq!(silence.poll_timeout(), None);
        // It may have refused that; so it is asked something else, but not a third time.
        assert!(!silence.is_silent(&hung));
        silence.asked(hung, now + PATIENCE);
        assert!(!silence.is_silent(&hung));
        assert_eq!(silence.overdue(now + PATIENCE * 2), Some(hung));
        assert!(silence.is_silent(&hung));
        silence.answered(&hung, now + PATIENCE * 3);
        assert!(!silence.is_silent(&hung));
    }

    #[test]
    fn one_that_never_answers_is_asked_again_after_the_time_out() {
        let now = Instant::now();
        let (mut silence, [_, hung]) = after_an_answer(now);
        for asked in [now, now + PATIENCE] {
            silence.asked(hung, asked);
            assert_eq!(silence.overdue(asked + PATIENCE), Some(hung));
        }
        assert!(silence.is_silent(&hung));
        assert_eq!(silence.overdue(now + PATIENCE + REQUEST_TIMEOUT), None);
        assert!(!silence.is_silent(&hung));
        // Or its requests say so themselves, which is no measure of what is usual.
        silence.asked(hung, now);
        silence.failed(&hung);
        assert_eq!(silence.usual, Some(FAST));
        assert_eq!(silence.poll_timeout(), None);
    }

    #[test]
    fn a_slow_network_and_one_that_has_not_answered_yet_get_more_time() {
        let now = Instant::now();
        let mut silence = Silence::default();
        let [first, second] = [PeerId::random(), PeerId::random()];
        silence.asked(first, now);
        assert_eq!(silence.overdue(now + PATIENCE), None);
        let slow = Duration::from_secs(1);
        silence.answered(&first, now + slow);
        silence.asked(second, now + slow);
        assert_eq!(silence.overdue(now + slow * 2), None);
        assert_eq!(silence.overdue(now + slow * 4), Some(second));
    }

    #[test]
    fn the_only_server_is_waited_for() {
        let now = Instant::now();
        let (mut silence, [only, other]) = after_an_answer(now);
        silence.asked(only, now);
        assert_eq!(silence.poll_timeout(), Some(now + REQUEST_TIMEOUT));
        assert_eq!(silence.overdue(now + 2 * PATIENCE), None);
        silence.asked(other, now);
        silence.answered(&other, now + FAST);
        assert_eq!(silence.overdue(now + 2 * PATIENCE), Some(only));
    }

    #[test]
    fn a_server_that_answers_some_of_many_questions_is_not_silent() {
        let now = Instant::now();
        let (mut silence, [_, busy]) = after_an_answer(now);
        for _ in 0..3 {
            silence.asked(busy, now);
        }
        let mut at = now;
        for _ in 0..2 {
            at += PATIENCE / 2;
            silence.answered(&busy, at);
        }
        assert_eq!(silence.overdue(now + PATIENCE), None);
        assert_eq!(silence.overdue(at + PATIENCE), Some(busy));
    }

    #[test]
    fn questions_end_with_their_connection_and_wait_for_a_dial() {
        let now = Instant::now();
        let (mut silence, [peer, dialled]) = after_an_answer(now);
        assert!(!silence.closed(&peer));
        silence.asked(peer, now);
        assert!(silence.closed(&peer));

        silence.dialling(dialled, now);
        assert_eq!(silence.overdue(now + PATIENCE), None);
        assert_eq!(silence.overdue(now + DIAL_PATIENCE), Some(dialled));
        silence.dialling(dialled, now);
        silence.connected(dialled, now + DIAL_PATIENCE);
        assert_eq!(silence.overdue(now + DIAL_PATIENCE), None);
        assert_eq!(
            silence.overdue(now + DIAL_PATIENCE + PATIENCE),
            Some(dialled)
        );
    }
}
