//! Who has how many connections. Pure: the time comes in.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    time::Instant,
};

use libp2p::{PeerId, swarm::ConnectionId};
use moim_protocol::rate::{Buckets, Source};

use super::capacity::Capacity;
use crate::{limits, rejections::Reason};

/// A connection that is set up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    pub(super) peer: PeerId,
    /// The address of the other end, if it is one.
    pub(super) ip: Option<IpAddr>,
    pub(super) is_inbound: bool,
}

/// Connections of one source.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    pending: u32,
    inbound: u32,
}

/// Every connection, and the sums that are bounded.
///
/// **Invariant:** nothing is remembered of a connection that is gone, but its source's bucket.
#[derive(Debug)]
pub(super) struct Accounts {
    capacity: Capacity,
    /// Whether this machine's own addresses are bounded like others.
    limit_loopback: bool,
    pending: HashMap<ConnectionId, Option<Source>>,
    pending_outbound: HashSet<ConnectionId>,
    connections: HashMap<ConnectionId, Connection>,
    inbound: u32,
    peers: HashMap<PeerId, u32>,
    sources: HashMap<Source, Open>,
    rates: Buckets<Source>,
}

impl Accounts {
    pub(super) fn new(capacity: Capacity, limit_loopback: bool) -> Self {
        Self {
            capacity,
            limit_loopback,
            pending: HashMap::new(),
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
        now: Instant,
    ) -> Result<(), Reason> {
        // What has no chance is not worth a handshake.
        if self.inbound >= self.capacity.inbound {
            return Err(Reason::Connections);
        }
        let source = self.bounded(ip);
        if let Some(source) = source {
            let open = self.sources.get(&source).copied().unwrap_or_default();
            if open.inbound >= self.capacity.source_inbound {
                return Err(Reason::SourceConnections);
            }
            if open.pending >= self.capacity.source_pending {
                return Err(Reason::SourcePending);
            }
        }
        if self.pending.len() as u64 >= u64::from(self.capacity.pending) {
            return Err(Reason::Pending);
        }
        if let Some(source) = source {
            if !self.rates.take(source, now) {
                return Err(Reason::SourceRate);
            }
            self.sources.entry(source).or_default().pending += 1;
        }
        self.pending.insert(id, source);
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
            let open = self
                .bounded(connection.ip)
                .and_then(|source| self.sources.get(&source));
            if open.is_some_and(|open| open.inbound >= self.capacity.source_inbound) {
                return Err(Reason::SourceConnections);
            }
        } else if !is_named
            && self.connections.len() as u64 - u64::from(self.inbound)
                >= u64::from(self.capacity.outbound)
        {
            return Err(Reason::Connections);
        }
        let of_peer = self
            .peers
            .get(&connection.peer)
            .copied()
            .unwrap_or_default();
        if of_peer >= self.capacity.per_peer {
            return Err(Reason::Peer);
        }
        Ok(())
    }

    /// The connection stays.
    pub(super) fn establish(&mut self, id: ConnectionId, connection: Connection) {
        if connection.is_inbound {
            self.inbound += 1;
            if let Some(source) = self.bounded(connection.ip) {
                self.sources.entry(source).or_default().inbound += 1;
            }
        }
        *self.peers.entry(connection.peer).or_default() += 1;
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
                self.change(source, |open| open.inbound = open.inbound.saturating_sub(1));
            }
        }
        if let Some(count) = self.peers.get_mut(&connection.peer) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.peers.remove(&connection.peer);
            }
        }
    }

    fn end_pending(&mut self, id: ConnectionId) {
        self.pending_outbound.remove(&id);
        if let Some(Some(source)) = self.pending.remove(&id) {
            self.change(source, |open| open.pending = open.pending.saturating_sub(1));
        }
    }

    fn change(&mut self, source: Source, change: impl FnOnce(&mut Open)) {
        if let Some(open) = self.sources.get_mut(&source) {
            change(open);
            if open.pending == 0 && open.inbound == 0 {
                self.sources.remove(&source);
            }
        }
    }

    /// The source whose connections are bounded, if this one's are.
    fn bounded(&self, ip: Option<IpAddr>) -> Option<Source> {
        let source = Source::from(ip?);
        (self.limit_loopback || !source.is_loopback()).then_some(source)
    }
}

#[cfg(test)]
mod tests;
