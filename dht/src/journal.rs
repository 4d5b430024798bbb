//! What a [`Store`](crate::Store) has written down, so that it outlives the process, and the writer's side of it.
//!
//! The store works in memory; where its rows are kept is up to a [`Journal`]: a database file on a
//! bootstrap node, something else elsewhere. Rows have wall-clock times, because a monotonic clock
//! starts anew with the machine. They are trusted when they are read back: what is in them was
//! admitted before it was written.

use std::task::{Context, Poll};

use libp2p::{Multiaddr, PeerId};
use moim_protocol::{UnixMillis, shares::Origin};

/// A record as it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordRow {
    /// The sequence number it was signed with.
    pub sequence: u64,
    /// Whether it is a presence that says `left`.
    pub is_left: bool,
    /// Until when an older one could be put again, so that the sequence number has to be known.
    pub remembered_until: UnixMillis,
    /// The record itself; `None` if only its sequence number is left.
    pub held: Option<HeldRecord>,
}

/// The part of a [`RecordRow`] that is handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRecord {
    /// Where it was put from; `None` if that was not written down. It is of use to a store with the
    /// seed that it was made with.
    pub origin: Option<Origin>,
    /// When it isn't handed out any more.
    pub expires: UnixMillis,
    /// The signed envelope.
    pub value: Vec<u8>,
}

/// A provider of a key as it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderRow {
    /// When it isn't handed out any more.
    pub expires: UnixMillis,
    /// Where the provider can be dialled.
    pub addresses: Vec<Multiaddr>,
}

/// One row as it is now; without content it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A provider of a key.
    Provider {
        /// The key, a multihash.
        key: Vec<u8>,
        /// Who provides it.
        peer: PeerId,
        /// The rest.
        row: Option<ProviderRow>,
    },
    /// The record under a key.
    Record {
        /// The key.
        key: Vec<u8>,
        /// The rest.
        row: Option<RecordRow>,
    },
}

/// Changes that are written in one step or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Whether what was written before goes away first: `changes` are everything there is.
    pub replaces_all: bool,
    /// At most one for each row.
    pub changes: Vec<Change>,
}

/// How a [`Journal`] gets on with the batch it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It can't be written for now, e.g. because the disk is full, and is tried again.
    Stuck,
    /// It is written: nothing but the loss of the medium loses it.
    Written,
}

/// Writes down what a store holds.
pub trait Journal: Send + 'static {
    /// Begins to write a batch. Called only when the one before is written.
    fn write(&mut self, batch: Batch);

    /// What became of the batch, whenever there is news. Wakes the task otherwise.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Progress>;
}
