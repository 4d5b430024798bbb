//! Sessions under way, ours and those of others, and which counts when both sides begin one.

use std::{collections::HashMap, time::Duration};

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
/// up ids for each session is bounded by this.
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
    fn take(&mut self, pace: Pace, now: Instant) -> bool {
        let full = self.0.map_or(now, |full| full.max(now));
        let is_open = full.saturating_duration_since(now) < pace.interval * pace.burst;
        if is_open {
            self.0 = Some(full + pace.interval);
        }
        is_open
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
            offering: HashMap::new(),
            answering: HashMap::new(),
            begun: HashMap::new(),
            begun_in_all: Meter::default(),
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
        if self.begun.len() >= PEERS_MAX && !self.begun.contains_key(&peer) {
            self.begun.retain(|_, meter| !meter.is_empty(now));
            if self.begun.len() >= PEERS_MAX {
                return false;
            }
        }
        let meter = self.begun.entry(peer).or_default();
        meter.take(OF_PEER, now) && self.begun_in_all.take(OF_ALL, now)
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
        } else if self.answering.len() >= self.inbound_max {
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
        assert_eq!(others + OF_PEER.burst + 1, OF_ALL.burst);
        assert!(sessions.begun.len() <= PEERS_MAX);
        // Whoever was turned away for the others' sake is not remembered for ever.
        let later = now + Duration::from_secs(600);
        assert!(sessions.may_begin(PeerId::random(), later));
        assert!(sessions.begun.len() <= 2, "{}", sessions.begun.len());
    }
}
