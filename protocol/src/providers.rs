//! Who provides what, on a DHT server: the way into a topic.
//!
//! A kad answer holds some dozens of providers; a topic may have a thousand. What is answered is a
//! sample: half of it those who are connected here, taking turns by where they come from; a quarter those who
//! announced themselves last, so that newcomers are found at once; and a quarter anybody, drawn at
//! random, taking turns likewise. Of one place no more are named than of all others together, or four. So
//! neither a crowd that announces itself without pause nor one from few places hides the others.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;
use slab::Slab;
use thiserror::Error;
use web_time::Instant;

use self::entry::Entry;
pub use self::entry::Provider;
use crate::{
    address::is_dialled,
    changes::Changes,
    limits::{
        ADDRESSES_MAX, PROVIDER_ADDRESS_BYTES_MAX, PROVIDER_KEY_BYTES_MAX,
        PROVIDER_KEYS_PER_PEER_MAX, PROVIDERS_MAX, PROVIDERS_PER_KEY_MAX,
    },
    random::Random,
    shares::{Full, Origin, Pool, Putter},
};

mod entry;
mod sample;

/// The bounds of a [`ProviderTable`].
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// Most providers of one key.
    pub per_key_max: usize,
    /// Most keys of one provider.
    pub per_peer_max: usize,
    /// Most entries of all keys together.
    pub total_max: usize,
}

impl Default for ProviderConfig {
    fn default() -> Self {
        Self {
            per_key_max: PROVIDERS_PER_KEY_MAX,
            per_peer_max: PROVIDER_KEYS_PER_PEER_MAX,
            total_max: PROVIDERS_MAX,
        }
    }
}

/// Why a provider is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// It has expired already.
    #[error("the entry has expired already")]
    Expired,
    /// The key is longer than [`PROVIDER_KEY_BYTES_MAX`], or empty.
    #[error("the provider key has {0} bytes; it must have 1 to {PROVIDER_KEY_BYTES_MAX}")]
    Key(usize),
    /// There is no room, and nobody who has more entries than whoever puts this one.
    #[error("the store is full, and nobody has more entries in it than this peer")]
    Full,
    /// The peer provides as many keys as one peer may.
    #[error("the peer provides {0} keys already")]
    TooManyKeys(usize),
}

impl From<Full> for ProviderError {
    fn from(Full: Full) -> Self {
        Self::Full
    }
}

/// The providers of one key.
#[derive(Debug, Default)]
struct Providers {
    /// In order, so that the same seed draws the same sample.
    entries: BTreeMap<PeerId, u32>,
    /// Who has how many of them, from when the key was full until half of it is empty.
    pool: Option<Box<Pool>>,
}

/// The providers a DHT server knows, bounded per key, per peer and in all. See the [module](self).
#[derive(Debug)]
pub struct ProviderTable {
    config: ProviderConfig,
    entries: Slab<Entry>,
    keys: HashMap<Arc<[u8]>, Providers>,
    /// How many keys each peer provides.
    peers: HashMap<PeerId, usize>,
    by_end: BTreeSet<(Instant, u32)>,
    pool: Pool,
    /// The moment that ends are counted from: that of the first addition.
    epoch: Option<Instant>,
    added: u64,
    gave_way: u64,
    random: Random,
    changes: Changes<(Vec<u8>, PeerId)>,
}

/// What an entry costs: it is counted by number.
const COST: usize = 1;

impl ProviderTable {
    /// An empty table; `seed` should differ from server to server.
    #[must_use]
    pub fn new(config: ProviderConfig, seed: u64) -> Self {
        Self {
            pool: Pool::new(config.total_max),
            config,
            entries: Slab::new(),
            keys: HashMap::new(),
            peers: HashMap::new(),
            by_end: BTreeSet::new(),
            epoch: None,
            added: 0,
            gave_way: 0,
            random: Random::new(seed),
            changes: Changes::off(),
        }
    }

    /// From now on notes which entries change, at most `max` of them one by one.
    pub fn log_changes(&mut self, max: usize) {
        self.changes = Changes::on(max);
    }

    /// What [`log_changes`](Self::log_changes) noted.
    pub fn changes(&mut self) -> &mut Changes<(Vec<u8>, PeerId)> {
        &mut self.changes
    }

