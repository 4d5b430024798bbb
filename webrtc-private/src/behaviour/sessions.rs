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

/// Sessions that one peer may begin at once, and how long until it may begin one more. One whose first
/// attempts fail tries again after seconds, then after minutes.
const OF_PEER: Pace = Pace {
    burst: 12,
    interval: Duration::from_secs(5),
};

/// Those of all others together. In a room of hundreds some dozens come to a newcomer at once; whoever makes
/// up ids for each session is bounded by half of this, and of whatever else there is: the other half is for
/// those whom the user knows.
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
    /// How many each peer has begun lately, and all together.
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

    /// Whether we may begin a session with this peer.
    pub(super) fn may_offer(&mut self, peer: &PeerId) -> bool {
        !self.is_offering(peer) && !self.is_answering(peer)
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

    /// Whether this peer may begin a session, as far as those count that it and others have begun.
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

    /// The other side wants to begin a session. `None` if it is not to: dropping its stream tells it.
    pub(super) fn answer(&mut self, peer: PeerId, stream: Stream, now: Instant) -> Option<Opened> {
        if !self.may_begin(peer, now) {
            tracing::debug!(%peer, "begins sessions too fast");
            return None;
        }
        if self.is_offering(&peer) {
            if self.local < peer {
                tracing::debug!(%peer, "the other side offers too; ours counts");
                return None;
            }
            supersede(&mut self.offering, &peer);
        }
        if self.is_answering(&peer) {
            // It would not begin another, had the first not failed on its side.
            supersede(&mut self.answering, &peer);
        } else if self.answering.len() >= self.share(&peer, self.inbound_max) {
            tracing::debug!(%peer, "too many others signal");
            return None;
        }
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

    #[test]
    fn one_peer_begins_few_sessions_and_all_together_some() {
        let now = Instant::now();
        let mut sessions = Sessions::new(PeerId::random(), usize::MAX);
        let peer = PeerId::random();
        let begun = (0..64).filter(|_| sessions.may_begin(peer, now)).count();
        assert_eq!(begun, OF_PEER.burst as usize);
        assert!(sessions.may_begin(peer, now + OF_PEER.interval));
        assert!(!sessions.may_begin(peer, now + OF_PEER.interval));
        let others = (0..1_000).filter(|_| sessions.may_begin(PeerId::random(), now));
        let others = others.count() as u32;
        assert_eq!(others + OF_PEER.burst + 1, OF_ALL.burst / 2);
        assert!(sessions.begun.len() <= PEERS_MAX);
        // Nobody is remembered for ever.
        for second in 600..1_600 {
            let later = now + Duration::from_secs(second);
            assert!(sessions.may_begin(PeerId::random(), later));
            assert!(sessions.begun.len() <= PEERS_MAX / 2);
        }
    }

    #[test]
    fn strangers_leave_half_to_those_who_are_known() {
        let now = Instant::now();
        let mut sessions = Sessions::new(PeerId::random(), 16);
        let known: Vec<PeerId> = (0..8).map(|_| PeerId::random()).collect();
        sessions.set_known(known.iter().copied().collect());
        // They begin as many as they may, for as long as it takes to be all that is remembered.
        for second in 0..600 {
            let later = now + Duration::from_secs(second);
            let strangers = (0..100).filter(|_| sessions.may_begin(PeerId::random(), later));
            assert!(strangers.count() <= 32);
        }
        let later = now + Duration::from_secs(600);
        for peer in &known {
            let begun = (0..4).filter(|_| sessions.may_begin(*peer, later));
            assert_eq!(begun.count(), 4, "sessions of a member");
        }
        let stranger = PeerId::random();
        assert!(!sessions.may_begin(stranger, later));
        assert_eq!(sessions.share(&known[0], 16), 16);
        assert_eq!(sessions.share(&stranger, 16), 8);
        assert_eq!(sessions.share(&stranger, 1), 1);
    }
}
