//! Where a connection comes from.

use libp2p::{core::ConnectedPoint, multiaddr::Protocol};
use moim_protocol::{rate::Source, shares::Whence};

use crate::addresses::first_ip;

/// By what way a peer is connected. Through a relay, the address is the relay's.
pub(super) fn whence(endpoint: &ConnectedPoint) -> Whence {
    let (remote, local) = match endpoint {
        ConnectedPoint::Dialer { address, .. } => (address, address),
        ConnectedPoint::Listener {
            local_addr,
            send_back_addr,
        } => (send_back_addr, local_addr),
    };
    if !endpoint.is_relayed()
        && let Some(ip) = first_ip(remote)
    {
        return Whence::Network(ip.into());
    }
    let relay = local
        .iter()
        .take_while(|part| *part != Protocol::P2pCircuit)
        .find_map(|part| match part {
            Protocol::P2p(relay) => Some(relay),
            _ => None,
        });
    Whence::Relayed(relay.filter(|_| endpoint.is_relayed()))
}

/// The network for which what a peer asks for is counted, if it comes from one.
pub(crate) fn source_of(endpoint: &ConnectedPoint) -> Option<Source> {
    match whence(endpoint) {
        Whence::Network(source) => Some(source),
        Whence::Relayed(_) | Whence::Here | Whence::Earlier => None,
    }
}

#[cfg(test)]
mod tests {
    use libp2p::{
        Multiaddr, PeerId,
        core::{Endpoint, transport::PortUse},
    };

    use super::*;

    #[test]
    fn a_peer_that_comes_through_a_relay_is_not_taken_for_the_relay() {
        let relay = PeerId::random();
        let address = |text: &str| -> Multiaddr { text.parse().unwrap() };
        let dialled = |text: &str| ConnectedPoint::Dialer {
            address: address(text),
            role_override: Endpoint::Dialer,
            port_use: PortUse::Reuse,
        };
        let came = |local: &str, remote: &str| ConnectedPoint::Listener {
            local_addr: address(local),
            send_back_addr: address(remote),
        };
        let network = |ip: &str| Whence::Network(ip.parse::<std::net::IpAddr>().unwrap().into());
        let circuit = format!("/ip4/192.0.2.1/tcp/1/p2p/{relay}/p2p-circuit");
        let cases = [
            (
                came("/ip4/192.0.2.9/tcp/1", "/ip4/192.0.2.1/tcp/1"),
                network("192.0.2.1"),
            ),
            (
                came("/ip6/::/tcp/1", "/ip6/::ffff:192.0.2.1/tcp/1"),
                network("192.0.2.1"),
            ),
            (dialled("/ip4/192.0.2.1/tcp/1"), network("192.0.2.1")),
            (
                came(&circuit, &format!("/p2p/{}", PeerId::random())),
                Whence::Relayed(Some(relay)),
            ),
            (
                dialled(&format!("{circuit}/p2p/{}", PeerId::random())),
                Whence::Relayed(Some(relay)),
            ),
            (
                dialled(&format!("{circuit}/webrtc/p2p/{}", PeerId::random())),
                Whence::Relayed(Some(relay)),
            ),
            (dialled("/dns4/moim.example/tcp/1"), Whence::Relayed(None)),
            (came("/memory/1", "/memory/2"), Whence::Relayed(None)),
        ];
        for (endpoint, expected) in cases {
            assert_eq!(whence(&endpoint), expected, "{endpoint:?}");
        }
    }
}
