//! The records of a [`Store`](super::Store): bounded, fair to where they are put from, and with a memory
//! for the sequence numbers of what is gone.
//!
//! A million of them have to fit, so a row has its key and its envelope in one piece, and everything
//! else refers to it by a number.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use hashbrown::HashTable;
use libp2p::kad::{
    RecordKey,
    store::{Error, Result},
};
use moim_protocol::{
    changes::Changes,
    envelope, limits,
    shares::{Full, Origin, Pool, Putter},
};
use slab::Slab;
use web_time::Instant;

pub(super) use self::row::{Kind, New, Seen};
use self::row::{Row, Stored, cost};
use super::size::StoreLimits;

pub(super) mod filling;
mod row;

/// The part of the store that is for presences. Values can't touch it, nor presences what is for
/// values.
const PRESENCE_PART: usize = 4;

/// The bounds of the records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes with overhead of all presences, those that are remembered included.
    pub(super) presences_cost_max: usize,
    /// Bytes with overhead of all values, those that are remembered included.
    pub(super) values_cost_max: usize,
}

impl From<StoreLimits> for Limits {
    fn from(limits: StoreLimits) -> Self {
        let presences_cost_max = limits.bytes_max / PRESENCE_PART;
        Self {
            presences_cost_max,
            values_cost_max: limits.bytes_max - presences_cost_max,
        }
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Records {
    epoch: Instant,
    rows: Slab<Row>,
    /// The rows by their keys.
    index: HashTable<u32>,
    hasher: RandomState,
    /// By when their lives end.
    by_end: BTreeSet<(u64, u32)>,
    presences: Part,
    values: Part,
    changes: Changes<RecordKey>,
}

/// All records of a kind.
#[derive(Debug)]
struct Part {
    pool: Pool,
    /// Records that are kept, those that are only remembered left out.
    kept: usize,
    /// Records that gave way to others.
    gave_way: u64,
}

impl Part {
    fn new(cost_max: usize) -> Self {
        Self {
            pool: Pool::new(cost_max),
            kept: 0,
            gave_way: 0,
        }
    }
}

impl Records {
    pub(super) fn new(limits: Limits, epoch: Instant) -> Self {
        Self {
            epoch,
            rows: Slab::new(),
            index: HashTable::new(),
            hasher: RandomState::new(),
            by_end: BTreeSet::new(),
            presences: Part::new(limits.presences_cost_max),
            values: Part::new(limits.values_cost_max),
            changes: Changes::off(),
        }
    }

    /// Records that are kept.
    pub(super) fn len(&self) -> usize {
        self.presences.kept + self.values.kept
    }

    /// Bytes with overhead.
    pub(super) fn cost(&self) -> usize {
        self.presences.pool.cost() + self.values.pool.cost()
    }

    /// Whether the next one of this kind, at its largest, takes the place of others.
    pub(super) fn is_full(&self, kind: Kind) -> bool {
        let largest = match kind {
            Kind::Presence => limits::ENVELOPE_BYTES_MAX,
            Kind::Value => limits::RECORD_ENVELOPE_BYTES_MAX,
        };
        self.part(kind).pool.is_full_for(cost(largest))
    }

    /// Records of this kind that gave way to others so far.
    pub(super) fn gave_way(&self, kind: Kind) -> u64 {
        self.part(kind).gave_way
    }

    /// Everything, what is only remembered included.
    pub(super) fn all(&self) -> impl Iterator<Item = Seen<'_>> {
        self.rows.iter().map(|(_, row)| self.seen(row))
    }

    /// From now on notes which keys change, at most `max` of them one by one.
    pub(super) fn log_changes(&mut self, max: usize) {
        self.changes = Changes::on(max);
    }

    pub(super) fn changes(&mut self) -> &mut Changes<RecordKey> {
        &mut self.changes
    }

    /// What is known of the record under `key`, expired or not.
    pub(super) fn get(&self, key: &[u8]) -> Option<Seen<'_>> {
        let row = self.rows.get(self.find(key)? as usize)?;
        Some(self.seen(row))
    }

