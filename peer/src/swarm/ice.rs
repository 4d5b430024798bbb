//! The servers that help to find a direct way: bootstrap nodes are asked for them, and the transport
//! is told.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId, StreamProtocol, multiaddr::Protocol, request_response};
use moim_protocol::{ice_wire, names};
use moim_rpc::ProtocolSupport;
use moim_webrtc::{IceServers, backend::IceServer};
use web_time::Instant;

use super::PlatformBehaviour;

/// Least time until servers are asked for again, however short they are said to be good, and after
/// there was no answer.
const RENEW_AFTER_MIN: Duration = Duration::from_secs(10);

/// Most time until then: longer than this nobody waits for a server that has moved.
const RENEW_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Asks, and is not asked.
pub(super) fn behaviour() -> moim_rpc::Behaviour {
    moim_rpc::behaviour(names::ICE_SERVERS_PROTOCOL, ProtocolSupport::Outbound)
}

/// What goes beside the platform's behaviour.
#[derive(Debug)]
pub(crate) struct Platform {
    /// What the transport asks for its own address.
    ice_servers: IceServers,
    renewal: Renewal,
}

/// When credentials are renewed: after three quarters of their time, so that there is time for
/// another attempt.
#[derive(Debug, Default)]
struct Renewal(Option<(PeerId, Instant)>);

impl Renewal {
    /// `peer` has named servers that are good for this long, or as long as the connection.
    fn answered(&mut self, peer: PeerId, ttl: Option<Duration>, now: Instant) {
        let after = |ttl: Duration| (ttl * 3 / 4).clamp(RENEW_AFTER_MIN, RENEW_AFTER_MAX);
        self.0 = ttl.map(|ttl| (peer, now + after(ttl)));
    }

    /// Whom to ask again now. Until there is an answer, the next attempt is some time away.
    fn due(&mut self, now: Instant) -> Option<PeerId> {
        let (peer, at) = self.0.as_mut()?;
        (*at <= now).then(|| {
            *at = now + RENEW_AFTER_MIN;
            *peer
        })
    }
}

impl Platform {
    pub(super) fn new(ice_servers: IceServers) -> Self {
        Self {
            ice_servers,
            renewal: Renewal::default(),
        }
    }

    /// Asks again who has given credentials that are soon to expire. One that is not connected is
    /// asked when it is again.
    pub(crate) fn renew(
        &mut self,
        behaviour: &mut PlatformBehaviour,
        is_connected: impl FnOnce(&PeerId) -> bool,
        now: Instant,
    ) {
        if let Some(peer) = self.renewal.due(now).filter(is_connected) {
            behaviour
                .ice
                .send_request(&peer, ice_wire::Request::Get.encode());
        }
    }

    /// When credentials are to be renewed.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.renewal.0.map(|(_, at)| at)
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
        &mut self,
        event: moim_rpc::Event,
        reached: impl Fn(&PeerId) -> Option<Multiaddr>,
        now: Instant,
    ) {
        match event {
            request_response::Event::Message {
                peer,
                message: request_response::Message::Response { response, .. },
                ..
            } => self.on_ice_servers(peer, &response, reached(&peer).as_ref(), now),
            event => tracing::debug!(?event, "no ICE servers"),
        }
    }

    fn on_ice_servers(
        &mut self,
        peer: PeerId,
        body: &[u8],
        reached: Option<&Multiaddr>,
        now: Instant,
    ) {
        let (servers, ttl) = match ice_wire::Response::decode(body) {
            Ok(ice_wire::Response::Servers { servers, ttl }) => (servers, ttl),
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
        self.renewal.answered(peer, ttl, now);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform;

    #[test]
    fn credentials_are_renewed_before_they_expire_and_again_without_an_answer() {
        let start = platform::now();
        let peer = PeerId::random();
        let mut renewal = Renewal::default();
        assert_eq!(renewal.due(start), None);
        renewal.answered(peer, None, start);
        assert_eq!(renewal.0, None, "good as long as the connection");

        renewal.answered(peer, Some(Duration::from_secs(3_600)), start);
        assert_eq!(renewal.due(start + Duration::from_secs(2_699)), None);
        let late = start + Duration::from_secs(2_700);
        assert_eq!(renewal.due(late), Some(peer));
        assert_eq!(renewal.due(late), None);
        assert_eq!(renewal.due(late + RENEW_AFTER_MIN), Some(peer));
    }

    #[test]
    fn whoever_names_a_strange_time_is_not_asked_all_the_time_nor_never() {
        let start = platform::now();
        let peer = PeerId::random();
        let mut renewal = Renewal::default();
        renewal.answered(peer, Some(Duration::ZERO), start);
        assert_eq!(renewal.0, Some((peer, start + RENEW_AFTER_MIN)));
        renewal.answered(peer, Some(Duration::from_secs(u32::MAX.into())), start);
        assert_eq!(renewal.0, Some((peer, start + RENEW_AFTER_MAX)));
    }
}
