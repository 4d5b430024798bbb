//! How the node begins: its files, its sockets, and the swarm on top of them.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use libp2p::{PeerId, core::transport::ListenerId, kad};
use moim_dials::{Dials, Names};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use super::{
    Node,
    answers::Answers,
    listeners::Listeners,
    named::{check_external, external, follow_settings, others},
    network::Network,
    past::Past,
    relaying::Relaying,
    reload::InForce,
    remember,
    services::Services,
};
use crate::{
    admin,
    admission::{self, Capacity, Memory},
    block_list,
    config::{Config, Domain, Listen},
    connections::Connections,
    data_dir::DataDir,
    error::{ListenError, StartError},
    http, identity,
    metrics::{self, Metrics},
    process,
    rejections::Journal,
    relay::Circuits,
    site::Site,
    sockets,
    status::{Heartbeat, Status},
    store::{RememberedPeer, STORE_FILE, StoreFile, Writer},
    swarm::{self, NodeSwarm},
    tls, turn,
};

impl Node {
    /// Loads the identity and opens all sockets. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// If the data directory, the identity or a socket can't be used; nothing is left open then.
    pub fn start(config: &Config) -> Result<Self, StartError> {
        Self::start_after(config, &Past::default())
    }

    /// Starts after others of this process panicked.
    pub(crate) fn start_after(config: &Config, past: &Past) -> Result<Self, StartError> {
        Self::try_start(config, past).map_err(|error| error.placed(config))
    }

