//! DHT queries under way, and what each is for.

use std::{collections::HashMap, num::NonZeroUsize};

use libp2p::{
    PeerId,
    kad::{self, QueryId},
};
use moim_protocol::record::RecordKey;

use super::{
    rooms::MachineId,
    values::{Draft, Found, Put, Reader, Rest},
};

/// Queries under way at once; what would be more waits. Each holds up to twenty streams.
pub(super) const QUERIES_MAX: usize = 128;

/// What a query is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// Find the servers that are to hold our presence.
    AnnounceFind { of: MachineId },
    /// Hand our presence to them.
    AnnouncePut { of: MachineId },
    /// Tell them that we left.
    LeavePut { of: MachineId },
    /// Find providers of a topic.
    Members { of: MachineId },
    /// Find the servers that are to hold the value of a put.
    PutFind { draft: Draft, servers: NonZeroUsize },
    /// Hand the value to the closest of them.
    Put(Put),
    /// Hand it to the others, when the put is answered.
    PutRest(Rest),
    /// Look a value up.
    Get {
        key: RecordKey,
        found: Found,
        reader: Reader,
    },
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

    pub(super) fn get_mut(&mut self, id: &QueryId) -> Option<&mut Purpose> {
        self.open.get_mut(id)
    }

    pub(super) fn remove(&mut self, id: &QueryId) -> Option<Purpose> {
        self.open.remove(id)
    }

    /// What all of them were for. None of them is under way any more.
    pub(super) fn take_all(&mut self) -> Vec<Purpose> {
        self.open.drain().map(|(_, purpose)| purpose).collect()
    }

    /// Whether a value that was reported as stored is still being handed to others.
    pub(super) fn handing_over(&self) -> bool {
        self.open
            .values()
            .any(|purpose| matches!(purpose, Purpose::PutRest(_)))
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
