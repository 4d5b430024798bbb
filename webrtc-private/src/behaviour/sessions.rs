//! Sessions under way, ours and those of others, and which counts when both sides begin one.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use futures::channel::oneshot;
use libp2p_identity::PeerId;
use libp2p_swarm::Stream;
use web_time::Instant;

use crate::{error::OpenError, transport::Opened};

/// Sessions that there may be with one peer at once, whoever begins them, and how long until there may be one more. One
/// whose first attempts fail tries again after seconds, then after minutes.
const OF_PEER: Pace = Pace {
    burst: 12,
    interval: Duration::from_secs(5),
};

/// Those with all others together. In a room of hundreds some dozens come to a newcomer at once; whoever makes
/// up ids for each session is bounded by half of this, and of whatever else there is: the other half is for
/// those whom the user knows. Ours count too: who comes through a relay and waits has us begin, and
/// names as many third parties in his answer as in an offer.
const OF_ALL: Pace = Pace {
    burst: 64,
    interval: Duration::from_secs(1),
};

/// Peers whose sessions are remembered. A full one has begun none lately.
const PEERS_MAX: usize = 256;

/// So many at once, and then one for each interval.
#[derive(Clone, Copy, Debug)]
struct Pace {
    burst: u32,
    interval: Duration,
}

/// When one may begin again, as if each took an interval (a leaky bucket as a meter: ITU-T I.371).
#[derive(Clone, Copy, Debug, Default)]
struct Meter(Option<Instant>);

impl Meter {
    /// Whether one of so many at once may begin.
    fn is_open(&self, pace: Pace, burst: u32, now: Instant) -> bool {
        let under_way = self.0.map(|full| full.saturating_duration_since(now));
        under_way.unwrap_or_default() < pace.interval * burst
    }

    fn take(&mut self, pace: Pace, now: Instant) {
        let full = self.0.map_or(now, |full| full.max(now));
        self.0 = Some(full + pace.interval);
    }

    fn is_empty(&self, now: Instant) -> bool {
        self.0.is_none_or(|full| full <= now)
    }
}

/// See the [module](self). At most one each way per peer.
#[derive(Debug)]
pub(super) struct Sessions {
    local: PeerId,
    inbound_max: usize,
    /// Those whom strangers leave half of everything.
    known: HashSet<PeerId>,
    /// Ours: the sender ends one in favour of the other side's.
    offering: HashMap<PeerId, oneshot::Sender<()>>,
    /// Those of others: the sender ends one in favour of ours.
    answering: HashMap<PeerId, oneshot::Sender<()>>,
    /// How many there were lately with each peer, and with all together, whoever began them.
    begun: HashMap<PeerId, Meter>,
    begun_in_all: Meter,
}

impl Sessions {
    pub(super) fn new(local: PeerId, inbound_max: usize) -> Self {
        Self {
            local,
            inbound_max,
            known: HashSet::new(),
            offering: HashMap::new(),
            answering: HashMap::new(),
            begun: HashMap::new(),
            begun_in_all: Meter::default(),
        }
    }

    pub(super) fn set_known(&mut self, known: HashSet<PeerId>) {
        self.known = known;
    }

    /// How many there may be when a peer comes for one more.
    fn share(&self, peer: &PeerId, of: usize) -> usize {
        if self.known.contains(peer) {
            of
        } else {
            of.div_ceil(2)
        }
    }

    /// Whether a session of ours with this peer is under way.
    fn is_offering(&mut self, peer: &PeerId) -> bool {
        self.offering
            .retain(|_, supersede| !supersede.is_canceled());
        self.offering.contains_key(peer)
    }

    /// Whether a session of the other side is under way.
    fn is_answering(&mut self, peer: &PeerId) -> bool {
        self.answering
            .retain(|_, supersede| !supersede.is_canceled());
        self.answering.contains_key(peer)
    }

