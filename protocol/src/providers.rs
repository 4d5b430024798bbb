//! Who provides what, on a DHT server: the way into a topic.
//!
//! A kad answer holds some dozens of providers; a topic may have a thousand. What is answered is a
//! sample: half of it those who announced themselves last, so that newcomers are found at once, half
//! drawn at random from the others, so that a crowd that announces itself without pause hides
//! nobody for long.

use std::collections::{BTreeMap, HashMap};

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;
use thiserror::Error;
use web_time::Instant;

use crate::{
    changes::Changes,
    limits::{
        ADDRESSES_MAX, PROVIDER_ADDRESS_BYTES_MAX, PROVIDER_KEY_BYTES_MAX,
        PROVIDER_KEYS_PER_PEER_MAX, PROVIDERS_MAX, PROVIDERS_PER_KEY_MAX,
    },
    random::Random,
};

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
    #[error("a provider key has 1 to {PROVIDER_KEY_BYTES_MAX} bytes, this one has {0}")]
    Key(usize),
    /// The peer provides as many keys as one peer may.
    #[error("the peer provides {0} keys already")]
    TooManyKeys(usize),
}

/// Somebody who provides a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Who.
    pub peer: PeerId,
    /// Where it can be dialled.
    pub addresses: Vec<Multiaddr>,
    /// When the entry is gone unless it is added again.
    pub expires: Instant,
}

#[derive(Debug)]
struct Entry {
    provider: Provider,
    /// Greater for every later addition; also the entry's place in `by_end`.
    added: u64,
}

type Key = Vec<u8>;

/// The providers a DHT server knows, bounded per key, per peer and in all. See the [module](self).
#[derive(Debug)]
pub struct ProviderTable {
    config: ProviderConfig,
    keys: HashMap<Key, HashMap<PeerId, Entry>>,
    /// How many keys each peer provides.
    peers: HashMap<PeerId, usize>,
    by_end: BTreeMap<(Instant, u64), (Key, PeerId)>,
    added: u64,
    random: Random,
    changes: Changes<(Key, PeerId)>,
}

impl ProviderTable {
    /// An empty table; `seed` should differ from server to server.
    #[must_use]
    pub fn new(config: ProviderConfig, seed: u64) -> Self {
        Self {
            config,
            keys: HashMap::new(),
            peers: HashMap::new(),
            by_end: BTreeMap::new(),
            added: 0,
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
    /// [`ADDRESSES_MAX`] that fit in [`PROVIDER_ADDRESS_BYTES_MAX`]).
    ///
    /// Where a key or the table is full, the entry closest to its end makes room.
    pub fn add(
        &mut self,
        key: &[u8],
        peer: PeerId,
        addresses: &[Multiaddr],
        expires: Instant,
        now: Instant,
    ) -> Result<(), ProviderError> {
        if key.is_empty() || key.len() > PROVIDER_KEY_BYTES_MAX {
            return Err(ProviderError::Key(key.len()));
        }
        if expires <= now {
            return Err(ProviderError::Expired);
        }
        self.sweep(now);
        let is_new = !self.contains(key, &peer);
        if is_new {
            let keys = self.peers.get(&peer).copied().unwrap_or(0);
            if keys >= self.config.per_peer_max {
                return Err(ProviderError::TooManyKeys(keys));
            }
            self.make_room(key);
        } else {
            self.remove(key, &peer);
        }
        self.added = self.added.saturating_add(1);
        let provider = Provider {
            peer,
            addresses: fitting(addresses),
            expires,
        };
        self.by_end
            .insert((expires, self.added), (key.to_vec(), peer));
        let keys = self.peers.entry(peer).or_insert(0);
        *keys = keys.saturating_add(1);
        let entry = Entry {
            provider,
            added: self.added,
        };
        self.changes.note(|| (key.to_vec(), peer));
        self.keys
            .entry(key.to_vec())
            .or_default()
            .insert(peer, entry);
        Ok(())
    }

    fn make_room(&mut self, key: &[u8]) {
        if let Some(providers) = self.keys.get(key)
            && providers.len() >= self.config.per_key_max
        {
            let first = providers
                .values()
                .min_by_key(|entry| (entry.provider.expires, entry.added))
                .map(|entry| entry.provider.peer);
            if let Some(first) = first {
                self.remove(key, &first);
            }
        } else if self.by_end.len() >= self.config.total_max
            && let Some((_, (key, peer))) = self.by_end.first_key_value()
        {
            let (key, peer) = (key.clone(), *peer);
            self.remove(&key, &peer);
        }
    }

    /// Removes a provider; `false` if it was not there.
    pub fn remove(&mut self, key: &[u8], peer: &PeerId) -> bool {
        let Some(providers) = self.keys.get_mut(key) else {
            return false;
        };
        let Some(entry) = providers.remove(peer) else {
            return false;
        };
        if providers.is_empty() {
            self.keys.remove(key);
        }
        self.changes.note(|| (key.to_vec(), *peer));
        self.by_end.remove(&(entry.provider.expires, entry.added));
        if let Some(count) = self.peers.get_mut(peer) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.peers.remove(peer);
            }
        }
        true
    }

