//! Keeps reservations at relays, so that this peer can be reached wherever it is. A pure machine:
//! the driver listens and reports.

use std::{collections::HashMap, time::Duration};

use libp2p::{PeerId, core::transport::ListenerId};
use moim_protocol::backoff::Backoff;
use web_time::Instant;

/// Relays used at once: one to be reached by, one for when the first goes away.
const RELAYS_MAX: usize = 2;

/// First pause after a refused reservation.
const RETRY_BASE: Duration = Duration::from_millis(500);

/// Longest pause after a refused reservation.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Relays whose refusal is remembered.
const REFUSED_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct Relays {
    seed: u64,
    listening: HashMap<PeerId, ListenerId>,
    refused: HashMap<PeerId, (Backoff, Instant)>,
}

impl Relays {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            listening: HashMap::new(),
            refused: HashMap::new(),
        }
    }

    /// A relay to reserve at now, of those that are connected.
    pub(super) fn due(
        &self,
        connected: impl Iterator<Item = PeerId>,
        now: Instant,
    ) -> Option<PeerId> {
        if self.listening.len() >= RELAYS_MAX {
            return None;
        }
        connected
            .filter(|relay| !self.listening.contains_key(relay))
            .find(|relay| {
                self.refused
                    .get(relay)
                    .is_none_or(|(_, until)| *until <= now)
            })
    }

    pub(super) fn listening(&mut self, relay: PeerId, listener: ListenerId) {
        self.listening.insert(relay, listener);
    }

    /// A reservation was accepted or renewed.
    pub(super) fn accepted(&mut self, relay: &PeerId) {
        self.refused.remove(relay);
    }

    /// The reservation was refused or is lost. Returns whether the listener was one of these.
    pub(super) fn closed(&mut self, listener: ListenerId, now: Instant) -> bool {
        let Some(relay) = self
            .listening
            .iter()
            .find(|(_, id)| **id == listener)
            .map(|(relay, _)| *relay)
        else {
            return false;
        };
        self.listening.remove(&relay);
        self.postpone(relay, now);
        true
    }

    /// Not this relay for a while.
    pub(super) fn postpone(&mut self, relay: PeerId, now: Instant) {
        if self.refused.len() >= REFUSED_MAX {
            self.refused.retain(|_, (_, until)| *until > now);
        }
        let seed = self.seed;
        let (backoff, until) = self
            .refused
            .entry(relay)
            .or_insert_with(|| (Backoff::new(RETRY_BASE, RETRY_MAX, seed), now));
        *until = now + backoff.next_delay();
    }

    /// When a connected relay may be asked again.
    pub(super) fn next_deadline(&self, connected: impl Iterator<Item = PeerId>) -> Option<Instant> {
        if self.listening.len() >= RELAYS_MAX {
            return None;
        }
        connected
            .filter(|relay| !self.listening.contains_key(relay))
            .filter_map(|relay| self.refused.get(&relay).map(|(_, until)| *until))
            .min()
    }
}
