//! Who is let in: connections are bounded by number, by source and by memory, and whoever is on the
//! block list gets none.
//!
//! libp2p's own `connection_limits` knows no sources, and remembers every peer id that ever
//! connected. So this counts everything itself, in [`accounts`].

use std::{
    collections::{HashSet, VecDeque},
    convert::Infallible,
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        CloseConnection, ConnectionClosed, ConnectionDenied, ConnectionId, DialFailure, FromSwarm,
        ListenFailure, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        behaviour::ConnectionEstablished, dummy,
    },
};
use moim_protocol::rate::Source;
use thiserror::Error;

use self::{
    accounts::{Accounts, Connection},
    carrier::Carrier,
};
pub(crate) use self::{
    capacity::Capacity,
    memory::{Memory, max_bytes},
};
use crate::{
    block_list::BlockList,
    rejections::{Reason, Rejections},
};

mod accounts;
mod capacity;
mod carrier;
mod memory;

/// Why a connection was not admitted.
#[derive(Debug, Error)]
#[error("not admitted: {0:?}")]
pub(crate) struct NotAdmitted(pub(crate) Reason);

/// What a [`Behaviour`] goes by.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) capacity: Capacity,
    /// Whether connections from this machine are bounded by source like others.
    pub(crate) limit_loopback: bool,
    pub(crate) memory: Memory,
    pub(crate) blocked: Arc<BlockList>,
    pub(crate) rejections: Rejections,
}

/// The behaviour. It has to be the first, so that who is refused costs the others nothing.
pub(crate) struct Behaviour {
    accounts: Accounts,
    memory: Memory,
    blocked: Arc<BlockList>,
    rejections: Rejections,
    /// Connections to close.
    closing: VecDeque<(PeerId, ConnectionId)>,
    /// Other bootstrap nodes of the settings: they are few, and strangers must not take their places.
    named: HashSet<PeerId>,
}

impl Behaviour {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            accounts: Accounts::new(rules.capacity, rules.limit_loopback),
            memory: rules.memory,
            blocked: rules.blocked,
            rejections: rules.rejections,
            closing: VecDeque::new(),
            named: HashSet::new(),
        }
    }

    /// Takes no more connections while so much memory is in use.
    pub(crate) fn set_memory_max(&mut self, bytes: u64) {
        self.memory.set_max_bytes(bytes);
    }

    /// Dials to these peers are not bounded.
    pub(crate) fn set_named(&mut self, named: impl IntoIterator<Item = PeerId>) {
        self.named = named.into_iter().collect();
    }

    fn is_named(&self, peer: &PeerId) -> bool {
        self.named.contains(peer)
    }

    /// Puts another block list in force, and closes the connections that it forbids; says how many.
    pub(crate) fn set_blocked(&mut self, blocked: Arc<BlockList>) -> usize {
        self.blocked = blocked;
        let forbidden: Vec<_> = self
            .accounts
            .connections()
            .filter(|(_, connection)| self.is_blocked(Some(&connection.peer), connection.ip))
            .map(|(id, connection)| (connection.peer, id))
            .collect();
        let count = forbidden.len();
        // The event loop polls the swarm after this: nobody has to be woken.
        self.closing.extend(forbidden);
        count
    }

    /// One of a peer's connections.
    pub(crate) fn connection_of(&self, peer: &PeerId) -> Option<ConnectionId> {
        self.accounts
            .connections()
            .find(|(_, connection)| connection.peer == *peer)
            .map(|(id, _)| id)
    }

    fn is_blocked(&self, peer: Option<&PeerId>, ip: Option<IpAddr>) -> bool {
        peer.is_some_and(|peer| self.blocked.has_peer(peer))
            || ip.is_some_and(|ip| self.blocked.has_ip(ip))
    }

    fn begin_inbound(
        &mut self,
        id: ConnectionId,
        ip: Option<IpAddr>,
        carrier: Carrier,
    ) -> Result<(), Reason> {
        let now = Instant::now();
        if self.is_blocked(None, ip) {
            return Err(Reason::Blocked);
        }
        if self.memory.is_short(now) {
            return Err(Reason::Memory);
        }
        self.accounts.begin_inbound(id, ip, carrier, now)
    }

    fn check(&mut self, id: ConnectionId, connection: &Connection) -> Result<(), Reason> {
        let is_named = self.is_named(&connection.peer);
        let checked = self.accounts.check(id, connection, is_named);
        if self.is_blocked(Some(&connection.peer), connection.ip) {
            return Err(Reason::Blocked);
        }
        checked
    }

    fn admit<T>(
        &self,
        result: Result<(), Reason>,
        ip: Option<IpAddr>,
        admitted: T,
    ) -> Result<T, ConnectionDenied> {
        match result {
            Ok(()) => Ok(admitted),
            Err(reason) => {
                self.rejections.count(reason, ip.map(Source::from));
                Err(ConnectionDenied::new(NotAdmitted(reason)))
            }
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let ip = moim_dht::first_ip(remote);
        let result = self.begin_inbound(id, ip, Carrier::of(remote));
        self.admit(result, ip, ())
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let ip = moim_dht::first_ip(remote);
        let connection = Connection {
            peer,
            ip,
            is_inbound: true,
        };
        let result = self.check(id, &connection);
        self.admit(result, ip, dummy::ConnectionHandler)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        let result = if self.is_blocked(peer.as_ref(), None) {
            Err(Reason::Blocked)
        } else if peer.is_some_and(|peer| self.is_named(&peer)) {
            Ok(())
        } else {
            self.accounts.begin_outbound(id)
        };
        self.admit(result, None, Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let ip = moim_dht::first_ip(address);
        let connection = Connection {
            peer,
            ip,
            is_inbound: false,
        };
        let result = self.check(id, &connection);
        self.admit(result, ip, dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            }) => self.accounts.establish(
                connection_id,
                Connection {
                    peer: peer_id,
                    ip: moim_dht::first_ip(endpoint.get_remote_address()),
                    is_inbound: endpoint.is_listener(),
                },
            ),
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. })
            | FromSwarm::DialFailure(DialFailure { connection_id, .. })
            | FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => {
                self.accounts.end(connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        match self.closing.pop_front() {
            Some((peer_id, connection)) => Poll::Ready(ToSwarm::CloseConnection {
                peer_id,
                connection: CloseConnection::One(connection),
            }),
            None => Poll::Pending,
        }
    }
}
