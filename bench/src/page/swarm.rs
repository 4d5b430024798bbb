//! The transports of the page, put together as in Moim's, with nothing on top that is not measured.

use std::time::Duration;

use libp2p::{
    Swarm, Transport as _,
    core::{muxing::StreamMuxerBox, transport::OrTransport, upgrade::Version},
    identify,
    identity::Keypair,
    noise, relay,
    swarm::{self, NetworkBehaviour},
    yamux,
};

/// Longer than anything that is measured: no connection ends but by those who measure.
const LONG: Duration = Duration::from_secs(60 * 60);

/// As in Moim's page.
const STREAMS_MAX: usize = 256;

#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) webrtc: moim_webrtc::Behaviour,
    pub(super) relay: relay::client::Behaviour,
    pub(super) identify: identify::Behaviour,
    pub(super) streams: libp2p_stream::Behaviour,
}

/// A swarm that listens nowhere yet.
pub(super) fn build(keypair: &Keypair) -> Result<Swarm<Behaviour>, noise::Error> {
    let local = keypair.public().to_peer_id();
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(STREAMS_MAX);
    let (circuits, relay) = relay::client::new(local);
    let (direct, webrtc) = moim_webrtc::new(
        local,
        moim_webrtc::backend::browser::Browser,
        moim_webrtc::Config::default(),
    );
    let websocket = moim_websocket::Transport::default()
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(keypair)?)
        .multiplex(yamux.clone());
    let circuits = circuits
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(keypair)?)
        .multiplex(yamux);
    let others = OrTransport::new(
        circuits.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))),
        websocket.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))),
    )
    .map(|either, _| either.into_inner());
    let transport = OrTransport::new(
        direct.map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection))),
        others,
    )
    .map(|either, _| either.into_inner())
    .boxed();
    let behaviour = Behaviour {
        webrtc,
        relay,
        identify: identify::Behaviour::new(identify::Config::new(
            "/moim-bench/1".to_owned(),
            keypair.public(),
        )),
        streams: libp2p_stream::Behaviour::new(),
    };
    let config = swarm::Config::with_wasm_executor()
        .with_idle_connection_timeout(LONG)
        .with_substream_upgrade_protocol_override(Version::V1Lazy);
    Ok(Swarm::new(transport, behaviour, local, config))
}
