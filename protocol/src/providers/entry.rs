//! What is kept of somebody who provides a key.

use std::sync::Arc;

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;
use web_time::Instant;

use crate::shares::{Origin, Place, Putter};

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
pub(super) struct Entry {
    pub(super) key: Arc<[u8]>,
    pub(super) provider: Provider,
    /// Greater for every later addition.
    pub(super) added: u64,
    pub(super) origin: Origin,
    pub(super) place: Place,
    /// Its place among the others of a key that is full.
    pub(super) place_in_key: Option<Place>,
}

impl Entry {
    pub(super) fn putter(&self) -> Putter {
        Putter {
            origin: self.origin,
            is_held: self.place.is_held(),
        }
    }
}