    /// Adds a provider, or renews it with these addresses (the first
    /// [`ADDRESSES_MAX`] that are of [those dialled](crate::address) and fit in [`PROVIDER_ADDRESS_BYTES_MAX`]).
    ///
    /// Where a key or the table is full, somebody gives way who has more in it, see
    /// [`shares`](crate::shares). An entry that is there stays that of who put it, whoever renews it, unless
    /// the provider does so itself.
    pub fn add(
        &mut self,
        key: &[u8],
        peer: PeerId,
        addresses: &[Multiaddr],
        expires: Instant,
        putter: Putter,
        now: Instant,
    ) -> Result<(), ProviderError> {
        if key.is_empty() || key.len() > PROVIDER_KEY_BYTES_MAX {
            return Err(ProviderError::Key(key.len()));
        }
        if expires <= now {
            return Err(ProviderError::Expired);
        }
        self.epoch.get_or_insert(now);
        self.sweep(now);
        let old = self.take(key, &peer);
        let putter = match &old {
            Some(old) if !putter.is_held => old.putter(),
            _ => putter,
        };
        let keys = self.peers.get(&peer).copied().unwrap_or(0);
        let room = if old.is_none() && keys >= self.config.per_peer_max {
            Err(ProviderError::TooManyKeys(keys))
        } else {
            self.make_room(key, putter, expires)
        };
        match (room, old) {
            (Ok(()), _) => {
                let provider = Provider {
                    peer,
                    addresses: fitting(addresses),
                    expires,
                };
                self.insert(key, provider, putter);
                self.changes.note(|| (key.to_vec(), peer));
                Ok(())
            }
            (Err(error), old) => {
                if let Some(old) = old {
                    let putter = old.putter();
                    self.insert(key, old.provider, putter);
                }
                Err(error)
            }
        }
    }

    /// A provider whose entry somebody put before, and who has now put the very same itself: it is
    /// its own from now on.
    pub fn claim(&mut self, key: &[u8], peer: &PeerId, putter: Putter) {
        if let Some(entry) = self.take(key, peer) {
            self.insert(key, entry.provider, putter);
        }
    }

    /// The peer of this origin is connected no longer, so that nothing is held for it.
    pub fn release(&mut self, origin: Origin) {
        let putter = Putter {
            origin,
            is_held: false,
        };
        for number in self.pool.held_of(origin) {
            let Some(entry) = self.entries.get(number as usize) else {
                continue;
            };
            let (key, peer) = (Arc::clone(&entry.key), entry.provider.peer);
            self.claim(&key, &peer, putter);
        }
    }

    fn end(&self, expires: Instant) -> u64 {
        end_from(self.epoch, expires)
    }

    fn make_room(
        &mut self,
        key: &[u8],
        putter: Putter,
        expires: Instant,
    ) -> Result<(), ProviderError> {
        let end = self.end(expires);
        self.count_if_full(key);
        while let Some(pool) = self.keys.get(key).and_then(|it| it.pool.as_ref())
            && let Some(number) = pool.gives_way(putter, COST, end)?
        {
            self.give_way(number);
        }
        while let Some(number) = self.pool.gives_way(putter, COST, end)? {
            self.give_way(number);
        }
        Ok(())
    }

    fn give_way(&mut self, number: u32) {
        let entry = self.entries.get(number as usize);
        if let Some((key, peer)) = entry.map(|it| (Arc::clone(&it.key), it.provider.peer)) {
            self.remove(&key, &peer);
            self.gave_way = self.gave_way.saturating_add(1);
        }
    }

    /// Counts who has how many providers of a key, once that is full.
    fn count_if_full(&mut self, key: &[u8]) {
        let Some(providers) = self.keys.get_mut(key) else {
            return;
        };
        if providers.pool.is_some() || providers.entries.len() < self.config.per_key_max {
            return;
        }
        let epoch = self.epoch;
        let mut pool = Pool::new(self.config.per_key_max);
        for number in providers.entries.values() {
            let Some(entry) = self.entries.get_mut(*number as usize) else {
                continue;
            };
            let end = end_from(epoch, entry.provider.expires);
            let putter = entry.putter();
            entry.place_in_key = Some(pool.add(*number, putter, COST, end));
        }
        providers.pool = Some(Box::new(pool));
    }

    /// Puts an entry that is not there, where there is room.
    fn insert(&mut self, key: &[u8], provider: Provider, putter: Putter) {
        let Ok(number) = u32::try_from(self.entries.vacant_key()) else {
            return;
        };
        let (peer, expires) = (provider.peer, provider.expires);
        let end = self.end(expires);
        let place = self.pool.add(number, putter, COST, end);
        let key = match self.keys.get_key_value(key) {
            Some((key, _)) => Arc::clone(key),
            None => key.into(),
        };
        let providers = self.keys.entry(Arc::clone(&key)).or_default();
        providers.entries.insert(peer, number);
        let in_key = Putter {
            is_held: place.is_held(),
            ..putter
        };
        let place_in_key = providers
            .pool
            .as_mut()
            .map(|pool| pool.add(number, in_key, COST, end));
        self.added = self.added.saturating_add(1);
        self.entries.insert(Entry {
            key,
            provider,
            added: self.added,
            origin: putter.origin,
            place,
            place_in_key,
        });
        self.by_end.insert((expires, number));
        let keys = self.peers.entry(peer).or_insert(0);
        *keys = keys.saturating_add(1);
    }

