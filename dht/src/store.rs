//! What a DHT server keeps: signed records, checked before they are kept, and who provides what.
//!
//! **Invariant:** whatever [`Store::put`] accepts was admitted by [`moim_protocol::admission`]
//! under its key, and is handed out only until the end of the life it was signed for, measured on this
//! machine's clock from its arrival. Memory is bounded whatever arrives, and who gives way when it is
//! full is decided by where things were put from ([`shares`](moim_protocol::shares)).

use std::{borrow::Cow, collections::HashMap, iter, time::Duration};

use libp2p::{
    PeerId,
    kad::{
        ProviderRecord, Record, RecordKey,
        store::{Error, RecordStore, Result},
    },
};
use moim_protocol::{
    UnixMillis,
    address::is_dialled,
    admission::{self, Admitted},
    limits,
    names::PRESENCE_KEY_PREFIX,
    presence::{self, SignedPresence, State},
    providers::{ProviderConfig, ProviderTable},
    shares::{Origin, Putter, Whence},
    topic::TopicHash,
};
use web_time::{Instant, SystemTime};

use self::records::{Limits, New, Records, Seen};
pub use self::size::{StoreLimits, StorePart, StoreStats};
use crate::platform::SERVES;

mod durable;
mod records;
mod size;
mod stats;
#[cfg(test)]
mod tests;

/// Providers handed to kad at one time. kad puts the first 20 into its answer, after leaving out
/// the one who asks.
const SAMPLE_MAX: usize = 21;

/// Bytes of providers in an answer of 16 KiB. The closer peers take 6 KiB of it, see
/// [`TABLE_ADDRESSES_BYTES_MAX`](crate::TABLE_ADDRESSES_BYTES_MAX).
const SAMPLE_BYTES_MAX: usize = 8 * 1024;

/// Keys that the local peer itself provides: a topic for each room it is in.
const PROVIDED_MAX: usize = 1024;

/// How a sha2-256 multihash starts: its code and its length.
const SHA2_256_PREFIX: [u8; 2] = [0x12, 0x20];

/// How often what has expired is removed in passing, while others are stored.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// The records and providers of a DHT server, in memory.
///
/// A presence that says `here` also makes its peer a provider of the topic, with the addresses it
/// signed: ADD_PROVIDER has no answer, so only in this way can an acknowledged announcement be
/// found at once. One that says `left` removes the provider, and for as long as the older presence
/// could be replayed, neither that nor an ADD_PROVIDER brings it back.
#[derive(Debug)]
pub struct Store {
    local: PeerId,
    /// What the numbers of an [`Origin`] are made with.
    secret: u64,
    /// Where things come from that were there before the process began, if nothing else is known.
    earlier: Origin,
    /// Who is asking for what is done now; `None` for the local peer.
    sender: Option<Sender>,
    /// Where connections come from, and how many.
    connections: HashMap<Origin, usize>,
    records: Records,
    providers: ProviderTable,
    /// What the local peer provides.
    provided: HashMap<RecordKey, ProviderRecord>,
    accepted_records: u64,
    refused_records: u64,
    refused_providers: u64,
    swept: Instant,
    /// Whether nothing can be written down for now.
    is_stuck: bool,
}

/// A peer at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    pub(crate) peer: PeerId,
    pub(crate) origin: Origin,
}

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
struct Time {
    now: Instant,
    wall: UnixMillis,
}

impl Time {
    fn read() -> Self {
        // A wall clock before 1970 is as good as one at 1970: nothing is admitted.
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            now: Instant::now(),
            wall: UnixMillis::from_epoch(since.unwrap_or_default()),
        }
    }

    fn after(self, duration: Duration) -> Instant {
        // Lives are bounded by admission, so this always fits.
        self.now.checked_add(duration).unwrap_or(self.now)
    }
}

impl Store {
    /// An empty store of the peer `local`. `seed` is for drawing samples and for telling where things
    /// come from; it should differ from server to server, and nobody else should know it. A store that is written
    /// down has the same each time.
    #[must_use]
    pub fn new(local: PeerId, seed: u64, limits: StoreLimits) -> Self {
        Self::with_limits(local, seed, limits.into())
    }

