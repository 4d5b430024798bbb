//! A whole client, as cheap as rust-libp2p makes them: the same for every server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport as _,
    core::{muxing::StreamMuxerBox, transport::OrTransport, upgrade::Version},
    identify,
    identity::Keypair,
    multiaddr::Protocol,
    noise, ping, relay,
    swarm::{self, NetworkBehaviour, SwarmEvent},
    yamux,
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

use super::{
    dial::{PATIENCE, over_tcp, source},
    process::Server,
};

/// Longer than any measurement: no client hangs up by itself.
const LONG: Duration = Duration::from_secs(60 * 60);

/// Clients that connect at one time.
const AT_ONCE: usize = 32;

#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    relay: relay::client::Behaviour,
    pub(super) streams: libp2p_stream::Behaviour,
}

/// A client that is connected to one server.
pub(super) struct Client {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) server: PeerId,
}

impl Client {
    /// Connects somebody new with this number, and waits until the server has introduced itself; with
    /// `reserve` also for a place at its relay, as every page holds one.
    pub(super) async fn connect(number: usize, address: &Multiaddr, reserve: bool) -> Result<Self> {
        Self::connect_as(Keypair::generate_ed25519(), number, address, reserve).await
    }

    /// The same as somebody known.
    pub(super) async fn connect_as(
        keypair: Keypair,
        number: usize,
        address: &Multiaddr,
        reserve: bool,
    ) -> Result<Self> {
        let Some(Protocol::P2p(server)) = address.iter().last() else {
            bail!("{address} does not name its peer");
        };
        let mut client = Self {
            swarm: new_swarm(keypair, number)?,
            server,
        };
        client.swarm.dial(address.clone())?;
        let circuit = reserve.then(|| address.clone().with(Protocol::P2pCircuit));
        let ready = client.until_ready(circuit);
        tokio::time::timeout(PATIENCE, ready)
            .await
            .context("a client was not served in time")??;
        Ok(client)
    }

    async fn until_ready(&mut self, mut circuit: Option<Multiaddr>) -> Result<()> {
        let (mut is_introduced, mut is_reserved) = (false, circuit.is_none());
        while !(is_introduced && is_reserved) {
            match self.swarm.select_next_some().await {
                SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                    ..
                })) => is_introduced = true,
                // Before that the relay would be dialled once more.
                SwarmEvent::ConnectionEstablished { .. } => {
                    if let Some(circuit) = circuit.take() {
                        self.swarm.listen_on(circuit)?;
                    }
                }
                SwarmEvent::Behaviour(BehaviourEvent::Relay(
                    relay::client::Event::ReservationReqAccepted { .. },
                )) => is_reserved = true,
                SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
                SwarmEvent::ConnectionClosed { cause, .. } => bail!("hung up: {cause:?}"),
                SwarmEvent::ListenerClosed { reason, .. } => bail!("no reservation: {reason:?}"),
                _ => {}
            }
        }
        Ok(())
    }

    /// Answers what the server asks for until it hangs up.
    pub(super) async fn until_closed(mut self) {
        loop {
            if let SwarmEvent::ConnectionClosed { .. } = self.swarm.select_next_some().await {
                return;
            }
        }
    }
}

fn new_swarm(keypair: Keypair, number: usize) -> Result<Swarm<Behaviour>> {
    let local = keypair.public().to_peer_id();
    let (relay, behaviour) = relay::client::new(local);
    let relay = relay
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&keypair)?)
        .multiplex(yamux::Config::default())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let transport = OrTransport::new(relay, over_tcp(&keypair, source(number), None)?)
        .map(|either, _| either.into_inner())
        .boxed();
    let identify = identify::Config::new("/moim-bench/1".to_owned(), keypair.public());
    let behaviour = Behaviour {
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::default(),
        relay: behaviour,
        streams: libp2p_stream::Behaviour::new(),
    };
    let config = swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(LONG)
        .with_substream_upgrade_protocol_override(Version::V1Lazy);
    Ok(Swarm::new(transport, behaviour, local, config))
}

/// Clients that are connected and want nothing. They leave when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    tasks: JoinSet<()>,
    count: usize,
    lost: Arc<AtomicUsize>,
}

impl Crowd {
    /// Lets clients come until there are so many.
    pub(super) async fn grow_to(&mut self, count: usize, server: &Server) -> Result<()> {
        let address = server.address("ws")?;
        let reserve = server.is_relay();
        let slots = Arc::new(Semaphore::new(AT_ONCE));
        let (connected, mut results) = mpsc::channel(AT_ONCE);
        for number in self.count..count {
            let (address, slots, lost) = (address.clone(), slots.clone(), self.lost.clone());
            let connected = connected.clone();
            self.tasks.spawn(async move {
                let slot = slots.acquire().await;
                let client = Client::connect(number, &address, reserve).await;
                drop(slot);
                let (client, result) = match client {
                    Ok(client) => (Some(client), Ok(())),
                    Err(error) => (None, Err(error)),
                };
                // Who counts them may have given up.
                let _ = connected.send(result).await;
                drop(connected);
                if let Some(client) = client {
                    client.until_closed().await;
                }
                lost.fetch_add(1, Ordering::Relaxed);
            });
        }
        drop(connected);
        while let Some(result) = results.recv().await {
            result.with_context(|| format!("of {count} clients"))?;
        }
        self.count = count;
        Ok(())
    }

    /// How many are still connected.
    pub(super) fn held(&self) -> usize {
        self.count - self.lost.load(Ordering::Relaxed)
    }
}
