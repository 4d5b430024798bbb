//! Native transports: TCP, QUIC, WebSocket, circuits through a relay, and WebRTC to those who cannot be
//! dialled.

use std::{error::Error, time::Duration};

use libp2p::{
    Multiaddr, StreamProtocol, Transport as _, autonat,
    core::{muxing::StreamMuxerBox, transport::OrTransport, upgrade::Version},
    dcutr, dns,
    identity::Keypair,
    multiaddr::Protocol,
    noise, quic, relay,
    swarm::{self, NetworkBehaviour},
    tcp, websocket,
};
use moim_connection_guard::Panics;
use moim_dials::{Checked, Dials, Names, Resolved};
use moim_webrtc::{IceServers, PreferredUpgrade};

use super::{
    Below, BoxedTransport, Learnt, Platform, UPGRADE_TIMEOUT, ice, reachable, timed, yamux_config,
};
use crate::{
    error::StartError,
    reason::{NoDirectWay, Unreached},
    snapshot::NotDirect,
};

/// Names are looked up below, and what they stand for is judged there.
pub(crate) const NAMES: Names = Names::Resolved;

/// Ranks of direct addresses; relayed ones come after.
pub(super) const RANKS: usize = 3;

/// How long a rank has before the next one is tried beside it, where handshakes are fast: the
/// connection attempt delay of RFC 8305, section 8.
pub(crate) const HEAD_START: Duration = Duration::from_millis(250);

/// A WebSocket frame is buffered whole, also before the handshake (the default is 256 MiB).
const WEBSOCKET_FRAME_BYTES_MAX: usize = 256 * 1024;

/// How long hole punching (DCUtR) has between programs before a way by WebRTC is looked for: three
/// attempts take it some seconds.
const HOLE_PUNCHING_TIME: Duration = Duration::from_secs(10);

/// DCUtR is named only on connections that its speaker has dialled, this of AutoNAT v2 on the others
/// (libp2p/specs, autonat/autonat-v2.md).
const DIAL_BACK: StreamProtocol = StreamProtocol::new("/libp2p/autonat/2/dial-back");

/// The outermost behaviour: a handler that panics closes its connection.
pub(crate) type Guarded<B> = moim_connection_guard::Behaviour<B>;

pub(crate) fn guarded<B>(behaviour: B, panics: Panics) -> Guarded<B> {
    moim_connection_guard::Behaviour::new(behaviour, panics)
}

/// Ways from relayed connections to direct ones, and reachability.
#[derive(NetworkBehaviour)]
pub(crate) struct PlatformBehaviour {
    dcutr: dcutr::Behaviour,
    reachability: autonat::v2::client::Behaviour,
    pub(super) webrtc: moim_webrtc::Behaviour,
    pub(super) ice: moim_rpc::Behaviour,
}

/// What an event that only a program has tells of a connection that stays relayed.
pub(super) fn on_own_event(event: PlatformBehaviourEvent) -> Option<Learnt> {
    let PlatformBehaviourEvent::Dcutr(dcutr::Event {
        remote_peer_id: peer,
        result: Err(error),
    }) = event
    else {
        return None;
    };
    tracing::debug!(%peer, %error, "holes were punched in vain");
    Some(Learnt::StaysRelayed {
        peer,
        why: NotDirect {
            why: NoDirectWay::HolePunching,
            report: None,
            retry: None,
        },
    })
}