    /// Lets us begin a session with this peer, if we may.
    pub(super) fn may_offer(&mut self, peer: &PeerId, now: Instant) -> Result<(), OpenError> {
        if self.is_offering(peer) || self.is_answering(peer) {
            return Err(OpenError::UnderWay);
        }
        if !self.may_begin(*peer, now) {
            return Err(OpenError::TooMany);
        }
        Ok(())
    }

    /// A session of ours begins, on a stream that took its time to open: the other side may have begun
    /// one meanwhile. Then that of the smaller peer id counts. An implementation that does not know
    /// this rule ends up with one session too, as we drop one.
    pub(super) fn offer(&mut self, peer: PeerId, stream: Stream) -> Result<Opened, OpenError> {
        if self.is_answering(&peer) {
            if peer < self.local {
                return Err(OpenError::UnderWay);
            }
            supersede(&mut self.answering, &peer);
        }
        let (supersede, superseded) = oneshot::channel();
        self.offering.insert(peer, supersede);
        Ok(Opened { stream, superseded })
    }

    /// Whether one with this peer may begin, as far as those count that there were with it and with others.
    fn may_begin(&mut self, peer: PeerId, now: Instant) -> bool {
        let peers_max = self.share(&peer, PEERS_MAX);
        if self.begun.len() >= peers_max && !self.begun.contains_key(&peer) {
            self.begun.retain(|_, meter| !meter.is_empty(now));
            if self.begun.len() >= peers_max {
                return false;
            }
        }
        let is_known = self.known.contains(&peer);
        let burst = OF_ALL.burst / if is_known { 1 } else { 2 };
        let meter = self.begun.get(&peer).copied().unwrap_or_default();
        let may = meter.is_open(OF_PEER, OF_PEER.burst, now)
            && self.begun_in_all.is_open(OF_ALL, burst, now);
        if may {
            self.begun.entry(peer).or_default().take(OF_PEER, now);
            self.begun_in_all.take(OF_ALL, now);
        }
        may
    }

    /// Lets the other side begin a session, if it may.
    fn may_answer(&mut self, peer: &PeerId, now: Instant) -> bool {
        if self.is_offering(peer) && self.local < *peer {
            tracing::debug!(%peer, "the other side offers too; ours counts");
            return false;
        }
        if !self.is_answering(peer) && self.answering.len() >= self.share(peer, self.inbound_max) {
            tracing::debug!(%peer, "too many others signal");
            return false;
        }
        let may = self.may_begin(*peer, now);
        if !may {
            tracing::debug!(%peer, "begins sessions too fast");
        }
        may
    }

    /// The other side wants to begin a session. `None` if it is not to: dropping its stream tells it.
    pub(super) fn answer(&mut self, peer: PeerId, stream: Stream, now: Instant) -> Option<Opened> {
        if !self.may_answer(&peer, now) {
            return None;
        }
        supersede(&mut self.offering, &peer);
        // It would not begin another, had the first not failed on its side.
        supersede(&mut self.answering, &peer);
        let (supersede, superseded) = oneshot::channel();
        self.answering.insert(peer, supersede);
        Some(Opened { stream, superseded })
    }
}

