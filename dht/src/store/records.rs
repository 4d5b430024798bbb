//! The records of a [`Store`](super::Store): bounded, fair to publishers, and with a memory for the
//! sequence numbers of what is gone.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use libp2p::{
    PeerId,
    kad::{
        Record, RecordKey,
        store::{Error, Result},
    },
};
use moim_protocol::changes::Changes;
use web_time::Instant;

use super::StoreLimits;

/// What a record costs beside its key and value: the maps' own memory, measured at some 400 bytes.
const ENTRY_OVERHEAD_BYTES: usize = 512;

/// The bounds of the records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Records, gone ones not counted.
    pub(super) records_max: usize,
    /// Bytes with overhead of all records.
    pub(super) cost_max: usize,
    /// Records of one publisher.
    pub(super) publisher_records_max: usize,
    /// Bytes with overhead of one publisher's records.
    pub(super) publisher_cost_max: usize,
    /// Sequence numbers remembered of records that are gone.
    pub(super) gone_max: usize,
}

impl From<StoreLimits> for Limits {
    fn from(limits: StoreLimits) -> Self {
        // With presences of a few hundred bytes, the bytes run out at about the same time.
        let records_max = limits.bytes_max / BYTES_PER_RECORD;
        Self {
            records_max,
            cost_max: limits.bytes_max,
            // A peer is in some rooms and shares some values; 1 % of the store is more than fair.
            publisher_records_max: 512,
            publisher_cost_max: 1024 * 1024,
            // Some 200 bytes each.
            gone_max: records_max,
        }
    }
}

/// Bytes of a store for each record that it may hold.
const BYTES_PER_RECORD: usize = 1024;

/// A record that is kept.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) record: Record,
    pub(super) publisher: PeerId,
    pub(super) sequence: u64,
    /// Whether it is a presence that says `left`.
    pub(super) is_left: bool,
    /// When it isn't handed out any more.
    pub(super) expires: Instant,
    /// When an older one couldn't be put again any more.
    pub(super) remembered_until: Instant,
}

impl Entry {
    fn cost(&self) -> usize {
        ENTRY_OVERHEAD_BYTES + self.record.key.as_ref().len() + self.record.value.len()
    }
}

/// What is remembered of a record that is gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gone {
    pub(super) sequence: u64,
    pub(super) is_left: bool,
    /// How long.
    pub(super) until: Instant,
}

impl Gone {
    fn of(entry: &Entry) -> Self {
        Self {
            sequence: entry.sequence,
            is_left: entry.is_left,
            until: entry.remembered_until,
        }
    }
}

/// A moment, and a number, for what ends at the same one.
type End = (Instant, u64);

/// A record in its place.
#[derive(Debug)]
struct Kept {
    entry: Entry,
    /// Its place in every `by_end`.
    number: u64,
}

/// One publisher's share.
#[derive(Debug, Default)]
struct Share {
    cost: usize,
    /// Its records, soonest to expire first.
    by_end: BTreeMap<End, RecordKey>,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Records {
    limits: Limits,
    entries: HashMap<RecordKey, Kept>,
    by_end: BTreeMap<End, RecordKey>,
    shares: HashMap<PeerId, Share>,
    /// Publishers by what their records cost.
    by_cost: BTreeSet<(usize, PeerId)>,
    cost: usize,
    gone: HashMap<RecordKey, (Gone, u64)>,
    gone_by_end: BTreeMap<End, RecordKey>,
    /// Numbers given out.
    numbered: u64,
    changes: Changes<RecordKey>,
}

impl Records {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: HashMap::new(),
            by_end: BTreeMap::new(),
            shares: HashMap::new(),
            by_cost: BTreeSet::new(),
            cost: 0,
            gone: HashMap::new(),
            gone_by_end: BTreeMap::new(),
            numbered: 0,
            changes: Changes::off(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes with overhead.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().map(|kept| &kept.entry)
    }

    /// Keys of which only the sequence number is known.
    pub(super) fn gone_keys(&self) -> impl Iterator<Item = &RecordKey> {
        self.gone.keys()
    }

    /// From now on notes which keys change, at most `max` of them one by one.
    pub(super) fn log_changes(&mut self, max: usize) {
        self.changes = Changes::on(max);
    }

    pub(super) fn changes(&mut self) -> &mut Changes<RecordKey> {
        &mut self.changes
    }

    /// The record under `key`, expired or not.
    pub(super) fn entry(&self, key: &RecordKey) -> Option<&Entry> {
        self.entries.get(key).map(|kept| &kept.entry)
    }

    /// What is remembered of the record that was under `key`.
    pub(super) fn gone(&self, key: &RecordKey) -> Option<Gone> {
        self.gone.get(key).map(|(gone, _)| *gone)
    }

    /// The record under `key`, unless it has expired.
    pub(super) fn live(&self, key: &RecordKey, now: Instant) -> Option<&Entry> {
        self.entry(key).filter(|entry| entry.expires > now)
    }

    /// Sequence number of the record that is or was under `key`.
    pub(super) fn last_sequence(&self, key: &RecordKey, now: Instant) -> Option<u64> {
        self.last(key, now).map(|(sequence, _)| sequence)
    }

    /// Whether the presence that is or was under `key` says `left`.
    pub(super) fn has_left(&self, key: &RecordKey, now: Instant) -> bool {
        self.last(key, now).is_some_and(|(_, is_left)| is_left)
    }

    fn last(&self, key: &RecordKey, now: Instant) -> Option<(u64, bool)> {
        let held = self
            .entry(key)
            .map(|e| (e.sequence, e.is_left, e.remembered_until));
        let gone = || self.gone(key).map(|g| (g.sequence, g.is_left, g.until));
        held.or_else(gone)
            .filter(|(.., until)| *until > now)
            .map(|(sequence, is_left, _)| (sequence, is_left))
    }

