//! When the relayed connection to a peer is closed beside a direct one. A pure machine.

use std::{collections::HashMap, time::Duration};

use libp2p::PeerId;
use web_time::Instant;

/// How long the relayed connection stays after the peer has introduced itself on the direct one. What is
/// on its way there gets through, above all the end of the signalling: js-libp2p gives the direct
/// connection up when the relayed one goes before that.
const SETTLES: Duration = Duration::from_secs(1);

/// The same for a peer that does not introduce itself.
const SETTLES_MAX: Duration = Duration::from_secs(10);

/// Peers that are connected both ways. Bounded by the connection limits of the swarm.
#[derive(Debug, Default)]
pub(super) struct Handovers {
    due: HashMap<PeerId, Instant>,
}

impl Handovers {
    /// There is a direct connection beside a relayed one.
    pub(super) fn began(&mut self, peer: PeerId, now: Instant) {
        self.due.entry(peer).or_insert(now + SETTLES_MAX);
    }

    /// The peer has introduced itself on a direct connection.
    pub(super) fn identified(&mut self, peer: &PeerId, now: Instant) {
        if let Some(due) = self.due.get_mut(peer) {
            *due = (*due).min(now + SETTLES);
        }
    }

    /// Something is on a relayed connection that would be lost with it: it is looked at again later. It ends by itself,
    /// because relays bound circuits in time.
    pub(super) fn put_off(&mut self, peer: PeerId, now: Instant) {
        self.due.insert(peer, now + SETTLES);
    }

    /// It is connected in one way only, or not at all.
    pub(super) fn disconnected(&mut self, peer: &PeerId) {
        self.due.remove(peer);
    }

    /// A peer whose relayed connections are to be closed now.
    pub(super) fn due(&mut self, now: Instant) -> Option<PeerId> {
        let due = self.due.iter().find(|(_, due)| **due <= now);
        let peer = due.map(|(peer, _)| *peer)?;
        self.due.remove(&peer);
        Some(peer)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform;

    #[test]
    fn the_relayed_connection_stays_until_the_direct_one_has_settled() {
        let start = platform::now();
        let (quick, silent) = (PeerId::random(), PeerId::random());
        let mut handovers = Handovers::default();
        handovers.began(quick, start);
        handovers.began(silent, start);
        let identified = start + Duration::from_millis(100);
        handovers.identified(&quick, identified);
        // Its addresses have changed: that is no reason to wait longer.
        handovers.identified(&quick, identified + SETTLES / 2);
        assert_eq!(handovers.due(identified), None);
        let settled = identified + SETTLES;
        assert_eq!(handovers.next_deadline(), Some(settled));
        assert_eq!(handovers.due(settled), Some(quick));
        assert_eq!(handovers.due(settled), None, "once");
        assert_eq!(handovers.due(start + SETTLES_MAX), Some(silent));
        assert_eq!(handovers.next_deadline(), None);
        handovers.put_off(quick, settled);
        assert_eq!(handovers.due(settled), None, "it is in use");
        assert_eq!(handovers.due(settled + SETTLES), Some(quick));
    }

    #[test]
    fn who_is_gone_is_forgotten() {
        let start = platform::now();
        let peer = PeerId::random();
        let mut handovers = Handovers::default();
        handovers.began(peer, start);
        handovers.disconnected(&peer);
        handovers.identified(&peer, start);
        assert_eq!(handovers.due(start + SETTLES_MAX), None);
    }
}
