//! DHT queries under way, and what each is for.

use std::collections::HashMap;

use libp2p::{
    PeerId,
    kad::{self, QueryId},
};

#[cfg(feature = "programs")]
use super::programs::ProgramQuery;
use super::rooms::MachineId;

/// Queries under way at once; what would be more waits. Each holds up to twenty streams.
pub(super) const QUERIES_MAX: usize = 128;

/// What a query is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// Find the servers that are to hold our presence.
    AnnounceFind { of: MachineId },
    /// Hand our presence to them.
    AnnouncePut { of: MachineId },
    /// Tell them that we left.
    LeavePut { of: MachineId },
    /// Find providers of a topic.
    Members { of: MachineId },
    /// What a program asks of the DHT.
    #[cfg(feature = "programs")]
    ForProgram(ProgramQuery),
}

/// The queries under way.
#[derive(Debug, Default)]
pub(super) struct Queries {
    open: HashMap<QueryId, Purpose>,
}

impl Queries {
    pub(super) fn insert(&mut self, id: QueryId, purpose: Purpose) {
        self.open.insert(id, purpose);
    }

    pub(super) fn is_full(&self) -> bool {
        self.open.len() >= QUERIES_MAX
    }

    pub(super) fn get(&self, id: &QueryId) -> Option<Purpose> {
        self.open.get(id).copied()
    }

    pub(super) fn remove(&mut self, id: &QueryId) -> Option<Purpose> {
        self.open.remove(id)
    }

    /// None of them is under way any more.
    pub(super) fn clear(&mut self) {
        self.open.clear();
    }

    /// Whether the DHT is being asked for providers by this machine.
    pub(super) fn members_query(&self, room: MachineId) -> bool {
        let is_it = |purpose: &Purpose| matches!(purpose, Purpose::Members { of } if *of == room);
        self.open.values().any(is_it)
    }

    /// Whether a room's presence is being handed over.
    pub(super) fn announcing(&self, room: MachineId) -> bool {
        self.open.values().any(|purpose| {
            matches!(purpose, Purpose::AnnounceFind { of } | Purpose::AnnouncePut { of } if *of == room)
        })
    }
}

/// The peers that a find query ended with, without ourselves.
pub(super) fn closest(result: kad::GetClosestPeersResult, me: PeerId) -> Vec<PeerId> {
    let peers = match result {
        Ok(found) => found.peers,
        Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
    };
    peers
        .into_iter()
        .map(|peer| peer.peer_id)
        .filter(|peer| *peer != me)
        .collect()
}
