//! Whom this peer keeps connections to, and by which addresses it tries: the members of its rooms,
//! the receivers of its messages, and the strangers that the DHT names as providers of a topic.
//! A pure machine: it says what to dial and is told what happened.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use libp2p::{
    PeerId,
    swarm::{ConnectionId, dial_opts::DialOpts},
};
use moim_protocol::{backoff::Backoff, limits};
use web_time::Instant;

pub(super) use self::target::Addresses;
use self::target::{State, Target};
use super::{dial::Progress, seldom::Seldom};
use crate::{
    reason::Unreached,
    snapshot::{Path, Reach},
};

mod target;

/// Attempts under way at once.
const ATTEMPTS_MAX: usize = 24;

/// Members and strangers that are kept in mind.
const TARGETS_MAX: usize = 2048;

/// First pause after a failed attempt.
const RETRY_BASE: Duration = Duration::from_secs(2);

/// Longest pause: a member lives for two minutes without a word, so that it is tried some times.
const RETRY_MAX: Duration = Duration::from_secs(40);

/// How long the other side has to dial first where that saves a second connection; less where handshakes are
/// fast. A newcomer to a full room may be dialled by nobody.
const YIELD: Duration = Duration::from_millis(1200);

/// How long a newcomer waits for a room's list before it connects to those members that it knows.
const HOLD: Duration = Duration::from_secs(1);

/// A member that names other addresses is dialled there at once so often within [`MOVES_WITHIN`]. One that
/// does so all the time would have us dial whomever it likes.
const MOVES: usize = 4;

/// See [`MOVES`].
const MOVES_WITHIN: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct Reaching {
    me: PeerId,
    seed: u64,
    targets: HashMap<PeerId, Target>,
    /// Whom the rooms want a connection to.
    wanted: HashSet<PeerId>,
    /// Nobody is dialled before this for a room's sake.
    hold: Option<Instant>,
    /// When the device came into another network.
    moved: Option<Instant>,
    /// Whether [`reach`](Self::reach) may answer otherwise than before.
    changed: bool,
    failed: Vec<PeerId>,
    /// Whether [`may_reach`](Self::may_reach) may.
    doubts: bool,
}

impl Reaching {
    pub(super) fn new(me: PeerId, seed: u64) -> Self {
        Self {
            me,
            seed,
            targets: HashMap::new(),
            wanted: HashSet::new(),
            hold: None,
            moved: None,
            changed: false,
            failed: Vec::new(),
            doubts: false,
        }
    }

    /// The rooms' neighbours have changed.
    pub(super) fn want(&mut self, wanted: HashSet<PeerId>) {
        self.wanted = wanted;
        self.changed = true;
    }

    /// A room was joined: its neighbours are not known before its list is, only those who spoke up
    /// first. They are asked, and nobody else is dialled for a moment.
    pub(super) fn hold(&mut self, now: Instant) {
        self.hold = Some(now + HOLD);
    }

    /// A room's list is here.
    pub(super) fn release(&mut self) {
        self.hold = None;
    }

    fn due(&self, target: &Target, until: Instant) -> Instant {
        match self.hold {
            Some(hold) if !target.urgent => until.max(hold),
            _ => until,
        }
    }

    pub(super) fn wants(&self, peer: &PeerId) -> bool {
        self.wanted.contains(peer)
    }

    /// Whom it was tried to reach in vain since this was asked last.
    pub(super) fn take_failed(&mut self) -> Vec<PeerId> {
        std::mem::take(&mut self.failed)
    }

    /// Whether a peer names an address to be tried at, and the last try has not failed.
    pub(super) fn may_reach(&self, peer: &PeerId) -> bool {
        self.targets.get(peer).is_some_and(Target::may_be_reached)
    }

    /// Whether dials have failed that nobody has been told of.
    pub(super) fn has_news(&self) -> bool {
        self.doubts || !self.failed.is_empty()
    }

    /// Whether somebody may be reached, or not, unlike when this was asked last.
    pub(super) fn take_doubts(&mut self) -> bool {
        std::mem::take(&mut self.doubts)
    }

