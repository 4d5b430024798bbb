//! The records that were there before: there may be a million.

use std::hash::BuildHasher as _;

use hashbrown::hash_table::Entry;
use libp2p::kad::store::Result;
use moim_protocol::shares::{self, Origin, Putter};

use super::{Kind, New, Records, Row, cost, hash_of, is_under};

/// Takes in records that are written down. As long as there is room for all of them and none comes twice, the trees
/// that say when lives end and who put what wait until the last one: made in one go, they take a tenth of the time.
pub(in crate::store) struct Filling<'a> {
    records: &'a mut Records,
    /// `None` once they are made.
    trees: Option<Trees>,
}

/// What the trees are made of.
struct Trees {
    presences: shares::Filling,
    values: shares::Filling,
    ends: Vec<(u64, u32)>,
}

impl<'a> Filling<'a> {
    /// About so many are to come.
    pub(in crate::store) fn new(records: &'a mut Records, expected: usize) -> Self {
        let is_empty = records.rows.is_empty();
        let trees = is_empty.then(|| {
            // No more than there is room for, whatever somebody says.
            let [presences, values] = [&records.presences, &records.values].map(|it| it.pool.max());
            let most = presences.saturating_add(values) / cost(1);
            records.reserve(expected.min(most));
            Trees {
                presences: shares::Filling::new(presences),
                values: shares::Filling::new(values),
                ends: Vec::with_capacity(expected.min(most)),
            }
        });
        Self { records, trees }
    }

    /// The same as [`Records::restore`], of something that nothing is held of.
    pub(in crate::store) fn add(&mut self, new: New<'_>, origin: Origin) -> Result<()> {
        if self.try_add(new, origin)? {
            return Ok(());
        }
        self.make_trees();
        let putter = Putter {
            origin,
            is_held: false,
        };
        self.records.restore(new, putter)
    }

    /// Whether it could be taken in without the trees.
    fn try_add(&mut self, new: New<'_>, origin: Origin) -> Result<bool> {
        let Some(trees) = &mut self.trees else {
            return Ok(false);
        };
        let records = &mut *self.records;
        let stored = records.stored(new)?;
        let number = records.next_number();
        let hash = records.hasher.hash_one(stored.key());
        let is_it = is_under(&records.rows, stored.key());
        let hash_of = hash_of(&records.rows, &records.hasher);
        let Entry::Vacant(slot) = records.index.entry(hash, is_it, hash_of) else {
            return Ok(false);
        };
        let (filling, part) = match stored.kind() {
            Kind::Presence => (&mut trees.presences, &mut records.presences),
            Kind::Value => (&mut trees.values, &mut records.values),
        };
        let end = stored.end();
        let Ok(place) = filling.add(number, origin, stored.cost(), end) else {
            return Ok(false);
        };
        slot.insert(number);
        trees.ends.push((end, number));
        part.kept += usize::from(stored.value().is_some());
        records.rows.insert(Row { stored, place });
        Ok(true)
    }

    /// What is taken in from here on has its place in the trees at once.
    fn make_trees(&mut self) {
        if let Some(trees) = self.trees.take() {
            self.records.by_end = trees.ends.into_iter().collect();
            self.records.presences.pool = trees.presences.into_pool();
            self.records.values.pool = trees.values.into_pool();
        }
    }
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        self.make_trees();
    }
}