    /// The record under `key`, unless it has expired.
    pub(super) fn live(&self, key: &[u8], now: Instant) -> Option<Seen<'_>> {
        let seen = self.get(key)?;
        (seen.value.is_some() && seen.expires > now).then_some(seen)
    }

    /// Sequence number of the record that is or was under `key`.
    pub(super) fn last_sequence(&self, key: &[u8], now: Instant) -> Option<u64> {
        let seen = self.get(key).filter(|seen| seen.remembered_until > now);
        seen.map(|seen| seen.sequence)
    }

    /// Whether the presence that is or was under `key` says `left`.
    pub(super) fn has_left(&self, key: &[u8], now: Instant) -> bool {
        let seen = self.get(key).filter(|seen| seen.remembered_until > now);
        seen.is_some_and(|seen| seen.is_left)
    }

    /// Keeps a record in place of what was under its key. It stays that of who put the one before, if
    /// both are of one publisher and it isn't the publisher who puts it now: otherwise strangers could make
    /// it theirs, to let it give way with their own.
    ///
    /// # Errors
    ///
    /// If the store is full and nobody has more in it than this putter. What was under the key
    /// stays then.
    pub(super) fn insert(&mut self, new: New<'_>, putter: Putter) -> Result<()> {
        self.restore(new, putter)?;
        self.note(new.key);
        Ok(())
    }

    /// The same with a record that is written down already: only what gives way to it has changed.
    fn restore(&mut self, new: New<'_>, putter: Putter) -> Result<()> {
        let stored = self.stored(new)?;
        let old = self.find(new.key);
        let putter = old
            .filter(|_| !putter.is_held)
            .and_then(|number| self.owner_before(number, new))
            .unwrap_or(putter);
        let old = old.and_then(|number| self.take(number));
        if let Err(Full) = self.make_room(stored.kind(), putter, stored.cost(), stored.end()) {
            if let Some((row, putter)) = old {
                self.link(row, putter);
            }
            return Err(Error::MaxRecords);
        }
        self.link(stored, putter);
        Ok(())
    }

    /// Makes a record the putter's that somebody else put before.
    pub(super) fn claim(&mut self, key: &[u8], putter: Putter) {
        if let Some((row, _)) = self.find(key).and_then(|number| self.take(number)) {
            self.link(row, putter);
        }
    }

    /// The peer of this origin is connected no longer, so that nothing is held for it.
    pub(super) fn release(&mut self, origin: Origin) {
        let putter = Putter {
            origin,
            is_held: false,
        };
        for number in self.presences.pool.held_of(origin) {
            if let Some((row, _)) = self.take(number) {
                self.link(row, putter);
            }
        }
    }

    /// Removes a record without remembering it.
    pub(super) fn remove(&mut self, key: &[u8]) {
        if let Some(number) = self.find(key) {
            self.take(number);
            self.note(key);
        }
    }

    /// Removes what has expired and forgets what can't come back.
    pub(super) fn sweep(&mut self, now: Instant) {
        let now = self.nanos(now);
        while let Some((end, number)) = self.by_end.first().copied()
            && end <= now
        {
            let Some((mut row, putter)) = self.take(number) else {
                // It would come again and again; but every number has its row.
                self.by_end.remove(&(end, number));
                continue;
            };
            self.note(row.key());
            if row.value().is_some() && row.remembered_until > now {
                row.bytes = row.key().into();
                let putter = Putter {
                    is_held: false,
                    ..putter
                };
                self.link(row, putter);
            }
        }
    }

    /// Who put the record that is there, if that one stays responsible for the new one.
    fn owner_before(&self, number: u32, new: New<'_>) -> Option<Putter> {
        let Row { stored, place } = self.rows.get(number as usize)?;
        let is_same_publisher = match (stored.kind(), stored.value()) {
            // It is in the key.
            (Kind::Presence, _) => true,
            (Kind::Value, Some(value)) => envelope::signer(value) == envelope::signer(new.value),
            (Kind::Value, None) => false,
        };
        let putter = self.part(stored.kind()).pool.putter(*place);
        putter.filter(|_| is_same_publisher)
    }

    fn make_room(
        &mut self,
        kind: Kind,
        putter: Putter,
        cost: usize,
        end: u64,
    ) -> std::result::Result<(), Full> {
        while let Some(number) = self.part(kind).pool.gives_way(putter, cost, end)? {
            if let Some((row, _)) = self.take(number) {
                self.note(row.key());
            }
            let part = self.part_mut(kind);
            part.gave_way = part.gave_way.saturating_add(1);
        }
        Ok(())
    }

    fn seen<'a>(&self, Row { stored, place }: &'a Row) -> Seen<'a> {
        let putter = self.part(stored.kind()).pool.putter(*place);
        Seen {
            key: stored.key(),
            value: stored.value(),
            sequence: stored.sequence,
            is_left: stored.is_left,
            expires: self.instant(stored.expires),
            remembered_until: self.instant(stored.remembered_until),
            origin: putter.map(|putter| putter.origin),
        }
    }

    /// A record as it is kept.
    fn stored(&self, new: New<'_>) -> Result<Stored> {
        // Keys of what is admitted have 100 bytes at most.
        let key_length = u16::try_from(new.key.len()).map_err(|_| Error::ValueTooLarge)?;
        let mut bytes = Vec::with_capacity(new.key.len() + new.value.len());
        bytes.extend(new.key);
        bytes.extend(new.value);
        Ok(Stored {
            bytes: bytes.into(),
            sequence: new.sequence,
            expires: self.nanos(new.expires),
            remembered_until: self.nanos(new.remembered_until),
            key_length,
            is_left: new.is_left,
        })
    }

    fn find(&self, key: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        self.index.find(hash, is_under(&self.rows, key)).copied()
    }

    /// Makes room for so many more rows at once.
    fn reserve(&mut self, more: usize) {
        self.rows.reserve(more);
        let hash_of = hash_of(&self.rows, &self.hasher);
        self.index.reserve(more, hash_of);
    }

    /// The number of the next row.
    fn next_number(&self) -> u32 {
        // There is memory for some millions of them.
        u32::try_from(self.rows.vacant_key()).unwrap_or(u32::MAX)
    }

    /// Puts a row where there is room.
    fn link(&mut self, stored: Stored, putter: Putter) {
        let number = self.next_number();
        let (cost, end) = (stored.cost(), stored.end());
        let hash = self.hasher.hash_one(stored.key());
        let part = self.part_mut(stored.kind());
        let place = part.pool.add(number, putter, cost, end);
        part.kept += usize::from(stored.value().is_some());
        self.by_end.insert((end, number));
        self.rows.insert(Row { stored, place });
        let hash_of = hash_of(&self.rows, &self.hasher);
        self.index.insert_unique(hash, number, hash_of);
    }

    /// Takes a row out, and says who put it.
    fn take(&mut self, number: u32) -> Option<(Stored, Putter)> {
        let Row { stored, place } = self.rows.try_remove(number as usize)?;
        let (cost, end) = (stored.cost(), stored.end());
        let hash = self.hasher.hash_one(stored.key());
        if let Ok(entry) = self.index.find_entry(hash, |it| *it == number) {
            entry.remove();
        }
        self.by_end.remove(&(end, number));
        let part = self.part_mut(stored.kind());
        let putter = part.pool.putter(place)?;
        part.pool.remove(number, place, cost, end);
        part.kept -= usize::from(stored.value().is_some());
        Some((stored, putter))
    }

    fn part(&self, kind: Kind) -> &Part {
        match kind {
            Kind::Presence => &self.presences,
            Kind::Value => &self.values,
        }
    }

    fn part_mut(&mut self, kind: Kind) -> &mut Part {
        match kind {
            Kind::Presence => &mut self.presences,
            Kind::Value => &mut self.values,
        }
    }

    fn note(&mut self, key: &[u8]) {
        self.changes.note(|| RecordKey::new(&key));
    }

    fn nanos(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.epoch);
        // Five hundred years.
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    fn instant(&self, nanos: u64) -> Instant {
        self.epoch + Duration::from_nanos(nanos)
    }
}

