//! Sessions under way, ours and those of others, and which counts when both sides begin one.

use std::collections::HashMap;

use futures::channel::oneshot;
use libp2p_identity::PeerId;
use libp2p_swarm::Stream;

use crate::{error::OpenError, transport::Opened};

/// See the [module](self). At most one each way per peer.
#[derive(Debug)]
pub(super) struct Sessions {
    local: PeerId,
    inbound_max: usize,
    /// Ours: the sender ends one in favour of the other side's.
    offering: HashMap<PeerId, oneshot::Sender<()>>,
    /// Those of others: the sender ends one in favour of ours.
    answering: HashMap<PeerId, oneshot::Sender<()>>,
}

impl Sessions {
    pub(super) fn new(local: PeerId, inbound_max: usize) -> Self {
        Self {
            local,
            inbound_max,
            offering: HashMap::new(),
            answering: HashMap::new(),
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

    /// The other side wants to begin a session. `None` if it is not to: dropping its stream tells it.
    pub(super) fn answer(&mut self, peer: PeerId, stream: Stream) -> Option<Opened> {
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
