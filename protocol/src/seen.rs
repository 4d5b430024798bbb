//! What has been seen before, with a bound.

use std::{
    collections::{HashSet, VecDeque},
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
        if self.order.len() >= self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
        self.order.push_back(key);
        true
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

#[cfg(test)]
mod tests;
