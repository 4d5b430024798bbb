//! Which entries of a table have changed since somebody last looked, with a bound.
//!
//! Whoever keeps a copy of a table (on a disk, say) takes the keys from time to time and looks each
//! up: an entry that changed ten times is copied once.

use std::{collections::HashSet, hash::Hash, mem};

/// The changed keys of a table. A log that is off notes nothing.
#[derive(Clone, Debug)]
pub struct Changes<K: Eq + Hash> {
    changed: Changed<K>,
    max: usize,
}

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed<K: Eq + Hash> {
    /// Too much to tell one by one: the copy has to be made anew.
    All,
    /// The entries under these keys, some of which may be gone.
    Keys(HashSet<K>),
}

impl<K: Eq + Hash> Changes<K> {
    /// A log that notes nothing.
    #[must_use]
    pub fn off() -> Self {
        Self::on(0)
    }

    /// A log of at most `max` keys; when there are more, it says that everything changed.
    #[must_use]
    pub fn on(max: usize) -> Self {
        Self {
            changed: Changed::Keys(HashSet::new()),
            max,
        }
    }

    /// Notes that the entry under this key came, changed or went.
    pub fn note(&mut self, key: impl FnOnce() -> K) {
        if self.max == 0 {
            return;
        }
        if let Changed::Keys(keys) = &mut self.changed {
            keys.insert(key());
            if keys.len() > self.max {
                self.changed = Changed::All;
            }
        }
    }

    /// Whether nothing was noted since the last [`take`](Self::take).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match &self.changed {
            Changed::All => false,
            Changed::Keys(keys) => keys.is_empty(),
        }
    }

    /// What was noted since the last time.
    pub fn take(&mut self) -> Changed<K> {
        mem::replace(&mut self.changed, Changed::Keys(HashSet::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_told_once_however_often_it_changed() {
        let mut changes = Changes::on(2);
        for key in ["a", "b", "a", "a"] {
            changes.note(|| key);
        }
        assert!(!changes.is_empty());
        assert_eq!(changes.take(), Changed::Keys(HashSet::from(["a", "b"])));
        assert!(changes.is_empty());
        assert_eq!(changes.take(), Changed::Keys(HashSet::new()));
    }

    #[test]
    fn too_many_keys_are_everything_until_that_is_taken() {
        let mut changes = Changes::on(2);
        for key in 0..100 {
            changes.note(|| key);
        }
        assert!(!changes.is_empty());
        assert_eq!(changes.take(), Changed::All);
        changes.note(|| 7);
        assert_eq!(changes.take(), Changed::Keys(HashSet::from([7])));
    }

    #[test]
    fn a_log_that_is_off_notes_nothing() {
        let mut changes = Changes::off();
        changes.note(|| unreachable!() as u8);
        assert!(changes.is_empty());
    }
}
