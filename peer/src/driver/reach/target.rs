//! A peer to be reached: where, and what became of it so far.

use libp2p::{Multiaddr, PeerId};
use moim_protocol::backoff::Backoff;
use web_time::Instant;

use crate::{
    driver::{dial::Attempt, seldom::Seldom},
    reason::Unreached,
    snapshot::Path,
};

/// Direct attempts beside a relayed connection before it is left at that.
pub(super) const UPGRADES_MAX: u32 = 4;

#[derive(Debug)]
pub(super) enum State {
    /// Nothing under way; the next attempt not before this.
    Resting {
        until: Instant,
    },
    Dialling(Box<Attempt>),
}

#[derive(Debug)]
pub(super) struct Target {
    pub(super) state: State,
    /// `None`: only the DHT may know.
    pub(super) addresses: Option<Addresses>,
    pub(super) backoff: Backoff,
    pub(super) moves: Seldom,
    /// When the connection was made that there is.
    pub(super) connected: Option<Instant>,
    pub(super) upgrades: u32,
    pub(super) last_error: Option<Unreached>,
    /// An attempt has failed and nothing has changed since: it is tried again, but people need not
    /// see each try.
    pub(super) failed: bool,
    /// Dial it whatever the rooms want: there is a message to deliver or a question to ask.
    pub(super) urgent: bool,
    pub(super) stranger: bool,
}

/// Where a peer says that it can be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Addresses {
    /// In ranks, as `swarm::dial_ranks` gives them.
    pub(in super::super) direct: Vec<Vec<Multiaddr>>,
    /// In ranks, to be tried after these.
    pub(in super::super) relayed: Vec<Vec<Multiaddr>>,
}

impl Addresses {
    fn is_empty(&self) -> bool {
        self.direct.is_empty() && self.relayed.is_empty()
    }

    fn ranks(&self) -> Vec<Vec<Multiaddr>> {
        self.direct.iter().chain(&self.relayed).cloned().collect()
    }
}

/// Why a target would be dialled.
pub(super) enum Purpose {
    Connect,
    Upgrade,
}

impl Target {
    /// Whether it names an address, and the last try has not failed.
    pub(super) fn may_be_reached(&self) -> bool {
        let addresses = self.addresses.as_ref();
        !self.failed && addresses.is_some_and(|addresses| !addresses.is_empty())
    }

    /// Whether nothing is under way and nothing waits for it.
    pub(super) fn is_idle(&self) -> bool {
        let is_resting = matches!(self.state, State::Resting { .. });
        is_resting && !self.urgent && self.connected.is_none()
    }

    pub(super) fn purpose(&self, wanted: bool, path: Option<Path>) -> Option<Purpose> {
        match path {
            None => (wanted || self.urgent).then_some(Purpose::Connect),
            Some(Path::Direct(_) | Path::Turn) => None,
            Some(Path::Relayed { .. }) => {
                let possible = self
                    .addresses
                    .as_ref()
                    .is_some_and(|addresses| !addresses.direct.is_empty());
                (wanted && possible && self.upgrades < UPGRADES_MAX).then_some(Purpose::Upgrade)
            }
        }
    }

    pub(super) fn attempt(
        &mut self,
        peer: PeerId,
        wanted: bool,
        path: Option<Path>,
        now: Instant,
    ) -> Option<Attempt> {
        let purpose = self.purpose(wanted, path)?;
        let (ranks, upgrade) = match (purpose, &self.addresses) {
            (Purpose::Upgrade, Some(addresses)) => {
                self.upgrades += 1;
                (addresses.direct.clone(), true)
            }
            (_, Some(addresses)) => (addresses.ranks(), false),
            (_, None) => (vec![Vec::new()], false),
        };
        let attempt = Attempt::new(Some(peer), ranks, upgrade, now);
        Some(attempt.with_new_ports())
    }

    pub(super) fn fail(&mut self, why: Unreached, now: Instant) {
        self.last_error = Some(why);
        self.urgent = false;
        self.failed = true;
        self.state = State::Resting {
            until: now + self.backoff.next_delay(),
        };
    }
}
