//! A store that is written down and read back, see [`journal`](crate::journal).

use std::time::Duration;

use libp2p::{
    PeerId,
    kad::{Record, RecordKey},
};
use moim_protocol::{UnixMillis, changes::Changed, limits};
use web_time::Instant;

use super::{
    Store, Time,
    records::{Entry, Gone},
};
use crate::journal::{Batch, Change, HeldRecord, ProviderRow, RecordRow};

/// Changed rows that are told one by one, of records and of providers each. When a slow disk lets
/// more come together, everything is written anew, so that the list of them stays small.
const CHANGES_MAX: usize = 65_536;

/// Longest that a sequence number is remembered: a record's longest life, and as far in the past
/// and in the future as clocks may be wrong.
const REMEMBERED_MAX: Duration =
    limits::RECORD_TTL_MAX.saturating_add(limits::CLOCK_SKEW_MAX.saturating_mul(2));

impl Store {
    /// Takes in what was written down, and notes from now on what changes. What has expired since
    /// is left out and counts as changed.
    ///
    /// # Errors
    ///
    /// The first of `rows`.
    pub fn restore<E>(
        &mut self,
        rows: impl IntoIterator<Item = Result<Change, E>>,
    ) -> Result<(), E> {
        self.restore_at(rows, Time::read())
    }

    pub(super) fn restore_at<E>(
        &mut self,
        rows: impl IntoIterator<Item = Result<Change, E>>,
        time: Time,
    ) -> Result<(), E> {
        let mut records = Vec::new();
        let mut providers = Vec::new();
        for row in rows {
            match row? {
                Change::Record { key, row } => {
                    let key = RecordKey::from(key);
                    if !row.is_some_and(|row| self.restore_record(key.clone(), row, time)) {
                        records.push(key);
                    }
                }
                Change::Provider { key, peer, row } => {
                    if !row.is_some_and(|row| self.restore_provider(&key, peer, &row, time)) {
                        providers.push((key, peer));
                    }
                }
            }
        }
        self.records.log_changes(CHANGES_MAX);
        self.providers.log_changes(CHANGES_MAX);
        for key in records {
            self.records.changes().note(|| key);
        }
        for entry in providers {
            self.providers.changes().note(|| entry);
        }
        Ok(())
    }

    /// Whether the record is in the store as it was written.
    fn restore_record(&mut self, key: RecordKey, row: RecordRow, time: Time) -> bool {
        let until = time.instant_of(row.remembered_until, REMEMBERED_MAX);
        if let Some(held) = row.held {
            let expires = time.instant_of(held.expires, limits::RECORD_TTL_MAX);
            if expires > time.now {
                let record = Record {
                    key,
                    value: held.value,
                    publisher: Some(held.publisher),
                    expires: Some(expires),
                };
                let entry = Entry {
                    record,
                    publisher: held.publisher,
                    sequence: row.sequence,
                    is_left: row.is_left,
                    expires,
                    remembered_until: until,
                };
                return self.records.insert(entry).is_ok();
            }
            self.remember(key, row.sequence, row.is_left, until, time.now);
            return false;
        }
        self.remember(key, row.sequence, row.is_left, until, time.now)
    }

    fn remember(
        &mut self,
        key: RecordKey,
        sequence: u64,
        is_left: bool,
        until: Instant,
        now: Instant,
    ) -> bool {
        let matters = until > now;
        if matters {
            let gone = Gone {
                sequence,
                is_left,
                until,
            };
            self.records.remember(key, gone);
        }
        matters
    }

    fn restore_provider(
        &mut self,
        key: &[u8],
        peer: PeerId,
        row: &ProviderRow,
        time: Time,
    ) -> bool {
        let expires = time.instant_of(row.expires, limits::PROVIDER_TTL);
        self.providers
            .add(key, peer, &row.addresses, expires, time.now)
            .is_ok()
    }

    /// Whether there is something to write down.
    pub fn has_changes(&mut self) -> bool {
        !self.records.changes().is_empty() || !self.providers.changes().is_empty()
    }

    /// What changed since the last time, as it is now. Nothing unless [`restore`](Self::restore) was called.
    #[must_use]
    pub fn take_batch(&mut self) -> Batch {
        self.take_batch_at(Time::read())
    }

    pub(super) fn take_batch_at(&mut self, time: Time) -> Batch {
        let changed = (
            self.records.changes().take(),
            self.providers.changes().take(),
        );
        let (Changed::Keys(records), Changed::Keys(providers)) = changed else {
            return self.everything(time);
        };
        let records = records.into_iter().map(|key| self.record_row(&key, time));
        let providers = providers.into_iter().map(|(key, peer)| {
            let row = self.providers.get(&key, &peer);
            let row = row.map(|provider| provider_row(provider, time));
            Change::Provider { key, peer, row }
        });
        Batch {
            replaces_all: false,
            changes: records.chain(providers).collect(),
        }
    }

    pub(super) fn everything(&self, time: Time) -> Batch {
        let held = self.records.entries().map(|entry| &entry.record.key);
        let records = held
            .chain(self.records.gone_keys())
            .map(|key| self.record_row(key, time));
        let providers = self.providers.iter().map(|(key, provider)| {
            let row = Some(provider_row(provider, time));
            Change::Provider {
                key: key.to_vec(),
                peer: provider.peer,
                row,
            }
        });
        Batch {
            replaces_all: true,
            changes: records.chain(providers).collect(),
        }
    }

    fn record_row(&self, key: &RecordKey, time: Time) -> Change {
        let row = match (self.records.entry(key), self.records.gone(key)) {
            (Some(entry), _) => Some(RecordRow {
                sequence: entry.sequence,
                is_left: entry.is_left,
                remembered_until: time.wall_of(entry.remembered_until),
                held: Some(HeldRecord {
                    publisher: entry.publisher,
                    expires: time.wall_of(entry.expires),
                    value: entry.record.value.clone(),
                }),
            }),
            (None, Some(gone)) => Some(RecordRow {
                sequence: gone.sequence,
                is_left: gone.is_left,
                remembered_until: time.wall_of(gone.until),
                held: None,
            }),
            (None, None) => None,
        };
        Change::Record {
            key: key.to_vec(),
            row,
        }
    }
}

fn provider_row(provider: &moim_protocol::providers::Provider, time: Time) -> ProviderRow {
    ProviderRow {
        expires: time.wall_of(provider.expires),
        addresses: provider.addresses.clone(),
    }
}

impl Time {
    /// A moment of the monotonic clock on the wall clock.
    fn wall_of(self, instant: Instant) -> UnixMillis {
        self.wall
            .saturating_add(instant.saturating_duration_since(self.now))
    }

    /// A moment of the wall clock on the monotonic clock, no later than `max` from now: a wall clock that
    /// was set back prolongs nothing beyond what it could have been given anew.
    fn instant_of(self, wall: UnixMillis, max: Duration) -> Instant {
        let rest = Duration::from_millis(wall.0.saturating_sub(self.wall.0));
        self.after(rest.min(max))
    }
}