    fn with_limits(local: PeerId, seed: u64, limits: Limits) -> Self {
        Self {
            local,
            secret: seed,
            earlier: Origin::new(seed, Whence::Earlier, &local),
            sender: None,
            connections: HashMap::new(),
            records: Records::new(limits, Instant::now()),
            providers: ProviderTable::new(ProviderConfig::default(), seed),
            provided: HashMap::new(),
            accepted_records: 0,
            refused_records: 0,
            refused_providers: 0,
            swept: Instant::now(),
            is_stuck: false,
        }
    }

    /// The origin of what `peer` puts.
    pub(crate) fn origin(&self, whence: Whence, peer: &PeerId) -> Origin {
        Origin::new(self.secret, whence, peer)
    }

    /// Who asks for what is done from now on; `None` for the local peer.
    pub(crate) fn set_sender(&mut self, sender: Option<Sender>) {
        self.sender = sender;
    }

    /// A connection has come.
    pub(crate) fn on_connected(&mut self, origin: Origin) {
        if !SERVES {
            return;
        }
        let count = self.connections.entry(origin).or_default();
        *count = count.saturating_add(1);
    }

    /// A connection has gone. What was held for a peer that has no other from there, isn't any more.
    pub(crate) fn on_disconnected(&mut self, origin: Origin) {
        if !SERVES {
            return;
        }
        let Some(count) = self.connections.get_mut(&origin) else {
            return;
        };
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.connections.remove(&origin);
            self.records.release(origin);
            self.providers.release(origin);
        }
    }

    /// Who puts something that is `about` this peer.
    fn putter(&self, about: &PeerId) -> Putter {
        match &self.sender {
            Some(sender) => Putter {
                origin: sender.origin,
                is_held: sender.peer == *about,
            },
            None => Putter {
                origin: self.origin(Whence::Here, about),
                is_held: self.local == *about,
            },
        }
    }

    /// Records accepted since the start, those among them that were here already.
    pub(crate) fn accepted_records(&self) -> u64 {
        self.accepted_records
    }

    /// While nothing can be written down, values are refused. Presences are taken all the same:
    /// they live for two minutes and are renewed within one, so that a full disk makes nobody
    /// invisible.
    pub(crate) fn set_stuck(&mut self, is_stuck: bool) {
        self.is_stuck = is_stuck;
    }

    /// Every key with providers and how many it has, in no particular order; without those of the
    /// local peer.
    pub fn provider_counts(&self) -> impl Iterator<Item = (&[u8], usize)> {
        self.providers.counts()
    }

    /// Frees the memory of what has expired. Expired things aren't handed out in any case, and
    /// storing new ones sweeps in passing; this is for a store that rests.
    pub fn sweep(&mut self) {
        self.sweep_at(Instant::now());
    }

    fn sweep_at(&mut self, now: Instant) {
        self.swept = now;
        self.records.sweep(now);
        self.providers.sweep(now);
    }

    fn sweep_in_passing(&mut self, now: Instant) {
        if now.saturating_duration_since(self.swept) >= SWEEP_INTERVAL {
            self.sweep_at(now);
        }
    }

    fn put_at(&mut self, record: Record, time: Time) -> Result<()> {
        self.sweep_in_passing(time.now);
        let result = self.try_put(record, time);
        match &result {
            Ok(()) => self.accepted_records = self.accepted_records.saturating_add(1),
            Err(error) => {
                self.refused_records = self.refused_records.saturating_add(1);
                tracing::debug!(%error, "record refused");
            }
        }
        result
    }

    fn try_put(&mut self, record: Record, time: Time) -> Result<()> {
        let key = record.key.as_ref();
        if self.is_stuck && !key.starts_with(PRESENCE_KEY_PREFIX) {
            return Err(Error::MaxRecords);
        }
        // The same again, e.g. from a peer that heard no answer: true already, and not prolonged.
        if let Some(held) = self.records.live(key, time.now)
            && held.value == Some(record.value.as_slice())
        {
            let publisher = held.publisher();
            self.claim(key, publisher);
            return Ok(());
        }
        let admitted = match admission::admit(key, &record.value, time.wall) {
            Ok(admitted) => admitted,
            Err(error) => {
                tracing::debug!(%error, "record not admitted");
                // kad has no word for it. What counts is that it isn't acknowledged.
                return Err(Error::ValueTooLarge);
            }
        };
        self.check_newer(key, &admitted, time.now)?;

        let life = admitted.lifetime(time.wall);
        if life.is_zero() {
            return Err(Error::ValueTooLarge);
        }
        let new = New {
            key,
            value: &record.value,
            sequence: admitted.sequence(),
            is_left: has_left(&admitted),
            expires: time.after(life),
            remembered_until: time.after(admitted.replayable(time.wall).max(life)),
        };
        let mut putter = self.putter(&admitted.publisher());
        // Values aren't held: they outlive connections.
        putter.is_held &= matches!(admitted, Admitted::Presence(_));
        self.records.insert(new, putter)?;
        if let Admitted::Presence(presence) = &admitted {
            self.apply_presence(presence, putter, time.after(life), time.now);
        }
        Ok(())
    }

    /// The publisher has put a presence that somebody else may have put before: from now on it is the
    /// publisher's.
    fn claim(&mut self, key: &[u8], publisher: Option<PeerId>) {
        let Some(publisher) = publisher else { return };
        let putter = self.putter(&publisher);
        if putter.is_held
            && let Some(topic) = topic_of_presence(key)
        {
            self.records.claim(key, putter);
            let provider_key = topic.provider_key();
            self.providers.claim(&provider_key, &publisher, putter);
        }
    }

    /// Refuses what is older than what is here or was here.
    fn check_newer(&self, key: &[u8], new: &Admitted, now: Instant) -> Result<()> {
        let last = self.records.last_sequence(key, now);
        let is_newer = match self.records.live(key, now) {
            None => last < Some(new.sequence()),
            // As `admission::supersedes` has it.
            Some(held) => (held.sequence, held.value) < (new.sequence(), Some(new.as_bytes())),
        };
        if is_newer {
            Ok(())
        } else {
            Err(Error::ValueTooLarge)
        }
    }

    fn apply_presence(
        &mut self,
        signed: &SignedPresence,
        putter: Putter,
        expires: Instant,
        now: Instant,
    ) {
        let presence = signed.presence();
        let key = presence.topic.provider_key();
        if presence.state == State::Here && !presence.addresses.is_empty() {
            let (peer, addresses) = (presence.peer, &presence.addresses);
            let added = self
                .providers
                .add(&key, peer, addresses, expires, putter, now);
            if let Err(error) = added {
                tracing::debug!(%error, "member not listed as provider");
            }
        } else {
            // Nobody could dial a provider without addresses, and old ones are worse than none.
            self.providers.remove(&key, &presence.peer);
        }
    }

    fn add_provider_at(&mut self, record: &ProviderRecord, time: Time) -> Result<()> {
        self.sweep_in_passing(time.now);
        let result = self.try_add_provider(record, time);
        if result.is_err() {
            self.refused_providers = self.refused_providers.saturating_add(1);
        }
        result
    }

    fn try_add_provider(&mut self, record: &ProviderRecord, time: Time) -> Result<()> {
        let key = record.key.as_ref();
        if !is_multihash(key) || !record.addresses.iter().any(is_dialled) {
            return Err(Error::ValueTooLarge);
        }
        if self.has_left(key, &record.provider, time.now) {
            // Sent before it left, or by its kad's own clockwork. Coming back takes a presence.
            return Err(Error::ValueTooLarge);
        }
        let longest = time.after(limits::PROVIDER_TTL);
        let expires = record
            .expires
            .map_or(longest, |expires| expires.min(longest));
        let putter = self.putter(&record.provider);
        let (peer, addresses) = (record.provider, &record.addresses);
        self.providers
            .add(key, peer, addresses, expires, putter, time.now)
            .map_err(|error| {
                tracing::debug!(%error, "provider refused");
                Error::MaxProvidedKeys
            })
    }

    /// Whether the last that `peer` said in the topic of this provider key is that it left.
    fn has_left(&self, provider_key: &[u8], peer: &PeerId, now: Instant) -> bool {
        let Some(hash) = provider_key.strip_prefix(&SHA2_256_PREFIX) else {
            return false;
        };
        let Ok(hash) = <[u8; 32]>::try_from(hash) else {
            return false;
        };
        let key = presence::presence_record_key(TopicHash::from_bytes(hash), peer);
        self.records.has_left(&key, now)
    }

    fn providers_at(&self, key: &RecordKey, now: Instant) -> Vec<ProviderRecord> {
        // kad gives the local peer's own entry all its addresses; those it signed are better.
        let own = self
            .provided
            .get(key)
            .filter(|own| !self.providers.contains(key.as_ref(), &own.provider));
        let others = self
            .providers
            .sample(key.as_ref(), SAMPLE_MAX, SAMPLE_BYTES_MAX, now);
        let others = others.into_iter().map(|provider| ProviderRecord {
            key: key.clone(),
            provider: provider.peer,
            expires: Some(provider.expires),
            addresses: provider.addresses,
        });
        own.cloned().into_iter().chain(others).collect()
    }
}