    /// Whether somebody may be reached otherwise than when this was asked last.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// A member's signed addresses are known. `can_be_dialled` tells whether others can dial this
    /// peer directly, `head_start` how long one dial has before another, at the present pace.
    pub(super) fn member(
        &mut self,
        peer: PeerId,
        addresses: Addresses,
        can_be_dialled: bool,
        head_start: Duration,
        now: Instant,
    ) {
        let yields = if addresses.direct.is_empty() {
            // Only a relayed way from here: let the other side try its direct one, or, where
            // neither has one, let the smaller id dial.
            can_be_dialled || self.me > peer
        } else {
            self.me > peer
        };
        let Some(target) = self.entry(peer, now) else {
            return;
        };
        let moved = target.addresses.as_ref() != Some(&addresses);
        let first = target.addresses.is_none();
        target.addresses = Some(addresses);
        target.stranger = false;
        if moved && target.moves.take(now) {
            target.upgrades = 0;
            if let State::Resting { until } = &mut target.state {
                *until = if first && yields && !target.failed {
                    now + head_start.min(YIELD)
                } else {
                    now
                };
            }
            target.failed = false;
            self.changed = true;
            self.doubts = true;
        }
    }

    /// The DHT names this peer, and where it is to be found; whether it exists is to be seen.
    pub(super) fn stranger(&mut self, peer: PeerId, addresses: Addresses, now: Instant) {
        if let Some(target) = self.entry(peer, now)
            && (target.addresses.is_none() || target.stranger)
        {
            target.addresses = Some(addresses);
            target.stranger = true;
            target.urgent = true;
        }
    }

    /// There is something for this peer, so its next attempt is due now.
    pub(super) fn urge(&mut self, peer: PeerId, now: Instant) {
        if let Some(target) = self.entry(peer, now) {
            target.urgent = true;
            if let State::Resting { until } = &mut target.state {
                *until = now;
            }
        }
    }

    /// Where there are too many, one makes room that nobody wants, and that is hardly to be reached: members are
    /// offered again with their next presence.
    fn has_place_for(&mut self, peer: &PeerId) -> bool {
        if self.targets.len() < TARGETS_MAX || self.targets.contains_key(peer) {
            return true;
        }
        let idle = self
            .targets
            .iter()
            .filter(|(peer, target)| target.is_idle() && !self.wanted.contains(peer));
        let first = idle.min_by_key(|(_, target)| target.may_be_reached());
        let first = first.map(|(peer, _)| *peer);
        first.is_some_and(|peer| self.targets.remove(&peer).is_some())
    }

    fn entry(&mut self, peer: PeerId, now: Instant) -> Option<&mut Target> {
        if peer == self.me || !self.has_place_for(&peer) {
            return None;
        }
        self.changed |= !self.targets.contains_key(&peer);
        let seed = self
            .seed
            .wrapping_add(u64::try_from(self.targets.len()).unwrap_or_default());
        Some(self.targets.entry(peer).or_insert_with(|| Target {
            state: State::Resting { until: now },
            addresses: None,
            backoff: Backoff::new(RETRY_BASE, RETRY_MAX, seed),
            moves: Seldom::new(MOVES, MOVES_WITHIN),
            connected: None,
            upgrades: 0,
            last_error: None,
            failed: false,
            urgent: false,
            stranger: false,
        }))
    }

    /// Dials that are due, given how peers are connected.
    pub(super) fn poll(
        &mut self,
        path: impl Fn(&PeerId) -> Option<Path>,
        head_start: Duration,
        now: Instant,
    ) -> Vec<DialOpts> {
        let mut dials = Vec::new();
        let mut under_way = self
            .targets
            .values()
            .filter(|t| matches!(t.state, State::Dialling(_)))
            .count();
        let hold = self.hold.filter(|hold| now < *hold);
        for (peer, target) in &mut self.targets {
            if let State::Resting { until } = &target.state
                && *until <= now
                && (target.urgent || hold.is_none())
                && under_way < ATTEMPTS_MAX
                && let Some(attempt) =
                    target.attempt(*peer, self.wanted.contains(peer), path(peer), now)
            {
                under_way += 1;
                target.state = State::Dialling(Box::new(attempt));
            }
            if let State::Dialling(attempt) = &mut target.state {
                dials.extend(attempt.due(head_start, now));
                if let Progress::Failed(why) = attempt.tick(now) {
                    target.fail(why, now);
                    self.failed.push(*peer);
                    self.changed = true;
                    self.doubts = true;
                }
            }
        }
        // Strangers that were tried and peers that nobody wants any more are forgotten; members
        // are offered again with their next presence.
        let wanted = &self.wanted;
        self.targets.retain(|peer, target| {
            wanted.contains(peer)
                || target.urgent
                || target.addresses.is_some() && !target.stranger
                || matches!(target.state, State::Dialling(_))
                || matches!(&target.state, State::Resting { until } if *until > now)
        });
        dials
    }

