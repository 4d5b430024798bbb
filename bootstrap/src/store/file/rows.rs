//! Rows of the file, as they are read back.

use std::path::PathBuf;

use libp2p::{Multiaddr, PeerId};
use moim_dht::{Change, HeldRecord, ProviderRow, RecordRow};
use moim_protocol::{UnixMillis, shares::Origin};

use crate::store::error::StoreError;

/// Sequence number, [`FLAG_LEFT`], remembered until, and of what is held: expires, origin and
/// envelope, the last empty if nothing is. Times in milliseconds since 1970. Rows of schema 1 have the publisher
/// where the origin is.
pub(super) type RecordColumns = (u64, u8, u64, u64, &'static [u8], &'static [u8]);
/// Expires, and addresses in multiaddr's binary form.
pub(super) type ProviderColumns = (u64, Vec<&'static [u8]>);

pub(super) const FLAG_LEFT: u8 = 1;

type Records = redb::Range<'static, &'static [u8], RecordColumns>;
type Providers = redb::Range<'static, (&'static [u8], &'static [u8]), ProviderColumns>;

/// Rows that are told beforehand, so that there is room for them at once: a file that is damaged may say any number.
const EXPECTED_MAX: u64 = 4 * 1024 * 1024;

/// Every record and provider.
pub(super) struct Rows {
    pub(super) path: PathBuf,
    pub(super) records: Records,
    pub(super) providers: Providers,
    /// How many are still to come.
    pub(super) expected: u64,
}

impl Iterator for Rows {
    type Item = Result<Change, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.expected = self.expected.saturating_sub(1);
        let damaged = |error: redb::StorageError| StoreError::of_database(&self.path, error.into());
        if let Some(row) = self.records.next() {
            return Some(row.map_err(damaged).map(|(key, row)| Change::Record {
                key: key.value().to_vec(),
                row: Some(decode_record(row.value())),
            }));
        }
        let row = self.providers.next()?.map_err(damaged);
        Some(row.and_then(|(key, row)| {
            let ((key, peer), (expires, addresses)) = (key.value(), row.value());
            Ok(Change::Provider {
                key: key.to_vec(),
                peer: decode_peer(peer)?,
                row: Some(ProviderRow {
                    expires: UnixMillis(expires),
                    addresses: decode_addresses(&addresses)?,
                }),
            })
        }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.expected.min(EXPECTED_MAX) as usize, None)
    }
}

pub(crate) fn decode_record(
    (sequence, flags, remembered_until, expires, origin, value): (u64, u8, u64, u64, &[u8], &[u8]),
) -> RecordRow {
    let held = (!value.is_empty()).then(|| HeldRecord {
        origin: Origin::from_bytes(origin),
        expires: UnixMillis(expires),
        value: value.to_vec(),
    });
    RecordRow {
        sequence,
        is_left: flags & FLAG_LEFT != 0,
        remembered_until: UnixMillis(remembered_until),
        held,
    }
}

pub(crate) fn decode_peer(bytes: &[u8]) -> Result<PeerId, StoreError> {
    PeerId::from_bytes(bytes)
        .map_err(|error| StoreError::Damaged(format!("a row with no peer id: {error}")))
}

pub(crate) fn decode_addresses(addresses: &[&[u8]]) -> Result<Vec<Multiaddr>, StoreError> {
    let decoded = addresses.iter().map(|bytes| {
        Multiaddr::try_from(bytes.to_vec())
            .map_err(|error| StoreError::Damaged(format!("a row with no address: {error}")))
    });
    decoded.collect()
}
