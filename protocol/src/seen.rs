//! What has been seen before, with a bound.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet, VecDeque},
    hash::Hash,
};

/// A set that forgets its oldest when it is full.
#[derive(Clone, Debug)]
pub struct SeenIds<K> {
    set: HashSet<K>,
    order: VecDeque<K>,
    capacity: usize,
}

impl<K: Clone + Eq + Hash> SeenIds<K> {
    /// Remembers the last `capacity` keys, at least one.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            set: HashSet::new(),
            order: VecDeque::new(),
            capacity: capacity.max(1),
        }
    }

    /// Remembers a key; `false` if it was there already. Seeing a key again does not make it
    /// younger.
    pub fn insert(&mut self, key: K) -> bool {
        if !self.set.insert(key.clone()) {
            return false;
        }
        if self.order.len() >= self.capacity {
            self.forget_oldest();
        }
        self.order.push_back(key);
        true
    }

    /// Forgets the oldest key; `false` if there is none.
    fn forget_oldest(&mut self) -> bool {
        let oldest = self.order.pop_front();
        oldest.is_some_and(|oldest| self.set.remove(&oldest))
    }

    /// Whether a key is remembered.
    pub fn contains(&self, key: &K) -> bool {
        self.set.contains(key)
    }

    /// Forgets a key, so that it counts as new again; `false` if it was not there.
    pub fn remove(&mut self, key: &K) -> bool {
        let was_there = self.set.remove(key);
        if was_there {
            self.order.retain(|other| other != key);
        }
        was_there
    }

    /// How many keys are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.set.len()
    }

    /// Whether no key is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }
}

/// What has been seen of each of many: of one so many keys, and of all together so many. Where there are more, whoever
/// stands lowest forgets its own first, and of several such whoever has most.
#[derive(Clone, Debug)]
pub struct SeenByPeer<P, K> {
    of: HashMap<P, SeenIds<K>>,
    len: usize,
    each: usize,
    all: usize,
}

impl<P: Copy + Eq + Hash, K: Clone + Eq + Hash> SeenByPeer<P, K> {
    /// Remembers the last `each` keys of one, and `all` of all together.
    #[must_use]
    pub fn new(each: usize, all: usize) -> Self {
        Self {
            of: HashMap::new(),
            len: 0,
            each,
            all,
        }
    }

    /// Remembers a key of a peer; `false` if it was there already. `standing` tells how well a peer is known.
    pub fn insert<S: Ord>(&mut self, peer: P, key: K, standing: impl Fn(&P) -> S) -> bool {
        let each = self.each;
        let seen = self.of.entry(peer).or_insert_with(|| SeenIds::new(each));
        let before = seen.len();
        if !seen.insert(key) {
            return false;
        }
        self.len = self.len.saturating_add(seen.len()).saturating_sub(before);
        while self.len > self.all {
            self.forget_one(&standing);
        }
        true
    }

    fn forget_one<S: Ord>(&mut self, standing: impl Fn(&P) -> S) {
        let peers = self.of.iter().map(|(peer, seen)| (*peer, seen.len()));
        let Some((lowest, _)) = peers.max_by_key(|(peer, len)| (Reverse(standing(peer)), *len))
        else {
            self.len = 0;
            return;
        };
        if let Some(seen) = self.of.get_mut(&lowest)
            && seen.forget_oldest()
        {
            self.len = self.len.saturating_sub(1);
        }
        if self.of.get(&lowest).is_some_and(SeenIds::is_empty) {
            self.of.remove(&lowest);
        }
    }

    /// How many keys are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no key is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests;
