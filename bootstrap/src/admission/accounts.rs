//! Who has how many connections. Pure: the time comes in.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    hash::Hash,
    net::IpAddr,
    time::Instant,
};

use libp2p::{PeerId, swarm::ConnectionId};
use moim_protocol::rate::{Buckets, Source};

use super::{capacity::Capacity, carrier::Carrier};
use crate::{limits, rejections::Reason};

/// A connection that is set up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    pub(super) peer: PeerId,
    /// The address of the other end, if it is one.
    pub(super) ip: Option<IpAddr>,
    pub(super) is_inbound: bool,
}

/// Every connection, and the sums that are bounded.
///
/// **Invariant:** nothing is remembered of a connection that is gone, but its source's bucket.
#[derive(Debug)]
pub(super) struct Accounts {
    capacity: Capacity,
    /// Whether this machine's own addresses are bounded like others.
    limit_loopback: bool,
    /// Connections being set up by others.
    pending: HashMap<ConnectionId, (Carrier, Option<Source>)>,
    /// How many of them come by what.
    pending_carriers: HashMap<Carrier, u32>,
    /// And from where.
    pending_sources: HashMap<(Source, Carrier), u32>,
    pending_outbound: HashSet<ConnectionId>,
    connections: HashMap<ConnectionId, Connection>,
    inbound: u32,
    peers: HashMap<PeerId, u32>,
    sources: HashMap<Source, u32>,
    rates: Buckets<(Source, Carrier)>,
}

impl Accounts {
    pub(super) fn new(capacity: Capacity, limit_loopback: bool) -> Self {
        Self {
            capacity,
            limit_loopback,
            pending: HashMap::new(),
            pending_carriers: HashMap::new(),
            pending_sources: HashMap::new(),
            pending_outbound: HashSet::new(),
            connections: HashMap::new(),
            inbound: 0,
            peers: HashMap::new(),
            sources: HashMap::new(),
            rates: Buckets::new(limits::SOURCE_CONNECTION_RATE, limits::SOURCES_MAX),
        }
    }

    pub(super) fn connections(&self) -> impl Iterator<Item = (ConnectionId, &Connection)> {
        self.connections
            .iter()
            .map(|(id, connection)| (*id, connection))
    }

    /// Somebody begins to connect.
    pub(super) fn begin_inbound(
        &mut self,
        id: ConnectionId,
        ip: Option<IpAddr>,
        carrier: Carrier,
        now: Instant,
    ) -> Result<(), Reason> {
        // What has no chance is not worth a handshake.
        if self.inbound >= self.capacity.inbound {
            return Err(Reason::Connections);
        }
        let source = self.bounded(ip);
        if let Some(source) = source {
            if count(&self.sources, &source) >= self.capacity.source_inbound {
                return Err(Reason::SourceConnections);
            }
            let pending = count(&self.pending_sources, &(source, carrier));
            if pending >= self.capacity.source_pending {
                return Err(Reason::SourcePending);
            }
        }
        if count(&self.pending_carriers, &carrier) >= self.capacity.pending {
            return Err(Reason::Pending);
        }
        if let Some(source) = source {
            if !self.rates.take((source, carrier), now) {
                return Err(Reason::SourceRate);
            }
            more(&mut self.pending_sources, (source, carrier));
        }
        more(&mut self.pending_carriers, carrier);
        self.pending.insert(id, (carrier, source));
        Ok(())
    }

    /// We begin to connect.
    pub(super) fn begin_outbound(&mut self, id: ConnectionId) -> Result<(), Reason> {
        if self.pending_outbound.len() as u64 >= u64::from(self.capacity.pending_outbound) {
            return Err(Reason::Pending);
        }
        self.pending_outbound.insert(id);
        Ok(())
    }

    /// The other end has shown who it is. Whether the connection may stay; it is not counted yet. To peers
    /// that the settings name there may always be one more.
    pub(super) fn check(
        &mut self,
        id: ConnectionId,
        connection: &Connection,
        is_named: bool,
    ) -> Result<(), Reason> {
        self.end_pending(id);
        if connection.is_inbound {
            if self.inbound >= self.capacity.inbound {
                return Err(Reason::Connections);
            }
            let source = self.bounded(connection.ip);
            if source
                .is_some_and(|source| count(&self.sources, &source) >= self.capacity.source_inbound)
            {
                return Err(Reason::SourceConnections);
            }
        } else if !is_named
            && self.connections.len() as u64 - u64::from(self.inbound)
                >= u64::from(self.capacity.outbound)
        {
            return Err(Reason::Connections);
        }
        if count(&self.peers, &connection.peer) >= self.capacity.per_peer {
            return Err(Reason::Peer);
        }
        Ok(())
    }

    /// The connection stays.
    pub(super) fn establish(&mut self, id: ConnectionId, connection: Connection) {
        if connection.is_inbound {
            self.inbound += 1;
            if let Some(source) = self.bounded(connection.ip) {
                more(&mut self.sources, source);
            }
        }
        more(&mut self.peers, connection.peer);
        self.connections.insert(id, connection);
    }

    /// The connection is gone, or never came to be.
    pub(super) fn end(&mut self, id: ConnectionId) {
        self.end_pending(id);
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        if connection.is_inbound {
            self.inbound = self.inbound.saturating_sub(1);
            if let Some(source) = self.bounded(connection.ip) {
                fewer(&mut self.sources, source);
            }
        }
        fewer(&mut self.peers, connection.peer);
    }

    fn end_pending(&mut self, id: ConnectionId) {
        self.pending_outbound.remove(&id);
        if let Some((carrier, source)) = self.pending.remove(&id) {
            fewer(&mut self.pending_carriers, carrier);
            if let Some(source) = source {
                fewer(&mut self.pending_sources, (source, carrier));
            }
        }
    }

    /// The source whose connections are bounded, if this one's are.
    fn bounded(&self, ip: Option<IpAddr>) -> Option<Source> {
        let source = Source::from(ip?);
        (self.limit_loopback || !source.is_loopback()).then_some(source)
    }
}

fn count<K: Eq + Hash>(counts: &HashMap<K, u32>, key: &K) -> u32 {
    counts.get(key).copied().unwrap_or_default()
}

fn more<K: Eq + Hash>(counts: &mut HashMap<K, u32>, key: K) {
    *counts.entry(key).or_default() += 1;
}

/// Nothing is left of one of which there are none.
fn fewer<K: Eq + Hash>(counts: &mut HashMap<K, u32>, key: K) {
    if let Entry::Occupied(mut entry) = counts.entry(key) {
        *entry.get_mut() = entry.get().saturating_sub(1);
        if *entry.get() == 0 {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests;
