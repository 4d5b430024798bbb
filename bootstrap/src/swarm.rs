//! The transports of the node, composed by hand, and the swarm on top of them.

use libp2p::{
    PeerId, Swarm, Transport as _,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, timeout::TransportTimeout},
        upgrade::Version,
    },
    dns,
    identity::Keypair,
    noise, quic, swarm, tcp, websocket, yamux,
};
use moim_connection_guard::Panics;
use moim_dials::{Checked, Dials, Resolved};
use moim_webrtc::backend::native::server::{Certificate, Server};

use crate::{
    admission,
    behaviour::Behaviour,
    error::StartError,
    limits,
    relay::Circuits,
    tls::{self, Tls},
    turned_away::TurnedAway,
};

type PeerTransport = Boxed<(PeerId, StreamMuxerBox)>;

/// The swarm, in which a connection that panics is closed.
pub(crate) type NodeSwarm = Swarm<moim_connection_guard::Behaviour<TurnedAway>>;

/// By what others come in besides TCP, WebSocket and QUIC.
pub(crate) struct Entrances {
    /// That of WebRTC-direct.
    pub(crate) certificate: Option<Certificate>,
    /// Connections whose TLS somebody else ends.
    pub(crate) handed_over: Option<tls::Incoming>,
}

/// The swarm with its transports, listening nowhere yet.
///
/// # Errors
///
/// If encryption can't be set up.
pub(crate) fn build(
    keypair: &Keypair,
    entrances: Entrances,
    kad: moim_dht::Behaviour,
    rules: admission::Rules,
    circuits: &Circuits,
    panics: &Panics,
    dials: &Dials,
) -> Result<NodeSwarm, StartError> {
    let config = swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(limits::IDLE_TIMEOUT)
        .with_max_negotiating_inbound_streams(limits::NEGOTIATING_STREAMS_MAX)
        // The request travels with the protocol's name: one round trip instead of two.
        .with_substream_upgrade_protocol_override(Version::V1Lazy);
    let transport = transport(keypair, entrances, dials, rules.limit_loopback)?;
    let transport =
        moim_connection_guard::Transport::new(transport, limits::CONNECTION, panics.clone());
    let behaviour = TurnedAway::new(Behaviour::new(keypair, kad, rules, circuits));
    Ok(Swarm::new(
        transport.boxed(),
        moim_connection_guard::Behaviour::new(behaviour, panics.clone()),
        keypair.public().to_peer_id(),
        config,
    ))
}

fn transport(
    keypair: &Keypair,
    entrances: Entrances,
    dials: &Dials,
    limit_loopback: bool,
) -> Result<PeerTransport, StartError> {
    let Entrances {
        certificate,
        handed_over,
    } = entrances;
    let noise = noise::Config::new(keypair)?;
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(limits::STREAMS_PER_CONNECTION_MAX);

    // The plain transport instead of the builder's: only it lets us bound a message.
    let mut websocket = websocket::Config::new(with_dns(new_tcp, dials));
    websocket.set_max_data_size(limits::WEBSOCKET_MESSAGE_BYTES_MAX);
    let websocket = websocket
        .upgrade(Version::V1Lazy)
        .authenticate(noise.clone())
        .multiplex(yamux.clone())
        .boxed();
    let tls = handed_over.map(|connections| {
        Tls::new(connections, limits::WEBSOCKET_MESSAGE_BYTES_MAX)
            .upgrade(Version::V1Lazy)
            .authenticate(noise.clone())
            .multiplex(yamux.clone())
            .boxed()
    });
    let tcp = with_dns(new_tcp, dials)
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux)
        .boxed();
    let quic = with_dns(|| new_quic(keypair), dials);

    // WebSocket before TCP, which is less particular about the addresses it takes.
    let mut transport = either(either(websocket, tcp), quic);
    if let Some(tls) = tls {
        transport = either(transport, tls);
    }
    if let Some(certificate) = certificate {
        let webrtc = Server::new(keypair.clone(), certificate, limits::HANDSHAKE_TIMEOUT)
            .with_limit_loopback(limit_loopback)
            .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
            .boxed();
        transport = either(transport, webrtc);
    }
    // The upgrades above have no time-out of their own.
    let transport = TransportTimeout::new(transport, limits::HANDSHAKE_TIMEOUT).boxed();
    Ok(Checked::new(transport, dials.clone()).boxed())
}

fn new_tcp() -> moim_tcp_reuse::Transport {
    // Answers are small and awaited: don't hold them back to fill packets.
    moim_tcp_reuse::Transport::new(tcp::Config::default().nodelay(true))
}

fn new_quic(keypair: &Keypair) -> PeerTransport {
    let mut config = quic::Config::new(keypair);
    config.max_concurrent_stream_limit = limits::QUIC_STREAMS_MAX;
    config.max_stream_data = limits::QUIC_STREAM_WINDOW_BYTES;
    config.max_connection_data = limits::QUIC_CONNECTION_WINDOW_BYTES;
    quic::tokio::Transport::new(config)
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
        .boxed()
}

/// `transport`, with names in addresses looked up, where the system says how.
fn with_dns<T>(transport: impl Fn() -> T, dials: &Dials) -> Boxed<T::Output>
where
    T: libp2p::Transport + Send + Unpin + 'static,
    T::Error: Send + Sync,
    T::Dial: Send,
    T::ListenerUpgrade: Send,
{
    let transport = || Resolved::new(transport(), dials.clone());
    match dns::tokio::Transport::system(transport()) {
        Ok(transport) => transport.boxed(),
        Err(error) => {
            tracing::warn!(
                %error,
                "no usable DNS configuration on this system: peers with a name in their address \
                 can't be dialled from here"
            );
            transport().boxed()
        }
    }
}

fn either(first: PeerTransport, second: PeerTransport) -> PeerTransport {
    first
        .or_transport(second)
        .map(|output, _| output.into_inner())
        .boxed()
}
