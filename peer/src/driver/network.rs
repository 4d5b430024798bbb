//! What the swarm reports, and the connections it is told to make.

use libp2p::{
    Multiaddr, PeerId,
    core::ConnectedPoint,
    identify, relay,
    swarm::{ConnectionId, DialError, SwarmEvent, dial_opts::DialOpts},
};
use moim_protocol::{address::is_dialled, names};
use moim_room::Input;
use web_time::Instant;

use super::{Driver, Fetched, connections::Abilities, dial_error::unreached, entry::Action};
use crate::{
    behaviour::BehaviourEvent,
    bootstrap::{Target, is_local},
    builder::DhtMode,
    platform,
    reason::Unreached,
    swarm::{self, Learnt, UPGRADE_TIMEOUT, needs_relay},
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
                self.members_changed = true;
                self.liveness.settled(connection_id);
                if self.connections.closed(connection_id).is_some() {
                    self.entry.disconnected(&peer_id, now);
                    self.handovers.disconnected(&peer_id);
                    self.reaching.disconnected(&peer_id, now);
                    self.tell_rooms(&Input::Disconnected(peer_id), now);
                    self.on_lost(peer_id, now);
                } else {
                    if self.connections.superfluous(&peer_id).is_empty() {
                        self.handovers.disconnected(&peer_id);
                    }
                    // What was on that connection is lost; there is another.
                    self.swarm
                        .behaviour_mut()
                        .greet_again(peer_id, connection_id, &endpoint);
                    self.tell_rooms(&Input::ConnectionClosed(peer_id), now);
                }
                self.dirty = true;
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
            Some(Learnt::WayChanged(connection)) => {
                let platform = &self.swarm.behaviour().platform;
                if let Some(open) = self.connections.get_mut(connection) {
                    open.path = swarm::path_now(platform, connection, &open.address);
                    self.members_changed = true;
                }
            }
            None => return,
        }
        self.dirty = true;
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
        self.members_changed = true;
        self.lost.found(&peer);
        self.lost.heard(now);
        self.entry.connected(id, peer, now);
        self.reaching.connected(&peer, id, path, now);
        if !self.connections.superfluous(&peer).is_empty() {
            self.handovers.began(peer, now);
        }
        self.tell_rooms(&Input::Connected(peer), now);
        self.outbox_connected(&peer, now);
        self.dirty = true;
    }

    fn on_dial_failed(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        error: &DialError,
        now: Instant,
    ) {
        tracing::debug!(?peer, %error, "dial failed");
        let why = self.why_unreached(id, error, now);
        if !self.entry.failed(id, why, now) {
            self.reaching.failed(id, why, now);
        }
        self.dirty = true;
    }

    /// Transports do not always say that they gave up waiting; how long it took does.
    fn why_unreached(&self, id: ConnectionId, error: &DialError, now: Instant) -> Unreached {
        let began = self.dialling_since(id);
        let took = began.map(|began| now.saturating_duration_since(began));
        match unreached(error) {
            Unreached::Unknown if took.is_some_and(|took| took >= UPGRADE_TIMEOUT) => {
                Unreached::NoAnswer
            }
            why => why,
        }
    }

    /// When a dial of ours began that is under way.
    fn dialling_since(&self, id: ConnectionId) -> Option<Instant> {
        let of_entry = self.entry.dialling_since(id);
        of_entry.or_else(|| self.reaching.dialling_since(id))
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
            self.handovers.identified(&peer_id, now);
        }
        let was_in_dht = self.in_dht();
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
        if !was_in_dht && self.in_dht() {
            self.on_entered_dht(now);
        }
        self.dirty = true;
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

    /// Requests and gossip choose among connections as they like, so only one kind stays.
    pub(super) fn advance_handovers(&mut self, now: Instant) {
        while let Some(peer) = self.handovers.due(now) {
            for superfluous in self.connections.superfluous(&peer) {
                if self.streams.are_on(superfluous) {
                    self.handovers.put_off(peer, now);
                } else {
                    self.swarm.close_connection(superfluous);
                }
            }
        }
    }

    /// Whether this peer has a DHT server to ask.
    pub(super) fn in_dht(&self) -> bool {
        self.connections.servers().next().is_some()
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
        self.dirty = true;
    }

    pub(super) fn advance_entry(&mut self, now: Instant) {
        let connections = &self.connections;
        let actions = self.entry.poll(self.pace.head_start(), now, |peer| {
            connections.is_connected(peer)
        });
        for action in actions {
            match action {
                Action::Dial(dial) => self.dial_bootstrap(dial, now),
                Action::Fetch { source, url } => {
                    let fetched = self.fetched_sender.clone();
                    platform::spawn(async move {
                        let result = platform::fetch(url.clone()).await.and_then(|found| {
                            let target = Target::from_document(&found.body, &url)?;
                            Ok((target, found.date))
                        });
                        // The driver is gone if nobody takes it.
                        let is_local = is_local(&url);
                        let fetched_now = Fetched {
                            source,
                            is_local,
                            result,
                        };
                        let _ = fetched.send(fetched_now).await;
                    });
                }
            }
            self.dirty = true;
        }
    }

    pub(super) fn on_fetched(&mut self, fetched: Fetched, now: Instant) {
        // Whoever names the node has it say where it is, and what time it is.
        if let Ok((target, date)) = &fetched.result {
            self.dials
                .document(fetched.source, fetched.is_local, &target.addresses);
            if let (Some(node), Some(date)) = (target.peer, date) {
                self.clock.told(node, *date, now);
            }
        }
        let result = fetched.result.map(|(target, _)| target);
        let connections = &self.connections;
        self.entry.fetched(fetched.source, result, now, |peer| {
            connections.is_connected(peer)
        });
        self.dirty = true;
    }

    fn dial_bootstrap(&mut self, dial: DialOpts, now: Instant) {
        let id = dial.connection_id();
        let peer = dial.get_peer_id();
        if let Err(error) = self.swarm.dial(dial) {
            match (peer, &error) {
                (Some(peer), DialError::DialPeerConditionFalse(_))
                    if self.connections.is_connected(&peer) =>
                {
                    self.entry.connected(id, peer, now);
                }
                _ => {
                    tracing::debug!(%error, "a bootstrap node is not dialled");
                    self.entry.failed(id, unreached(&error), now);
                }
            }
        }
    }

    pub(super) fn dial_member(&mut self, dial: DialOpts, now: Instant) {
        let id = dial.connection_id();
        let peer = dial.get_peer_id();
        if let Err(error) = self.swarm.dial(dial) {
            // A connection of somebody else's making is as good; its event will tell.
            if matches!(error, DialError::DialPeerConditionFalse(_))
                && peer.is_some_and(|peer| self.connections.is_connected(&peer))
            {
                return;
            }
            self.on_dial_failed(id, peer, &error, now);
        }
    }
}
