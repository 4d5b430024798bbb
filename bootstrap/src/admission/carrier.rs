//! By what a connection comes. Pure.

use libp2p::{Multiaddr, multiaddr::Protocol};

/// Each kind has its own connections being set up: a stranger who takes all of one, as he can by QUIC with source
/// addresses that are not his, leaves the others alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Carrier {
    Tcp,
    /// With TLS or without.
    WebSocket,
    Quic,
    WebRtc,
}

impl Carrier {
    /// Of the other end's address. What is none of the others is like TCP: it takes a file.
    pub(super) fn of(address: &Multiaddr) -> Self {
        let carrier = address.iter().find_map(|part| match part {
            Protocol::Ws(_) | Protocol::Wss(_) => Some(Self::WebSocket),
            Protocol::Quic | Protocol::QuicV1 => Some(Self::Quic),
            Protocol::WebRTCDirect => Some(Self::WebRtc),
            _ => None,
        });
        carrier.unwrap_or(Self::Tcp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_says_it() {
        for (address, carrier) in [
            ("/ip4/192.0.2.1/tcp/1", Carrier::Tcp),
            ("/ip4/192.0.2.1/tcp/1/ws", Carrier::WebSocket),
            ("/ip4/192.0.2.1/tcp/1/tls/ws", Carrier::WebSocket),
            ("/ip4/192.0.2.1/tcp/1/wss", Carrier::WebSocket),
            ("/ip6/2001:db8::1/udp/1/quic-v1", Carrier::Quic),
            ("/ip4/192.0.2.1/udp/1/webrtc-direct", Carrier::WebRtc),
            ("/memory/1", Carrier::Tcp),
        ] {
            assert_eq!(Carrier::of(&address.parse().unwrap()), carrier, "{address}");
        }
    }
}
