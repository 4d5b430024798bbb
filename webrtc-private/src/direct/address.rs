//! Addresses of the form `/ip4|ip6/<ip>/udp/<port>/webrtc-direct/certhash/<hash>[/p2p/<peer>]`.

use std::net::{IpAddr, SocketAddr};

use libp2p_core::{Multiaddr, multiaddr::Protocol};

use super::fingerprint::{Fingerprint, SHA_256};

/// What an address says of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) socket: SocketAddr,
    pub(super) fingerprint: Fingerprint,
}

/// Whether an address is for this transport: it has `/webrtc-direct` in it, and no circuit, which would
/// go through a relay that is itself reached by this transport.
pub(super) fn is_webrtc_direct(address: &Multiaddr) -> bool {
    let has = |wanted: Protocol<'_>| address.iter().any(|part| part == wanted);
    has(Protocol::WebRTCDirect) && !has(Protocol::P2pCircuit)
}

impl Server {
    pub(super) fn parse(address: &Multiaddr) -> Result<Self, &'static str> {
        let mut parts = address.iter();
        let ip = match parts.next() {
            Some(Protocol::Ip4(ip)) => IpAddr::V4(ip),
            Some(Protocol::Ip6(ip)) => IpAddr::V6(ip),
            _ => return Err("it does not begin with an IP address"),
        };
        let Some(Protocol::Udp(port)) = parts.next() else {
            return Err("it has no UDP port after the IP address");
        };
        if ip.is_unspecified() || port == 0 {
            return Err("nobody can be reached at it");
        }
        if parts.next() != Some(Protocol::WebRTCDirect) {
            return Err("it has no /webrtc-direct after the port");
        }
        let Some(Protocol::Certhash(hash)) = parts.next() else {
            return Err("it has no /certhash after /webrtc-direct");
        };
        if hash.code() != SHA_256 {
            return Err("its /certhash is not a SHA-256");
        }
        let fingerprint = Fingerprint::from_digest(hash.digest())
            .ok_or("its /certhash has not the length of a SHA-256")?;
        match (parts.next(), parts.next()) {
            (None | Some(Protocol::P2p(_)), None) => Ok(Self {
                socket: SocketAddr::new(ip, port),
                fingerprint,
            }),
            _ => Err("it has more than a peer id after /certhash"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The SHA-256 of nothing, as the specification writes hashes: multibase base64url of a multihash.
    const HASH: &str = "uEiDjsMRCmPwcFJr79MiZb7kkJ65B5GSbk0yklZkbeFK4VQ";
    const PEER: &str = "12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo";

    fn parse(address: &str) -> Result<Server, &'static str> {
        let address = address.replace("HASH", HASH).replace("PEER", PEER);
        let address: Multiaddr = address.parse().unwrap();
        assert!(is_webrtc_direct(&address), "{address}");
        Server::parse(&address)
    }

    #[test]
    fn what_is_dialled() {
        for (address, socket) in [
            (
                "/ip4/192.0.2.1/udp/8469/webrtc-direct/certhash/HASH",
                "192.0.2.1:8469",
            ),
            (
                "/ip4/192.0.2.1/udp/8469/webrtc-direct/certhash/HASH/p2p/PEER",
                "192.0.2.1:8469",
            ),
            (
                "/ip6/2001:db8::1/udp/1/webrtc-direct/certhash/HASH/p2p/PEER",
                "[2001:db8::1]:1",
            ),
        ] {
            let server = parse(address).unwrap();
            assert_eq!(server.socket.to_string(), socket);
            let fingerprint = server.fingerprint.to_string();
            assert!(fingerprint.starts_with("E3:B0:C4:42"), "{fingerprint}");
        }
    }

    #[test]
    fn what_is_refused_says_why() {
        for (address, why) in [
            (
                "/dns/example.org/udp/1/webrtc-direct/certhash/HASH",
                "IP address",
            ),
            (
                "/ip6zone/eth0/ip6/fe80::1/udp/1/webrtc-direct/certhash/HASH",
                "IP address",
            ),
            (
                "/ip4/192.0.2.1/tcp/1/webrtc-direct/certhash/HASH",
                "UDP port",
            ),
            ("/ip4/192.0.2.1/webrtc-direct/certhash/HASH", "UDP port"),
            (
                "/ip4/192.0.2.1/udp/0/webrtc-direct/certhash/HASH",
                "nobody can be reached",
            ),
            (
                "/ip4/0.0.0.0/udp/1/webrtc-direct/certhash/HASH",
                "nobody can be reached",
            ),
            (
                "/ip6/::/udp/1/webrtc-direct/certhash/HASH",
                "nobody can be reached",
            ),
            (
                "/ip4/192.0.2.1/udp/1/quic-v1/webrtc-direct/certhash/HASH",
                "/webrtc-direct after the port",
            ),
            ("/ip4/192.0.2.1/udp/1/webrtc-direct", "no /certhash"),
            (
                "/ip4/192.0.2.1/udp/1/webrtc-direct/p2p/PEER/certhash/HASH",
                "no /certhash",
            ),
            // Of SHA-512 with 32 bytes; of SHA-256 with one byte.
            (
                "/ip4/192.0.2.1/udp/1/webrtc-direct/certhash/\
                 uEyDjsMRCmPwcFJr79MiZb7kkJ65B5GSbk0yklZkbeFK4VQ",
                "not a SHA-256",
            ),
            (
                "/ip4/192.0.2.1/udp/1/webrtc-direct/certhash/uEgHj",
                "the length",
            ),
            (
                "/ip4/192.0.2.1/udp/1/webrtc-direct/certhash/HASH/certhash/HASH",
                "more than a peer id",
            ),
            (
                "/ip4/192.0.2.1/udp/1/webrtc-direct/certhash/HASH/p2p/PEER/tcp/1",
                "more than a peer id",
            ),
        ] {
            let error = parse(address).unwrap_err();
            assert!(error.contains(why), "{address}: {error}");
        }
    }

    #[test]
    fn circuits_and_other_transports_are_left_to_others() {
        for address in [
            "/ip4/192.0.2.1/udp/1/quic-v1",
            "/ip4/192.0.2.1/udp/1/webrtc-direct/certhash/HASH/p2p/PEER/p2p-circuit/p2p/PEER",
            "/webrtc/p2p/PEER",
        ] {
            let address = address.replace("HASH", HASH).replace("PEER", PEER);
            assert!(!is_webrtc_direct(&address.parse().unwrap()), "{address}");
        }
    }
}
