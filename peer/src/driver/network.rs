//! What the swarm reports, and the connections it is told to make.

use libp2p::{
    Multiaddr, PeerId,
    core::ConnectedPoint,
    identify, relay,
    swarm::{ConnectionId, SwarmEvent},
};
use moim_protocol::{address::is_dialled, names};
use moim_room::Input;
use web_time::Instant;

use super::{connections::Abilities, state::Driver};
use crate::{
    behaviour::BehaviourEvent,
    builder::DhtMode,
    swarm::{self, Learnt, needs_relay},
};

/// What identify calls the relay's hop protocol (circuit relay v2).
const RELAY_HOP_PROTOCOL: &str = "/libp2p/circuit/relay/0.2.0/hop";

/// Addresses of one DHT server that are taken from its identify message.
const SERVER_ADDRESSES_MAX: usize = 16;

impl Driver {
    pub(super) fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>, now: Instant) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event, now),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                self.on_connected(peer_id, connection_id, &endpoint, now);
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                endpoint,
                cause,
                ..
            } => {
                tracing::debug!(peer = %peer_id, ?cause, "connection closed");
                self.liveness.settled(connection_id);
                let is_last = self.connections.closed(connection_id).is_some();
                self.lifetimes.closed(&peer_id, &self.connections);
                if is_last {
                    self.entry.disconnected(&peer_id, now);
                    self.reaching.disconnected(&peer_id, now);
                    self.tell_rooms(&Input::Disconnected(peer_id), now);
                    self.on_lost(peer_id, now);
                } else {
                    // What was on that connection is lost; there is another.
                    self.swarm
                        .behaviour_mut()
                        .greet_again(peer_id, connection_id, &endpoint);
                    self.tell_rooms(&Input::ConnectionClosed(peer_id), now);
                }
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                peer_id,
                error,
            } => {
                self.on_dial_failed(connection_id, peer_id, &error, now);
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                // So that the DHT's provider records carry it; whether it can be reached is
                // AutoNAT's to say, but on a LAN or one machine nobody says it.
                // Of circuits a relay says what it likes; those are named as we know them.
                if !needs_relay(&address) {
                    self.swarm.add_external_address(address);
                }
                self.on_addresses_changed(now);
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.swarm.remove_external_address(&address);
                self.on_addresses_changed(now);
            }
            // It follows that there is a reservation.
            SwarmEvent::ExternalAddrConfirmed { address } if needs_relay(&address) => {}
            SwarmEvent::ExternalAddrConfirmed { address } => {
                if !self.is_at(&address) {
                    tracing::debug!(%address, "somebody says that we are there");
                    self.swarm.remove_external_address(&address);
                }
                self.on_addresses_changed(now);
            }
            SwarmEvent::ExternalAddrExpired { .. } => self.on_addresses_changed(now),
            SwarmEvent::ListenerClosed {
                listener_id,
                reason,
                ..
            } => {
                if self.relays.closed(listener_id, now) {
                    tracing::debug!(?reason, "relay reservation ended");
                    self.on_addresses_changed(now);
                }
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "listener"),
            other => tracing::trace!(?other),
        }
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent, now: Instant) {
        match event {
            BehaviourEvent::Gossip(event) => self.on_gossip(event, now),
            BehaviourEvent::Identify(event) => self.on_identify(event, now),
            BehaviourEvent::Kad(event) => self.on_kad(event, now),
            BehaviourEvent::Message(event) => self.on_message(event, now),
            BehaviourEvent::Ping(event) => self.on_ping(event, now),
            BehaviourEvent::Platform(event) => self.on_platform(event, now),
            BehaviourEvent::Presence(event) => self.on_presence(event, now),
            BehaviourEvent::Probe(answered) => self.on_answered(answered, now),
            BehaviourEvent::Refusal(event) => self.on_refusal(event),
            #[cfg(feature = "programs")]
            BehaviourEvent::Streams(event) => self.on_stream(event, now),
            BehaviourEvent::Time(event) => self.on_time(event, now),
            BehaviourEvent::Relay(relay::client::Event::ReservationReqAccepted {
                relay_peer_id,
                renewal,
                ..
            }) => {
                if !self.relays.accepted(&relay_peer_id, now) {
                    tracing::debug!(relay = %relay_peer_id, "renewed too soon");
                    // It is closed already if this fails.
                    let _ = self.swarm.disconnect_peer_id(relay_peer_id);
                } else if !renewal {
                    // Those who are reached through this relay are within reach again.
                    if self.revivals.take(now) {
                        self.reaching.try_again(now);
                    }
                    self.on_addresses_changed(now);
                }
            }
            other => tracing::trace!(?other),
        }
    }

    fn on_platform(&mut self, event: swarm::PlatformBehaviourEvent, now: Instant) {
        let connections = &self.connections;
        let reached = |peer: &PeerId| connections.direct_address(peer).cloned();
        let event = swarm::on_event(&mut self.platform, event, reached, now);
        match event {
            Some(Learnt::StaysRelayed { peer, why }) => {
                tracing::debug!(%peer, why = %why.why, "stays relayed");
                self.connections.stays_relayed(&peer, why);
            }
            Some(Learnt::Silent(connection)) => self.doubt_connection(connection, now),
            Some(Learnt::PathChanged(connection)) => {
                let platform = &self.swarm.behaviour().platform;
                let path = |address: &_| swarm::path_now(platform, connection, address);
                self.connections.set_path(connection, path);
            }
            None => {}
        }
    }

    fn on_connected(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        endpoint: &ConnectedPoint,
        now: Instant,
    ) {
        let address = match endpoint {
            ConnectedPoint::Dialer { address, .. } => address.clone(),
            // A relayed listener's own address tells the relay, the other's tells nothing.
            ConnectedPoint::Listener {
                local_addr,
                send_back_addr,
            } => {
                if endpoint.is_relayed() {
                    local_addr.clone()
                } else {
                    send_back_addr.clone()
                }
            }
        };
        if let Some(began) = self.dialling_since(id) {
            self.pace.took(now.saturating_duration_since(began));
        }
        let was_connected = self.connections.is_connected(&peer);
        let is_ours = endpoint.is_dialer();
        let path = swarm::path_now(&self.swarm.behaviour().platform, id, &address);
        self.connections
            .opened(id, peer, address, path, is_ours, now);
        tracing::debug!(%peer, path = path.word(), "connected");
        if was_connected {
            // The program at the other end may be another one, which has not heard of our topics.
            self.swarm.behaviour_mut().greet_again(peer, id, endpoint);
            self.doubt_older(peer, id, now);
        }
        self.lost.found(&peer);
        self.lost.heard(now);
        self.entry.connected(id, peer, now);
        self.reaching.connected(&peer, id, path, now);
        self.lifetimes.opened(peer, &self.connections, now);
        self.tell_rooms(&Input::Connected(peer), now);
        self.direct.connected(&peer, now);
    }

    fn on_identify(&mut self, event: identify::Event, now: Instant) {
        let identify::Event::Received {
            connection_id,
            peer_id,
            info,
        } = event
        else {
            return;
        };
        let speaks = |name: &str| {
            info.protocols
                .iter()
                .any(|protocol| protocol.as_ref() == name)
        };
        let path = self.connections.path(connection_id);
        let direct = path.is_some_and(|path| !path.is_relayed());
        let abilities = Abilities {
            dht_server: speaks(names::KAD_PROTOCOL),
            // Nobody offers that on a relayed connection.
            relay: if direct {
                speaks(RELAY_HOP_PROTOCOL)
            } else {
                self.connections.abilities(&peer_id).relay
            },
        };
        if direct {
            self.lifetimes.identified(&peer_id, now);
        }
        let was_in_dht = self.connections.has_server();
        self.connections
            .identified(&peer_id, &info.agent_version, abilities);
        if abilities.dht_server {
            self.add_server(peer_id, &info.listen_addrs);
        }
        if abilities.relay {
            self.learn_ways_through(peer_id, now);
        }
        self.entry.welcomed(&peer_id);
        if self.entry.is_bootstrap_node(&peer_id) {
            self.note_seen_at(&info.observed_addr);
            let behaviour = &mut self.swarm.behaviour_mut().platform;
            self.platform
                .met_bootstrap_node(behaviour, peer_id, &info.protocols);
            if speaks(names::TIME_PROTOCOL) {
                self.ask_time(&peer_id);
            }
        }
        if !was_in_dht && self.connections.has_server() {
            self.on_entered_dht(now);
        }
    }

    /// Puts a DHT server into the routing table, with the address by which it was reached first.
    fn add_server(&mut self, peer: PeerId, listening: &[Multiaddr]) {
        let reached = self.connections.direct_address(&peer).cloned();
        let seen_at = reached.as_ref().and_then(moim_dht::first_ip);
        let kad = &mut self.swarm.behaviour_mut().kad;
        if self.dht_mode == DhtMode::Server {
            // These go to everybody who asks for the server.
            for address in moim_dht::table_addresses(listening, seen_at) {
                kad.add_address(&peer, address);
            }
            return;
        }
        let named = listening.iter().filter(|address| is_dialled(address));
        for address in reached.iter().chain(named).take(SERVER_ADDRESSES_MAX) {
            kad.add_address(&peer, address.clone());
        }
    }

    fn on_entered_dht(&mut self, now: Instant) {
        // Fills the routing table with the neighbours of our own id.
        if let Err(error) = self.swarm.behaviour_mut().kad.bootstrap() {
            tracing::debug!(%error, "nobody to bootstrap from");
        }
        if !self.revivals.take(now) {
            return;
        }
        self.rooms_in_dht = true;
        for input in [Input::Dht(true), Input::AnnounceNow, Input::LookupAgain] {
            self.tell_rooms(&input, now);
        }
        self.reaching.try_again(now);
    }

    fn on_addresses_changed(&mut self, now: Instant) {
        self.announce_circuits();
        self.tell_addresses(now);
    }
}
