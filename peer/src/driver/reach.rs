//! Whom this peer keeps connections to, and by which addresses it tries: the members of its rooms,
//! the receivers of its messages, and the strangers that the DHT names as providers of a topic.
//! A pure machine: it says what to dial and is told what happened.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId,
    swarm::{ConnectionId, dial_opts::DialOpts},
};
use moim_protocol::backoff::Backoff;
use web_time::Instant;

use super::dial::{Attempt, Progress};
use crate::snapshot::{Path, Reach};

/// A room up to this size is a full mesh: everybody is one hop away and shown as reached.
pub(super) const FULL_MESH_MAX: usize = 24;

/// Neighbours that a peer of a larger room has on average. Two members are neighbours when a hash of
/// both their ids is small enough for the room's size, so that both ends agree without a word. A
/// random graph of this degree is connected far beyond the largest room (ln 1024 is 7), and gossip's
/// mesh (6 to 12) finds enough in it.
const NEIGHBOURS: u64 = 16;

/// At least so many, whatever the hashes say.
const NEIGHBOURS_MIN: usize = 3;

/// A connection is kept although the room has grown and it would not be made any more, up to this
/// many times the hash; members count the room differently for a moment.
const KEEP_FACTOR: u64 = 2;

/// Attempts under way at once. One answer of the DHT names up to twenty providers, whose addresses
/// are known only as long as the query runs.
const ATTEMPTS_MAX: usize = 24;

/// Strangers of a lookup that wait for their turn.
const TARGETS_MAX: usize = 2048;

/// First pause after a failed attempt.
const RETRY_BASE: Duration = Duration::from_secs(2);

/// Longest pause: a member lives for two minutes without a word, so that it is tried some times.
const RETRY_MAX: Duration = Duration::from_secs(40);

/// How long the other side has to dial first where that saves a second connection.
const YIELD: Duration = Duration::from_millis(1200);

/// Direct attempts beside a relayed connection before it is left at that.
const UPGRADES_MAX: u32 = 4;

#[derive(Debug)]
enum State {
    /// Nothing under way; the next attempt not before this.
    Resting {
        until: Instant,
    },
    Dialling(Box<Attempt>),
}

#[derive(Debug)]
struct Target {
    state: State,
    /// Direct ranks first, the relayed rank last, as `swarm::dial_ranks` gives them. `None`: only
    /// the DHT may know.
    addresses: Option<Addresses>,
    backoff: Backoff,
    upgrades: u32,
    last_error: Option<String>,
    /// An attempt has failed and nothing has changed since: it is tried again, but people need not
    /// see each try.
    failed: bool,
    /// Dial it whatever the rooms want: there is a message to deliver or a question to ask.
    urgent: bool,
    stranger: bool,
}

/// Where a peer says that it can be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) direct: Vec<Vec<Multiaddr>>,
    pub(super) relayed: Vec<Multiaddr>,
}

impl Addresses {
    fn ranks(&self) -> Vec<Vec<Multiaddr>> {
        let mut ranks = self.direct.clone();
        if !self.relayed.is_empty() {
            ranks.push(self.relayed.clone());
        }
        ranks
    }
}

#[derive(Debug)]
pub(super) struct Reaching {
    me: PeerId,
    seed: u64,
    targets: HashMap<PeerId, Target>,
}

impl Reaching {
    pub(super) fn new(me: PeerId, seed: u64) -> Self {
        Self {
            me,
            seed,
            targets: HashMap::new(),
        }
    }

    /// The members of a room to make connections to.
    pub(super) fn neighbours(&self, members: impl ExactSizeIterator<Item = PeerId>) -> Vec<PeerId> {
        let count = members.len();
        if count <= FULL_MESH_MAX {
            return members.collect();
        }
        let limit = hash_limit(count, NEIGHBOURS);
        let mut members: Vec<_> = members.map(|peer| (self.pair_hash(&peer), peer)).collect();
        members.sort_unstable();
        let near = members
            .iter()
            .take_while(|(hash, _)| *hash <= limit)
            .count();
        members.truncate(near.max(NEIGHBOURS_MIN));
        members.into_iter().map(|(_, peer)| peer).collect()
    }

