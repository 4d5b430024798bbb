//! The running node: the only owner of the swarm, and its event loop.
//!
//! Handlers are plain functions; the loop awaits nothing but its `select!`. What others may know is
//! published as a [`Status`].

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    future::Future,
    net::IpAddr,
    pin::pin,
    time::Instant,
};

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::transport::ListenerId,
    kad,
    multiaddr::Protocol,
    swarm::{
        ConnectionId, DialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinHandle,
    time::{self, MissedTickBehavior},
};

use crate::{
    addresses,
    behaviour::Behaviour,
    config::{Config, Listen},
    data_dir::DataDir,
    error::{ListenError, RunError, StartError},
    http, identity, limits,
    metrics::{self, Metrics},
    sockets,
    status::Status,
    store::{RememberedPeer, STORE_FILE, StoreFile, Writer},
    swarm,
    turn::{self, Credentials},
};

mod events;
mod remember;
mod stop;

/// A node that listens. [`Node::run`] makes it work.
#[allow(missing_debug_implementations, reason = "the swarm has no Debug")]
pub struct Node {
    swarm: Swarm<Behaviour>,
    http: JoinHandle<Infallible>,
    turn: JoinHandle<Infallible>,
    /// `None` if there is no TURN server.
    credentials: Option<Credentials>,
    status: watch::Sender<Status>,
    metrics: Metrics,
    listeners: HashMap<ListenerId, Listener>,
    /// When the node calls itself ready; `None` once it is.
    ready_at: Option<time::Instant>,
    /// The address each connection comes from.
    remotes: HashMap<ConnectionId, Option<IpAddr>>,
    /// Other bootstrap nodes of the network.
    others: Vec<(PeerId, Multiaddr)>,
    /// Peers with a relay reservation, for the metrics.
    reservations: HashSet<PeerId>,
    store: Writer,
    /// Held as long as the node runs.
    _data: DataDir,
}

/// One libp2p listener.
#[derive(Debug)]
struct Listener {
    flag: &'static str,
    addresses: Vec<Multiaddr>,
}

impl Node {
    /// Loads the identity and opens all sockets. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// If the data directory, the identity or a socket can't be used; nothing is left open then.
    pub fn start(config: &Config) -> Result<Self, StartError> {
        let started = Instant::now();
        let data = DataDir::open(&config.data_dir)?;
        let keypair = identity::keypair(&data)?;
        let certificate = match config.webrtc_direct {
            Listen::At { .. } => Some(identity::certificate(&data)?),
            Listen::Off => None,
        };
        let peer_id = keypair.public().to_peer_id();
        for address in &config.external_addresses {
            if address.clone().with_p2p(peer_id).is_err() {
                return Err(StartError::ExternalAddress {
                    address: address.clone(),
                    peer_id,
                });
            }
        }

        let (metrics, page) = metrics::new(started);
        let (kad, store, remembered) = open_store(config, &data, peer_id, &metrics)?;
        let mut swarm = swarm::build(&keypair, certificate, kad)?;
        let listeners = listen(&mut swarm, config)?;
        let http_listeners = sockets::bind_http(config)?;
        let http_sockets = http_listeners
            .iter()
            .filter_map(|l| l.local_addr().ok())
            .collect();
        let http_listeners: Vec<_> = http_listeners
            .into_iter()
            .map(TcpListener::from_std)
            .collect::<Result<_, _>>()
            .map_err(StartError::Runtime)?;

        let turn_sockets = turn::Sockets::open(config)?;

        let (status, _) = watch::channel(Status {
            ready: false,
            peer_id,
            external: config.external_addresses.clone(),
            listening: Vec::new(),
            http: http_sockets,
            stun: turn_sockets.addresses(),
            turn: config.turn.is_on && !turn_sockets.addresses().is_empty(),
            store_stuck: false,
            peers: 0,
        });
        let source = http::Source {
            status: status.subscribe(),
            metrics: page,
        };
        let http = tokio::spawn(http::serve(http_listeners, source));
        let (turn, credentials) =
            turn::start(turn_sockets, config, status.subscribe(), &metrics.node.turn);

        let mut node = Self {
            swarm,
            http,
            turn,
            credentials,
            status,
            metrics,
            listeners,
            ready_at: Some(time::Instant::now() + limits::READY_TIMEOUT),
            remotes: HashMap::new(),
            others: others(config, peer_id),
            reservations: HashSet::new(),
            store,
            _data: data,
        };
        node.announce();
        node.come_back(remembered);
        Ok(node)
    }

