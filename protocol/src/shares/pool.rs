//! A table's room, and who has how much of it.

use std::collections::{BTreeSet, HashMap};

use super::origin::Origin;

pub(super) mod filling;

/// The part of a pool that one site may have held: as of connections, a quarter.
pub const SITE_PART: usize = 4;

/// The part of a pool in which nothing is held, however many are connected.
pub const LOOSE_PART: usize = 4;

/// The part of a pool that one peer may have held at one site: it is in some hundred rooms at most, and a
/// pool has room for some ten thousand.
pub const PEER_PART: usize = 64;

/// Who puts something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Putter {
    /// Where from.
    pub origin: Origin,
    /// Whether what it puts is of itself, over a connection that is open: then it is held.
    pub is_held: bool,
}

/// Where in a pool a thing is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    leaf: u32,
    is_held: bool,
}

impl Place {
    /// Whether it is held.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        self.is_held
    }
}

/// The pool is full, and nobody has more of it than whoever wants something put there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A table's room and who has how much of it. Things are numbers here; what they cost and when they
/// end is told by whoever keeps them. See the [module](super).
#[derive(Debug)]
#[cfg_attr(test, derive(PartialEq))]
pub struct Pool {
    max: usize,
    held: Shares,
    loose: Shares,
}

impl Pool {
    /// Room for things that cost `max` together.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self {
            max,
            held: Shares::default(),
            loose: Shares::default(),
        }
    }

    /// What it has room for.
    #[must_use]
    pub const fn max(&self) -> usize {
        self.max
    }

    /// What is in it costs so much.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.held.cost.saturating_add(self.loose.cost)
    }

    /// Whether there is no room for something that costs this much unless something gives way.
    #[must_use]
    pub fn is_full_for(&self, cost: usize) -> bool {
        self.cost().saturating_add(cost) > self.max
    }

    /// What has to give way before something can be [added](Self::add): to be asked, and what it
    /// says to be removed, until it says `None`.
    ///
    /// # Errors
    ///
    /// If nothing gives way to it.
    pub fn gives_way(&self, putter: Putter, cost: usize, end: u64) -> Result<Option<u32>, Full> {
        if !self.is_full_for(cost) {
            return Ok(None);
        }
        let origin = putter.origin;
        let victim = if !self.may_hold(putter, cost) {
            self.loose.gives_way(origin, cost, end)
        } else if self.is_held_full_for(cost) {
            let held = self.held.gives_way(origin, cost, end);
            held.or_else(|| self.loose.gives_way(origin, cost, end))
        } else {
            self.loose.largest()
        };
        victim.map(Some).ok_or(Full)
    }

    /// Counts a thing.
    pub fn add(&mut self, thing: u32, putter: Putter, cost: usize, end: u64) -> Place {
        let is_held = self.may_hold(putter, cost) && !self.is_held_full_for(cost);
        let shares = if is_held {
            &mut self.held
        } else {
            &mut self.loose
        };
        let leaf = shares.add(thing, putter.origin, cost, end);
        Place { leaf, is_held }
    }

    /// Counts a thing no longer. It has to be told as it was when it was [added](Self::add).
    pub fn remove(&mut self, thing: u32, place: Place, cost: usize, end: u64) {
        self.shares_mut(place).remove(thing, place.leaf, cost, end);
    }

    /// Who put what is counted there.
    #[must_use]
    pub fn putter(&self, place: Place) -> Option<Putter> {
        let shares = if place.is_held {
            &self.held
        } else {
            &self.loose
        };
        Some(Putter {
            origin: shares.leaf(place.leaf)?.origin,
            is_held: place.is_held,
        })
    }

    /// What is held for this origin: it has to be removed and added again as not held when the peer is
    /// gone.
    #[must_use]
    pub fn held_of(&self, origin: Origin) -> Vec<u32> {
        self.held.things_of(origin)
    }

    fn shares_mut(&mut self, place: Place) -> &mut Shares {
        if place.is_held {
            &mut self.held
        } else {
            &mut self.loose
        }
    }

    fn is_held_full_for(&self, cost: usize) -> bool {
        let loose = self.max.checked_div(LOOSE_PART).unwrap_or_default();
        self.held.cost.saturating_add(cost) > self.max.saturating_sub(loose)
    }

    fn may_hold(&self, putter: Putter, cost: usize) -> bool {
        let origin = putter.origin;
        // One thing is always allowed.
        let fits = |held: usize, part: usize| {
            held == 0
                || self
                    .max
                    .checked_div(part)
                    .is_some_and(|most| held.saturating_add(cost) <= most)
        };
        putter.is_held
            && fits(self.held.peer_cost(origin), PEER_PART)
            && (origin.is_open || fits(self.held.site_cost(origin), SITE_PART))
    }
}

