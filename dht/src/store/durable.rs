//! A store that is written down and read back, see [`journal`](crate::journal).

use std::time::Duration;

use libp2p::{PeerId, kad::RecordKey};
use moim_protocol::{
    UnixMillis,
    changes::Changed,
    limits,
    providers::ProviderTable,
    shares::{Origin, Putter},
};
use web_time::Instant;

use super::{
    Store, Time,
    records::{New, Seen, filling::Filling},
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
        let rows = rows.into_iter();
        let (mut records, mut providers) = (Vec::new(), Vec::new());
        let earlier = self.earlier;
        self.records.log_changes(CHANGES_MAX);
        let mut filling = Filling::new(&mut self.records, rows.size_hint().0);
        for row in rows {
            match row? {
                Change::Record { key, row } => {
                    let restore =
                        |row: RecordRow| restore_record(&mut filling, &key, &row, earlier, time);
                    if !row.is_some_and(restore) {
                        records.push(RecordKey::from(key));
                    }
                }
                Change::Provider { key, peer, row } => {
                    let table = &mut self.providers;
                    let restore =
                        |row: ProviderRow| restore_provider(table, &key, peer, &row, earlier, time);
                    if !row.is_some_and(restore) {
                        providers.push((key, peer));
                    }
                }
            }
        }
        drop(filling);
        self.providers.log_changes(CHANGES_MAX);
        for key in records {
            self.records.changes().note(|| key);
        }
        for entry in providers {
            self.providers.changes().note(|| entry);
        }
        Ok(())
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
        let records = records.into_iter().map(|key| {
            let row = self.records.get(key.as_ref());
            let row = row.map(|seen| record_row(seen, time));
            let key = key.to_vec();
            Change::Record { key, row }
        });
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
        let records = self.records.all().map(|seen| Change::Record {
            key: seen.key.to_vec(),
            row: Some(record_row(seen, time)),
        });
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
}

/// Whether the record is in the store as it was written. If it isn't known who put it, it is of `earlier`.
fn restore_record(
    filling: &mut Filling<'_>,
    key: &[u8],
    row: &RecordRow,
    earlier: Origin,
    time: Time,
) -> bool {
    let until = time.instant_of(row.remembered_until, REMEMBERED_MAX);
    let held = row.held.as_ref();
    let expires = held.map_or(time.now, |held| {
        time.instant_of(held.expires, limits::RECORD_TTL_MAX)
    });
    let held = held.filter(|_| expires > time.now);
    if held.is_none() && until <= time.now {
        return false;
    }
    let new = New {
        key,
        value: held.map_or(&[], |held| &held.value),
        sequence: row.sequence,
        is_left: row.is_left,
        expires,
        remembered_until: until,
    };
    let origin = held.and_then(|held| held.origin).unwrap_or(earlier);
    filling.add(new, origin).is_ok() && held.is_some() == row.held.is_some()
}

fn restore_provider(
    providers: &mut ProviderTable,
    key: &[u8],
    peer: PeerId,
    row: &ProviderRow,
    earlier: Origin,
    time: Time,
) -> bool {
    let expires = time.instant_of(row.expires, limits::PROVIDER_TTL);
    let putter = Putter {
        origin: earlier,
        is_held: false,
    };
    providers
        .add(key, peer, &row.addresses, expires, putter, time.now)
        .is_ok()
}

fn record_row(seen: Seen<'_>, time: Time) -> RecordRow {
    RecordRow {
        sequence: seen.sequence,
        is_left: seen.is_left,
        remembered_until: time.wall_of(seen.remembered_until),
        held: seen.value.map(|value| HeldRecord {
            origin: seen.origin,
            expires: time.wall_of(seen.expires),
            value: value.to_vec(),
        }),
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