    /// Takes an entry out.
    fn take(&mut self, key: &[u8], peer: &PeerId) -> Option<Entry> {
        let providers = self.keys.get_mut(key)?;
        let number = providers.entries.remove(peer)?;
        let entry = self.entries.try_remove(number as usize)?;
        let end = end_from(self.epoch, entry.provider.expires);
        if let (Some(pool), Some(place)) = (&mut providers.pool, entry.place_in_key) {
            pool.remove(number, place, COST, end);
        }
        if providers.entries.is_empty() {
            self.keys.remove(key);
        } else if providers.entries.len() < self.config.per_key_max.div_ceil(2) {
            providers.pool = None;
        }
        self.pool.remove(number, entry.place, COST, end);
        self.by_end.remove(&(entry.provider.expires, number));
        if let Some(count) = self.peers.get_mut(peer) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.peers.remove(peer);
            }
        }
        Some(entry)
    }

    /// Removes a provider; `false` if it was not there.
    pub fn remove(&mut self, key: &[u8], peer: &PeerId) -> bool {
        let is_gone = self.take(key, peer).is_some();
        if is_gone {
            self.changes.note(|| (key.to_vec(), *peer));
        }
        is_gone
    }

    /// At most `count` providers of a key that take at most `bytes_max` bytes in a kad answer, taking
    /// turns: who is connected here, who announced itself last, and who is drawn at random.
    #[must_use]
    pub fn sample(
        &self,
        key: &[u8],
        count: usize,
        bytes_max: usize,
        now: Instant,
    ) -> Vec<Provider> {
        let numbers = self.keys.get(key).map(|it| it.entries.values());
        let entries = numbers
            .into_iter()
            .flatten()
            .filter_map(|number| self.entries.get(*number as usize))
            .filter(|entry| entry.provider.expires > now);
        sample::draw(entries.collect(), count, bytes_max, &self.random)
    }

    /// Removes what has expired; returns how many entries that were.
    pub fn sweep(&mut self, now: Instant) -> usize {
        let mut swept = 0_usize;
        while let Some((expires, number)) = self.by_end.first().copied()
            && expires <= now
        {
            let entry = self.entries.get(number as usize);
            if let Some((key, peer)) = entry.map(|it| (Arc::clone(&it.key), it.provider.peer)) {
                self.remove(&key, &peer);
            }
            swept = swept.saturating_add(1);
        }
        swept
    }

    /// When [`sweep`](Self::sweep) has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.by_end.first().map(|(expires, _)| *expires)
    }

    /// Whether a peer is kept as a provider of a key.
    #[must_use]
    pub fn contains(&self, key: &[u8], peer: &PeerId) -> bool {
        self.get(key, peer).is_some()
    }

    /// A provider of a key.
    #[must_use]
    pub fn get(&self, key: &[u8], peer: &PeerId) -> Option<&Provider> {
        let number = self.keys.get(key)?.entries.get(peer)?;
        Some(&self.entries.get(*number as usize)?.provider)
    }

    /// Every entry with its key.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Provider)> {
        let entries = self.entries.iter();
        entries.map(|(_, entry)| (&*entry.key, &entry.provider))
    }

    /// The keys that a peer provides, with when each entry ends.
    pub fn keys_of(&self, peer: &PeerId) -> impl Iterator<Item = (&[u8], &Provider)> {
        let peer = *peer;
        self.iter().filter(move |(_, it)| it.peer == peer)
    }

    /// Whether another entry would take the place of one.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.pool.is_full_for(COST)
    }

    /// Entries that gave way to others so far.
    #[must_use]
    pub fn gave_way_total(&self) -> u64 {
        self.gave_way
    }

    /// How many entries there are, of all keys together.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_end.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_end.is_empty()
    }

    /// Every key and how many providers it has, in no particular order.
    pub fn counts(&self) -> impl Iterator<Item = (&[u8], usize)> {
        let keys = self.keys.iter();
        keys.map(|(key, providers)| (&**key, providers.entries.len()))
    }

    /// How many keys have providers.
    #[must_use]
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }
}

fn end_from(epoch: Option<Instant>, expires: Instant) -> u64 {
    let epoch = epoch.unwrap_or(expires);
    let nanos = expires.saturating_duration_since(epoch).as_nanos();
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

fn fitting(addresses: &[Multiaddr]) -> Vec<Multiaddr> {
    let mut bytes = 0_usize;
    addresses
        .iter()
        .filter(|address| is_dialled(address))
        .filter(|address| {
            let total = bytes.saturating_add(address.len());
            let fits = total <= PROVIDER_ADDRESS_BYTES_MAX;
            if fits {
                bytes = total;
            }
            fits
        })
        .take(ADDRESSES_MAX)
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests;
