//! Whoever is not admitted is told why, where that costs little: the connection is made all the same, one
//! message goes over it ([`refusal_wire`]), and it is closed. The node's own protocols do not get to see
//! it.
//!
//! So many at once, so often, and for each source ([`limits`]); whoever comes beyond that is turned away
//! before the handshake, without a word.
//!
//! [`refusal_wire`]: moim_protocol::refusal_wire

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    ops::{Deref, DerefMut},
    task::{Context, Poll},
    time::Instant,
};

use either::Either;
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    request_response,
    swarm::{
        AddressChange, CloseConnection, ConnectionClosed, ConnectionDenied, ConnectionId,
        FromSwarm, NetworkBehaviour, NotifyHandler, THandler, THandlerInEvent, THandlerOutEvent,
        ToSwarm, behaviour::ConnectionEstablished,
    },
};
use moim_protocol::{
    names,
    rate::{Bucket, Buckets, Source},
    refusal_wire::{Refusal, Request},
};
use moim_rpc::ProtocolSupport;

use crate::{admission::NotAdmitted, behaviour::Behaviour, limits};

/// What may be spent on those who are not admitted. Pure: the time comes in.
#[derive(Debug)]
struct Budget {
    all: Bucket,
    sources: Buckets<Source>,
}

impl Budget {
    fn new(now: Instant) -> Self {
        Self {
            all: Bucket::new(limits::REFUSALS_TOLD_RATE, now),
            sources: Buckets::new(
                limits::SOURCE_REFUSALS_TOLD_RATE,
                limits::REFUSAL_SOURCES_MAX,
            ),
        }
    }

    /// Whether one more is told, beside so many that are being told.
    fn take(&mut self, ip: Option<IpAddr>, under_way: usize, now: Instant) -> bool {
        let Some(ip) = ip else { return false };
        // The source's first: one that knocks all the time must not use up what others have.
        under_way < limits::REFUSALS_TOLD_MAX
            && self.sources.take(Source::from(ip), now)
            && self.all.take(now)
    }
}

/// The node's protocols, behind a door at which people are told why it stays closed.
pub(crate) struct TurnedAway {
    inner: Behaviour,
    refusals: moim_rpc::Behaviour,
    budget: Budget,
    /// Connections that are being set up only to be refused.
    expected: HashMap<ConnectionId, Refusal>,
    /// Those that are set up. None of them is known inside.
    told: HashMap<ConnectionId, (PeerId, Refusal)>,
    closing: VecDeque<(PeerId, ConnectionId)>,
}

impl TurnedAway {
    pub(crate) fn new(inner: Behaviour) -> Self {
        Self {
            inner,
            refusals: moim_rpc::behaviour(names::REFUSAL_PROTOCOL, ProtocolSupport::Outbound),
            budget: Budget::new(Instant::now()),
            expected: HashMap::new(),
            told: HashMap::new(),
            closing: VecDeque::new(),
        }
    }

    /// Whether this connection is only there to be told something.
    pub(crate) fn is_turned_away(&self, id: &ConnectionId) -> bool {
        self.told.contains_key(id)
    }

    /// How many such connections a peer has.
    pub(crate) fn turned_away(&self, peer: &PeerId) -> usize {
        self.told.values().filter(|(of, _)| of == peer).count()
    }

    /// What to tell somebody who was not admitted, if anything.
    fn reason(&mut self, denied: &ConnectionDenied, remote: &Multiaddr) -> Option<Refusal> {
        let NotAdmitted(reason) = denied.downcast_ref()?;
        let refusal = reason.refusal()?;
        let under_way = self.expected.len() + self.told.len();
        self.budget
            .take(moim_dht::first_ip(remote), under_way, Instant::now())
            .then_some(refusal)
    }

    /// A peer has heard, or does not listen. Which of its connections that was does not matter.
    fn close(&mut self, peer: PeerId) {
        let of_peer = self.told.iter().filter(|(_, (of, _))| *of == peer);
        self.closing.extend(of_peer.map(|(id, _)| (peer, *id)));
    }

    /// An action of the protocols inside, which must not reach a handler that is not theirs.
    fn outward<E, A, B>(&self, action: ToSwarm<E, B>) -> Option<ToSwarm<E, Either<A, B>>> {
        let action = match action {
            ToSwarm::NotifyHandler {
                peer_id,
                handler: NotifyHandler::Any,
                event,
            } if self.turned_away(&peer_id) > 0 => ToSwarm::NotifyHandler {
                peer_id,
                handler: NotifyHandler::One(self.inner.admission.connection_of(&peer_id)?),
                event,
            },
            action => action,
        };
        Some(action.map_in(Either::Right))
    }
}

impl Deref for TurnedAway {
    type Target = Behaviour;

    fn deref(&self) -> &Behaviour {
        &self.inner
    }
}

impl DerefMut for TurnedAway {
    fn deref_mut(&mut self) -> &mut Behaviour {
        &mut self.inner
    }
}

