//! Keeps reservations at relays, so that this peer can be reached wherever it is. A pure machine:
//! the driver listens and reports.

use std::{collections::HashMap, time::Duration};

use libp2p::{PeerId, core::transport::ListenerId};
use moim_protocol::{backoff::Backoff, limits};
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

/// A member whose reservations are to be renewed sooner than this keeps us busy, and is not asked again
/// for [`SHUNNED`].
const RENEWAL_MIN: Duration = Duration::from_secs(60);

/// The same for a server, whose clock may differ from ours by most of a reservation.
const SERVER_RENEWAL_MIN: Duration = Duration::from_secs(10);

/// See [`RENEWAL_MIN`].
const SHUNNED: Duration = Duration::from_secs(10 * 60);

/// Relays whose refusal is remembered.
const REFUSED_MAX: usize = 64;

/// What a relay is besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A bootstrap node of the settings.
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

/// A reservation, or the request for one.
#[derive(Debug)]
struct Reservation {
    listener: ListenerId,
    kind: Kind,
    accepted: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Relays {
    seed: u64,
    listening: HashMap<PeerId, Reservation>,
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

    /// When each of the candidates may be asked, if more of its kind are wanted. In the past: it has not
    /// been asked yet. Who is no candidate any more takes no place.
    fn times<'a>(
        &self,
        candidates: &'a [Candidate],
    ) -> impl Iterator<Item = (Instant, &'a Candidate)> {
        let held = |wanted: Kind| {
            let wanted = candidates.iter().filter(move |one| one.kind == wanted);
            wanted
                .filter(|one| self.listening.contains_key(&one.relay))
                .count()
        };
        let (servers, members) = (held(Kind::Server), held(Kind::Member));
        candidates.iter().filter_map(move |candidate| {
            let (count, settles) = match candidate.kind {
                Kind::Server => (servers, Duration::ZERO),
                Kind::Member if servers == 0 => (members, Duration::ZERO),
                Kind::Member => (members, MEMBER_SETTLES),
            };
            if self.listening.contains_key(&candidate.relay) || count >= RESERVATIONS_MAX {
                return None;
            }
            let settled = candidate.connected + settles;
            let refused = self.refused.get(&candidate.relay);
            let time = refused.map_or(settled, |(_, until)| settled.max(*until));
            Some((time, candidate))
        })
    }

    /// A relay to reserve at now, of those that are connected.
    pub(super) fn due(&self, candidates: &[Candidate], now: Instant) -> Option<Candidate> {
        self.times(candidates)
            .filter(|(time, _)| *time <= now)
            .map(|(_, candidate)| *candidate)
            .min_by_key(|candidate| candidate.kind == Kind::Member)
    }

    pub(super) fn listening(&mut self, candidate: &Candidate, listener: ListenerId) {
        let reservation = Reservation {
            listener,
            kind: candidate.kind,
            accepted: None,
        };
        self.listening.insert(candidate.relay, reservation);
    }