    /// What the node tells about itself, now and later. Ends when the node does.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Works until `shutdown` is ready, then closes all connections and returns within 5 s.
    ///
    /// # Errors
    ///
    /// If there is nothing left to listen on or the HTTP server is gone.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
        let result = self.work(shutdown).await;
        self.stop().await;
        result
    }

    async fn work(&mut self, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
        let mut shutdown = pin!(shutdown);
        let mut status_tick = ticker(limits::STATUS_INTERVAL);
        let mut join_tick = ticker(limits::JOIN_INTERVAL);
        let mut sweep_tick = ticker(limits::SWEEP_INTERVAL);
        let mut remember_tick = ticker(limits::REMEMBER_INTERVAL);
        loop {
            let ready_at = self.ready_at;
            // In this order, so that a flood of network events delays neither the stop nor the
            // housekeeping, both of which are rare and short.
            tokio::select! {
                biased;
                () = &mut shutdown => return Ok(()),
                Err(error) = &mut self.http => return Err(RunError::Http(error)),
                Err(error) = &mut self.turn => return Err(RunError::Stun(error)),
                _ = status_tick.tick() => self.publish_numbers(),
                _ = join_tick.tick() => self.join(),
                _ = sweep_tick.tick() => self.swarm.behaviour_mut().kad.store_mut().sweep(),
                _ = remember_tick.tick() => self.remember_peers(),
                () = sleep_until(ready_at) => self.ready(),
                event = self.swarm.select_next_some() => self.on_event(event),
            }
            if self.listeners.is_empty() {
                return Err(RunError::Unreachable);
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

    fn publish_numbers(&mut self) {
        let network = self.swarm.network_info();
        let store = self.swarm.behaviour_mut().kad.store_mut().stats();
        let node = &self.metrics.node;
        set(&node.peers, network.num_peers());
        set(
            &node.connections,
            network.connection_counters().num_established() as usize,
        );
        set(&node.dht_records, store.records);
        set(&node.dht_record_bytes, store.record_bytes);
        set(&node.dht_provider_keys, store.provider_keys);
        set(&node.dht_providers, store.providers);
        let newly_refused = store.refused_total.saturating_sub(node.dht_refused.get());
        node.dht_refused.inc_by(newly_refused);
        set(&node.relay_reservations, self.reservations.len());
        let peers = network.num_peers();
        let is_stuck = self.swarm.behaviour().kad.is_stuck();
        self.status.send_if_modified(|status| {
            let before = (status.peers, status.store_stuck);
            (status.peers, status.store_stuck) = (peers, is_stuck);
            before != (peers, is_stuck)
        });
    }
}

/// The DHT with what its store has from before, the store's writer, and the peers to come back by.
fn open_store(
    config: &Config,
    data: &DataDir,
    local: PeerId,
    metrics: &Metrics,
) -> Result<(moim_dht::Behaviour, Writer, Vec<RememberedPeer>), StartError> {
    let path = data.file(STORE_FILE);
    let file = StoreFile::open(&path)?;
    let (rows, peers) = (file.rows()?, file.peers()?);
    let open = move || StoreFile::open(&path);
    let (writer, journal) =
        Writer::start(file, open, metrics.node.store.clone()).map_err(StartError::StoreThread)?;
    let limits = config.store_limits();
    let mut kad = moim_dht::Behaviour::durable(local, rand::random(), limits, rows, journal)?;
    kad.set_mode(Some(kad::Mode::Server));
    let stats = kad.store_mut().stats();
    tracing::info!(
        records = stats.records,
        providers = stats.providers,
        peers = peers.len(),
        "the store is open"
    );
    Ok((kad, writer, peers))
}

/// Opens every libp2p socket of the configuration.
fn listen(
    swarm: &mut Swarm<Behaviour>,
    config: &Config,
) -> Result<HashMap<ListenerId, Listener>, ListenError> {
    let mut listeners = HashMap::new();
    for socket in sockets::libp2p(config) {
        if let Err(error) = socket.probe() {
            socket.refuse(error)?;
            continue;
        }
        match swarm.listen_on(socket.multiaddr()) {
            Ok(id) => {
                listeners.insert(
                    id,
                    Listener {
                        flag: socket.flag,
                        addresses: Vec::new(),
                    },
                );
            }
            Err(error) => socket.refuse(std::io::Error::other(error))?,
        }
    }
    Ok(listeners)
}

/// The other bootstrap nodes of the configuration. Their addresses name them, or it wouldn't have
/// been accepted.
fn others(config: &Config, local: PeerId) -> Vec<(PeerId, Multiaddr)> {
    let with_peer = config
        .bootstrap
        .iter()
        .filter_map(|address| match address.iter().last()? {
            Protocol::P2p(peer) => Some((peer, address.clone())),
            _ => None,
        });
    with_peer.filter(|(peer, _)| *peer != local).collect()
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
