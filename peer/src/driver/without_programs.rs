//! In the place of `programs.rs` in a peer that no program uses, as in the page: nothing is under way.

use libp2p::{PeerId, identity::Keypair, swarm::ConnectionId};
use web_time::Instant;

use super::reach::Addresses;

/// See `programs.rs`, also for what follows.
#[derive(Debug)]
pub(super) struct Programs;

impl Programs {
    pub(super) const fn new(_: &Keypair) -> Self {
        Self
    }

    #[allow(clippy::unused_self, reason = "as in `programs.rs`, here and below")]
    pub(super) const fn are_handing_over(&self) -> bool {
        false
    }

    pub(super) const fn addresses(&self, _: &PeerId) -> Option<&Addresses> {
        None
    }

    pub(super) const fn are_on(&self, _: ConnectionId) -> bool {
        false
    }

    pub(super) const fn are_with(&self, _: &PeerId) -> bool {
        false
    }

    pub(super) const fn restarted(&self, _: Instant) {}
}
