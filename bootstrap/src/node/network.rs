//! The swarm and what the node knows of its network: the only owner of both, and what is done when something
//! happens there.

use std::{borrow::Cow, sync::Arc, time::Instant};

use libp2p::{
    Multiaddr, PeerId, identify,
    kad::store::RecordStore as _,
    metrics::Recorder as _,
    ping, request_response,
    swarm::{
        ConnectionId, DialError, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use moim_connection_guard::Panics;
use moim_dials::Dials;
use moim_protocol::presence::SignedPresence;
use tokio::sync::watch;

use super::{answers::Answers, listeners::Listeners, relaying::Relaying};
use crate::{
    addresses,
    admin::overview::Overview,
    behaviour::BehaviourEvent,
    block_list::BlockList,
    connections::Connections,
    metrics::{Metrics, WhatLabels},
    rejections::{Journal, Reason},
    status::Status,
    swarm::NodeSwarm,
};

/// The swarm, and what is published of it.
pub(super) struct Network {
    /// Apart, because a node is moved, and a swarm takes a good part of a thread's stack.
    pub(super) swarm: Box<NodeSwarm>,
    pub(super) status: watch::Sender<Status>,
    pub(super) metrics: Metrics,
    pub(super) listeners: Listeners,
    pub(super) connections: Connections,
    /// Whom the node dials.
    pub(super) dials: Dials,
    /// Other bootstrap nodes of the network.
    pub(super) others: Vec<(PeerId, Multiaddr)>,
    pub(super) relaying: Relaying,
    pub(super) answers: Answers,
    /// Who gets nothing; changes as the file does.
    pub(super) blocked: watch::Receiver<Arc<BlockList>>,
    pub(super) journal: Journal,
    pub(super) panics: Panics,
}

impl Network {
    /// Something has happened on the network.
    pub(super) fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        self.metrics.libp2p.record(&event);
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::NewListenAddr {
                listener_id,
                address,
            } => {
                self.listeners.add(listener_id, address);
                self.announce();
            }
            SwarmEvent::ExpiredListenAddr {
                listener_id,
                address,
            } => {
                self.listeners.remove(listener_id, &address);
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
                self.listeners.closed(listener_id, &reason);
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
                    self.relaying.gone(peer_id);
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
                self.relaying.on_event(event, &self.metrics.node);
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
            let status = self.status.borrow();
            let answer = self.answers.ice_servers(peer, &request, &status);
            // The asker may be gone already.
            let _ = self
                .swarm
                .behaviour_mut()
                .ice
                .send_response(channel, answer);
        }
    }

    /// Tells a peer what time it is.
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
            let answer = self.answers.time(peer, &request);
            // The asker may be gone already.
            let _ = self
                .swarm
                .behaviour_mut()
                .time
                .send_response(channel, answer);
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

    /// Publishes the addresses listened on and tells peers the best of them.
    pub(super) fn announce(&mut self) {
        let listening = self.listeners.addresses();
        let wanted = addresses::announced(&self.status.borrow().external, &listening);
        let current: Vec<_> = self.swarm.external_addresses().cloned().collect();
        for address in current.iter().filter(|address| !wanted.contains(address)) {
            self.swarm.remove_external_address(address);
        }
        // Each new one goes to the front of the list that peers get, so the best one comes last.
        for address in wanted
            .into_iter()
            .rev()
            .filter(|address| !current.contains(address))
        {
            self.swarm.add_external_address(address);
        }
        self.status
            .send_modify(|status| status.listening = listening);
    }

    /// The node is ready, whether or not every listener has an address.
    pub(super) fn ready(&mut self) {
        self.listeners.ready();
        self.status.send_modify(|status| status.ready = true);
    }

    /// Dials the other bootstrap nodes that aren't connected.
    pub(super) fn join(&mut self) {
        for (peer, address) in &self.others {
            self.swarm
                .behaviour_mut()
                .kad
                .add_address(peer, address.clone());
            let dial = DialOpts::peer_id(*peer)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .addresses(vec![address.clone()])
                .build();
            match self.swarm.dial(dial) {
                Ok(()) => tracing::debug!(%peer, %address, "joining another bootstrap node"),
                Err(DialError::DialPeerConditionFalse(_)) => {}
                Err(error) => tracing::warn!(%address, %error, "can't dial a bootstrap node"),
            }
        }
    }

    /// Puts the block list in force as it is now.
    pub(super) fn block(&mut self) {
        let blocked = Arc::clone(&self.blocked.borrow_and_update());
        let behaviour = self.swarm.behaviour_mut();
        let closing = behaviour.admission.set_blocked(Arc::clone(&blocked));
        let is_blocked = |peer: &PeerId| blocked.has_peer(peer);
        let dropped = drop_records(&mut behaviour.kad, is_blocked);
        let known: Vec<_> = behaviour
            .kad
            .kbuckets()
            .flat_map(|bucket| {
                bucket
                    .iter()
                    .map(|e| *e.node.key.preimage())
                    .collect::<Vec<_>>()
            })
            .filter(is_blocked)
            .collect();
        for peer in known {
            behaviour.kad.remove_peer(&peer);
        }
        tracing::info!(
            entries = blocked.len(),
            closing,
            dropped,
            "the block list is in force: closing connections, dropping records"
        );
    }

    /// What the dashboard shows.
    pub(super) fn overview(&mut self) -> Overview {
        let blocked = self.blocked.borrow();
        let store = self.swarm.behaviour_mut().kad.store_mut();
        Overview::new(
            &self.connections,
            self.relaying.reservations(),
            store.provider_counts(),
            &blocked,
            Instant::now(),
        )
    }

    /// Publishes the numbers.
    pub(super) fn publish_numbers(&mut self) {
        let network = self.swarm.network_info();
        let store = self.swarm.behaviour_mut().kad.store_mut().stats();
        let node = &self.metrics.node;
        set(&node.peers, network.num_peers());
        set(&node.dht_records, store.records);
        set(&node.dht_record_bytes, store.record_bytes);
        set(&node.dht_provider_keys, store.provider_keys);
        set(&node.dht_providers, store.providers);
        for part in store.parts {
            let labels = WhatLabels { what: part.what };
            let full = node.dht_full.get_or_create(&labels);
            full.set(part.is_full.into());
            let gave_way = node.dht_gave_way.get_or_create(&labels);
            gave_way.inc_by(part.gave_way_total.saturating_sub(gave_way.get()));
        }
        let newly_refused = store.refused_total.saturating_sub(node.dht_refused.get());
        node.dht_refused.inc_by(newly_refused);
        let protocols = self.swarm.behaviour();
        for (reason, over_rate) in [
            (Reason::DhtRate, protocols.kad.over_rate_total()),
            (
                Reason::IntroductionRate,
                protocols.identify.over_rate_total(),
            ),
        ] {
            node.rejections.count_up_to(reason, over_rate);
        }
        set(&node.relay_reservations, self.relaying.reservations().len());
        let newly_panicked = self.panics.total().saturating_sub(node.panics.get());
        node.panics.inc_by(newly_panicked);
        self.journal.tell(&node.rejections, Instant::now());
        let peers = network.num_peers();
        let is_stuck = self.swarm.behaviour().kad.is_stuck();
        let is_full = store.parts.iter().any(|part| part.is_full);
        let now = (peers, is_stuck, is_full);
        self.status.send_if_modified(|status| {
            let before = (status.peers, status.store_stuck, status.store_full);
            (status.peers, status.store_stuck, status.store_full) = now;
            before != now
        });
    }
}

/// Forgets the records that these publishers signed, and that they are in the topics that their presences
/// name; says how many records. What else they provide ends with its life, two minutes at most.
fn drop_records(kad: &mut moim_dht::Behaviour, is_publisher: impl Fn(&PeerId) -> bool) -> usize {
    let store = kad.store_mut();
    let records: Vec<_> = store
        .records()
        .filter(|record| record.publisher.as_ref().is_some_and(&is_publisher))
        .map(Cow::into_owned)
        .collect();
    for record in &records {
        store.remove(&record.key);
        if let Ok(signed) = SignedPresence::decode(&record.value) {
            let presence = signed.presence();
            store.remove_provider(&presence.topic.provider_key().into(), &presence.peer);
        }
    }
    records.len()
}

fn set(gauge: &prometheus_client::metrics::gauge::Gauge, value: usize) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}
