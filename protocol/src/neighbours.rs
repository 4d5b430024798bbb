//! Whom of a large room's members a peer keeps connections to.
//!
//! Two members are neighbours when a hash of both their ids is small enough for the room's size, so
//! that both ends agree without a word, whatever they are written in.

use libp2p_identity::PeerId;
use sha2::{Digest as _, Sha256};

use crate::{
    limits::{FULL_MESH_MAX, NEIGHBOURS, NEIGHBOURS_MIN},
    names::NEIGHBOURS_PREFIX,
};

/// A connection is kept although the room has grown and it would not be made any more, up to this
/// many times the hash; members count the room differently for a moment.
const KEEP_FACTOR: u64 = 2;

/// The members of a room to whom `me` makes connections.
pub fn among(me: PeerId, members: impl ExactSizeIterator<Item = PeerId>) -> Vec<PeerId> {
    let count = members.len();
    if count <= FULL_MESH_MAX {
        return members.collect();
    }
    let limit = hash_limit(count, NEIGHBOURS);
    let mut members: Vec<_> = members.map(|peer| (pair_hash(me, peer), peer)).collect();
    members.sort_unstable();
    let near = members
        .iter()
        .take_while(|(hash, _)| *hash <= limit)
        .count();
    members.truncate(near.max(NEIGHBOURS_MIN));
    members.into_iter().map(|(_, peer)| peer).collect()
}

/// Whether `me` connects to a member that has just come to a room of `count` others.
pub fn is_one(me: PeerId, peer: PeerId, count: usize) -> bool {
    count <= FULL_MESH_MAX || pair_hash(me, peer) <= hash_limit(count, NEIGHBOURS)
}

/// Whether a connection to a member of a room of `count` others is worth keeping.
pub fn keeps(me: PeerId, peer: PeerId, count: usize) -> bool {
    count <= FULL_MESH_MAX
        || pair_hash(me, peer) <= hash_limit(count, NEIGHBOURS.saturating_mul(KEEP_FACTOR))
}

/// What two peers have in common: the first 8 bytes, most significant first, of the sha2-256 hash of
/// [`NEIGHBOURS_PREFIX`] and the bytes of both peer ids, the smaller one first.
pub(crate) fn pair_hash(one: PeerId, other: PeerId) -> u64 {
    let (one, other) = (one.to_bytes(), other.to_bytes());
    let mut hasher = Sha256::new();
    hasher.update(NEIGHBOURS_PREFIX);
    hasher.update((&one).min(&other));
    hasher.update((&one).max(&other));
    let hash: [u8; 32] = hasher.finalize().into();
    let mut first = [0; 8];
    first.copy_from_slice(hash.split_at(8).0);
    u64::from_be_bytes(first)
}

/// The hash up to which a member of a room of `count` others has `degree` of them on average.
fn hash_limit(count: usize, degree: u64) -> u64 {
    let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
    u64::MAX
        .checked_div(count)
        .unwrap_or(u64::MAX)
        .saturating_mul(degree)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::testing;

    fn room(size: u16) -> Vec<PeerId> {
        (0..size).map(testing::peer).collect()
    }

    fn others(all: &[PeerId], me: PeerId) -> Vec<PeerId> {
        all.iter().copied().filter(|peer| *peer != me).collect()
    }

    #[test]
    fn in_a_small_room_everybody_is_a_neighbour() {
        let all = room(25);
        assert_eq!(all.len(), FULL_MESH_MAX + 1);
        let others = others(&all, all[0]);
        assert_eq!(among(all[0], others.iter().copied()), others);
    }

    #[test]
    fn in_a_large_room_both_ends_agree_and_everybody_is_within_reach() {
        let all = room(200);
        let neighbours: Vec<HashSet<PeerId>> = all
            .iter()
            .map(|me| {
                among(*me, others(&all, *me).into_iter())
                    .into_iter()
                    .collect()
            })
            .collect();
        let total: usize = neighbours.iter().map(HashSet::len).sum();
        let average = total / all.len();
        assert!((10..=24).contains(&average), "{average}");
        for (me, of_me) in all.iter().zip(&neighbours) {
            for (other, of_other) in all.iter().zip(&neighbours) {
                if is_one(*me, *other, all.len() - 1) && me != other {
                    assert!(of_me.contains(other) && of_other.contains(me));
                    assert!(keeps(*me, *other, all.len() - 1));
                }
            }
        }
        // From the first, by neighbours of neighbours.
        let mut reached = HashSet::from([all[0]]);
        let mut frontier = vec![all[0]];
        while let Some(peer) = frontier.pop() {
            for (me, of_me) in all.iter().zip(&neighbours) {
                if (of_me.contains(&peer) || me == &peer) && reached.insert(*me) {
                    frontier.push(*me);
                }
            }
        }
        assert_eq!(reached.len(), all.len());
    }
}
