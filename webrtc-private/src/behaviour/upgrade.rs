//! When to try to turn a relayed connection into a direct one. Pure.

use std::{collections::HashMap, time::Duration};

use libp2p_identity::PeerId;
use web_time::Instant;

use super::handler::Speaks;
use crate::report::Failure;

/// The first pause after an attempt in which ICE failed; it doubles each time.
const RETRY_BASE: Duration = Duration::from_secs(30);

/// The same after one that failed of something else, which may be accidental.
const RETRY_SOON: Duration = Duration::from_secs(1);

/// The longest.
const RETRY_MAX: Duration = Duration::from_secs(10 * 60);

/// A new relayed connection is a new chance (the network may have changed), but not more often.
const AFRESH_MIN: Duration = Duration::from_secs(5);

/// How long whoever has dialled may take before the other side tries.
const INBOUND_PATIENCE: Duration = Duration::from_secs(8);

/// Peers remembered at most.
const PEERS_MAX: usize = 1024;

/// Peers with a relayed connection and none that is direct.
#[derive(Debug)]
pub(super) struct Upgrades {
    peers: HashMap<PeerId, Upgrade>,
    /// How long the preferred upgrade has with those who know it, if we know one.
    preferred: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Upgrade {
    failures: u32,
    state: State,
    /// When the first attempt is due if the other side does not know the preferred upgrade.
    soonest: Instant,
    /// The beginning of the last attempt.
    last: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Due(Instant),
    Trying,
    /// The other side does not speak the protocol.
    Unsupported,
}

impl Upgrades {
    pub(super) fn new(preferred: Option<Duration>) -> Self {
        Self {
            peers: HashMap::new(),
            preferred,
        }
    }

    /// There is a relayed connection to a peer, and no direct one.
    pub(super) fn relayed(&mut self, peer: PeerId, dialled: bool, now: Instant) {
        let soonest = if dialled { now } else { now + INBOUND_PATIENCE };
        let due = self
            .preferred
            .map_or(soonest, |preferred| soonest.max(now + preferred));
        if self.peers.len() >= PEERS_MAX && !self.peers.contains_key(&peer) {
            return;
        }
        let upgrade = self.peers.entry(peer).or_insert(Upgrade {
            failures: 0,
            state: State::Due(due),
            soonest,
            last: None,
        });
        let next = upgrade
            .last
            .map_or(now, |last| now.max(last + AFRESH_MIN))
            .max(due);
        match &mut upgrade.state {
            State::Due(due) => *due = next.min(*due),
            State::Trying | State::Unsupported => {}
        }
    }

    /// The other side says whether it speaks the protocol, and whether it knows the preferred upgrade.
    pub(super) fn speaks(&mut self, peer: &PeerId, speaks: Speaks, now: Instant) {
        if let Some(upgrade) = self.peers.get_mut(peer) {
            match (upgrade.state, speaks) {
                (State::Unsupported, Speaks::Signaling { .. }) => upgrade.state = State::Due(now),
                (State::Due(_), Speaks::Nothing) => upgrade.state = State::Unsupported,
                (State::Due(due), Speaks::Signaling { preferred: false })
                    if upgrade.last.is_none() =>
                {
                    upgrade.state = State::Due(due.min(upgrade.soonest));
                }
                _ => {}
            }
        }
    }

    /// No more is to be done: the peer is connected directly, or not at all.
    pub(super) fn done(&mut self, peer: &PeerId) {
        self.peers.remove(peer);
    }

    /// The peers to try now.
    pub(super) fn poll(&mut self, now: Instant) -> Vec<PeerId> {
        let mut due = Vec::new();
        for (peer, upgrade) in &mut self.peers {
            if matches!(upgrade.state, State::Due(at) if at <= now) {
                upgrade.state = State::Trying;
                upgrade.last = Some(now);
                due.push(*peer);
            }
        }
        due
    }

