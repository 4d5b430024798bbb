//! Keeps reservations at relays, so that this peer can be reached wherever it is. A pure machine:
//! the driver listens and reports.

use std::{collections::HashMap, time::Duration};

use libp2p::{PeerId, core::transport::ListenerId};
use moim_protocol::backoff::Backoff;
use web_time::Instant;

/// Reservations of a kind held at once: one to be reached by, one for when the first goes away.
const RESERVATIONS_MAX: usize = 2;

/// How long a member is connected before it is asked to be our relay, while a bootstrap node is one:
/// each reservation changes our addresses, which the whole room is told.
const MEMBER_SETTLES: Duration = Duration::from_secs(10);

/// First pause after a refused reservation.
const RETRY_BASE: Duration = Duration::from_millis(500);

/// Longest pause after a refused reservation.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Relays whose refusal is remembered.
const REFUSED_MAX: usize = 64;

/// What a relay is besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Anybody can dial it: a bootstrap node, mostly.
    Server,
    /// A member of a room that is connected directly and can be dialled no more than we can. Those who
    /// are connected to it too reach us through it, also when no bootstrap node is there.
    Member,
}

/// A connected peer that offers to relay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) relay: PeerId,
    pub(super) kind: Kind,
    pub(super) connected: Instant,
}

#[derive(Debug)]
pub(super) struct Relays {
    seed: u64,
    listening: HashMap<PeerId, (ListenerId, Kind)>,
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

    fn count(&self, kind: Kind) -> usize {
        let kinds = self.listening.values().map(|(_, kind)| kind);
        kinds.filter(|held| **held == kind).count()
    }

    /// When a relay may be asked, if one of its kind is wanted. In the past: it has not been asked yet.
    fn time_for(&self, candidate: &Candidate) -> Option<Instant> {
        let Candidate {
            relay,
            kind,
            connected,
        } = candidate;
        if self.listening.contains_key(relay) || self.count(*kind) >= RESERVATIONS_MAX {
            return None;
        }
        let settled = if *kind == Kind::Member && self.count(Kind::Server) > 0 {
            *connected + MEMBER_SETTLES
        } else {
            *connected
        };
        let pardoned = self.refused.get(relay).map_or(settled, |(_, until)| *until);
        Some(settled.max(pardoned))
    }

    /// A relay to reserve at now, of those that are connected.
    pub(super) fn due(
        &self,
        candidates: impl Iterator<Item = Candidate>,
        now: Instant,
    ) -> Option<Candidate> {
        candidates
            .filter(|candidate| self.time_for(candidate).is_some_and(|time| time <= now))
            .min_by_key(|candidate| candidate.kind == Kind::Member)
    }

    pub(super) fn listening(&mut self, candidate: &Candidate, listener: ListenerId) {
        self.listening
            .insert(candidate.relay, (listener, candidate.kind));
    }

    /// Whether there is a reservation at this peer, or one is being asked for.
    pub(super) fn uses(&self, relay: &PeerId) -> bool {
        self.listening.contains_key(relay)
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
            .find(|(_, (id, _))| *id == listener)
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

    /// When a connected relay may be asked.
    pub(super) fn next_deadline(
        &self,
        candidates: impl Iterator<Item = Candidate>,
    ) -> Option<Instant> {
        candidates
            .filter_map(|candidate| self.time_for(&candidate))
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform;

    fn candidate(kind: Kind, connected: Instant) -> Candidate {
        Candidate {
            relay: PeerId::random(),
            kind,
            connected,
        }
    }

    #[test]
    fn servers_are_asked_at_once_and_members_a_while_later() {
        let start = platform::now();
        let mut relays = Relays::new(1);
        let server = candidate(Kind::Server, start);
        let member = candidate(Kind::Member, start);
        let both = || [member, server].into_iter();
        let first = relays.due(both(), start).map(|due| due.relay);
        assert_eq!(first, Some(server.relay));
        relays.listening(&server, ListenerId::next());
        assert!(relays.due(both(), start).is_none());
        let settled = start + MEMBER_SETTLES;
        assert_eq!(relays.next_deadline(both()), Some(settled));
        let second = relays.due(both(), settled).map(|due| due.relay);
        assert_eq!(second, Some(member.relay));
        relays.listening(&member, ListenerId::next());
        assert!(relays.due(both(), settled).is_none());
        assert_eq!(relays.next_deadline(both()), None);
    }

    #[test]
    fn without_a_server_a_member_is_asked_at_once() {
        let start = platform::now();
        let mut relays = Relays::new(1);
        let server = candidate(Kind::Server, start);
        let member = candidate(Kind::Member, start);
        let listener = ListenerId::next();
        relays.listening(&server, listener);
        assert!(relays.due([member].into_iter(), start).is_none());
        assert!(relays.closed(listener, start));
        let due = relays.due([member].into_iter(), start);
        assert_eq!(due.map(|due| due.relay), Some(member.relay));
    }

    #[test]
    fn who_has_refused_is_left_alone_for_a_while_and_others_are_asked() {
        let start = platform::now();
        let mut relays = Relays::new(1);
        let (one, other) = (
            candidate(Kind::Member, start),
            candidate(Kind::Member, start),
        );
        let listener = ListenerId::next();
        relays.listening(&one, listener);
        assert!(relays.closed(listener, start));
        assert!(!relays.closed(listener, start), "it is none of these");
        let both = || [one, other].into_iter();
        let due = relays.due(both(), start).map(|due| due.relay);
        assert_eq!(due, Some(other.relay));
        let again = relays.next_deadline([one].into_iter()).expect("some time");
        assert!(again > start && again <= start + RETRY_MAX);
        assert!(relays.due([one].into_iter(), again).is_some());
    }

    #[test]
    fn there_are_enough_of_each_kind() {
        let start = platform::now();
        let mut relays = Relays::new(1);
        for kind in [Kind::Server, Kind::Member] {
            for _ in 0..RESERVATIONS_MAX {
                let one = candidate(kind, start);
                let due = relays.due([one].into_iter(), start + MEMBER_SETTLES);
                assert!(due.is_some());
                relays.listening(&one, ListenerId::next());
                assert!(relays.uses(&one.relay));
            }
            let more = candidate(kind, start);
            assert!(
                relays
                    .due([more].into_iter(), start + MEMBER_SETTLES)
                    .is_none()
            );
        }
    }
}
