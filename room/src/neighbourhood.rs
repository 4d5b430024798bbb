//! Whom of the members this peer wants a connection to, and whose it keeps.

use std::collections::{BTreeSet, HashSet};

use libp2p_identity::PeerId;
use moim_protocol::{limits::FULL_MESH_MAX, neighbours, roster::Roster};

use crate::links::Links;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Neighbourhood {
    me: PeerId,
    /// Members that name an address at which they may be reached. No others, so that there are no more than members.
    reachable: BTreeSet<PeerId>,
    /// How many members there are to choose neighbours among: those that there are, as far as can be told.
    likely: usize,
}

impl Neighbourhood {
    pub(crate) fn new(me: PeerId) -> Self {
        Self {
            me,
            reachable: BTreeSet::new(),
            likely: 0,
        }
    }

    pub(crate) fn likely(&self) -> usize {
        self.likely
    }

    /// Whether a member may be reached.
    pub(crate) fn set_reachable(&mut self, member: PeerId, is_reachable: bool) {
        if is_reachable {
            self.reachable.insert(member);
        } else {
            self.reachable.remove(&member);
        }
    }

    pub(crate) fn is_reachable(&self, peer: &PeerId) -> bool {
        self.reachable.contains(peer)
    }

    /// Nobody is known to be within reach.
    pub(crate) fn clear(&mut self) {
        self.reachable.clear();
    }

    /// Everybody whom the room wants a connection to. Anybody can make up members, and they would be nearly all of a
    /// room: only those count for its size who are connected or may be reached. Where some could not be, as many are
    /// tried as a small room has: those that were not tried yet, then those that once were connected, then the others.
    pub(crate) fn wanted(&mut self, roster: &Roster, links: &Links) -> BTreeSet<PeerId> {
        self.reachable.retain(|peer| roster.contains(peer));
        let members = roster.members().map(|member| member.presence.peer);
        let (likely, others): (Vec<_>, Vec<_>) =
            members.partition(|peer| links.is_connected(peer) || self.is_reachable(peer));
        self.likely = likely.len();
        let mut near = neighbours::among(self.me, likely.iter().copied());
        if !others.is_empty() {
            let (met, others): (Vec<_>, Vec<_>) =
                others.into_iter().partition(|peer| roster.has_met(peer));
            for more in [likely, met, others] {
                let left = FULL_MESH_MAX.saturating_sub(near.len());
                let more = more.into_iter().filter(|peer| !near.contains(peer));
                let more = neighbours::nearest(self.me, more, left);
                near.extend(more);
            }
        }
        // Those who can't be reached are tried again: they may be back before they say so.
        near.into_iter().chain(roster.suspended()).collect()
    }

    /// Whose connections are kept of these members.
    pub(crate) fn kept(&self, connected_longest_first: &[PeerId]) -> HashSet<PeerId> {
        neighbours::kept(self.me, connected_longest_first, self.likely)
    }

    #[cfg(test)]
    pub(crate) fn reachable(&self) -> usize {
        self.reachable.len()
    }
}