/// What an error that only a program's transports have tells of why an address led nowhere.
pub(crate) fn unreached(error: &(dyn Error + 'static)) -> Unreached {
    if error.is::<dns::ResolveError>() {
        return Unreached::NoHost;
    }
    match error.downcast_ref::<quic::Error>() {
        Some(quic::Error::HandshakeTimedOut) => Unreached::NoAnswer,
        Some(quic::Error::Reach(_)) => Unreached::NoRoute,
        Some(quic::Error::Connection(_)) => Unreached::Broken,
        _ => Unreached::Unknown,
    }
}

pub(crate) fn executor_config() -> swarm::Config {
    swarm::Config::with_tokio_executor()
}

/// QUIC first, which costs the fewest round trips; then TCP, where UDP does not get through; then
/// WebSocket, where only it is offered. One after the other: each handshake costs both sides.
pub(super) fn rank(address: &Multiaddr) -> Option<usize> {
    let mut tcp = false;
    for protocol in address {
        match protocol {
            Protocol::QuicV1 => return Some(0),
            Protocol::Ws(_) | Protocol::Wss(_) => return Some(2),
            Protocol::WebRTCDirect | Protocol::WebRTC | Protocol::WebTransport => return None,
            Protocol::Tcp(_) => tcp = true,
            _ => {}
        }
    }
    tcp.then_some(1)
}

pub(crate) fn build(
    keypair: &Keypair,
    relay: relay::client::Transport,
    dials: &Dials,
) -> Result<(BoxedTransport, PlatformBehaviour, Platform), StartError> {
    let noise = || {
        noise::Config::new(keypair).map_err(|error| StartError::SetUp {
            part: "noise",
            source: error.into(),
        })
    };
    let new_tcp =
        || moim_tcp_reuse::Transport::new(tcp::Config::default().nodelay(true)).map_err(Below);

    // WebSocket resolves names below itself, because TLS needs the name; the others above.
    let mut websocket = websocket::Config::new(resolving(new_tcp(), dials)?);
    websocket.set_max_data_size(WEBSOCKET_FRAME_BYTES_MAX);
    let websocket = websocket
        .map_err(Below)
        .upgrade(Version::V1Lazy)
        .authenticate(noise()?)
        .multiplex(yamux_config())
        .timeout(UPGRADE_TIMEOUT)
        .map_err(timed)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));

    let tcp = new_tcp()
        .upgrade(Version::V1Lazy)
        .authenticate(noise()?)
        .multiplex(yamux_config())
        .timeout(UPGRADE_TIMEOUT)
        .map_err(timed)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let quic = quic::tokio::Transport::new(quic::Config::new(keypair))
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
    let sockets = OrTransport::new(quic.map_err(Below), tcp);
    let sockets = sockets.map(|either, _| either.into_inner());
    let sockets = resolving(sockets, dials)?;

    let circuits = relay
        .map_err(Below)
        .upgrade(Version::V1Lazy)
        .authenticate(noise()?)
        .multiplex(yamux_config())
        .timeout(UPGRADE_TIMEOUT)
        .map_err(timed)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));

    let ice_servers = IceServers::default();
    let mut config = moim_webrtc::Config::default();
    config.ice_servers = ice_servers.clone();
    config.reachable = reachable(dials);
    let hole_punching = vec![dcutr::PROTOCOL_NAME, DIAL_BACK];
    config.preferred = Some(PreferredUpgrade::new(hole_punching, HOLE_PUNCHING_TIME));
    let (webrtc, webrtc_behaviour) = moim_webrtc::new(
        keypair.public().to_peer_id(),
        moim_webrtc::backend::native::Native,
        config,
    );
    let webrtc = webrtc.map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));

    // The relay client takes every address with `/p2p-circuit` in it, also the direct ones that are
    // signalled over a relay: so these come before it. The others take none of these. The resolver takes
    // everything, so it comes last.
    let direct = OrTransport::new(websocket, sockets.map_err(Below));
    let direct = direct.map(|either, _| either.into_inner());
    let others = OrTransport::new(circuits, direct.map_err(Below));
    let others = others.map(|either, _| either.into_inner());
    let transport = OrTransport::new(webrtc.map_err(Below), others.map_err(Below))
        .map(|either, _| either.into_inner())
        .boxed();
    Ok((
        Checked::new(transport, dials.clone()).boxed(),
        PlatformBehaviour {
            dcutr: dcutr::Behaviour::new(keypair.public().to_peer_id()),
            reachability: autonat::v2::client::Behaviour::default(),
            webrtc: webrtc_behaviour,
            ice: ice::behaviour(),
        },
        Platform::new(ice_servers),
    ))
}

/// Resolves DNS names by the system's settings; where there are none, by the resolver's defaults,
/// so that a machine without `resolv.conf` can still dial IP addresses. What they resolve to is looked at.
fn resolving<T>(inner: T, dials: &Dials) -> Result<dns::tokio::Transport<Resolved<T>>, StartError> {
    let inner = Resolved::new(inner, dials.clone());
    if dns::tokio::Transport::system(()).is_err() {
        let (config, options) = (dns::ResolverConfig::default(), dns::ResolverOpts::default());
        return Ok(dns::tokio::Transport::custom(inner, config, options));
    }
    dns::tokio::Transport::system(inner).map_err(|error| StartError::SetUp {
        part: "the resolver",
        source: error.into(),
    })
}
