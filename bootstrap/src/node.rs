//! The running node: the only owner of the swarm, and its event loop.
//!
//! Handlers are plain functions; the loop awaits nothing but its `select!`. What others may know is
//! published as a [`Status`].

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    convert::Infallible,
    future::Future,
    pin::pin,
    sync::Arc,
    time::Instant,
};

use connection_guard::{Panics, catch_future};
use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId,
    core::transport::ListenerId,
    kad::store::RecordStore as _,
    swarm::{
        DialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use moim_dials::Dials;
use moim_protocol::{presence::SignedPresence, rate::Buckets};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::{self, MissedTickBehavior},
};

use crate::{
    addresses,
    admin::Question,
    block_list::BlockList,
    config::Config,
    connections::Connections,
    data_dir::DataDir,
    error::RunError,
    limits,
    metrics::{Metrics, WhatLabels},
    rejections::{Journal, Reason},
    relay::Circuits,
    site::Site,
    status::{Heartbeat, Status},
    store::Writer,
    supervisor,
    swarm::NodeSwarm,
    turn::{self, Credentials},
};

mod dashboard;
mod events;
mod reload;
mod remember;
mod start;
mod stop;

/// A node that listens. [`Node::run`] makes it work.
#[allow(missing_debug_implementations, reason = "the swarm has no Debug")]
pub struct Node {
    /// Apart, because a node is moved, and a swarm takes a good part of a thread's stack.
    swarm: Box<NodeSwarm>,
    http: JoinHandle<Infallible>,
    turn: JoinHandle<Infallible>,
    /// `None` if there is no TURN server.
    credentials: Option<Credentials>,
    /// Who has asked for ICE servers lately.
    ice_asked: Buckets<PeerId>,
    /// What is left of each peer's questions for the time.
    time_asked: Buckets<PeerId>,
    status: watch::Sender<Status>,
    heartbeat: Heartbeat,
    metrics: Metrics,
    listeners: HashMap<ListenerId, Listener>,
    /// When the node calls itself ready; `None` once it is.
    ready_at: Option<time::Instant>,
    connections: Connections,
    /// Of the dashboard.
    questions: mpsc::Receiver<Question>,
    /// Whom the node dials.
    dials: Dials,
    /// Other bootstrap nodes of the network.
    others: Vec<(PeerId, Multiaddr)>,
    /// Peers with a relay reservation, for the metrics.
    reservations: HashSet<PeerId>,
    store: Writer,
    /// What looks after the certificate.
    background: JoinSet<Infallible>,
    /// Who gets nothing; changes as the file does.
    blocked: watch::Receiver<Arc<BlockList>>,
    circuits: Circuits,
    journal: Journal,
    /// In force.
    config: Config,
    /// The page.
    site: watch::Sender<Arc<Site>>,
    turn_settings: watch::Sender<turn::Settings>,
    /// What the settings say, or less where the process may open few files.
    turn_allocations_max: u32,
    panics: Panics,
    #[cfg(test)]
    sabotage: crate::restart::tests::Sabotage,
    /// Held as long as the node runs.
    data: DataDir,
}

/// One libp2p listener.
#[derive(Debug)]
struct Listener {
    flag: &'static str,
    addresses: Vec<Multiaddr>,
}

impl Node {
    /// What the node tells about itself, now and later. Ends when the node does.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Who gets nothing, as it changes.
    pub(crate) fn blocked(&self) -> watch::Receiver<Arc<BlockList>> {
        self.blocked.clone()
    }

    /// Works until `shutdown` is ready, then closes all connections and returns within 5 s. Of the
    /// configurations that come later it takes up what a running node can.
    ///
    /// # Errors
    ///
    /// If there is nothing left to listen on, the HTTP server or the store's thread is gone, or something panics.
    pub async fn run(
        mut self,
        configs: watch::Receiver<Config>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), RunError> {
        let result = catch_future(self.work(configs, shutdown)).await;
        match result.unwrap_or_else(|panic| Err(RunError::Panicked(panic))) {
            Err(error) if error.is_panic() => {
                self.fall().await;
                Err(error)
            }
            result => {
                self.stop().await;
                result
            }
        }
    }

