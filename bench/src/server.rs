//! The native end: a relay for pages, and the other side of their WebSockets.

mod plain;

use std::{io::Write as _, time::Duration};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport as _,
    core::{muxing::StreamMuxerBox, upgrade::Version},
    identify,
    identity::Keypair,
    multiaddr::Protocol,
    noise, relay,
    swarm::{self, NetworkBehaviour, SwarmEvent},
    tcp, websocket, yamux,
};
use serde_json::json;

use crate::protocols;

/// Longer than anything that is measured: no connection ends but by those who measure.
const LONG: Duration = Duration::from_secs(60 * 60);

/// More of everything than is measured.
const MANY: usize = 4096;

/// Bytes that a circuit may carry: it is for signalling only.
const CIRCUIT_BYTES_MAX: u64 = 1024 * 1024;

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    relay: relay::Behaviour,
    streams: libp2p_stream::Behaviour,
}

/// Serves until it is killed. Says where on standard output, as a line of JSON.
pub(crate) async fn run() -> Result<()> {
    let (mut swarm, address) = listen().await?;
    protocols::answer_all(&mut swarm.behaviour().streams.new_control(), |task| {
        drop(tokio::spawn(task))
    })?;
    let plain = plain::listen().await?;
    let ready = json!({ "type": "ready", "libp2p": address, "plain": plain });
    writeln!(std::io::stdout(), "{ready}").context("saying where this listens")?;
    loop {
        swarm.select_next_some().await;
    }
}

/// The swarm, and its address with its peer id.
async fn listen() -> Result<(Swarm<Behaviour>, Multiaddr)> {
    let keypair = Keypair::generate_ed25519();
    let local = keypair.public().to_peer_id();
    // Like a bootstrap node's WebSocket.
    let transport = websocket()
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&keypair)?)
        .multiplex(yamux::Config::default())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed();
    let behaviour = Behaviour {
        identify: identify::Behaviour::new(identify::Config::new(
            "/moim-bench/1".to_owned(),
            keypair.public(),
        )),
        relay: new_relay(local),
        streams: libp2p_stream::Behaviour::new(),
    };
    let config = swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(LONG)
        .with_substream_upgrade_protocol_override(Version::V1Lazy);
    let mut swarm = Swarm::new(transport, behaviour, local, config);
    swarm.listen_on(any_port()?)?;
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            // Reservations name the relay's external addresses.
            swarm.add_external_address(address.clone());
            return Ok((swarm, address.with(Protocol::P2p(local))));
        }
    }
}

fn new_relay(local: PeerId) -> relay::Behaviour {
    let mut relay = relay::Behaviour::new(
        local,
        relay::Config {
            max_reservations: MANY,
            max_reservations_per_peer: MANY,
            reservation_duration: LONG,
            reservation_rate_limiters: Vec::new(),
            max_circuits: MANY,
            max_circuits_per_peer: MANY,
            max_circuit_duration: LONG,
            max_circuit_bytes: CIRCUIT_BYTES_MAX,
            circuit_src_rate_limiters: Vec::new(),
        },
    );
    relay.set_status(Some(relay::Status::Enable));
    relay
}

fn websocket() -> websocket::Config<tcp::tokio::Transport> {
    websocket::Config::new(tcp::tokio::Transport::new(
        tcp::Config::default().nodelay(true),
    ))
}

fn any_port() -> Result<Multiaddr> {
    Ok("/ip4/127.0.0.1/tcp/0/ws".parse()?)
}
