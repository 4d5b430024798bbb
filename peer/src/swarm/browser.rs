//! Browser transports: WebSocket, WebRTC-direct, and circuits through a relay.

use std::time::Duration;

use libp2p::{
    Multiaddr, Transport as _,
    core::{muxing::StreamMuxerBox, transport::OrTransport, upgrade::Version},
    identity::Keypair,
    multiaddr::Protocol,
    noise, relay,
    swarm::{self, NetworkBehaviour},
    webrtc_websys, websocket_websys,
};

use super::{BoxedTransport, StaysRelayed, UPGRADE_TIMEOUT, yamux_config};
use crate::{error::StartError, snapshot::NotDirect};

/// Ranks of direct addresses; relayed ones come after.
pub(super) const RANKS: usize = 2;

/// How long a rank has before the next one is tried beside it: WebRTC-direct is much dearer than
/// WebSocket, and needed where that does not get through at all.
pub(crate) const HEAD_START: Duration = Duration::from_secs(1);

/// A page has no sockets of its own; holes are punched by WebRTC.
#[derive(NetworkBehaviour)]
pub(crate) struct PlatformBehaviour {
    webrtc: webrtc_private::Behaviour,
}

/// What an event of the platform's tells of a connection that stays relayed.
pub(crate) fn stays_relayed(event: PlatformBehaviourEvent) -> Option<StaysRelayed> {
    let PlatformBehaviourEvent::Webrtc(event) = event;
    match event {
        webrtc_private::Event::Failed {
            peer,
            error,
            report,
            retry,
        } => Some(StaysRelayed {
            peer,
            why: NotDirect {
                reason: error,
                report,
                retry,
            },
        }),
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
) -> Result<(BoxedTransport, PlatformBehaviour), StartError> {
    let noise = || {
        noise::Config::new(keypair).map_err(|error| StartError::SetUp {
            part: "noise",
            reason: error.to_string(),
        })
    };
    let websocket = websocket_websys::Transport::default()
        .upgrade(Version::V1Lazy)
        .authenticate(noise()?)
        .multiplex(yamux_config())
        .timeout(UPGRADE_TIMEOUT);
    let circuits = relay
        .upgrade(Version::V1Lazy)
        .authenticate(noise()?)
        .multiplex(yamux_config())
        .timeout(UPGRADE_TIMEOUT);
    let webrtc_direct = webrtc_websys::Transport::new(webrtc_websys::Config::new(keypair));

    let (direct, webrtc_private) = webrtc_private::new(
        keypair.public().to_peer_id(),
        webrtc_private::backend::browser::Browser,
        webrtc_private::Config::default(),
    );

    // The relay client takes every address with `/p2p-circuit` in it, also the direct ones that are
    // signalled over a relay: so these come before it. The others take none of these. WebSocket comes
    // before WebRTC-direct, which refuses Firefox on localhost before it looks at the address, and
    // then nothing after it is tried.
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
        },
    ))
}
