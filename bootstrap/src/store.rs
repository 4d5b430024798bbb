//! What the node keeps over a restart: the DHT's records and providers, and peers to come back by.
//!
//! [`mod@file`] is the database, [`writer`] the thread that writes to it while the node works.

pub use self::error::StoreError;
#[cfg(fuzzing)]
pub(crate) use self::file::rows::{decode_addresses, decode_peer, decode_record};
pub(crate) use self::{
    error::STORE_FILE,
    file::{RememberedPeer, StoreFile},
    writer::{Counters, Writer},
};

mod error;
mod file;
mod writer;
