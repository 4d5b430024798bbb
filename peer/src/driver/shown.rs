//! As what the peer and its rooms' members were shown last.

use libp2p::Multiaddr;

use super::revision::Revision;
use crate::snapshot::{BootstrapNode, ClockOff, Status};

/// What the snapshot was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) status: Status,
    pub(super) clock: Option<ClockOff>,
    pub(super) bootstrap: Vec<BootstrapNode>,
    pub(super) addresses: Vec<Multiaddr>,
    pub(super) connections: Revision,
    pub(super) rooms: Revision,
    /// Peers in the DHT's routing table.
    pub(super) routing: usize,
}

/// What the members' lists were made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) members: Revision,
    pub(super) ways: Revision,
}