type Iter<'a, T> = Box<dyn Iterator<Item = Cow<'a, T>> + 'a>;

impl RecordStore for Store {
    type ProvidedIter<'a> = Iter<'a, ProviderRecord>;
    type RecordsIter<'a> = Iter<'a, Record>;

    fn get(&self, key: &RecordKey) -> Option<Cow<'_, Record>> {
        if !SERVES {
            return None;
        }
        let seen = self.records.live(key.as_ref(), Instant::now());
        seen.and_then(record_of).map(Cow::Owned)
    }

    fn put(&mut self, record: Record) -> Result<()> {
        if !SERVES {
            return Err(Error::MaxRecords);
        }
        self.put_at(record, Time::read())
    }

    fn remove(&mut self, key: &RecordKey) {
        if SERVES {
            self.records.remove(key.as_ref());
        }
    }

    fn records(&self) -> Self::RecordsIter<'_> {
        if !SERVES {
            return Box::new(iter::empty());
        }
        Box::new(self.records.all().filter_map(record_of).map(Cow::Owned))
    }

    fn add_provider(&mut self, record: ProviderRecord) -> Result<()> {
        if record.provider != self.local {
            if !SERVES {
                return Err(Error::MaxProvidedKeys);
            }
            return self.add_provider_at(&record, Time::read());
        }
        if self.provided.len() >= PROVIDED_MAX && !self.provided.contains_key(&record.key) {
            return Err(Error::MaxProvidedKeys);
        }
        self.provided.insert(record.key.clone(), record);
        Ok(())
    }

    fn providers(&self, key: &RecordKey) -> Vec<ProviderRecord> {
        if !SERVES {
            return self.provided.get(key).cloned().into_iter().collect();
        }
        self.providers_at(key, Instant::now())
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        Box::new(self.provided.values().map(Cow::Borrowed))
    }

    fn remove_provider(&mut self, key: &RecordKey, provider: &PeerId) {
        if *provider == self.local {
            self.provided.remove(key);
        }
        if SERVES {
            self.providers.remove(key.as_ref(), provider);
        }
    }
}

/// What is handed out of a record; nothing if only the rest is remembered.
fn record_of(seen: Seen<'_>) -> Option<Record> {
    Some(Record {
        key: RecordKey::new(&seen.key),
        value: seen.value?.to_vec(),
        // Who signed it. What the message said can be anybody.
        publisher: seen.publisher(),
        expires: Some(seen.expires),
    })
}

/// The topic that a presence key names.
fn topic_of_presence(key: &[u8]) -> Option<TopicHash> {
    let hash = key.strip_prefix(PRESENCE_KEY_PREFIX)?.first_chunk()?;
    Some(TopicHash::from_bytes(*hash))
}

fn has_left(admitted: &Admitted) -> bool {
    matches!(admitted, Admitted::Presence(p) if p.presence().state == State::Left)
}

/// Whether `key` is a multihash: code and length as varints (one byte each covers those in use),
/// then as many bytes as the length says. Providers of anything else are noise.
fn is_multihash(key: &[u8]) -> bool {
    let [_, length, digest @ ..] = key else {
        return false;
    };
    !digest.is_empty() && usize::from(*length) == digest.len()
}
