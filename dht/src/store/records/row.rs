//! What is kept of a record.

use libp2p::PeerId;
use moim_protocol::{
    envelope,
    names::PRESENCE_KEY_PREFIX,
    shares::{Origin, Place},
};
use web_time::Instant;

/// What a record costs beside its key and its envelope, measured at some 150 bytes where they come from
/// few peers, and 400 where each comes from another network.
pub(super) const ROW_OVERHEAD_BYTES: usize = 256;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Kind {
    Presence,
    Value,
}

impl Kind {
    pub(super) fn of(key: &[u8]) -> Self {
        if key.starts_with(PRESENCE_KEY_PREFIX) {
            Self::Presence
        } else {
            Self::Value
        }
    }
}

/// A record to be kept.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct New<'a> {
    pub(in crate::store) key: &'a [u8],
    /// The signed envelope; empty if only its sequence number is to be remembered.
    pub(in crate::store) value: &'a [u8],
    pub(in crate::store) sequence: u64,
    /// Whether it is a presence that says `left`.
    pub(in crate::store) is_left: bool,
    /// When it isn't handed out any more.
    pub(in crate::store) expires: Instant,
    /// When an older one couldn't be put again any more.
    pub(in crate::store) remembered_until: Instant,
}

/// A record that is kept, or of which the sequence number is remembered.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Seen<'a> {
    pub(in crate::store) key: &'a [u8],
    /// `None` if only the rest is remembered.
    pub(in crate::store) value: Option<&'a [u8]>,
    pub(in crate::store) sequence: u64,
    pub(in crate::store) is_left: bool,
    pub(in crate::store) expires: Instant,
    pub(in crate::store) remembered_until: Instant,
    /// Where it was put from.
    pub(in crate::store) origin: Option<Origin>,
}

impl Seen<'_> {
    /// Who signed it; `None` if only the rest is remembered.
    pub(in crate::store) fn publisher(&self) -> Option<PeerId> {
        envelope::signer(self.value?)
    }
}

/// A record as it is kept. Times are nanoseconds since the store began.
#[derive(Debug)]
pub(super) struct Stored {
    /// The key, and after it the envelope, which is empty if only the rest is remembered.
    pub(super) bytes: Box<[u8]>,
    pub(super) sequence: u64,
    pub(super) expires: u64,
    pub(super) remembered_until: u64,
    pub(super) key_length: u16,
    pub(super) is_left: bool,
}

impl Stored {
    pub(super) fn key(&self) -> &[u8] {
        self.bytes.split_at(self.key_length.into()).0
    }

    pub(super) fn value(&self) -> Option<&[u8]> {
        let value = self.bytes.split_at(self.key_length.into()).1;
        (!value.is_empty()).then_some(value)
    }

    pub(super) fn kind(&self) -> Kind {
        Kind::of(self.key())
    }

    pub(super) fn cost(&self) -> usize {
        cost(self.bytes.len())
    }

    /// When something is to be done about it.
    pub(super) fn end(&self) -> u64 {
        if self.value().is_some() {
            self.expires
        } else {
            self.remembered_until
        }
    }
}

/// A record in its place.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) stored: Stored,
    pub(super) place: Place,
}

pub(super) fn cost(bytes: usize) -> usize {
    ROW_OVERHEAD_BYTES + bytes
}
