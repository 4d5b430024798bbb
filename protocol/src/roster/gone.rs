//! Who is gone, with its sequence number, and its farewell.

use std::collections::{BTreeMap, BTreeSet};

use libp2p_identity::PeerId;
use web_time::Instant;

use super::entry::Entry;
use crate::limits::GONE_MAX;

/// Peers that are gone, each until an instant.
#[derive(Debug, Default)]
pub(super) struct Gone {
    pub(super) by_peer: BTreeMap<PeerId, Departed>,
    pub(super) by_end: BTreeSet<(Instant, PeerId)>,
}

#[derive(Debug)]
pub(super) struct Departed {
    sequence: u64,
    until: Instant,
    /// Its farewell, if it said one that is worth passing on.
    pub(super) left: Option<Entry>,
}

impl Gone {
    pub(super) fn sequence(&self, peer: &PeerId) -> Option<u64> {
        self.by_peer.get(peer).map(|departed| departed.sequence)
    }

    /// Those that are remembered for longest first.
    pub(super) fn sequences(&self) -> impl Iterator<Item = (PeerId, u64)> {
        let latest = self.by_end.iter().rev();
        latest.filter_map(|(_, peer)| Some((*peer, self.sequence(peer)?)))
    }

    pub(super) fn is_full(&self) -> bool {
        self.by_peer.len() >= GONE_MAX
    }

    /// Where there are too many, the one that is to be remembered for the shortest time makes room.
    pub(super) fn insert(
        &mut self,
        peer: PeerId,
        sequence: u64,
        until: Instant,
        left: Option<Entry>,
    ) {
        self.remove(&peer);
        self.by_peer.insert(
            peer,
            Departed {
                sequence,
                until,
                left,
            },
        );
        self.by_end.insert((until, peer));
        if self.by_peer.len() > GONE_MAX
            && let Some((_, first)) = self.by_end.pop_first()
        {
            self.by_peer.remove(&first);
        }
    }

    pub(super) fn remove(&mut self, peer: &PeerId) {
        if let Some(Departed { until, .. }) = self.by_peer.remove(peer) {
            self.by_end.remove(&(until, *peer));
        }
    }

    pub(super) fn tick(&mut self, now: Instant) {
        while let Some(&(until, peer)) = self.by_end.first()
            && until <= now
        {
            self.by_end.pop_first();
            self.by_peer.remove(&peer);
        }
    }
}
