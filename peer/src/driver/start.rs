//! How the driver begins: the swarm, where it listens, and the task.

use std::{collections::HashMap, time::Duration};

use libp2p::{Multiaddr, Swarm, Transport as _, core::upgrade::Version, identity::Keypair, relay};
use moim_connection_guard::{Limits, Panics};
use moim_dials::Dials;
use tokio::sync::{mpsc, watch};
use tracing::Instrument as _;

use super::{
    clock::Clock,
    connections::Connections,
    dial::Pace,
    direct::Direct,
    entry::Entry,
    lifetimes::Lifetimes,
    liveness::Liveness,
    lost::Lost,
    programs::Programs,
    queries::Queries,
    reach::Reaching,
    relays::Relays,
    rooms::Rooms,
    seldom::Seldom,
    shares::PeerShares,
    shown::Listed,
    state::{Driver, PeerSwarm, Stopping},
    thrift::Thrift,
};
use crate::{
    behaviour::Behaviour,
    bootstrap::BootstrapSource,
    builder::PeerBuilder,
    command::COMMAND_CAPACITY,
    error::StartError,
    event::{EventSink, EventStream},
    handle::Peer,
    platform,
    snapshot::{DhtState, Snapshot, Status},
    swarm, waiting,
};

/// Unused connections are closed after this. Members' and servers' are kept for the room's and the
/// DHT's sake longer than their protocols ask for.
const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Fetched documents that wait for the driver: at most one per bootstrap source.
const FETCHED_CAPACITY: usize = 16;

/// So often within [`REVIVALS_WITHIN`] a relay that takes us, or a first DHT server, ends the pauses before
/// others are tried again. One that comes and goes all the time has nothing new for us.
const REVIVALS: usize = 6;

/// See [`REVIVALS`].
const REVIVALS_WITHIN: Duration = Duration::from_secs(60);

/// Whom a peer with these settings dials.
fn dials(settings: &PeerBuilder) -> Dials {
    let dials = Dials::new(swarm::NAMES);
    for source in &settings.bootstrap {
        if let BootstrapSource::Address(address) = source {
            dials.name(address);
        }
    }
    for address in &settings.listen {
        dials.listen(address);
    }
    dials
}

/// The swarm with its transports, listening nowhere yet.
pub(super) fn new_swarm(
    keypair: &Keypair,
    settings: &PeerBuilder,
    dials: &Dials,
) -> Result<(PeerSwarm, swarm::Platform), StartError> {
    let me = keypair.public().to_peer_id();
    let (relay_transport, relay_behaviour) = relay::client::new(me);
    let (transport, platform_behaviour, platform) = swarm::build(keypair, relay_transport, dials)?;
    let behaviour = Behaviour::new(keypair, relay_behaviour, platform_behaviour, settings)?;
    let config = swarm::executor_config()
        .with_idle_connection_timeout(IDLE_CONNECTION_TIMEOUT)
        .with_substream_upgrade_protocol_override(Version::V1Lazy);
    let panics = Panics::default();
    let transport = waiting::Transport::new(transport).boxed();
    let transport =
        moim_connection_guard::Transport::new(transport, Limits::default(), panics.clone());
    let behaviour = swarm::guarded(behaviour, panics);
    let swarm = Swarm::new(transport.boxed(), behaviour, me, config);
    Ok((swarm, platform))
}

/// Listens on all addresses that have to be, and on those that are to be had of the others.
pub(super) fn listen(swarm: &mut PeerSwarm, settings: &PeerBuilder) -> Result<(), StartError> {
    let mut listen_on = |address: &Multiaddr| {
        let listening = swarm.listen_on(address.clone());
        listening.map(|_| ()).map_err(|source| StartError::Listen {
            address: address.to_string(),
            source: source.into(),
        })
    };
    listen_on(&swarm::signalled())?;
    for address in &settings.listen {
        listen_on(address)?;
    }
    let results = settings.listen_where_possible.iter().map(listen_on);
    let (listening, refused): (Vec<_>, Vec<_>) = results.partition(Result::is_ok);
    for error in refused.into_iter().filter_map(Result::err) {
        if settings.listen.is_empty() && listening.is_empty() {
            return Err(error);
        }
        tracing::debug!(%error, "not listening there");
    }
    Ok(())
}

impl Driver {
    /// Builds the swarm, starts listening, and runs the driver in the background.
    #[expect(
        clippy::unused_async,
        reason = "starting may have to wait for a platform one day"
    )]
    pub(crate) async fn start(
        mut settings: PeerBuilder,
    ) -> Result<(Peer, EventStream), StartError> {
        let keypair = settings
            .identity
            .take()
            .unwrap_or_else(Keypair::generate_ed25519);
        let me = keypair.public().to_peer_id();
        let dials = dials(&settings);
        let (mut swarm, platform) = new_swarm(&keypair, &settings, &dials)?;
        listen(&mut swarm, &settings)?;

        let now = platform::now();
        let seed = platform::seed();
        let (commands_sender, commands) = mpsc::channel(COMMAND_CAPACITY);
        let (fetched_sender, fetched) = mpsc::channel(FETCHED_CAPACITY);
        let programs = Programs::new(&keypair);
        #[cfg(feature = "programs")]
        let accepted = programs.streams.accepted();
        let (events, readers) = EventSink::new();
        let stream = readers.join(None);
        let (snapshot, snapshot_receiver) = watch::channel(Snapshot {
            peer: me,
            status: Status::Connecting,
            clock: None,
            addresses: Vec::new(),
            bootstrap: Vec::new(),
            dht: DhtState::default(),
            connections: Vec::new(),
            rooms: Vec::new(),
        });
        let driver = Self {
            me,
            swarm,
            platform,
            dials,
            seen_at: Vec::new(),
            dht_mode: settings.dht,
            presence_lifetime: settings.presence_lifetime,
            gossip: settings.gossip,
            seed,
            commands,
            fetched,
            fetched_sender,
            events,
            snapshot,
            entry: Entry::new(settings.bootstrap.clone(), seed, now),
            connections: Connections::default(),
            lifetimes: Lifetimes::new(now),
            liveness: Liveness::new(now, platform::wall()),
            lost: Lost::default(),
            clock: Clock::new(now, platform::wall()),
            clock_off: None,
            surroundings: platform::Surroundings::new(),
            relays: Relays::new(seed),
            reaching: Reaching::new(me, seed),
            revivals: Seldom::new(REVIVALS, REVIVALS_WITHIN),
            pace: Pace::default(),
            queries: Queries::default(),
            programs,
            rooms: Rooms::default(),
            put_away: Vec::new(),
            rooms_in_dht: false,
            told_addresses: Vec::new(),
            direct: Direct::new(me),
            transmissions: HashMap::new(),
            shares: PeerShares::new(now),
            status: Status::Connecting,
            stopping: Stopping::No,
            routing: 0,
            shown: None,
            listed: Listed::default(),
            overview: Thrift::default(),
            keypair,
            settings,
        };
        platform::spawn(
            driver
                .keep_running()
                .instrument(tracing::info_span!("peer", %me)),
        );
        Ok((
            Peer {
                id: me,
                commands: commands_sender,
                snapshot: snapshot_receiver,
                #[cfg(feature = "programs")]
                accepted,
                readers,
            },
            stream,
        ))
    }
}
