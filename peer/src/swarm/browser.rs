//! Browser transports: WebSocket, WebRTC-direct, and circuits through a relay.

use std::{error::Error, io, time::Duration};

use futures::{AsyncRead, AsyncWrite, TryFutureExt as _};
use libp2p::{
    Multiaddr, PeerId, Transport as _,
    core::{
        Negotiated,
        muxing::StreamMuxerBox,
        transport::{OrTransport, timeout::TransportTimeout},
        upgrade::{OutboundConnectionUpgrade, Version},
    },
    identity::Keypair,
    multiaddr::Protocol,
    noise, relay,
    swarm::{self, FromSwarm, NetworkBehaviour, behaviour::ExternalAddrConfirmed},
};
use moim_connection_guard::{Panics, RelayServer};
use moim_dials::{Checked, Dials, Names};
use moim_webrtc::{AsDirect, IceServers, backend::browser::Browser};
use moim_websocket::Connection;
use multistream_select::dialer_select_proto;

use super::{
    Below, BoxedTransport, Learnt, Platform, UPGRADE_TIMEOUT, ice, reachable, timed, yamux_config,
};
use crate::{error::StartError, reason::Unreached};

/// The browser looks names up, and does not tell.
pub(crate) const NAMES: Names = Names::AsWritten;

/// Ranks of direct addresses; relayed ones come after.
pub(super) const RANKS: usize = 2;

/// How long a rank has before the next one is tried beside it: WebRTC-direct is much dearer than
/// WebSocket, and needed where that does not get through at all.
pub(crate) const HEAD_START: Duration = Duration::from_secs(1);

/// Pages that a page relays for at once: each reserves at two, and a room that is a full mesh has few
/// more.
const RESERVATIONS_MAX: usize = 32;

/// Circuits that a page carries at once.
const CIRCUITS_MAX: usize = 16;

/// Of these, those that one other page may be an end of: a newcomer meets a whole room.
const CIRCUITS_PER_PEER_MAX: usize = 8;

/// How long a page keeps a reservation that is not renewed, on a connection that lasts. Long, because each
/// renewal changes nothing.
const RESERVATION_DURATION: Duration = Duration::from_secs(24 * 60 * 60);

/// What one circuit may carry, either way: descriptions and candidates of a direct connection are a few
/// kilobytes, and where there is no direct way, some talk.
const CIRCUIT_BYTES_MAX: u64 = 256 * 1024;

/// How long one circuit may last.
const CIRCUIT_DURATION: Duration = Duration::from_secs(2 * 60);

/// The outermost behaviour. A page can't catch what panics.
pub(crate) type Guarded<B> = B;

pub(crate) fn guarded<B>(behaviour: B, _: Panics) -> Guarded<B> {
    behaviour
}

/// A page has no sockets of its own; holes are punched by WebRTC. Pages that are connected to it directly
/// can reach each other through it.
#[derive(NetworkBehaviour)]
pub(crate) struct PlatformBehaviour {
    pub(super) webrtc: moim_webrtc::Behaviour,
    relay: AsDirect<RelayServer>,
    pub(super) ice: moim_rpc::Behaviour,
}

/// What an event that only a page has tells of a connection that stays relayed.
pub(super) fn on_own_event(event: PlatformBehaviourEvent) -> Option<Learnt> {
    tracing::debug!(?event, "relaying for others");
    None
}

/// A relay for those who are connected directly. Nobody else finds it: it has no address that could be
/// dialled.
fn relay_for_others(me: PeerId) -> RelayServer {
    let config = relay::Config {
        max_reservations: RESERVATIONS_MAX,
        max_reservations_per_peer: 1,
        reservation_duration: RESERVATION_DURATION,
        max_circuits: CIRCUITS_MAX,
        max_circuits_per_peer: CIRCUITS_PER_PEER_MAX,
        max_circuit_bytes: CIRCUIT_BYTES_MAX,
        max_circuit_duration: CIRCUIT_DURATION,
        ..relay::Config::default()
    };
    let mut relay = relay::Behaviour::new(me, config);
    relay.set_status(Some(relay::Status::Enable));
    // A reservation has to name an address of the relay's.
    let address = Multiaddr::empty()
        .with(Protocol::WebRTC)
        .with(Protocol::P2p(me));
    relay.on_swarm_event(FromSwarm::ExternalAddrConfirmed(ExternalAddrConfirmed {
        addr: &address,
    }));
    RelayServer::new(relay)
}

