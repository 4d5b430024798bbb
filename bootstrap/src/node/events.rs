//! What the node does when something happens on the network.

use std::time::{Instant, SystemTime};

use libp2p::{
    PeerId, identify,
    metrics::Recorder as _,
    ping, relay, request_response,
    swarm::{ConnectionId, SwarmEvent},
};
use moim_protocol::{UnixMillis, ice_wire::Response, time_wire, wire::ErrorCode};

use super::Node;
use crate::{
    behaviour::BehaviourEvent, ice, metrics::ReasonLabels, rejections::Reason, relay::denial,
};

impl Node {
    pub(super) fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        self.metrics.libp2p.record(&event);
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::NewListenAddr {
                listener_id,
                address,
            } => {
                // The first ones are told all at once when the node is ready.
                match self.ready_at {
                    Some(_) => tracing::debug!(%address, "listening"),
                    None => tracing::info!(%address, "listening on a new address"),
                }
                if let Some(listener) = self.listeners.get_mut(&listener_id) {
                    listener.addresses.push(address);
                }
                self.announce();
                self.settle();
            }
            SwarmEvent::ExpiredListenAddr {
                listener_id,
                address,
            } => {
                tracing::info!(%address, "no longer listening");
                if let Some(listener) = self.listeners.get_mut(&listener_id) {
                    listener.addresses.retain(|other| *other != address);
                }
                self.announce();
            }
            SwarmEvent::ListenerError { error, .. } => {
                tracing::debug!(%error, "a listener has a problem and goes on");
                self.metrics.node.rejections.count(Reason::Accept, None);
            }
            SwarmEvent::ListenerClosed {
                listener_id,
                reason,
                ..
            } => {
                if let Some(listener) = self.listeners.remove(&listener_id) {
                    tracing::error!(flag = listener.flag, ?reason, "a listener is gone");
                }
                self.announce();
            }
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                let remote = endpoint.get_remote_address();
                if self.swarm.behaviour().is_turned_away(&connection_id) {
                    tracing::debug!(%peer_id, %remote, "telling it why it is not let in");
                    return;
                }
                tracing::debug!(%peer_id, %remote, "connected");
                let now = Instant::now();
                let connection = self
                    .connections
                    .opened(connection_id, peer_id, &endpoint, now);
                self.metrics.node.connections_like(connection).inc();
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                num_established,
                cause,
                ..
            } => {
                tracing::debug!(%peer_id, ?cause, "disconnected");
                let turned_away = self.swarm.behaviour().turned_away(&peer_id);
                let is_last = num_established as usize <= turned_away;
                if let Some(connection) = self.connections.closed(connection_id, is_last) {
                    self.metrics.node.connections_like(&connection).dec();
                }
                if is_last {
                    self.reservations.remove(&peer_id);
                    self.circuits.gone(peer_id);
                }
            }
            SwarmEvent::IncomingConnectionError {
                send_back_addr,
                error,
                ..
            } => {
                tracing::debug!(remote = %send_back_addr, %error, "a connection came to nothing");
            }
            SwarmEvent::OutgoingConnectionError { peer_id, error, .. } => {
                tracing::debug!(peer = ?peer_id, %error, "a dial came to nothing");
            }
            other => tracing::trace!(?other, "event"),
        }
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Admission(event) => match event {},
            BehaviourEvent::Autonat(event) => tracing::debug!(?event, "AutoNAT"),
            BehaviourEvent::Ice(event) => self.on_ice(event),
            BehaviourEvent::Identify(event) => {
                // Not recorded: libp2p's metrics would keep the whole introduction of every peer.
                if let identify::Event::Received {
                    peer_id,
                    connection_id,
                    info,
                } = event
                {
                    self.on_identified(peer_id, connection_id, &info);
                }
            }
            BehaviourEvent::Kad(event) => {
                self.metrics.libp2p.record(&event);
                moim_dht::trim_addresses(&mut self.swarm.behaviour_mut().kad, &event);
                tracing::trace!(?event, "DHT");
            }
            BehaviourEvent::Ping(event) => {
                self.metrics.libp2p.record(&event);
                self.on_ping(event);
            }
            BehaviourEvent::Relay(event) => {
                self.metrics.libp2p.record(&event);
                self.on_relay_event(event);
            }
            BehaviourEvent::Time(event) => self.on_time(event),
        }
    }

    /// Tells a peer which ICE servers there are.
    fn on_ice(&mut self, event: moim_rpc::Event) {
        if let request_response::Event::Message {
            peer,
            message:
                request_response::Message::Request {
                    request, channel, ..
                },
            ..
        } = event
        {
            let now = Instant::now();
            let answer = if self.ice_asked.take(peer, now) {
                let turn = self.credentials.as_ref();
                let turn = turn.map(|credentials| {
                    let issued = credentials.issue(&peer, now);
                    (issued, credentials.life())
                });
                ice::answer(&request, &self.status.borrow(), turn)
            } else {
                Response::error(ErrorCode::Busy, "asked too often")
            };
            // The asker may be gone already.
            let _ = self
                .swarm
                .behaviour_mut()
                .ice
                .send_response(channel, answer.encode());
        }
    }

    /// Tells a peer what time it is, by the clock that records are judged by.
    fn on_time(&mut self, event: moim_rpc::Event) {
        if let request_response::Event::Message {
            peer,
            message:
                request_response::Message::Request {
                    request, channel, ..
                },
            ..
        } = event
        {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let now = UnixMillis::from_epoch(since.unwrap_or_default());
            let answer = if self.time_asked.take(peer, Instant::now()) {
                match time_wire::Request::decode(&request) {
                    Ok(time_wire::Request::Get) => time_wire::Response::Time(now),
                    Err(error) => time_wire::Response::from(&error),
                }
            } else {
                time_wire::Response::Error {
                    code: ErrorCode::Busy,
                    reason: "asked too often".to_owned(),
                }
            };
            // The asker may be gone already.
            let _ = self
                .swarm
                .behaviour_mut()
                .time
                .send_response(channel, answer.encode());
        }
    }

    /// Takes a DHT server into the routing table, with the addresses at which others can reach it.
    fn on_identified(&mut self, peer: PeerId, connection: ConnectionId, info: &identify::Info) {
        tracing::debug!(%peer, agent = %info.agent_version, "identified");
        self.connections.identified(connection, &info.agent_version);
        let kad = &mut self.swarm.behaviour_mut().kad;
        let is_server = info
            .protocols
            .iter()
            .any(|name| kad.protocol_names().contains(name));
        // One that has just been blocked may still be heard while its connection is being closed.
        if !is_server || self.blocked.borrow().has_peer(&peer) {
            return;
        }
        let seen_at = self.connections.ip(connection);
        for address in moim_dht::table_addresses(&info.listen_addrs, seen_at) {
            kad.add_address(&peer, address);
        }
    }

    /// Ends a connection whose other end doesn't answer. The ping protocol itself forgives the
    /// first failure.
    fn on_ping(&mut self, event: ping::Event) {
        match event.result {
            Ok(round_trip) => self.connections.answered(event.connection, round_trip),
            Err(ping::Failure::Unsupported) => {}
            Err(error) => {
                tracing::debug!(peer = %event.peer, %error, "closing a dead connection");
                self.swarm.close_connection(event.connection);
            }
        }
    }

    fn on_relay_event(&mut self, event: relay::Event) {
        let node = &self.metrics.node;
        match event {
            relay::Event::ReservationReqAccepted {
                src_peer_id,
                renewed,
            } => {
                tracing::debug!(peer = %src_peer_id, renewed, "relay reservation");
                self.reservations.insert(src_peer_id);
                node.relay_reservations_accepted.inc();
            }
            relay::Event::ReservationReqDenied {
                src_peer_id,
                status,
            } => {
                tracing::debug!(peer = %src_peer_id, ?status, "relay reservation denied");
                if matches!(status, relay::StatusCode::ResourceLimitExceeded) {
                    node.rejections.count(Reason::RelayReservation, None);
                }
                let reason = denial(status);
                node.relay_reservations_denied
                    .get_or_create(&ReasonLabels { reason })
                    .inc();
            }
            relay::Event::ReservationTimedOut { src_peer_id } => {
                self.reservations.remove(&src_peer_id);
            }
            relay::Event::CircuitReqAccepted {
                src_peer_id,
                dst_peer_id,
            } => {
                tracing::debug!(from = %src_peer_id, to = %dst_peer_id, "relaying");
                self.circuits.accepted(src_peer_id, dst_peer_id);
                node.relay_circuits.inc();
                node.relay_circuits_accepted.inc();
            }
            relay::Event::CircuitReqDenied {
                src_peer_id,
                dst_peer_id,
                status,
            } => {
                tracing::debug!(from = %src_peer_id, to = %dst_peer_id, ?status, "not relaying");
                // Otherwise there was nobody to relay to.
                match status {
                    relay::StatusCode::ResourceLimitExceeded => {
                        node.rejections.count(Reason::RelayCircuit, None);
                    }
                    relay::StatusCode::NoReservation => self.circuits.closed(src_peer_id),
                    _ => {}
                }
                let reason = denial(status);
                node.relay_circuits_denied
                    .get_or_create(&ReasonLabels { reason })
                    .inc();
            }
            relay::Event::CircuitClosed {
                src_peer_id,
                dst_peer_id,
                error,
            } => {
                tracing::debug!(from = %src_peer_id, to = %dst_peer_id, ?error, "relayed");
                if self.circuits.ended(src_peer_id, dst_peer_id) {
                    node.relay_circuits.dec();
                }
            }
            #[allow(deprecated, reason = "there is no other word of it")]
            relay::Event::CircuitReqOutboundConnectFailed { src_peer_id, .. }
            | relay::Event::CircuitReqAcceptFailed { src_peer_id, .. } => {
                self.circuits.closed(src_peer_id);
            }
            // `ReservationClosed` comes for every connection that closes, with or without a
            // reservation; the loss of the last connection says it better.
            other => tracing::trace!(?other, "relay"),
        }
    }
}
