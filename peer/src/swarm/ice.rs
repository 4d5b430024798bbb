//! The servers that help to find a direct way: bootstrap nodes are asked for them, and the transport
//! is told.

use libp2p::{Multiaddr, PeerId, StreamProtocol, multiaddr::Protocol, request_response};
use moim_protocol::{ice_wire, names};
use moim_rpc::ProtocolSupport;
use webrtc_private::{IceServers, backend::IceServer};

use super::PlatformBehaviour;

/// Asks, and is not asked.
pub(super) fn behaviour() -> moim_rpc::Behaviour {
    moim_rpc::behaviour(names::ICE_SERVERS_PROTOCOL, ProtocolSupport::Outbound)
}

/// What goes beside the platform's behaviour.
#[derive(Debug)]
pub(crate) struct Platform {
    /// What the transport asks for its own address.
    ice_servers: IceServers,
}

impl Platform {
    pub(super) fn new(ice_servers: IceServers) -> Self {
        Self { ice_servers }
    }

    /// A bootstrap node is there that speaks `protocols`: it is asked for ICE servers, if it knows of
    /// any. Nobody else is: every one of them learns of our connections.
    #[expect(clippy::unused_self, reason = "it takes the answer")]
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

    /// An answer has come, or none. `reached` tells by which address a peer is connected.
    pub(super) fn on_ice_event(
        &self,
        event: moim_rpc::Event,
        reached: impl Fn(&PeerId) -> Option<Multiaddr>,
    ) {
        match event {
            request_response::Event::Message {
                peer,
                message: request_response::Message::Response { response, .. },
                ..
            } => self.on_ice_servers(peer, &response, reached(&peer).as_ref()),
            event => tracing::debug!(?event, "no ICE servers"),
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
