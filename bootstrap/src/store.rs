//! What the node keeps over a restart: the DHT's records and providers, and peers to come back by.
//!
//! [`mod@file`] is the database, [`writer`] the thread that writes to it while the node works.

#[cfg(fuzzing)]
pub(crate) use self::file::rows::{decode_addresses, decode_peer, decode_record};
pub(crate) use self::{
    file::{RememberedPeer, StoreFile},
    writer::{Counters, Writer},
};

mod file;
mod writer;

use std::{error::Error, path::PathBuf};

use thiserror::Error;

/// Name of the database in the data directory.
pub(crate) const STORE_FILE: &str = "store.redb";

/// Why the store can't be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// What is in it makes no sense.
    #[error(
        "the store is damaged: {0}; `moim-bootstrap store check` says more. To start with an empty \
         one, move {STORE_FILE} in the data directory away: peers put their records again in time"
    )]
    Damaged(String),
    /// It was written by a newer version of this program.
    #[error(
        "the store has schema {found}, this version of moim-bootstrap knows up to {known}; use the \
         newer version again, or move {STORE_FILE} in the data directory away"
    )]
    Newer {
        /// Its schema.
        found: u64,
        /// The newest we know.
        known: u64,
    },
    /// The system or the database refuses.
    #[error("{}: {source}", .path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
}