    /// The relays at which there is a reservation.
    pub(super) fn reserved(&self) -> impl Iterator<Item = PeerId> + '_ {
        let reserved = self.listening.iter();
        reserved
            .filter(|(_, reservation)| reservation.accepted.is_some())
            .map(|(relay, _)| *relay)
    }

    /// A reservation was accepted or renewed. Returns whether it was a sensible time for that; else it is
    /// the driver's to end the connection.
    pub(super) fn accepted(&mut self, relay: &PeerId, now: Instant) -> bool {
        let Some(reservation) = self.listening.get_mut(relay) else {
            return true;
        };
        let before = reservation.accepted.replace(now);
        let min = match reservation.kind {
            Kind::Member => RENEWAL_MIN,
            Kind::Server => SERVER_RENEWAL_MIN,
        };
        if before.is_some_and(|before| now < before + min) {
            self.postpone(*relay, now);
            if let Some((_, until)) = self.refused.get_mut(relay) {
                *until = now + SHUNNED;
            }
            return false;
        }
        true
    }

    /// The reservation was refused or is lost. Returns whether the listener was one of these.
    pub(super) fn closed(&mut self, listener: ListenerId, now: Instant) -> bool {
        let Some(relay) = self
            .listening
            .iter()
            .find(|(_, reservation)| reservation.listener == listener)
            .map(|(relay, _)| *relay)
        else {
            return false;
        };
        let reservation = self.listening.remove(&relay);
        let accepted = reservation.and_then(|reservation| reservation.accepted);
        // One that takes us and sends us away at once is not asked all the time.
        if accepted.is_some_and(|since| now >= since + limits::CONNECTION_LASTS) {
            self.refused.remove(&relay);
        }
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
        *until = (*until).max(now + backoff.next_delay());
    }

    /// When a connected relay may be asked.
    pub(super) fn poll_timeout(&self, candidates: &[Candidate]) -> Option<Instant> {
        self.times(candidates).map(|(time, _)| time).min()
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

    fn due(relays: &Relays, candidates: &[Candidate], now: Instant) -> Option<PeerId> {
        relays.due(candidates, now).map(|due| due.relay)
    }

    #[test]
    fn servers_are_asked_at_once_and_members_a_while_later() {
        let start = platform::now();
        let mut relays = Relays::new(1);
        let server = candidate(Kind::Server, start);
        let member = candidate(Kind::Member, start);
        let both = [member, server];
        assert_eq!(due(&relays, &both, start), Some(server.relay));
        relays.listening(&server, ListenerId::next());
        assert_eq!(due(&relays, &both, start), None);
        let settled = start + MEMBER_SETTLES;
        assert_eq!(relays.poll_timeout(&both), Some(settled));
        assert_eq!(due(&relays, &both, settled), Some(member.relay));
        relays.listening(&member, ListenerId::next());
        assert_eq!(due(&relays, &both, settled), None);
        assert_eq!(relays.poll_timeout(&both), None);
    }

    #[test]
    fn without_a_server_a_member_is_asked_at_once() {
        let start = platform::now();
        let mut relays = Relays::new(1);
        let server = candidate(Kind::Server, start);
        let member = candidate(Kind::Member, start);
        let listener = ListenerId::next();
        relays.listening(&server, listener);
        assert_eq!(due(&relays, &[server, member], start), None);
        assert!(relays.closed(listener, start));
        assert_eq!(due(&relays, &[member], start), Some(member.relay));
    }

    #[test]
    fn who_has_refused_is_left_alone_for_a_while_and_others_are_asked() {
        let start = platform::now();
        let mut relays = Relays::new(1);
        let [one, other] = [(); 2].map(|()| candidate(Kind::Member, start));
        let listener = ListenerId::next();
        relays.listening(&one, listener);
        assert!(relays.closed(listener, start));
        assert!(!relays.closed(listener, start), "it is none of these");
        assert_eq!(due(&relays, &[one, other], start), Some(other.relay));
        let again = relays.poll_timeout(&[one]).expect("some time");
        assert!(again > start && again <= start + RETRY_MAX);
        assert_eq!(due(&relays, &[one], again), Some(one.relay));
    }

    #[test]
    fn who_accepts_and_sends_away_at_once_is_asked_ever_more_seldom() {
        for (lasts, hourly) in [
            (Duration::from_millis(50), 60..1_000),
            (limits::CONNECTION_LASTS, 200..400),
        ] {
            let start = platform::now();
            let mut relays = Relays::new(1);
            let server = candidate(Kind::Server, start);
            let (mut now, mut asked) = (start, 0);
            while now < start + Duration::from_secs(3_600) {
                asked += 1;
                let listener = ListenerId::next();
                relays.listening(&server, listener);
                assert!(relays.accepted(&server.relay, now));
                now += lasts;
                assert!(relays.closed(listener, now));
                now = relays.poll_timeout(&[server]).expect("some time");
            }
            assert!(hourly.contains(&asked), "{lasts:?}: {asked}");
        }
    }

    #[test]
    fn there_are_enough_of_each_kind_of_those_that_are_candidates() {
        let start = platform::now();
        let settled = start + MEMBER_SETTLES;
        let mut relays = Relays::new(1);
        for kind in [Kind::Server, Kind::Member] {
            let mut candidates = vec![candidate(kind, start), candidate(kind, start)];
            for one in &candidates {
                relays.listening(one, ListenerId::next());
            }
            let more = candidate(kind, start);
            candidates.push(more);
            assert_eq!(due(&relays, &candidates, settled), None);
            // A member of a room that was left, for one.
            candidates.remove(0);
            assert_eq!(due(&relays, &candidates, settled), Some(more.relay));
        }
    }

    #[test]
    fn who_wants_to_be_asked_all_the_time_is_shunned() {
        let start = platform::now();
        for (kind, pause, shunned) in [
            (Kind::Member, Duration::ZERO, true),
            (Kind::Member, SERVER_RENEWAL_MIN, true),
            (Kind::Server, Duration::ZERO, true),
            (Kind::Server, SERVER_RENEWAL_MIN, false),
        ] {
            let mut relays = Relays::new(1);
            let one = candidate(kind, start);
            let listener = ListenerId::next();
            relays.listening(&one, listener);
            assert!(relays.accepted(&one.relay, start));
            let later = start + RENEWAL_MIN;
            assert!(relays.accepted(&one.relay, later), "renewed");
            let later = later + pause;
            assert_eq!(relays.accepted(&one.relay, later), !shunned, "{kind:?}");
            // With the connection the reservation goes.
            assert!(relays.closed(listener, later));
            let again = relays.poll_timeout(&[one]).expect("some time");
            assert_eq!(again >= later + SHUNNED, shunned, "{kind:?}");
        }
    }

    #[test]
    fn a_relay_counts_when_it_has_said_yes_and_until_it_is_gone() {
        let start = platform::now();
        let mut relays = Relays::new(1);
        let one = candidate(Kind::Server, start);
        let listener = ListenerId::next();
        relays.listening(&one, listener);
        assert_eq!(relays.reserved().count(), 0);
        assert!(relays.accepted(&one.relay, start));
        assert!(relays.reserved().eq([one.relay]));
        // Nobody else's word makes a relay.
        assert!(relays.accepted(&PeerId::random(), start));
        assert!(relays.reserved().eq([one.relay]));
        assert!(relays.closed(listener, start));
        assert_eq!(relays.reserved().count(), 0);
    }
}