    /// Once set, the thread that writes the store panics.
    #[cfg(test)]
    pub(crate) fn store_sabotage(&self) -> Arc<std::sync::atomic::AtomicBool> {
        self.store.sabotage()
    }

    async fn work(
        &mut self,
        mut configs: watch::Receiver<Config>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), RunError> {
        let mut shutdown = pin!(shutdown);
        let mut status_tick = ticker(limits::STATUS_INTERVAL);
        let mut join_tick = ticker(limits::JOIN_INTERVAL);
        let mut sweep_tick = ticker(limits::SWEEP_INTERVAL);
        let mut remember_tick = ticker(limits::REMEMBER_INTERVAL);
        loop {
            #[cfg(test)]
            self.sabotage.spring();
            let ready_at = self.ready_at;
            // In this order, so that a flood of network events delays neither the stop nor the
            // housekeeping, both of which are rare and short.
            tokio::select! {
                biased;
                () = &mut shutdown => return Ok(()),
                Err(error) = &mut self.http => return Err(RunError::Http(error)),
                Err(error) = &mut self.turn => return Err(RunError::Stun(error)),
                Some(Err(error)) = self.background.join_next() => {
                    return Err(RunError::Certificate(error));
                }
                _ = status_tick.tick() => self.tick(),
                _ = join_tick.tick() => self.join(),
                _ = sweep_tick.tick() => self.swarm.behaviour_mut().kad.store_mut().sweep(),
                _ = remember_tick.tick() => self.remember_peers(),
                Ok(()) = self.blocked.changed() => self.block(),
                Ok(()) = configs.changed() => self.reload(&configs.borrow_and_update()),
                Some(question) = self.questions.recv() => self.tell(question),
                () = sleep_until(ready_at) => self.ready(),
                event = self.swarm.select_next_some() => self.on_event(event),
            }
            if self.listeners.is_empty() && self.status.borrow().tls.is_empty() {
                return Err(RunError::Unreachable);
            }
            // Looked at with every tick at the latest.
            if self.store.is_gone() {
                return Err(RunError::Store);
            }
        }
    }

    /// Publishes the addresses listened on and tells peers the best of them.
    fn announce(&mut self) {
        let listening: Vec<_> = self
            .listeners
            .values()
            .flat_map(|l| &l.addresses)
            .cloned()
            .collect();
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

    /// Moves the moment of readiness: soon after the last listener got its first address.
    fn settle(&mut self) {
        let all_listen = self.listeners.values().all(|l| !l.addresses.is_empty());
        if all_listen && self.ready_at.is_some() {
            self.ready_at = Some(time::Instant::now() + limits::READY_SETTLE);
        }
    }

    fn ready(&mut self) {
        self.ready_at = None;
        for listener in self.listeners.values().filter(|l| l.addresses.is_empty()) {
            tracing::warn!(flag = listener.flag, "no address yet; is the network up?");
        }
        self.status.send_modify(|status| status.ready = true);
    }

    /// Dials the other bootstrap nodes that aren't connected.
    fn join(&mut self) {
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
    fn block(&mut self) {
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

    /// Says that the loop goes round, and publishes the numbers.
    fn tick(&mut self) {
        self.heartbeat.beat(Instant::now());
        supervisor::alive();
        self.publish_numbers();
    }

    fn publish_numbers(&mut self) {
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
        set(&node.relay_reservations, self.reservations.len());
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

fn ticker(interval: time::Duration) -> time::Interval {
    let mut ticker = time::interval(interval);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticker
}

async fn sleep_until(instant: Option<time::Instant>) {
    match instant {
        Some(instant) => time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

fn set(gauge: &prometheus_client::metrics::gauge::Gauge, value: usize) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}