    /// At most `count` providers of a key that take at most `bytes_max` bytes in a kad answer:
    /// half of them the freshest, half drawn at random from the others, taking turns.
    #[must_use]
    pub fn sample(
        &self,
        key: &[u8],
        count: usize,
        bytes_max: usize,
        now: Instant,
    ) -> Vec<Provider> {
        let Some(providers) = self.keys.get(key) else {
            return Vec::new();
        };
        let mut fresh: Vec<&Entry> = providers
            .values()
            .filter(|entry| entry.provider.expires > now)
            .collect();
        fresh.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.added));
        let mut others = fresh.split_off(fresh.len().min(count.div_ceil(2)));
        let mut fresh = fresh.into_iter();

        let mut sample = Vec::new();
        let mut bytes = 0_usize;
        let mut is_fresh_turn = true;
        while sample.len() < count {
            let entry = if is_fresh_turn {
                fresh.next().or_else(|| draw(&mut others, &self.random))
            } else {
                draw(&mut others, &self.random).or_else(|| fresh.next())
            };
            let Some(entry) = entry else { break };
            is_fresh_turn = !is_fresh_turn;
            // One that does not fit leaves room for smaller ones.
            let size = encoded_bytes(&entry.provider);
            let total = bytes.saturating_add(size);
            if total <= bytes_max {
                bytes = total;
                sample.push(entry.provider.clone());
            }
        }
        sample
    }

    /// Removes what has expired; returns how many entries that were.
    pub fn sweep(&mut self, now: Instant) -> usize {
        let mut swept = 0_usize;
        while let Some((&(expires, _), (key, peer))) = self.by_end.first_key_value()
            && expires <= now
        {
            let (key, peer) = (key.clone(), *peer);
            self.remove(&key, &peer);
            swept = swept.saturating_add(1);
        }
        swept
    }

    /// When [`sweep`](Self::sweep) has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.by_end
            .first_key_value()
            .map(|(&(expires, _), _)| expires)
    }

    /// Whether a peer is kept as a provider of a key.
    #[must_use]
    pub fn contains(&self, key: &[u8], peer: &PeerId) -> bool {
        self.keys
            .get(key)
            .is_some_and(|providers| providers.contains_key(peer))
    }

    /// A provider of a key.
    #[must_use]
    pub fn get(&self, key: &[u8], peer: &PeerId) -> Option<&Provider> {
        Some(&self.keys.get(key)?.get(peer)?.provider)
    }

    /// Every entry with its key.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Provider)> {
        self.keys.iter().flat_map(|(key, providers)| {
            let entries = providers.values();
            entries.map(move |entry| (key.as_slice(), &entry.provider))
        })
    }

    /// The keys that a peer provides, with when each entry ends.
    pub fn keys_of(&self, peer: &PeerId) -> impl Iterator<Item = (&[u8], &Provider)> {
        let peer = *peer;
        self.keys.iter().filter_map(move |(key, providers)| {
            Some((key.as_slice(), &providers.get(&peer)?.provider))
        })
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
        keys.map(|(key, providers)| (key.as_slice(), providers.len()))
    }

    /// How many keys have providers.
    #[must_use]
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }
}

fn draw<'a>(entries: &mut Vec<&'a Entry>, random: &Random) -> Option<&'a Entry> {
    let index = random.below(entries.len());
    (index < entries.len()).then(|| entries.swap_remove(index))
}

fn fitting(addresses: &[Multiaddr]) -> Vec<Multiaddr> {
    let mut bytes = 0_usize;
    addresses
        .iter()
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

/// At most so many bytes a provider takes in a kad answer (a protobuf `Peer`): each field has a tag
/// of one byte and a length of at most three, the connection type takes two.
fn encoded_bytes(provider: &Provider) -> usize {
    const FIELD: usize = 4;
    const FRAME: usize = FIELD + 2;
    let id = provider.peer.to_bytes().len();
    let addresses = provider.addresses.iter().map(Multiaddr::len);
    std::iter::once(id)
        .chain(addresses)
        .fold(FRAME, |bytes, field| {
            bytes.saturating_add(FIELD).saturating_add(field)
        })
}

#[cfg(test)]
mod tests;
