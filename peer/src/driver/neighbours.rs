//! Whom of a large room's members a peer keeps connections to.
//!
//! Two members are neighbours when a hash of both their ids is small enough for the room's size, so
//! that both ends agree without a word.

use std::hash::{DefaultHasher, Hasher as _};

use libp2p::PeerId;

/// A room up to this size is a full mesh: everybody is one hop away and shown as reached.
const FULL_MESH_MAX: usize = 24;

/// Neighbours that a peer of a larger room has on average. A random graph of this degree is connected
/// far beyond the largest room (ln 1024 is 7), and gossip's mesh (6 to 12) finds enough in it.
const NEIGHBOURS: u64 = 16;

/// At least so many, whatever the hashes say.
const NEIGHBOURS_MIN: usize = 3;

/// A connection is kept although the room has grown and it would not be made any more, up to this
/// many times the hash; members count the room differently for a moment.
const KEEP_FACTOR: u64 = 2;

/// The members of a room to whom `me` makes connections.
pub(super) fn among(me: PeerId, members: impl ExactSizeIterator<Item = PeerId>) -> Vec<PeerId> {
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
pub(super) fn is_one(me: PeerId, peer: PeerId, count: usize) -> bool {
    count <= FULL_MESH_MAX || pair_hash(me, peer) <= hash_limit(count, NEIGHBOURS)
}

/// Whether a connection to a member of a room of `count` others is worth keeping.
pub(super) fn keeps(me: PeerId, peer: PeerId, count: usize) -> bool {
    count <= FULL_MESH_MAX || pair_hash(me, peer) <= hash_limit(count, NEIGHBOURS * KEEP_FACTOR)
}

/// Over the bytes themselves: `Hash` would put lengths before them, which are not as long in a page
/// as in a program.
fn pair_hash(one: PeerId, other: PeerId) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(&one.min(other).to_bytes());
    hasher.write(&one.max(other).to_bytes());
    hasher.finish()
}

/// The hash up to which a member of a room of `count` others has `degree` of them on average.
fn hash_limit(count: usize, degree: u64) -> u64 {
    let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
    (u64::MAX / count).saturating_mul(degree)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn room(size: usize) -> Vec<PeerId> {
        (0..size).map(|_| PeerId::random()).collect()
    }

    fn others(all: &[PeerId], me: PeerId) -> Vec<PeerId> {
        all.iter().copied().filter(|peer| *peer != me).collect()
    }

    #[test]
    fn in_a_small_room_everybody_is_a_neighbour() {
        let all = room(FULL_MESH_MAX + 1);
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

    #[test]
    fn the_hash_is_the_same_on_every_platform() {
        let peer = |text: &str| text.parse::<PeerId>().expect("valid");
        let one = peer("12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp");
        let other = peer("12D3KooWNPze2HMtnzAJ7LQovVnWki9xXEnhosZvKAmZfT5rvfb8");
        assert_eq!(pair_hash(one, other), pair_hash(other, one));
        assert_eq!(pair_hash(one, other), 2_274_581_558_261_469_521);
    }
}