impl NetworkBehaviour for TurnedAway {
    type ConnectionHandler = Either<THandler<moim_rpc::Behaviour>, THandler<Behaviour>>;
    type ToSwarm = <Behaviour as NetworkBehaviour>::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let result = self
            .inner
            .handle_pending_inbound_connection(id, local, remote);
        let Err(denied) = result else { return Ok(()) };
        match self.reason(&denied, remote) {
            Some(refusal) => {
                self.expected.insert(id, refusal);
                Ok(())
            }
            None => Err(denied),
        }
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let refusal = match self.expected.remove(&id) {
            Some(refusal) => refusal,
            None => {
                let admitted = self
                    .inner
                    .handle_established_inbound_connection(id, peer, local, remote);
                let denied = match admitted {
                    Ok(handler) => return Ok(Either::Right(handler)),
                    Err(denied) => denied,
                };
                match self.reason(&denied, remote) {
                    Some(refusal) => refusal,
                    None => return Err(denied),
                }
            }
        };
        let handler = self
            .refusals
            .handle_established_inbound_connection(id, peer, local, remote)?;
        self.told.insert(id, (peer, refusal));
        Ok(Either::Left(handler))
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner
            .handle_pending_outbound_connection(id, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port_use: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner
            .handle_established_outbound_connection(id, peer, address, role, port_use)
            .map(Either::Right)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(established) => {
                let ConnectionEstablished {
                    peer_id,
                    connection_id,
                    other_established,
                    ..
                } = established;
                let turned_away = self.turned_away(&peer_id);
                if let Some((_, refusal)) = self.told.get(&connection_id) {
                    let body = Request::Refused(*refusal).encode();
                    self.refusals
                        .on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
                            other_established: turned_away - 1,
                            ..established
                        }));
                    self.refusals.send_request(&peer_id, body);
                } else {
                    self.inner.on_swarm_event(FromSwarm::ConnectionEstablished(
                        ConnectionEstablished {
                            other_established: other_established.saturating_sub(turned_away),
                            ..established
                        },
                    ));
                }
            }
            FromSwarm::ConnectionClosed(closed) => {
                let was_told = self.told.remove(&closed.connection_id).is_some();
                let turned_away = self.turned_away(&closed.peer_id);
                if was_told {
                    self.refusals
                        .on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed {
                            remaining_established: turned_away,
                            ..closed
                        }));
                } else {
                    let remaining = closed.remaining_established.saturating_sub(turned_away);
                    self.inner
                        .on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed {
                            remaining_established: remaining,
                            ..closed
                        }));
                }
            }
            FromSwarm::AddressChange(AddressChange { connection_id, .. })
                if self.told.contains_key(&connection_id) =>
            {
                self.refusals.on_swarm_event(event);
            }
            FromSwarm::ListenFailure(failure) => {
                self.expected.remove(&failure.connection_id);
                self.inner.on_swarm_event(event);
            }
            other => self.inner.on_swarm_event(other),
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {
            Either::Left(event) => self.refusals.on_connection_handler_event(peer, id, event),
            Either::Right(event) => self.inner.on_connection_handler_event(peer, id, event),
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        while let Poll::Ready(action) = self.refusals.poll(cx) {
            match action {
                ToSwarm::GenerateEvent(
                    request_response::Event::Message { peer, .. }
                    | request_response::Event::OutboundFailure { peer, .. },
                ) => self.close(peer),
                ToSwarm::NotifyHandler {
                    peer_id,
                    handler,
                    event,
                } => {
                    return Poll::Ready(ToSwarm::NotifyHandler {
                        peer_id,
                        handler,
                        event: Either::Left(event),
                    });
                }
                // It asks those alone who are connected, and is not asked.
                _ => {}
            }
        }
        if let Some((peer_id, connection)) = self.closing.pop_front() {
            return Poll::Ready(ToSwarm::CloseConnection {
                peer_id,
                connection: CloseConnection::One(connection),
            });
        }
        while let Poll::Ready(action) = self.inner.poll(cx) {
            if let Some(action) = self.outward(action) {
                return Poll::Ready(action);
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ip(number: u8) -> Option<IpAddr> {
        Some([192, 0, 2, number].into())
    }

    #[test]
    fn one_source_is_told_now_and_then_and_leaves_the_rest_to_others() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        let burst = limits::SOURCE_REFUSALS_TOLD_RATE.burst as usize;
        let told = (0..1_000).filter(|_| budget.take(ip(1), 0, start)).count();
        assert_eq!(told, burst);
        assert!(budget.take(ip(2), 0, start), "another one");
        let later = start + Duration::from_secs(1);
        assert!(budget.take(ip(1), 0, later));
        assert!(!budget.take(None, 0, later), "who comes from nowhere");
    }

    #[test]
    fn all_together_have_a_bound_at_once_and_in_a_second() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        let crowded = limits::REFUSALS_TOLD_MAX;
        assert!(!budget.take(ip(1), crowded, start));
        let told = (0..=255).filter(|n| budget.take(ip(*n), 0, start)).count();
        assert_eq!(told, limits::REFUSALS_TOLD_RATE.burst as usize);
    }
}
