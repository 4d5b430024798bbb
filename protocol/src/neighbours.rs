//! Whom of a large room's members a peer keeps connections to.
//!
//! Two members are neighbours when a hash of both their ids is small enough for the room's size, so
//! that both ends agree without a word, whatever they are written in.

use std::collections::HashSet;

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
    let mut members = by_hash(me, members);
    let near = members
        .iter()
        .take_while(|(hash, _)| *hash <= limit)
        .count();
    members.truncate(near.max(NEIGHBOURS_MIN));
    members.into_iter().map(|(_, peer)| peer).collect()
}

/// So many of these members, those whose hashes are the smallest.
pub fn nearest(me: PeerId, members: impl IntoIterator<Item = PeerId>, count: usize) -> Vec<PeerId> {
    let members = by_hash(me, members.into_iter());
    let near = members.into_iter().take(count);
    near.map(|(_, peer)| peer).collect()
}

fn by_hash(me: PeerId, members: impl Iterator<Item = PeerId>) -> Vec<(u64, PeerId)> {
    let mut members: Vec<_> = members.map(|peer| (pair_hash(me, peer), peer)).collect();
    members.sort_unstable();
    members
}

/// Whose connections are kept of the members that are `connected` (the longest first) in a room of `count` others.
/// That is everybody where a full mesh would have as many; else those that are near, and whoever was there first:
/// anybody can make up an id that is near, but not one that has been there for an hour.
pub fn kept(me: PeerId, connected: &[PeerId], count: usize) -> HashSet<PeerId> {
    let first = connected.iter().take(FULL_MESH_MAX / 2).copied();
    let near = connected.iter().copied();
    let mut kept: HashSet<PeerId> = first
        .chain(near.filter(|peer| keeps(me, *peer, count)))
        .collect();
    for peer in connected {
        if kept.len() >= FULL_MESH_MAX {
            break;
        }
        kept.insert(*peer);
    }
    kept
}

/// Whether `me` connects to a member that has just come to a room of `count` others.
pub fn is_one(me: PeerId, peer: PeerId, count: usize) -> bool {
    count <= FULL_MESH_MAX || pair_hash(me, peer) <= hash_limit(count, NEIGHBOURS)
}

/// Whether a connection to a member of a room of `count` others is worth keeping.
fn keeps(me: PeerId, peer: PeerId, count: usize) -> bool {
    count <= FULL_MESH_MAX
        || pair_hash(me, peer) <= hash_limit(count, NEIGHBOURS.saturating_mul(KEEP_FACTOR))
}

/// Whether it counts in a room of `count` others what `one` says of `other`: it may well be a neighbour of it. Members
/// count the room differently, so the bound is twice that of connections that are kept.
pub fn may_doubt(one: PeerId, other: PeerId, count: usize) -> bool {
    let degree = NEIGHBOURS.saturating_mul(KEEP_FACTOR.saturating_mul(KEEP_FACTOR));
    count <= FULL_MESH_MAX || pair_hash(one, other) <= hash_limit(count, degree)
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
    fn a_room_that_looks_large_closes_no_connection_that_a_small_one_has() {
        let all = room(100);
        let others = others(&all, all[0]);
        let (few, first) = (&others[..FULL_MESH_MAX], &others[..FULL_MESH_MAX / 2]);
        assert_eq!(kept(all[0], few, 1024).len(), FULL_MESH_MAX);
        let kept = kept(all[0], &others, 1024);
        assert_eq!(kept.len(), FULL_MESH_MAX);
        assert!(first.iter().all(|peer| kept.contains(peer)));
    }

    #[test]
    fn the_nearest_are_those_of_a_large_room() {
        let all = room(200);
        let others = others(&all, all[0]);
        let near = among(all[0], others.iter().copied());
        assert_eq!(nearest(all[0], others.clone(), near.len()), near);
        assert_eq!(nearest(all[0], others, 0), []);
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
