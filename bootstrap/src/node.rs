//! The running node: the only owner of the swarm, and its event loop.
//!
//! Handlers are plain functions; the loop awaits nothing but its `select!`. What others may know is
//! published as a [`Status`].

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    future::Future,
    pin::pin,
    sync::Arc,
    time::Instant,
};

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::transport::ListenerId,
    kad::{self, store::RecordStore as _},
    multiaddr::Protocol,
    swarm::{
        DialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tokio::{
    net::{TcpListener, UdpSocket},
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{self, MissedTickBehavior},
};

use crate::{
    addresses,
    admin::{self, Question},
    admission::{self, Capacity, Memory},
    behaviour::Behaviour,
    block_list::{self, BlockList},
    config::{Config, Listen},
    connections::Connections,
    data_dir::DataDir,
    error::{ListenError, RunError, StartError},
    http, identity, limits,
    metrics::{self, Metrics},
    rejections::{Journal, Reason},
    relay::Circuits,
    site::Site,
    sockets,
    status::Status,
    store::{RememberedPeer, STORE_FILE, StoreFile, Writer},
    stun, swarm,
};

mod dashboard;
mod events;
mod remember;
mod stop;

/// A node that listens. [`Node::run`] makes it work.
#[allow(missing_debug_implementations, reason = "the swarm has no Debug")]
pub struct Node {
    swarm: Swarm<Behaviour>,
    http: JoinHandle<Infallible>,
    stun: JoinHandle<Infallible>,
    status: watch::Sender<Status>,
    metrics: Metrics,
    listeners: HashMap<ListenerId, Listener>,
    /// When the node calls itself ready; `None` once it is.
    ready_at: Option<time::Instant>,
    connections: Connections,
    /// Of the dashboard.
    questions: mpsc::Receiver<Question>,
    /// Other bootstrap nodes of the network.
    others: Vec<(PeerId, Multiaddr)>,
    /// Peers with a relay reservation, for the metrics.
    reservations: HashSet<PeerId>,
    store: Writer,
    /// Who gets nothing; changes as the file does.
    blocked: watch::Receiver<Arc<BlockList>>,
    circuits: Circuits,
    journal: Journal,
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
        let site = Site::open(&config.web)?;
        let (dashboard, questions) = admin::open(config.admin, &data)?;
        let (kad, store, remembered) = open_store(config, &data, peer_id, &metrics)?;
        let capacity = Capacity::of_files(admission::open_files());
        metrics.node.limit_inbound(capacity.inbound);
        if capacity.inbound < limits::INBOUND_MAX {
            tracing::warn!(
                connections = capacity.inbound,
                "this process may open few files; raise the limit (`ulimit -n 8192`) to serve more"
            );
        }
        let max_memory = config
            .max_memory
            .map_or_else(admission::default_max_bytes, |mib| {
                mib.saturating_mul(1024 * 1024)
            });
        let mut blocked = block_list::file::watch(config.data_dir.clone());
        let rules = admission::Rules {
            capacity,
            limit_loopback: config.limit_loopback,
            memory: Memory::new(max_memory),
            blocked: Arc::clone(&blocked.borrow_and_update()),
            rejections: metrics.node.rejections.clone(),
        };
        let circuits = Circuits::new(config.limit_loopback);
        let mut swarm = swarm::build(&keypair, certificate, kad, rules, &circuits)?;
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

        let stun_sockets: Vec<_> = sockets::bind_stun(config)?
            .into_iter()
            .map(UdpSocket::from_std)
            .collect::<Result<_, _>>()
            .map_err(StartError::Runtime)?;

        let (status, _) = watch::channel(Status {
            ready: false,
            peer_id,
            external: config.external_addresses.clone(),
            listening: Vec::new(),
            http: http_sockets,
            admin: dashboard.is_some(),
            page: site.has_page(),
            stun: stun_sockets
                .iter()
                .filter_map(|socket| socket.local_addr().ok())
                .collect(),
            store_stuck: false,
            peers: 0,
        });
        let source = http::Source {
            status: status.subscribe(),
            metrics: page,
            dashboard,
            requests: metrics.node.http_requests.clone(),
            site: Arc::new(site),
        };
        let bounds = http::Bounds {
            connections: capacity.http,
            per_source: capacity.source_http,
            limit_loopback: config.limit_loopback,
            rejections: metrics.node.rejections.clone(),
        };
        let http = tokio::spawn(http::serve(http_listeners, source, bounds));
        let stun = tokio::spawn(stun::serve(stun_sockets, metrics.node.stun.clone()));

        let mut node = Self {
            swarm,
            http,
            stun,
            status,
            metrics,
            listeners,
            ready_at: Some(time::Instant::now() + limits::READY_TIMEOUT),
            connections: Connections::default(),
            questions,
            others: others(config, peer_id),
            reservations: HashSet::new(),
            store,
            blocked,
            circuits,
            journal: Journal::default(),
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
                Err(error) = &mut self.stun => return Err(RunError::Stun(error)),
                _ = status_tick.tick() => self.publish_numbers(),
                _ = join_tick.tick() => self.join(),
                _ = sweep_tick.tick() => self.swarm.behaviour_mut().kad.store_mut().sweep(),
                _ = remember_tick.tick() => self.remember_peers(),
                Ok(()) = self.blocked.changed() => self.block(),
                Some(question) = self.questions.recv() => self.tell(question),
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
            "the block list has changed: closing connections, dropping records"
        );
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
        let newly_refused = store.refused_total.saturating_sub(node.dht_refused.get());
        node.dht_refused.inc_by(newly_refused);
        let over_rate = self.swarm.behaviour().kad.over_rate_total();
        node.rejections.count_up_to(Reason::DhtRate, over_rate);
        set(&node.relay_reservations, self.reservations.len());
        self.journal.tell(&node.rejections, Instant::now());
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

/// Forgets the records that these publishers signed; says how many. What they provide ends with its
/// life, some minutes later.
fn drop_records(kad: &mut moim_dht::Behaviour, is_publisher: impl Fn(&PeerId) -> bool) -> usize {
    let store = kad.store_mut();
    let keys: Vec<_> = store
        .records()
        .filter(|record| record.publisher.as_ref().is_some_and(&is_publisher))
        .map(|record| record.key.clone())
        .collect();
    for key in &keys {
        store.remove(key);
    }
    keys.len()
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
