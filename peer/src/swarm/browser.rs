//! Browser transports: WebSocket, WebRTC-direct, and circuits through a relay.

use libp2p::{
    Multiaddr, PeerId, Transport as _,
    core::{muxing::StreamMuxerBox, transport::OrTransport, upgrade::Version},
    identity::Keypair,
    multiaddr::Protocol,
    noise, relay,
    swarm::{self, NetworkBehaviour, dummy},
    webrtc_websys, websocket_websys,
};

use super::{BoxedTransport, UPGRADE_TIMEOUT, yamux_config};
use crate::error::StartError;

/// Ranks of direct addresses; relayed ones come after.
pub(super) const RANKS: usize = 2;

/// A page has no sockets of its own, so there is nothing to punch holes for.
#[derive(NetworkBehaviour)]
pub(crate) struct PlatformBehaviour {
    nothing: dummy::Behaviour,
}

impl PlatformBehaviour {
    pub(crate) fn new(_: PeerId) -> Self {
        Self {
            nothing: dummy::Behaviour,
        }
    }
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

pub(crate) fn transport(
    keypair: &Keypair,
    relay: relay::client::Transport,
) -> Result<BoxedTransport, StartError> {
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
    let webrtc = webrtc_websys::Transport::new(webrtc_websys::Config::new(keypair));

    // The relay client takes every address with `/p2p-circuit` in it, the others none of these.
    // WebSocket comes before WebRTC, which refuses Firefox on localhost before it looks at the
    // address, and then nothing after it is tried.
    Ok(OrTransport::new(
        circuits.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))),
        OrTransport::new(
            websocket.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))),
            webrtc.map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection))),
        )
        .map(|either, _| either.into_inner()),
    )
    .map(|either, _| either.into_inner())
    .boxed())
}