/// What one peer at one network has.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(test, derive(PartialEq))]
struct Leaf {
    origin: Origin,
    cost: usize,
    count: usize,
}

/// Everybody's share, and the order in which they give way.
///
/// **Invariant:** every cost is the sum of those below it, and nothing is kept of what has nothing.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(PartialEq))]
struct Shares {
    cost: usize,
    leaves: Vec<Option<Leaf>>,
    free: Vec<u32>,
    by_origin: HashMap<Origin, u32>,
    sites: HashMap<u64, usize>,
    networks: HashMap<u64, usize>,
    /// Cost and site.
    by_site: BTreeSet<(usize, u64)>,
    /// Site, cost and network.
    by_network: BTreeSet<(u64, usize, u64)>,
    /// Network, cost and leaf.
    by_leaf: BTreeSet<(u64, usize, u32)>,
    /// Leaf, end and thing.
    things: BTreeSet<(u32, u64, u32)>,
}

impl Shares {
    fn leaf(&self, leaf: u32) -> Option<&Leaf> {
        self.leaves.get(leaf as usize)?.as_ref()
    }

    fn site_cost(&self, origin: Origin) -> usize {
        self.sites.get(&origin.site).copied().unwrap_or_default()
    }

    fn network_cost(&self, origin: Origin) -> usize {
        let cost = self.networks.get(&origin.network);
        cost.copied().unwrap_or_default()
    }

    fn peer_cost(&self, origin: Origin) -> usize {
        let leaf = self.by_origin.get(&origin);
        let leaf = leaf.and_then(|leaf| self.leaf(*leaf));
        leaf.map(|leaf| leaf.cost).unwrap_or_default()
    }

    fn things_of(&self, origin: Origin) -> Vec<u32> {
        let leaf = self.by_origin.get(&origin).copied();
        let things = leaf.map(|leaf| self.things.range((leaf, 0, 0)..=(leaf, u64::MAX, u32::MAX)));
        things.into_iter().flatten().map(|(.., it)| *it).collect()
    }

    fn largest(&self) -> Option<u32> {
        let (_, site) = self.by_site.last()?;
        Some(self.last_of_site(*site)?.1)
    }

    /// The thing that gives way to one of this origin and cost, which ends then.
    fn gives_way(&self, origin: Origin, cost: usize, end: u64) -> Option<u32> {
        let (largest, site) = *self.by_site.last()?;
        if site != origin.site && largest > self.site_cost(origin).saturating_add(cost) {
            return Some(self.last_of_site(site)?.1);
        }
        // No site has more than this one would: it is for somebody there to give way.
        let (largest, network) = self.largest_network(origin.site)?;
        if network != origin.network && largest > self.network_cost(origin).saturating_add(cost) {
            return Some(self.last_of_network(network)?.1);
        }
        let (largest, leaf) = self.largest_leaf(origin.network)?;
        let own = self.by_origin.get(&origin).copied();
        if Some(leaf) != own && largest > self.peer_cost(origin).saturating_add(cost) {
            return Some(self.last_of_leaf(leaf)?.1);
        }
        // Its own, if that would live longer.
        let (last, thing) = self.last_of_leaf(own?)?;
        (last > end).then_some(thing)
    }

