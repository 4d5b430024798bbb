//! A pool of what was there before, counted in one go.

use std::collections::HashMap;

use super::{Full, Place, Pool};
use crate::shares::origin::Origin;

/// A [`Pool`] before it is asked who gives way: things are counted one after the other, none of them
/// [held](super::Putter::is_held), and put in order all at once. What comes of it is what [`Pool::add`] would
/// have made of them.
#[derive(Debug)]
pub struct Filling {
    pool: Pool,
    /// Leaf, end and thing.
    things: Vec<(u32, u64, u32)>,
    /// The leaf of the last thing: who puts one has often put the next one, too.
    last: Option<u32>,
}

impl Filling {
    /// Nothing, with room for things that cost `max` together.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self {
            pool: Pool::new(max),
            things: Vec::new(),
            last: None,
        }
    }

    /// Counts a thing. None may come twice.
    ///
    /// # Errors
    ///
    /// If something would have to give way to it. It is not counted then.
    pub fn add(
        &mut self,
        thing: u32,
        origin: Origin,
        cost: usize,
        end: u64,
    ) -> Result<Place, Full> {
        if self.pool.is_full_for(cost) {
            return Err(Full);
        }
        let shares = &mut self.pool.loose;
        let is_of_it = |leaf: &u32| shares.leaf(*leaf).is_some_and(|it| it.origin == origin);
        let known = self.last.filter(is_of_it);
        let known = known.or_else(|| shares.by_origin.get(&origin).copied());
        let leaf = known.unwrap_or_else(|| shares.new_leaf(origin));
        if let Some(Some(it)) = shares.leaves.get_mut(leaf as usize) {
            it.cost = it.cost.saturating_add(cost);
            it.count = it.count.saturating_add(1);
        }
        shares.cost = shares.cost.saturating_add(cost);
        self.things.push((leaf, end, thing));
        self.last = Some(leaf);
        Ok(Place {
            leaf,
            is_held: false,
        })
    }

    /// The pool with all that was counted.
    #[must_use]
    pub fn into_pool(self) -> Pool {
        let Self {
            mut pool, things, ..
        } = self;
        let shares = &mut pool.loose;
        // Where nothing costs anything, nothing is counted above the leaves.
        let costly = || shares.leaves.iter().flatten().filter(|leaf| leaf.cost > 0);
        let (mut sites, mut networks) = (HashMap::new(), HashMap::new());
        for leaf in costly() {
            more(&mut sites, leaf.origin.site, leaf.cost);
            more(&mut networks, leaf.origin.network, leaf.cost);
        }
        // A set sorts what it is collected from, and makes its nodes in one go.
        shares.by_site = sites.iter().map(|(site, cost)| (*cost, *site)).collect();
        let of_network = |origin: Origin| {
            let cost = networks.get(&origin.network).copied().unwrap_or_default();
            (origin.site, cost, origin.network)
        };
        shares.by_network = costly().map(|leaf| of_network(leaf.origin)).collect();
        let leaves = (0..).zip(&shares.leaves);
        let leaves = leaves.filter_map(|(number, leaf)| Some((number, leaf.as_ref()?)));
        let by_leaf = leaves.map(|(number, leaf)| (leaf.origin.network, leaf.cost, number));
        shares.by_leaf = by_leaf.collect();
        shares.things = things.into_iter().collect();
        (shares.sites, shares.networks) = (sites, networks);
        pool
    }
}

fn more(costs: &mut HashMap<u64, usize>, key: u64, cost: usize) {
    let sum = costs.entry(key).or_default();
    *sum = sum.saturating_add(cost);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::shares::{Putter, Whence};

    fn origin(site: u8, host: u8, peer: u8) -> Origin {
        let ip = [192, 0, site, host].into();
        let peer = crate::testing::peer(u16::from(peer));
        Origin::new(7, Whence::Network(std::net::IpAddr::V4(ip).into()), &peer)
    }

    proptest! {
        #[test]
        fn it_makes_the_pool_that_one_makes_thing_by_thing(
            things in prop::collection::vec((0..3_u8, 0..3_u8, 0..3_u8, 0..50_usize, 0..9_u64), 0..60),
            max in 0..2_000_usize,
        ) {
            let (mut pool, mut filling) = (Pool::new(max), Filling::new(max));
            for (thing, (site, host, peer, cost, end)) in (0..).zip(things) {
                let origin = origin(site, host, peer);
                let place = filling.add(thing, origin, cost, end);
                if pool.is_full_for(cost) {
                    prop_assert_eq!(place, Err(Full));
                } else {
                    let putter = Putter { origin, is_held: false };
                    prop_assert_eq!(place, Ok(pool.add(thing, putter, cost, end)));
                }
            }
            prop_assert_eq!(filling.into_pool(), pool);
        }
    }
}
