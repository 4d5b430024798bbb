//! Browser transports: WebSocket, WebRTC-direct, and circuits through a relay.

use std::time::Duration;

use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Transport as _,
    core::{muxing::StreamMuxerBox, transport::OrTransport, upgrade::Version},
    identity::Keypair,
    multiaddr::Protocol,
    noise, relay, request_response,
    swarm::{self, FromSwarm, NetworkBehaviour, behaviour::ExternalAddrConfirmed},
};
use moim_protocol::{ice_wire, names};
use moim_rpc::ProtocolSupport;
use webrtc_private::{
    AsDirect, IceServers,
    backend::{IceServer, browser::Browser},
};

use super::{BoxedTransport, StaysRelayed, UPGRADE_TIMEOUT, yamux_config};
use crate::{error::StartError, snapshot::NotDirect};

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

/// How long a page keeps a reservation that is not renewed, on a connection that lasts. Long, because
/// libp2p-relay 0.22 panics when a reservation ends in the instant in which it is renewed.
const RESERVATION_DURATION: Duration = Duration::from_secs(24 * 60 * 60);

/// What one circuit may carry, either way: descriptions and candidates of a direct connection are a few
/// kilobytes, and where there is no direct way, some talk.
const CIRCUIT_BYTES_MAX: u64 = 256 * 1024;

/// How long one circuit may last.
const CIRCUIT_DURATION: Duration = Duration::from_secs(2 * 60);

/// A page has no sockets of its own; holes are punched by WebRTC. Pages that are connected to it directly
/// can reach each other through it.
#[derive(NetworkBehaviour)]
pub(crate) struct PlatformBehaviour {
    webrtc: webrtc_private::Behaviour,
    relay: AsDirect<relay::Behaviour>,
    ice: moim_rpc::Behaviour,
}

/// What goes beside the platform's behaviour.
#[derive(Debug)]
pub(crate) struct Platform {
    /// What the transport asks for its own address.
    ice_servers: IceServers,
}

impl Platform {
    /// A bootstrap node is there that speaks `protocols`: it is asked for ICE servers, if it knows of
    /// any. Nobody else is: every one of them learns of our connections.
    pub(crate) fn met_bootstrap_node(
        &self,
        behaviour: &mut PlatformBehaviour,
        peer: PeerId,
        protocols: &[StreamProtocol],
    ) {
        if protocols
            .iter()
            .any(|protocol| protocol.as_ref() == names::ICE_SERVERS_PROTOCOL)
        {
            behaviour
                .ice
                .send_request(&peer, ice_wire::Request::Get.encode());
        }
    }

    /// What an event of the platform's tells of a connection that stays relayed. `reached` tells by
    /// which address a peer is connected.
    pub(crate) fn on_event(
        &self,
        event: PlatformBehaviourEvent,
        reached: impl Fn(&PeerId) -> Option<Multiaddr>,
    ) -> Option<StaysRelayed> {
        match event {
            PlatformBehaviourEvent::Ice(request_response::Event::Message {
                peer,
                message: request_response::Message::Response { response, .. },
                ..
            }) => {
                self.on_ice_servers(peer, &response, reached(&peer).as_ref());
                None
            }
            PlatformBehaviourEvent::Ice(event) => {
                tracing::debug!(?event, "no ICE servers");
                None
            }
            PlatformBehaviourEvent::Webrtc(webrtc_private::Event::Failed {
                peer,
                error,
                report,
                retry,
            }) => Some(StaysRelayed {
                peer,
                why: NotDirect {
                    reason: error,
                    report,
                    retry,
                },
            }),
            PlatformBehaviourEvent::Webrtc(_) => None,
            PlatformBehaviourEvent::Relay(event) => {
                tracing::debug!(?event, "relaying for others");
                None
            }
        }
    }

    fn on_ice_servers(&self, peer: PeerId, body: &[u8], reached: Option<&Multiaddr>) {
        let servers = match ice_wire::Response::decode(body) {
            Ok(ice_wire::Response::Servers { servers, .. }) => servers,
            other => {
                tracing::debug!(%peer, ?other, "no ICE servers");
                return;
            }
        };
        let host = reached.and_then(host).unwrap_or_default();
        let servers: Vec<IceServer> = ice_wire::choose(servers, &host)
            .into_iter()
            .map(|server| IceServer {
                urls: server.urls,
                username: server.username,
                credential: server.credential,
            })
            .collect();
        tracing::debug!(%peer, ?servers, "ICE servers");
        self.ice_servers.set(servers);
    }
}

/// A relay for those who are connected directly. Nobody else finds it: it has no address that could be
/// dialled.
fn relay_for_others(me: PeerId) -> relay::Behaviour {
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
    relay
}

/// The host in an address, without brackets.
fn host(address: &Multiaddr) -> Option<String> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.to_string()),
        Protocol::Ip6(ip) => Some(ip.to_string()),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => {
            Some(name.into_owned())
        }
        _ => None,
    }
}

/// What a page always listens on.
pub(crate) fn listen_addresses() -> Vec<Multiaddr> {
    vec![Multiaddr::empty().with(Protocol::WebRTC)]
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

pub(crate) fn build(
    keypair: &Keypair,
    relay: relay::client::Transport,
) -> Result<(BoxedTransport, PlatformBehaviour, Platform), StartError> {
    let noise = || {
        noise::Config::new(keypair).map_err(|error| StartError::SetUp {
            part: "noise",
            reason: error.to_string(),
        })
    };
    let websocket = websocket_browser::Transport::default()
        .upgrade(Version::V1Lazy)
        .authenticate(noise()?)
        .multiplex(yamux_config())
        .timeout(UPGRADE_TIMEOUT);
    let circuits = relay
        .upgrade(Version::V1Lazy)
        .authenticate(noise()?)
        .multiplex(yamux_config())
        .timeout(UPGRADE_TIMEOUT);
    let webrtc_direct =
        webrtc_private::direct::Transport::new(Browser, keypair.clone(), UPGRADE_TIMEOUT);

    let ice_servers = IceServers::default();
    let (direct, webrtc_private) = webrtc_private::new(
        keypair.public().to_peer_id(),
        Browser,
        webrtc_private::Config {
            ice_servers: ice_servers.clone(),
            ..webrtc_private::Config::default()
        },
    );

    // The relay client takes every address with `/p2p-circuit` in it, also the direct ones that are
    // signalled over a relay: so these come before it. The others take none of these.
    let others = OrTransport::new(
        circuits.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))),
        OrTransport::new(
            websocket.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))),
            webrtc_direct.map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection))),
        )
        .map(|either, _| either.into_inner()),
    )
    .map(|either, _| either.into_inner());
    let transport = OrTransport::new(
        direct.map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection))),
        others,
    )
    .map(|either, _| either.into_inner())
    .boxed();
    Ok((
        transport,
        PlatformBehaviour {
            webrtc: webrtc_private,
            relay: AsDirect::new(relay_for_others(keypair.public().to_peer_id())),
            ice: moim_rpc::behaviour(names::ICE_SERVERS_PROTOCOL, ProtocolSupport::Outbound),
        },
        Platform { ice_servers },
    ))
}