/// Tells whether the row of a number is the one of this key.
fn is_under(rows: &Slab<Row>, key: &[u8]) -> impl Fn(&u32) -> bool {
    move |number| {
        let row = rows.get(*number as usize);
        row.is_some_and(|row| row.stored.key() == key)
    }
}

/// Tells the hash of the key of a row.
fn hash_of(rows: &Slab<Row>, hasher: &RandomState) -> impl Fn(&u32) -> u64 {
    move |number| {
        let row = rows.get(*number as usize);
        row.map_or(0, |row| hasher.hash_one(row.stored.key()))
    }
}

#[cfg(test)]
impl Records {
    pub(super) fn remembered(&self) -> usize {
        self.rows.len() - self.len()
    }

    /// What the values of this origin cost.
    pub(super) fn cost_of_values(&self, origin: Origin) -> usize {
        let rows = self.rows.iter().map(|(_, row)| row);
        let values = rows.filter(|row| row.stored.kind() == Kind::Value);
        let own = values.filter(|row| {
            let putter = self.values.pool.putter(row.place);
            putter.is_some_and(|putter| putter.origin == origin)
        });
        own.map(|row| row.stored.cost()).sum()
    }

    /// Whether the indexes say the same as the rows.
    pub(super) fn is_consistent(&self) -> bool {
        let kept = |kind| {
            let rows = self.rows.iter().map(|(_, row)| &row.stored);
            rows.filter(|it| it.kind() == kind && it.value().is_some())
                .count()
        };
        let costs: usize = self.rows.iter().map(|(_, row)| row.stored.cost()).sum();
        costs == self.cost()
            && self.by_end.len() == self.rows.len()
            && self.index.len() == self.rows.len()
            && kept(Kind::Presence) == self.presences.kept
            && kept(Kind::Value) == self.values.kept
            && self.rows.iter().all(|(number, row)| {
                self.find(row.stored.key()) == Some(number as u32)
                    && self.by_end.contains(&(row.stored.end(), number as u32))
            })
    }
}
