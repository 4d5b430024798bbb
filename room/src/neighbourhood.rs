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
        // Neighbours that can't be reached are tried again: they may be back before they say so.
        let is_one = |peer: &PeerId| neighbours::is_one(self.me, *peer, self.likely);
        let lost = roster.suspended().filter(is_one);
        near.into_iter().chain(lost).collect()
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use moim_protocol::limits::NEIGHBOURS;

    use super::*;
    use crate::testing::{here, left, peer, start, topic};

    /// A room of so many that were heard of from peer 1, none of them connected.
    fn roster(members: u16) -> Roster {
        let now = start();
        let mut roster = Roster::new(topic().hash(), peer(0));
        for n in 1..=members {
            let signed = here(n, 1, now);
            roster
                .handle_presence(signed, peer(1), Duration::ZERO, now.instant, now.wall)
                .unwrap();
        }
        roster
    }

    #[test]
    fn made_up_members_do_not_make_a_room_large() {
        let (mut near, mut links) = (Neighbourhood::new(peer(0)), Links::default());
        let roster = roster(200);
        for n in 1..=20 {
            links.connected(peer(n));
        }
        let wanted = near.wanted(&roster, &links);
        assert_eq!(near.likely(), 20);
        assert_eq!(wanted.len(), FULL_MESH_MAX);
        assert!((1..=20).all(|n| wanted.contains(&peer(n))));
    }

    #[test]
    fn in_a_large_room_some_are_neighbours() {
        let (mut near, links) = (Neighbourhood::new(peer(0)), Links::default());
        let roster = roster(200);
        for n in 1..=200 {
            near.set_reachable(peer(n), true);
        }
        let wanted = near.wanted(&roster, &links).len() as u64;
        assert_eq!(near.likely(), 200);
        assert!(
            (NEIGHBOURS / 2..NEIGHBOURS * 2).contains(&wanted),
            "{wanted}"
        );
        near.set_reachable(peer(1), false);
        near.wanted(&roster, &links);
        assert_eq!(near.likely(), 199);
    }

    #[test]
    fn who_is_lost_is_wanted_and_who_has_left_is_not() {
        let now = start();
        let (mut near, links) = (Neighbourhood::new(peer(0)), Links::default());
        let mut roster = roster(3);
        for n in 1..=3 {
            near.set_reachable(peer(n), true);
        }
        roster.suspend(&peer(1), 0);
        let farewell = left(2, 2, now);
        roster
            .handle_presence(farewell, peer(2), Duration::ZERO, now.instant, now.wall)
            .unwrap();
        assert_eq!(
            near.wanted(&roster, &links),
            BTreeSet::from([peer(1), peer(3)])
        );
        assert_eq!((near.reachable(), near.likely()), (1, 1));
        near.clear();
        assert!(!near.is_reachable(&peer(3)));
    }

    #[test]
    fn of_few_connections_all_are_kept() {
        let near = Neighbourhood::new(peer(0));
        let connected: Vec<PeerId> = (1..=24).map(peer).collect();
        assert_eq!(near.kept(&connected).len(), 24);
    }
}