/// Ends a session in favour of another.
fn supersede(sessions: &mut HashMap<PeerId, oneshot::Sender<()>>, peer: &PeerId) {
    if let Some(supersede) = sessions.remove(peer) {
        // It may be over.
        let _ = supersede.send(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who begins.
    const ROLES: [fn(&mut Sessions, PeerId, Instant) -> bool; 2] = [
        |sessions, peer, now| sessions.may_offer(&peer, now).is_ok(),
        |sessions, peer, now| sessions.may_answer(&peer, now),
    ];

    #[test]
    fn there_are_few_sessions_with_one_peer_and_some_with_all_together() {
        for may_begin in ROLES {
            few_with_one_and_some_with_all(may_begin);
        }
    }

    #[test]
    fn whoever_begins_them_they_count_together() {
        let now = Instant::now();
        let mut sessions = Sessions::new(PeerId::random(), usize::MAX);
        let peer = PeerId::random();
        let begun = ROLES.iter().cycle().take(64);
        let begun = begun.filter(|may_begin| may_begin(&mut sessions, peer, now));
        assert_eq!(begun.count(), OF_PEER.burst as usize);
        let begun = ROLES.iter().cycle().take(1_000);
        let begun = begun.filter(|may_begin| may_begin(&mut sessions, PeerId::random(), now));
        let others = begun.count() as u32;
        assert_eq!(others + OF_PEER.burst, OF_ALL.burst / 2);
        let refused = sessions.may_offer(&PeerId::random(), now);
        assert_eq!(refused, Err(OpenError::TooMany));
    }

    #[test]
    fn what_ours_takes_precedence_over_takes_nothing_of_a_share() {
        let now = Instant::now();
        let ids: [PeerId; 2] = std::array::from_fn(|_| PeerId::random());
        let (local, peer) = (*ids.iter().min().unwrap(), *ids.iter().max().unwrap());
        let mut sessions = Sessions::new(local, usize::MAX);
        let (supersede, _superseded) = oneshot::channel();
        sessions.offering.insert(peer, supersede);
        for _ in 0..100 {
            assert!(!sessions.may_answer(&peer, now));
            assert_eq!(sessions.may_offer(&peer, now), Err(OpenError::UnderWay));
        }
        sessions.offering.clear();
        assert!(sessions.may_answer(&peer, now));
    }

    fn few_with_one_and_some_with_all(may_begin: fn(&mut Sessions, PeerId, Instant) -> bool) {
        let now = Instant::now();
        let mut sessions = Sessions::new(PeerId::random(), usize::MAX);
        let peer = PeerId::random();
        let begun = (0..64)
            .filter(|_| may_begin(&mut sessions, peer, now))
            .count();
        assert_eq!(begun, OF_PEER.burst as usize);
        assert!(may_begin(&mut sessions, peer, now + OF_PEER.interval));
        assert!(!may_begin(&mut sessions, peer, now + OF_PEER.interval));
        let others = (0..1_000).filter(|_| may_begin(&mut sessions, PeerId::random(), now));
        let others = others.count() as u32;
        assert_eq!(others + OF_PEER.burst + 1, OF_ALL.burst / 2);
        assert!(sessions.begun.len() <= PEERS_MAX);
        // Nobody is remembered for ever.
        for second in 600..1_600 {
            let later = now + Duration::from_secs(second);
            assert!(may_begin(&mut sessions, PeerId::random(), later));
            assert!(sessions.begun.len() <= PEERS_MAX / 2);
        }
    }

    #[test]
    fn strangers_leave_half_to_those_who_are_known() {
        for may_begin in ROLES {
            half_is_for_the_known(may_begin);
        }
    }

    fn half_is_for_the_known(may_begin: fn(&mut Sessions, PeerId, Instant) -> bool) {
        let now = Instant::now();
        let mut sessions = Sessions::new(PeerId::random(), 16);
        let known: Vec<PeerId> = (0..8).map(|_| PeerId::random()).collect();
        sessions.set_known(known.iter().copied().collect());
        // They begin as many as they may, for as long as it takes to be all that is remembered.
        for second in 0..600 {
            let later = now + Duration::from_secs(second);
            let strangers = (0..100).filter(|_| may_begin(&mut sessions, PeerId::random(), later));
            assert!(strangers.count() <= 32);
        }
        let later = now + Duration::from_secs(600);
        for peer in &known {
            let begun = (0..4).filter(|_| may_begin(&mut sessions, *peer, later));
            assert_eq!(begun.count(), 4, "sessions of a member");
        }
        let stranger = PeerId::random();
        assert!(!may_begin(&mut sessions, stranger, later));
        assert_eq!(sessions.share(&known[0], 16), 16);
        assert_eq!(sessions.share(&stranger, 16), 8);
        assert_eq!(sessions.share(&stranger, 1), 1);
    }
}