    /// Whether a connection to a member of a room of `count` others is worth keeping.
    pub(super) fn keeps(&self, peer: &PeerId, count: usize) -> bool {
        count <= FULL_MESH_MAX
            || self.pair_hash(peer) <= hash_limit(count, NEIGHBOURS * KEEP_FACTOR)
    }

    fn pair_hash(&self, other: &PeerId) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.me.min(*other).hash(&mut hasher);
        self.me.max(*other).hash(&mut hasher);
        hasher.finish()
    }

    /// A member's signed addresses are known. `can_be_dialled` tells whether others can dial this
    /// peer directly.
    pub(super) fn member(
        &mut self,
        peer: PeerId,
        addresses: Addresses,
        can_be_dialled: bool,
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
        if moved {
            target.upgrades = 0;
            if let State::Resting { until } = &mut target.state {
                *until = if first && yields && !target.failed {
                    now + YIELD
                } else {
                    now
                };
                target.backoff.reset();
            }
            target.failed = false;
        }
    }

    /// The DHT names this peer; whether it exists is to be seen. Its addresses are known to the DHT
    /// behaviour for the moment.
    pub(super) fn stranger(&mut self, peer: PeerId, now: Instant) {
        if let Some(target) = self.entry(peer, now)
            && target.addresses.is_none()
        {
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

    fn entry(&mut self, peer: PeerId, now: Instant) -> Option<&mut Target> {
        if peer == self.me
            || (!self.targets.contains_key(&peer) && self.targets.len() >= TARGETS_MAX)
        {
            return None;
        }
        let seed = self
            .seed
            .wrapping_add(u64::try_from(self.targets.len()).unwrap_or_default());
        Some(self.targets.entry(peer).or_insert_with(|| Target {
            state: State::Resting { until: now },
            addresses: None,
            backoff: Backoff::new(RETRY_BASE, RETRY_MAX, seed),
            upgrades: 0,
            last_error: None,
            failed: false,
            urgent: false,
            stranger: false,
        }))
    }

    /// Dials that are due, given whom the rooms want and how peers are connected.
    pub(super) fn poll(
        &mut self,
        wanted: &HashSet<PeerId>,
        path: impl Fn(&PeerId) -> Option<Path>,
        now: Instant,
    ) -> Vec<DialOpts> {
        let mut dials = Vec::new();
        let mut under_way = self
            .targets
            .values()
            .filter(|t| matches!(t.state, State::Dialling(_)))
            .count();
        for (peer, target) in &mut self.targets {
            if let State::Resting { until } = &target.state
                && *until <= now
                && under_way < ATTEMPTS_MAX
                && let Some(attempt) = target.attempt(*peer, wanted.contains(peer), path(peer), now)
            {
                under_way += 1;
                target.state = State::Dialling(Box::new(attempt));
            }
            if let State::Dialling(attempt) = &mut target.state {
                dials.extend(attempt.due(now));
                if let Progress::Failed(reason) = attempt.tick(now) {
                    target.fail(reason, now);
                }
            }
        }
        // Strangers that were tried and peers that nobody wants any more are forgotten; members
        // are offered again with their next presence.
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
        target.urgent = false;
        target.failed = false;
        target.last_error = None;
        match path {
            Path::Direct(_) => {
                target.backoff.reset();
                target.upgrades = 0;
                target.state = State::Resting { until: now };
            }
            Path::Relayed { .. } => {
                // A direct dial of the same attempt may still be under way and win.
                let over = match &mut target.state {
                    State::Dialling(attempt) => attempt.succeeded(id),
                    State::Resting { .. } => true,
                };
                if over {
                    target.state = State::Resting { until: now };
                }
            }
        }
    }

    /// The last connection to a peer is gone: try again, but not at the same moment as the other
    /// side.
    pub(super) fn disconnected(&mut self, peer: &PeerId, now: Instant) {
        let wait = if self.me > *peer {
            YIELD
        } else {
            Duration::from_millis(100)
        };
        if let Some(target) = self.targets.get_mut(peer) {
            target.upgrades = 0;
            if matches!(target.state, State::Resting { .. }) {
                target.state = State::Resting { until: now + wait };
            }
        }
    }

    /// A dial failed; with the last one its attempt has failed.
    pub(super) fn failed(&mut self, id: ConnectionId, reason: &str, now: Instant) {
        for target in self.targets.values_mut() {
            if let State::Dialling(attempt) = &mut target.state
                && attempt.owns(id)
            {
                if let Progress::Failed(reason) = attempt.failed(id, reason.to_owned()) {
                    target.fail(reason, now);
                }
                return;
            }
        }
    }

    /// A member is gone, or a stranger was asked: forget it unless there is something for it.
    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.targets.remove(peer);
    }

    /// The network is back: every pause is over.
    pub(super) fn network_changed(&mut self, now: Instant) {
        for target in self.targets.values_mut() {
            if let State::Resting { until } = &mut target.state {
                *until = now;
            }
            target.failed = false;
            target.upgrades = 0;
            target.backoff.reset();
        }
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

    pub(super) fn is_dialling(&self, peer: &PeerId) -> bool {
        matches!(
            self.targets.get(peer).map(|target| &target.state),
            Some(State::Dialling(_))
        )
    }

    pub(super) fn last_error(&self, peer: &PeerId) -> Option<&str> {
        self.targets.get(peer)?.last_error.as_deref()
    }

    pub(super) fn next_deadline(
        &self,
        wanted: &HashSet<PeerId>,
        path: impl Fn(&PeerId) -> Option<Path>,
    ) -> Option<Instant> {
        let full = self
            .targets
            .values()
            .filter(|t| matches!(t.state, State::Dialling(_)))
            .count()
            >= ATTEMPTS_MAX;
        self.targets
            .iter()
            .filter_map(|(peer, target)| match &target.state {
                State::Dialling(attempt) => Some(attempt.next_deadline()),
                State::Resting { until } => (!full
                    && target.purpose(wanted.contains(peer), path(peer)).is_some())
                .then_some(*until),
            })
            .min()
    }
}

/// The hash up to which a member of a room of `count` others has `degree` of them on average.
fn hash_limit(count: usize, degree: u64) -> u64 {
    let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
    (u64::MAX / count).saturating_mul(degree)
}

/// Why a target would be dialled.
enum Purpose {
    Connect,
    Upgrade,
}

impl Target {
    fn purpose(&self, wanted: bool, path: Option<Path>) -> Option<Purpose> {
        match path {
            None => (wanted || self.urgent).then_some(Purpose::Connect),
            Some(Path::Direct(_)) => None,
            Some(Path::Relayed { .. }) => {
                let possible = self
                    .addresses
                    .as_ref()
                    .is_some_and(|addresses| !addresses.direct.is_empty());
                (wanted && possible && self.upgrades < UPGRADES_MAX).then_some(Purpose::Upgrade)
            }
        }
    }

    fn attempt(
        &mut self,
        peer: PeerId,
        wanted: bool,
        path: Option<Path>,
        now: Instant,
    ) -> Option<Attempt> {
        let purpose = self.purpose(wanted, path)?;
        Some(match (purpose, &self.addresses) {
            (Purpose::Upgrade, Some(addresses)) => {
                self.upgrades += 1;
                Attempt::new(Some(peer), addresses.direct.clone(), true, now)
            }
            (_, Some(addresses)) => Attempt::new(Some(peer), addresses.ranks(), false, now),
            (_, None) => Attempt::new(Some(peer), vec![Vec::new()], false, now),
        })
    }

    fn fail(&mut self, reason: String, now: Instant) {
        self.last_error = Some(reason);
        self.urgent = false;
        self.failed = true;
        self.state = State::Resting {
            until: now + self.backoff.next_delay(),
        };
    }
}
