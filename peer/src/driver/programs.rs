//! What only programs have: streams of their own, and the DHT as such. The machines for it.

use libp2p::{PeerId, identity::Keypair, swarm::ConnectionId};
use moim_protocol::provider_key::ProviderKey;
use web_time::Instant;

use super::{
    operations::{OperationId, Operations},
    providing::{Providing, SearchId},
    reach::Addresses,
    streams::Streams,
};
use crate::streams::Accepted;

/// What a query for a program is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum ProgramQuery {
    /// Tell servers that this peer provides something.
    Provide(ProviderKey),
    /// Find providers.
    Providers(SearchId),
    /// What a put or get wants.
    Operation(OperationId),
}

/// The machines for programs.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) operations: Operations,
    pub(super) providing: Providing,
    pub(super) streams: Streams,
}

impl Programs {
    pub(super) fn new(keypair: &Keypair) -> Self {
        Self {
            operations: Operations::new(keypair.clone()),
            providing: Providing::default(),
            streams: Streams::new(Accepted::default()),
        }
    }

    /// Whether a value that was reported as stored is still being handed to others.
    pub(super) fn are_handing_over(&self) -> bool {
        self.operations.is_handing_over()
    }

    /// Where a peer is that the DHT has named to a program.
    pub(super) fn addresses(&self, peer: &PeerId) -> Option<&Addresses> {
        self.providing.addresses(peer)
    }

    /// Whether a connection is needed for a stream that is on it.
    pub(super) fn are_on(&self, connection: ConnectionId) -> bool {
        self.streams.are_on(connection)
    }

    /// Whether a peer's connections are.
    pub(super) fn are_with(&self, peer: &PeerId) -> bool {
        self.streams.are_with(peer)
    }

    /// The connections and queries are gone with the swarm.
    pub(super) fn restarted(&mut self, now: Instant) {
        self.streams.restarted();
        self.providing.restarted(now);
        self.operations.restarted();
    }
}