    /// A connection was opened, by whom ever.
    pub(super) fn connected(&mut self, peer: &PeerId, id: ConnectionId, path: Path, now: Instant) {
        let Some(target) = self.targets.get_mut(peer) else {
            return;
        };
        if let State::Dialling(attempt) = &mut target.state {
            attempt.succeeded(id);
        }
        self.changed |= target.failed;
        target.urgent = false;
        target.failed = false;
        target.last_error = None;
        target.connected.get_or_insert(now);
        match path {
            Path::Direct(_) | Path::Turn => {
                target.upgrades = 0;
                target.state = State::Resting { until: now };
            }
            Path::Relayed { .. } => {
                // A direct dial of the same attempt may still be under way and win.
                let over = match &target.state {
                    State::Dialling(attempt) => attempt.is_idle(),
                    State::Resting { .. } => true,
                };
                if over {
                    target.state = State::Resting { until: now };
                }
            }
        }
    }

    /// The last connection to a peer is gone: try again, but not at the same moment as the other
    /// side, and with growing pauses if its connections do not last.
    pub(super) fn disconnected(&mut self, peer: &PeerId, now: Instant) {
        let wait = if self.me > *peer {
            YIELD
        } else {
            Duration::from_millis(100)
        };
        let moved = self
            .moved
            .filter(|moved| now < *moved + limits::CONNECTION_LASTS);
        if let Some(target) = self.targets.get_mut(peer) {
            target.upgrades = 0;
            let since = target.connected.take();
            let lasted = since.is_some_and(|since| now >= since + limits::CONNECTION_LASTS);
            // It went with the network that it was made in.
            let of_before = moved.is_some_and(|moved| since.is_some_and(|since| since <= moved));
            let wait = if lasted || of_before {
                target.backoff.reset();
                wait
            } else {
                wait.max(target.backoff.next_delay())
            };
            if matches!(target.state, State::Resting { .. }) {
                target.state = State::Resting { until: now + wait };
            }
        }
    }

    /// A dial failed; with the last one its attempt has failed.
    pub(super) fn failed(&mut self, id: ConnectionId, why: Unreached, now: Instant) {
        for (peer, target) in &mut self.targets {
            if let State::Dialling(attempt) = &mut target.state
                && attempt.owns(id)
            {
                if let Progress::Failed(why) = attempt.failed(id, why) {
                    target.fail(why, now);
                    self.failed.push(*peer);
                    self.changed = true;
                    self.doubts = true;
                }
                return;
            }
        }
    }

    /// A member is gone, or a stranger was asked: forget it unless there is something for it.
    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.changed |= self.targets.remove(peer).is_some();
    }

    /// The device is in another network: every pause is over, and the next one is short.
    pub(super) fn network_changed(&mut self, now: Instant) {
        self.moved = Some(now);
        for target in self.targets.values_mut() {
            target.backoff.reset();
        }
        self.try_again(now);
    }

    /// There is a new way to others: every pause is over.
    pub(super) fn try_again(&mut self, now: Instant) {
        for target in self.targets.values_mut() {
            if let State::Resting { until } = &mut target.state {
                *until = now;
            }
            target.failed = false;
            target.upgrades = 0;
        }
        self.changed = true;
        self.doubts = true;
    }

    /// How a member is reached, as far as dialling is concerned.
    pub(super) fn reach(&self, peer: &PeerId, wanted: bool, path: Option<Path>) -> Reach {
        if let Some(path) = path {
            return Reach::Connected(path);
        }
        match self.targets.get(peer) {
            Some(target) if wanted && !target.failed => Reach::Connecting,
            _ => Reach::Unconnected,
        }
    }

    /// When a dial of one of its attempts began.
    pub(super) fn dialling_since(&self, id: ConnectionId) -> Option<Instant> {
        self.targets
            .values()
            .find_map(|target| match &target.state {
                State::Dialling(attempt) => attempt.began(id),
                State::Resting { .. } => None,
            })
    }

    pub(super) fn is_dialling(&self, peer: &PeerId) -> bool {
        matches!(
            self.targets.get(peer).map(|target| &target.state),
            Some(State::Dialling(_))
        )
    }

    pub(super) fn last_error(&self, peer: &PeerId) -> Option<Unreached> {
        self.targets.get(peer)?.last_error
    }

    pub(super) fn poll_timeout(&self, path: impl Fn(&PeerId) -> Option<Path>) -> Option<Instant> {
        let full = self
            .targets
            .values()
            .filter(|t| matches!(t.state, State::Dialling(_)))
            .count()
            >= ATTEMPTS_MAX;
        self.targets
            .iter()
            .filter_map(|(peer, target)| match &target.state {
                State::Dialling(attempt) => Some(attempt.poll_timeout()),
                State::Resting { until } => (!full
                    && target
                        .purpose(self.wanted.contains(peer), path(peer))
                        .is_some())
                .then(|| self.due(target, *until)),
            })
            .min()
    }
}

#[cfg(test)]
mod tests;
