//! Which of the node's addresses are told to whom, and in which order. Pure.

use std::net::IpAddr;

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use moim_dht::first_ip;
use moim_protocol::targets;

use crate::limits::ANNOUNCED_ADDRESSES_MAX;

/// Transports in the order a page tries them, then those for native peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    WebSocket,
    WebRtcDirect,
    Quic,
    Tcp,
    Other,
}

/// From how far away an address can be dialled, farthest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    Global,
    Private,
    Loopback,
    /// Link-local addresses need an interface name, which a multiaddr of ours doesn't carry.
    LinkLocal,
}

/// The addresses for `/bootstrap.json`, each with `/p2p/<peer>` at the end: WebSocket, then
/// WebRTC-direct, then the rest; within a transport first those that were configured, then those of
/// the IP address under which the asker reached us (`asked_at`), then the most widely reachable.
///
/// An asker on another machine isn't told loopback addresses: dialled there they lead elsewhere.
pub(crate) fn for_asker(
    configured: &[Multiaddr],
    listening: &[Multiaddr],
    asked_at: Option<IpAddr>,
    asker_is_local: bool,
    peer: PeerId,
) -> Vec<Multiaddr> {
    let mut listening: Vec<_> = listening
        .iter()
        .filter(|address| match scope(address) {
            Scope::Global | Scope::Private => true,
            Scope::Loopback => asker_is_local,
            Scope::LinkLocal => false,
        })
        .filter(|address| !configured.contains(address))
        .collect();
    listening.sort_by_key(|address| (first_ip(address) != asked_at, scope(address)));
    let mut all: Vec<_> = configured.iter().chain(listening).collect();
    // Stable: keeps the order within a transport.
    all.sort_by_key(|address| kind(address));
    all.into_iter()
        .map(|address| with_peer(address.clone(), peer))
        .collect()
}

/// The addresses told to peers (identify, relay reservations), without `/p2p`, at most
/// [`ANNOUNCED_ADDRESSES_MAX`]: those configured, then the most widely reachable ones.
pub(crate) fn announced(configured: &[Multiaddr], listening: &[Multiaddr]) -> Vec<Multiaddr> {
    let mut listening: Vec<_> = listening
        .iter()
        .filter(|address| scope(address) != Scope::LinkLocal && !configured.contains(address))
        .collect();
    listening.sort_by_key(|address| (scope(address), kind(address)));
    configured
        .iter()
        .chain(listening)
        .take(ANNOUNCED_ADDRESSES_MAX)
        .cloned()
        .collect()
}

/// Appends `/p2p/<peer>` unless it is there.
pub(crate) fn with_peer(address: Multiaddr, peer: PeerId) -> Multiaddr {
    // An address that names another peer is returned as it is.
    address.with_p2p(peer).unwrap_or_else(|other| other)
}

fn kind(address: &Multiaddr) -> Kind {
    let found = address.iter().find_map(|part| match part {
        Protocol::Ws(_) | Protocol::Wss(_) => Some(Kind::WebSocket),
        Protocol::WebRTCDirect => Some(Kind::WebRtcDirect),
        Protocol::QuicV1 => Some(Kind::Quic),
        _ => None,
    });
    let is_tcp = address.iter().any(|part| matches!(part, Protocol::Tcp(_)));
    found.unwrap_or(if is_tcp { Kind::Tcp } else { Kind::Other })
}

fn scope(address: &Multiaddr) -> Scope {
    match first_ip(address).map(targets::scope) {
        Some(targets::Scope::Loopback) => Scope::Loopback,
        Some(targets::Scope::Link) => Scope::LinkLocal,
        Some(targets::Scope::Site) => Scope::Private,
        _ => Scope::Global,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(addresses: &[&str]) -> Vec<Multiaddr> {
        addresses.iter().map(|text| text.parse().unwrap()).collect()
    }

    const LISTENING: [&str; 8] = [
        "/ip4/127.0.0.1/tcp/1",
        "/ip4/127.0.0.1/udp/1/quic-v1",
        "/ip4/127.0.0.1/tcp/2/ws",
        "/ip4/192.168.1.5/tcp/2/ws",
        "/ip4/192.168.1.5/tcp/1",
        "/ip4/192.168.1.5/udp/2/webrtc-direct",
        "/ip6/fe80::1/tcp/2/ws",
        "/ip4/203.0.113.9/tcp/2/ws",
    ];

    fn texts(addresses: &[Multiaddr], peer: PeerId) -> Vec<String> {
        let suffix = format!("/p2p/{peer}");
        let strip = |a: &Multiaddr| a.to_string().strip_suffix(&suffix).unwrap().to_owned();
        addresses.iter().map(strip).collect()
    }

    #[test]
    fn a_page_on_this_machine_gets_loopback_websocket_first() {
        let peer = PeerId::random();
        let asked_at = Some("127.0.0.1".parse().unwrap());
        let found = for_asker(&[], &list(&LISTENING), asked_at, true, peer);
        assert_eq!(
            texts(&found, peer),
            [
                "/ip4/127.0.0.1/tcp/2/ws",
                "/ip4/203.0.113.9/tcp/2/ws",
                "/ip4/192.168.1.5/tcp/2/ws",
                "/ip4/192.168.1.5/udp/2/webrtc-direct",
                "/ip4/127.0.0.1/udp/1/quic-v1",
                "/ip4/127.0.0.1/tcp/1",
                "/ip4/192.168.1.5/tcp/1",
            ]
        );
    }

    #[test]
    fn an_asker_elsewhere_gets_no_loopback_address_and_first_the_one_it_used() {
        let peer = PeerId::random();
        let asked_at = Some("192.168.1.5".parse().unwrap());
        let configured = list(&["/dns4/moim.example.org/tcp/443/tls/ws"]);
        let found = for_asker(&configured, &list(&LISTENING), asked_at, false, peer);
        assert_eq!(
            texts(&found, peer),
            [
                "/dns4/moim.example.org/tcp/443/tls/ws",
                "/ip4/192.168.1.5/tcp/2/ws",
                "/ip4/203.0.113.9/tcp/2/ws",
                "/ip4/192.168.1.5/udp/2/webrtc-direct",
                "/ip4/192.168.1.5/tcp/1",
            ]
        );
    }

    #[test]
    fn a_configured_address_is_named_once_and_may_name_the_peer() {
        let peer = PeerId::random();
        let with_suffix = with_peer("/ip4/203.0.113.9/tcp/2/ws".parse().unwrap(), peer);
        let found = for_asker(std::slice::from_ref(&with_suffix), &[], None, false, peer);
        assert_eq!(found, [with_suffix]);
    }

    #[test]
    fn peers_are_told_a_bounded_number_of_addresses_and_the_best_ones() {
        let mut listening = list(&LISTENING);
        listening.extend((0..100).map(|n| format!("/ip4/10.0.0.{n}/tcp/1").parse().unwrap()));
        let configured = list(&["/dns4/a.example/tcp/1"]);
        let found = announced(&configured, &listening);
        assert_eq!(found.len(), ANNOUNCED_ADDRESSES_MAX);
        assert_eq!(found[0], configured[0]);
        assert_eq!(found[1], listening[7]);
        assert!(found.iter().all(|a| !a.to_string().contains("fe80")));
    }
}