    /// Keeps a record in place of what was under its key.
    ///
    /// # Errors
    ///
    /// If its publisher has had its share, or if the store is full and nobody has more in it than
    /// this publisher. What was under the key stays then.
    pub(super) fn insert(&mut self, entry: Entry) -> Result<()> {
        let key = entry.record.key.clone();
        let old = self.remove(&key);
        if let Err(error) = self.make_room(&entry) {
            if let Some(old) = old {
                self.link(old);
            }
            return Err(error);
        }
        self.forget(&key);
        self.link(entry);
        Ok(())
    }

    /// Removes a record without remembering it.
    pub(super) fn remove(&mut self, key: &RecordKey) -> Option<Entry> {
        let Kept { entry, number } = self.entries.remove(key)?;
        let (cost, end) = (entry.cost(), (entry.expires, number));
        self.cost -= cost;
        self.by_end.remove(&end);
        self.change_share(entry.publisher, |share| {
            share.cost -= cost;
            share.by_end.remove(&end);
        });
        self.changes.note(|| key.clone());
        Some(entry)
    }

    /// Removes what has expired and forgets what can't come back.
    pub(super) fn sweep(&mut self, now: Instant) {
        while let Some(((end, _), key)) = self.by_end.first_key_value()
            && *end <= now
        {
            let key = key.clone();
            if let Some(entry) = self.remove(&key) {
                let gone = Gone::of(&entry);
                self.remember(key, gone);
            }
        }
        while let Some(((end, _), key)) = self.gone_by_end.first_key_value()
            && *end <= now
        {
            let key = key.clone();
            self.forget(&key);
        }
    }

    /// Remembers the sequence number of a record that is gone. Where there is no room for it, the
    /// one that matters for the shortest time is forgotten.
    pub(super) fn remember(&mut self, key: RecordKey, gone: Gone) {
        if self.limits.gone_max == 0 {
            return;
        }
        self.forget(&key);
        while self.gone.len() >= self.limits.gone_max
            && let Some((_, first)) = self.gone_by_end.first_key_value()
        {
            let first = first.clone();
            self.forget(&first);
        }
        let number = self.next_number();
        self.changes.note(|| key.clone());
        self.gone_by_end.insert((gone.until, number), key.clone());
        self.gone.insert(key, (gone, number));
    }

    fn make_room(&mut self, new: &Entry) -> Result<()> {
        let limits = self.limits;
        let (own_records, own_cost) = self
            .shares
            .get(&new.publisher)
            .map_or((0, 0), |share| (share.by_end.len(), share.cost));
        let own_cost = own_cost + new.cost();
        if own_records >= limits.publisher_records_max || own_cost > limits.publisher_cost_max {
            return Err(Error::MaxRecords);
        }
        while self.entries.len() >= limits.records_max || self.cost + new.cost() > limits.cost_max {
            // Who holds most gives way to whoever would hold less: a crowd of newcomers can push
            // the share of each down to theirs, but not below.
            let (_, biggest) = self
                .by_cost
                .last()
                .filter(|(cost, _)| *cost > own_cost)
                .ok_or(Error::MaxRecords)?;
            let first = self
                .shares
                .get(biggest)
                .and_then(|share| share.by_end.first_key_value());
            let key = first.map(|(_, key)| key.clone()).ok_or(Error::MaxRecords)?;
            if let Some(entry) = self.remove(&key) {
                tracing::debug!(publisher = %entry.publisher, "store full, a record gives way");
                self.remember(key, Gone::of(&entry));
            }
        }
        Ok(())
    }

    fn link(&mut self, entry: Entry) {
        let number = self.next_number();
        let (cost, end) = (entry.cost(), (entry.expires, number));
        let key = entry.record.key.clone();
        self.cost += cost;
        self.by_end.insert(end, key.clone());
        self.change_share(entry.publisher, |share| {
            share.cost += cost;
            share.by_end.insert(end, key.clone());
        });
        self.changes.note(|| key.clone());
        self.entries.insert(key, Kept { entry, number });
    }

    /// Changes a share and keeps `by_cost` in step.
    fn change_share(&mut self, publisher: PeerId, change: impl FnOnce(&mut Share)) {
        let share = self.shares.entry(publisher).or_default();
        self.by_cost.remove(&(share.cost, publisher));
        change(share);
        if share.by_end.is_empty() {
            self.shares.remove(&publisher);
        } else {
            self.by_cost.insert((share.cost, publisher));
        }
    }

    fn forget(&mut self, key: &RecordKey) {
        if let Some((gone, number)) = self.gone.remove(key) {
            self.gone_by_end.remove(&(gone.until, number));
            self.changes.note(|| key.clone());
        }
    }

    fn next_number(&mut self) -> u64 {
        // At a million a second, they last for half a million years.
        self.numbered = self.numbered.wrapping_add(1);
        self.numbered
    }
}

#[cfg(test)]
impl Records {
    pub(super) fn gone_len(&self) -> usize {
        assert_eq!(self.gone.len(), self.gone_by_end.len());
        self.gone.len()
    }

    /// Whether the indexes say the same as the entries.
    pub(super) fn is_consistent(&self) -> bool {
        let cost: usize = self.entries().map(Entry::cost).sum();
        let shares: usize = self.shares.values().map(|share| share.cost).sum();
        let listed: usize = self.shares.values().map(|share| share.by_end.len()).sum();
        cost == self.cost
            && cost == shares
            && listed == self.entries.len()
            && self.by_end.len() == self.entries.len()
            && self.by_cost.len() == self.shares.len()
            && self
                .by_cost
                .iter()
                .all(|(cost, peer)| self.shares[peer].cost == *cost)
    }
}