    fn try_start(config: &Config, past: &Past) -> Result<Self, StartError> {
        let started = Instant::now();
        let data = DataDir::open(&config.data_dir)?;
        let keypair = identity::keypair(&data)?;
        let certificate = match config.webrtc_direct {
            Listen::At { .. } => Some(identity::certificate(&data)?),
            Listen::Off => None,
        };
        let peer_id = keypair.public().to_peer_id();
        check_external(&config.external_address, peer_id)?;

        let (metrics, page) = metrics::new(started);
        let site = Site::open(&config.web)?;
        let (dashboard, questions) = admin::open(config.admin, &data)?;
        let (kad, store, remembered) = open_store(config, &data, peer_id, &metrics)?;
        let capacity = {
            let allocations = config.turn.is_on().then_some(config.turn_allocations.get());
            let files = process::open_files_max().unwrap_or(u64::MAX);
            Capacity::of_files(files, config.max_connections, allocations)
        };
        metrics.node.limit_inbound(capacity.inbound);
        metrics.node.restarts.inc_by(past.restarts.into());
        if capacity.inbound < config.max_connections.get() {
            tracing::warn!(
                connections = capacity.inbound,
                wanted = config.max_connections,
                "this process may open few files; raise the limit (`ulimit -n`) to serve more: 8,288 \
                 and one for each connection are enough"
            );
        }
        let mut blocked = match &past.blocked {
            Some(blocked) => blocked.clone(),
            None => block_list::file::watch(config.data_dir.clone())?,
        };
        let rules = admission::Rules {
            capacity,
            limit_loopback: config.limit_loopback,
            memory: Memory::new(admission::max_bytes(config)),
            blocked: Arc::clone(&blocked.borrow_and_update()),
            rejections: metrics.node.rejections.clone(),
        };
        let circuits = Circuits::new(config.limit_loopback);
        let (tls, handed_over) = tls::open(config, &data, &metrics.node.tls)?.unzip();
        let dials = Dials::new(Names::Resolved);
        let mut swarm = swarm::build(
            &keypair,
            swarm::Entrances {
                certificate,
                handed_over,
            },
            kad,
            rules,
            &circuits,
            &past.panics,
            &dials,
        )?;
        let listeners = listen(&mut swarm, config)?;
        let http_listeners = tokio_listeners(sockets::bind_http(config)?)?;
        let tls_listeners = tokio_listeners(sockets::bind_tls(config)?)?;
        let (http_sockets, tls_sockets) = (sockets_of(&http_listeners), sockets_of(&tls_listeners));
        let domain = domain(config, &tls_sockets);
        let external = external(config, domain.as_ref());
        follow_settings(&dials, config, &external);
        let others = others(config, peer_id);
        let named = others.iter().map(|(peer, _)| *peer);
        swarm.behaviour_mut().admission.set_named(named);
        let http_ports = http_listeners.into_iter().map(|listener| (listener, None));
        let tls_ports = tls_listeners
            .into_iter()
            .map(|listener| (listener, tls.as_ref().map(|tls| tls.front.clone())));

        let turn_sockets = {
            let (udp, tcp) = sockets::bind_stun(config)?;
            turn::Sockets::new(udp, tcp).map_err(StartError::Runtime)?
        };

        let (status, _) = watch::channel(Status {
            ready: false,
            peer_id,
            external,
            listening: Vec::new(),
            http: http_sockets,
            domain,
            tls: tls_sockets,
            admin: dashboard.is_some(),
            page: site.has_page(),
            stun: turn_sockets.addresses(),
            turn: config.turn.is_on() && !turn_sockets.addresses().is_empty(),
            store_stuck: false,
            store_full: false,
            peers: 0,
            restarts: past.restarts,
        });
        let (site, site_reader) = watch::channel(Arc::new(site));
        let heartbeat = Heartbeat::new(Instant::now());
        let source = http::Source {
            status: status.subscribe(),
            metrics: page,
            dashboard,
            requests: metrics.node.http_requests.clone(),
            site: site_reader,
            certificate: tls.as_ref().map(|tls| tls.certificate.clone()),
            heartbeat: heartbeat.clone(),
        };
        let bounds = http::Bounds {
            connections: capacity.http,
            per_source: capacity.source_http,
            limit_loopback: config.limit_loopback,
            blocked: blocked.clone(),
            rejections: metrics.node.rejections.clone(),
        };
        let http = tokio::spawn(http::serve(
            http_ports.chain(tls_ports).collect(),
            source,
            bounds,
        ));
        let turn_allocations_max = capacity.turn.allocations;
        let (turn_settings, settings_reader) =
            watch::channel(turn::settings(config, turn_allocations_max));
        let (turn, credentials) = turn::start(
            turn_sockets,
            config,
            turn::Followed {
                settings: settings_reader,
                status: status.subscribe(),
                blocked: blocked.clone(),
            },
            capacity.turn.connections,
            &metrics.node.turn,
        );

        let mut background = JoinSet::new();
        if let Some(tls) = tls {
            background.spawn(tls.keeping);
        }
        let mut network = Network {
            swarm: Box::new(swarm),
            status,
            metrics,
            listeners: Listeners::new(listeners),
            connections: Connections::default(),
            dials,
            others,
            relaying: Relaying::new(circuits),
            answers: Answers::new(credentials),
            blocked,
            journal: Journal::default(),
            panics: past.panics.clone(),
        };
        network.announce();
        remember::come_back(&mut network.swarm.behaviour_mut().kad, peer_id, remembered);
        if network.blocked.borrow().len() > 0 {
            // The store, and the peers of the last run, may have some of them.
            network.block();
        }
        Ok(Self {
            network,
            services: Services {
                http,
                turn,
                background,
            },
            in_force: InForce {
                config: config.clone(),
                site,
                turn: turn_settings,
                turn_allocations_max,
            },
            heartbeat,
            questions,
            store,
            #[cfg(test)]
            sabotage: past.sabotage.clone(),
            data,
        })
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
    let (secret, rows, peers) = (file.secret()?, file.rows()?, file.peers()?);
    let open = move || StoreFile::reopen(&path);
    let (writer, journal) =
        Writer::start(file, open, metrics.node.store.clone()).map_err(StartError::StoreThread)?;
    let limits = config.store_limits();
    let mut kad = moim_dht::Behaviour::durable(local, secret, limits, rows, journal)?;
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

/// The name and the port by which the TLS port is reached, if it has a name.
fn domain(config: &Config, sockets: &[SocketAddr]) -> Option<(Domain, u16)> {
    let name = config.domain.clone()?;
    Some((name, sockets.first()?.port()))
}

fn tokio_listeners(listeners: Vec<std::net::TcpListener>) -> Result<Vec<TcpListener>, StartError> {
    let listeners = listeners.into_iter().map(TcpListener::from_std);
    listeners
        .collect::<Result<_, _>>()
        .map_err(StartError::Runtime)
}

fn sockets_of(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    let sockets = listeners.iter().map(TcpListener::local_addr);
    sockets.filter_map(Result::ok).collect()
}

/// Opens every libp2p socket of the configuration; each listener with the flag that chose it.
fn listen(
    swarm: &mut NodeSwarm,
    config: &Config,
) -> Result<Vec<(ListenerId, &'static str)>, ListenError> {
    let mut listeners = Vec::new();
    for socket in sockets::libp2p(config) {
        if let Err(error) = socket.probe() {
            socket.refuse(error)?;
            continue;
        }
        match swarm.listen_on(socket.multiaddr()) {
            Ok(id) => listeners.push((id, socket.flag)),
            Err(error) => socket.refuse(std::io::Error::other(error))?,
        }
    }
    Ok(listeners)
}