    fn largest_network(&self, site: u64) -> Option<(usize, u64)> {
        let networks = self
            .by_network
            .range((site, 0, 0)..=(site, usize::MAX, u64::MAX));
        let (_, cost, network) = networks.last()?;
        Some((*cost, *network))
    }

    fn largest_leaf(&self, network: u64) -> Option<(usize, u32)> {
        let leaves = self
            .by_leaf
            .range((network, 0, 0)..=(network, usize::MAX, u32::MAX));
        let (_, cost, leaf) = leaves.last()?;
        Some((*cost, *leaf))
    }

    fn last_of_site(&self, site: u64) -> Option<(u64, u32)> {
        self.last_of_network(self.largest_network(site)?.1)
    }

    fn last_of_network(&self, network: u64) -> Option<(u64, u32)> {
        self.last_of_leaf(self.largest_leaf(network)?.1)
    }

    fn last_of_leaf(&self, leaf: u32) -> Option<(u64, u32)> {
        let things = self.things.range((leaf, 0, 0)..=(leaf, u64::MAX, u32::MAX));
        let (_, end, thing) = things.last()?;
        Some((*end, *thing))
    }

    fn add(&mut self, thing: u32, origin: Origin, cost: usize, end: u64) -> u32 {
        let leaf = match self.by_origin.get(&origin) {
            Some(leaf) => *leaf,
            None => self.new_leaf(origin),
        };
        self.change(
            leaf,
            |old| old.saturating_add(cost),
            |count| count.saturating_add(1),
        );
        self.things.insert((leaf, end, thing));
        leaf
    }

    fn remove(&mut self, thing: u32, leaf: u32, cost: usize, end: u64) {
        if self.things.remove(&(leaf, end, thing)) {
            self.change(
                leaf,
                |old| old.saturating_sub(cost),
                |count| count.saturating_sub(1),
            );
        }
    }

    fn new_leaf(&mut self, origin: Origin) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.leaves.push(None);
            // There are no more leaves than things, which have numbers of this kind.
            u32::try_from(self.leaves.len().saturating_sub(1)).unwrap_or(u32::MAX)
        });
        if let Some(slot) = self.leaves.get_mut(number as usize) {
            *slot = Some(Leaf {
                origin,
                cost: 0,
                count: 0,
            });
        }
        self.by_origin.insert(origin, number);
        number
    }

    /// Changes what a leaf has, and all that is counted above it.
    fn change(
        &mut self,
        number: u32,
        cost: impl Fn(usize) -> usize,
        count: impl Fn(usize) -> usize,
    ) {
        let Some(Some(leaf)) = self.leaves.get_mut(number as usize) else {
            return;
        };
        let (old, origin) = (leaf.cost, leaf.origin);
        leaf.cost = cost(old);
        leaf.count = count(leaf.count);
        let (new, is_empty) = (leaf.cost, leaf.count == 0);
        self.by_leaf.remove(&(origin.network, old, number));
        if is_empty {
            self.by_origin.remove(&origin);
            if let Some(slot) = self.leaves.get_mut(number as usize) {
                *slot = None;
            }
            self.free.push(number);
        } else {
            self.by_leaf.insert((origin.network, new, number));
        }

        let (site, network) = (origin.site, origin.network);
        let (old, new) = changed(&mut self.networks, network, &cost);
        self.by_network.remove(&(site, old, network));
        if new > 0 {
            self.by_network.insert((site, new, network));
        }
        let (old, new) = changed(&mut self.sites, site, &cost);
        self.by_site.remove(&(old, site));
        if new > 0 {
            self.by_site.insert((new, site));
        }
        self.cost = cost(self.cost);
    }
}

/// Changes a cost; zero is none. Says what it was and what it is.
fn changed(
    costs: &mut HashMap<u64, usize>,
    key: u64,
    cost: &impl Fn(usize) -> usize,
) -> (usize, usize) {
    let old = costs.get(&key).copied().unwrap_or_default();
    let new = cost(old);
    if new == 0 {
        costs.remove(&key);
    } else {
        costs.insert(key, new);
    }
    (old, new)
}

#[cfg(test)]
mod tests;