/// Nothing more: a page's transports have no errors of their own.
pub(crate) fn unreached(_: &(dyn Error + 'static)) -> Unreached {
    Unreached::Unknown
}

pub(crate) fn executor_config() -> swarm::Config {
    swarm::Config::with_wasm_executor()
}

/// WebSocket first: it is there in one round trip. WebRTC-direct where that is not to be had.
pub(super) fn rank(address: &Multiaddr) -> Option<usize> {
    for protocol in address {
        match protocol {
            Protocol::Ws(_) | Protocol::Wss(_) => return Some(0),
            Protocol::WebRTCDirect => return Some(1),
            _ => {}
        }
    }
    None
}

/// Makes a connection of a WebSocket, which may have more unread as soon as it is known who is at its other end.
async fn authenticate(
    connection: Connection,
    noise: noise::Config,
) -> io::Result<(PeerId, StreamMuxerBox)> {
    let unknown = connection.unknown();
    let (peer, stream) = select(connection, noise).await?;
    unknown.is_known();
    let muxer = select(stream, yamux_config()).await?;
    Ok((peer, StreamMuxerBox::new(muxer)))
}

/// Agrees on what is made of a connection, and makes it.
async fn select<C, U>(connection: C, upgrade: U) -> io::Result<U::Output>
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: OutboundConnectionUpgrade<Negotiated<C>, Error: Error + Send + Sync + 'static>,
{
    let protocols: Vec<_> = upgrade.protocol_info().into_iter().collect();
    let (protocol, stream) = dialer_select_proto(connection, protocols, Version::V1Lazy).await?;
    let upgraded = upgrade.upgrade_outbound(stream, protocol).await;
    upgraded.map_err(io::Error::other)
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
    let websocket_noise = noise()?;
    let websocket = moim_websocket::Transport::default()
        .map_err(Below)
        .and_then(|connection, _| authenticate(connection, websocket_noise).map_err(Below));
    let websocket = TransportTimeout::new(websocket, UPGRADE_TIMEOUT).map_err(timed);
    let circuits = relay
        .map_err(Below)
        .upgrade(Version::V1Lazy)
        .authenticate(noise()?)
        .multiplex(yamux_config())
        .timeout(UPGRADE_TIMEOUT)
        .map_err(timed);
    let webrtc_direct =
        moim_webrtc::direct::Transport::new(Browser, keypair.clone(), UPGRADE_TIMEOUT);

    let ice_servers = IceServers::default();
    let mut config = moim_webrtc::Config::default();
    config.ice_servers = ice_servers.clone();
    config.reachable = reachable(dials);
    let (direct, moim_webrtc) = moim_webrtc::new(keypair.public().to_peer_id(), Browser, config);

    // The relay client takes every address with `/p2p-circuit` in it, also the direct ones that are
    // signalled over a relay: so these come before it. The others take none of these.
    let others = OrTransport::new(
        circuits.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))),
        OrTransport::new(
            websocket,
            webrtc_direct
                .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
                .map_err(Below),
        )
        .map(|either, _| either.into_inner())
        .map_err(Below),
    )
    .map(|either, _| either.into_inner());
    let transport = OrTransport::new(
        direct
            .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
            .map_err(Below),
        others.map_err(Below),
    )
    .map(|either, _| either.into_inner())
    .boxed();
    Ok((
        Checked::new(transport, dials.clone()).boxed(),
        PlatformBehaviour {
            webrtc: moim_webrtc,
            relay: AsDirect::new(relay_for_others(keypair.public().to_peer_id())),
            ice: ice::behaviour(),
        },
        Platform::new(ice_servers),
    ))
}