    /// An attempt failed, as far as is known of what. Returns after how long it will be tried again, if at all.
    pub(super) fn failed(
        &mut self,
        peer: &PeerId,
        failure: Option<Failure>,
        now: Instant,
    ) -> Option<Duration> {
        let upgrade = self.peers.get_mut(peer)?;
        let base = match failure {
            Some(Failure::Unsupported) => {
                upgrade.state = State::Unsupported;
                return None;
            }
            Some(Failure::IceFailed) => RETRY_BASE,
            _ => RETRY_SOON,
        };
        let pause = base
            .saturating_mul(2_u32.saturating_pow(upgrade.failures))
            .min(RETRY_MAX);
        upgrade.failures = upgrade.failures.saturating_add(1);
        upgrade.state = State::Due(now + pause);
        Some(pause)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.peers
            .values()
            .filter_map(|upgrade| match upgrade.state {
                State::Due(at) => Some(at),
                State::Trying | State::Unsupported => None,
            })
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_dialler_tries_at_once_and_the_other_side_later() {
        let (now, peer) = (Instant::now(), PeerId::random());
        let mut upgrades = Upgrades::new(None);
        upgrades.relayed(peer, true, now);
        assert_eq!(upgrades.poll_timeout(), Some(now));
        assert_eq!(upgrades.poll(now), [peer]);
        assert!(upgrades.poll(now).is_empty(), "once");

        let mut upgrades = Upgrades::new(None);
        upgrades.relayed(peer, false, now);
        assert!(upgrades.poll(now + seconds(7)).is_empty());
        assert_eq!(upgrades.poll(now + seconds(8)), [peer]);
    }

    #[test]
    fn pauses_grow_until_a_new_connection_comes() {
        let (start, peer) = (Instant::now(), PeerId::random());
        let mut upgrades = Upgrades::new(None);
        upgrades.relayed(peer, true, start);
        let mut now = start;
        for expected in [30, 60, 120, 240, 480, 600, 600] {
            assert_eq!(upgrades.poll(now), [peer]);
            assert_eq!(
                upgrades.failed(&peer, Some(Failure::IceFailed), now),
                Some(seconds(expected))
            );
            now += seconds(expected);
        }
        upgrades.poll(now);
        upgrades.failed(&peer, Some(Failure::IceFailed), now);
        upgrades.relayed(peer, true, now + seconds(1));
        assert_eq!(upgrades.poll_timeout(), Some(now + AFRESH_MIN));
    }

    #[test]
    fn what_may_have_been_an_accident_is_tried_again_soon() {
        let (start, peer) = (Instant::now(), PeerId::random());
        let mut upgrades = Upgrades::new(None);
        upgrades.relayed(peer, true, start);
        let mut now = start;
        for expected in [1, 2, 4, 8, 16, 32] {
            assert_eq!(upgrades.poll(now), [peer]);
            let retry = upgrades.failed(&peer, Some(Failure::GivenUp), now);
            assert_eq!(retry, Some(seconds(expected)));
            now += seconds(expected);
        }
    }

    #[test]
    fn who_does_not_speak_it_is_left_alone_until_it_does() {
        let (now, peer) = (Instant::now(), PeerId::random());
        let mut upgrades = Upgrades::new(None);
        upgrades.relayed(peer, true, now);
        upgrades.poll(now);
        assert_eq!(
            upgrades.failed(&peer, Some(Failure::Unsupported), now),
            None
        );
        upgrades.relayed(peer, true, now + seconds(60));
        assert_eq!(upgrades.poll_timeout(), None);
        upgrades.speaks(&peer, Speaks::Signaling { preferred: false }, now);
        assert_eq!(upgrades.poll(now), [peer]);
        upgrades.done(&peer);
        assert_eq!(upgrades.failed(&peer, None, now), None);
    }

    #[test]
    fn the_preferred_upgrade_comes_first_where_both_sides_know_it() {
        let start = Instant::now();
        let (program, page, silent) = (PeerId::random(), PeerId::random(), PeerId::random());
        let mut upgrades = Upgrades::new(Some(seconds(10)));
        for peer in [program, page, silent] {
            upgrades.relayed(peer, true, start);
        }
        assert!(upgrades.poll(start).is_empty());
        let identified = start + seconds(1);
        upgrades.speaks(&program, Speaks::Signaling { preferred: true }, identified);
        upgrades.speaks(&page, Speaks::Signaling { preferred: false }, identified);
        assert_eq!(upgrades.poll(identified), [page]);
        assert!(upgrades.poll(start + seconds(9)).is_empty());
        let mut rest = upgrades.poll(start + seconds(10));
        rest.sort_unstable();
        let mut wanted = [program, silent];
        wanted.sort_unstable();
        assert_eq!(rest, wanted, "the preferred upgrade had its time");

        // Whoever was dialled waits for the other side, also where there is none.
        upgrades.done(&page);
        upgrades.relayed(page, false, start);
        upgrades.speaks(&page, Speaks::Signaling { preferred: false }, identified);
        assert!(upgrades.poll(start + seconds(7)).is_empty());
        assert_eq!(upgrades.poll(start + seconds(8)), [page]);
    }
}
