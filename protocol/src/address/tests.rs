use proptest::prelude::*;

use super::*;

const PEER: &str = "12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo";
const RELAY: &str = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5";
/// The SHA-256 of nothing as a multihash, in multibase.
const HASH: &str = "uEiDjsMRCmPwcFJr79MiZb7kkJ65B5GSbk0yklZkbeFK4VQ";

fn address(text: &str) -> Multiaddr {
    text.replace("PEER", PEER)
        .replace("RELAY", RELAY)
        .replace("HASH", HASH)
        .parse()
        .unwrap()
}

#[test]
fn the_forms_that_are_dialled() {
    use Transport::{Quic, SecureWebSocket, Tcp, WebRtcDirect, WebSocket};
    for (text, host, port, transport) in [
        ("/ip4/192.0.2.1/tcp/8468", "192.0.2.1", 8468, Tcp),
        ("/ip6/2001:db8::1/tcp/1/p2p/PEER", "2001:db8::1", 1, Tcp),
        ("/dns4/moim.example/tcp/2/ws", "moim.example", 2, WebSocket),
        (
            "/dns/a-1.b/tcp/443/wss/p2p/PEER",
            "a-1.b",
            443,
            SecureWebSocket,
        ),
        ("/dns6/a/tcp/443/tls/ws", "a", 443, SecureWebSocket),
        (
            "/ip4/192.0.2.1/tcp/443/tls/sni/a.b/ws",
            "192.0.2.1",
            443,
            SecureWebSocket,
        ),
        // Another way of writing `/ws`.
        (
            "/ip4/192.0.2.1/tcp/2/x-parity-ws/%2F",
            "192.0.2.1",
            2,
            WebSocket,
        ),
        (
            "/ip4/192.0.2.1/udp/3/quic-v1/p2p/PEER",
            "192.0.2.1",
            3,
            Quic,
        ),
        (
            "/ip4/192.0.2.1/udp/3/webrtc-direct/certhash/HASH",
            "192.0.2.1",
            3,
            WebRtcDirect,
        ),
    ] {
        let address = address(text);
        let Address::Direct(place) = parse(&address).unwrap() else {
            panic!("{text} is direct");
        };
        let shown = match &place.host {
            Host::Ip(ip) => ip.to_string(),
            Host::Name(name) => name.clone().into_owned(),
        };
        assert_eq!(
            (shown.as_str(), place.port, place.transport),
            (host, port, transport)
        );
        assert_eq!(
            place.server_name.as_deref(),
            text.contains("sni").then_some("a.b")
        );
    }
}

#[test]
fn circuits_that_are_dialled() {
    for (text, port) in [
        ("/ip4/192.0.2.1/tcp/8468/p2p/RELAY/p2p-circuit", Some(8468)),
        (
            "/ip4/192.0.2.1/tcp/2/ws/p2p/RELAY/p2p-circuit/p2p/PEER",
            Some(2),
        ),
        (
            "/dns4/a.b/tcp/443/wss/p2p/RELAY/p2p-circuit/webrtc",
            Some(443),
        ),
        (
            "/ip4/192.0.2.1/udp/3/quic-v1/p2p/RELAY/p2p-circuit/webrtc/p2p/PEER",
            Some(3),
        ),
        ("/webrtc/p2p/RELAY/p2p-circuit/webrtc/p2p/PEER", None),
        ("/webrtc/p2p/RELAY/p2p-circuit", None),
        ("/p2p/RELAY/p2p-circuit/p2p/PEER", None),
    ] {
        let address = address(text);
        let parsed = parse(&address).unwrap();
        assert_eq!(parsed.place().map(|place| place.port), port, "{text}");
        assert!(
            matches!(parsed, Address::Circuit { relay, .. } if relay.to_string() == RELAY),
            "{text}"
        );
    }
}

#[test]
fn everything_else_is_refused_and_said_why() {
    use AddressError::{Certhash, GoesOn, Host, Mapped, Name, Path, Port, Relay, Transport};
    for (text, why) in [
        // What the transports would write into their first bytes.
        ("/ip4/192.0.2.1/tcp/2/x-parity-ws/%2Fgoform%2Freboot", Path),
        (
            "/ip4/192.0.2.1/tcp/2/x-parity-ws/%2F%0D%0ASET%20a%20b%0D%0A",
            Path,
        ),
        ("/ip4/192.0.2.1/tcp/2/x-parity-ws/ws", Path),
        ("/ip4/192.0.2.1/tcp/2/x-parity-wss/%2Fa", Path),
        ("/dns4/a.b/tcp/443/tls/x-parity-ws/%2Fa", Path),
        ("/dns4/a.b/tcp/443/tls/sni/a.b/x-parity-ws/%2Fa", Path),
        ("/ip4/192.0.2.1/tcp/2/ws/http-path/a", GoesOn),
        ("/dns4/user@a.b/tcp/443/wss", Name),
        ("/dns4/user:pass@a.b/tcp/443/wss", Name),
        ("/dns4/a.b:22/tcp/443/ws", Name),
        ("/dns4/a.b?c/tcp/443/ws", Name),
        ("/dns4/a.b#c/tcp/443/ws", Name),
        ("/dns4/a b/tcp/443/ws", Name),
        ("/dns4/a.b\r\nX: y/tcp/443/ws", Name),
        ("/dns4/a\0b/tcp/443/ws", Name),
        ("/dns4/a%2eb/tcp/443/ws", Name),
        ("/dns4/[::1]/tcp/443/ws", Name),
        ("/dns4/a.b\\c/tcp/443/ws", Name),
        ("/ip4/192.0.2.1/tcp/443/tls/sni/a\r\nb/ws", Name),
        // IPv4 addresses in disguise, and names that are none.
        ("/dns4/127.0.0.1/tcp/443/wss", Name),
        ("/dns/127.1/tcp/443/wss", Name),
        ("/dns/2130706433/tcp/443/wss", Name),
        ("/dns/0x7f000001/tcp/443/wss", Name),
        ("/dns/a.0X1/tcp/443/wss", Name),
        ("/dns/0x/tcp/443/wss", Name),
        ("/dns/localhost./tcp/443/wss", Name),
        ("/dns/a..b/tcp/443/wss", Name),
        ("/dns/-a.b/tcp/443/wss", Name),
        ("/dns/a-.b/tcp/443/wss", Name),
        ("/dns/a_b.c/tcp/443/wss", Name),
        ("/dns/１２７.０.０.１/tcp/443/wss", Name),
        ("/dns/ⓛocalhost/tcp/443/wss", Name),
        ("/ip6/::ffff:127.0.0.1/tcp/1", Mapped),
        ("/ip4/192.0.2.1/tcp/0", Port),
        ("/ip4/192.0.2.1/udp/0/quic-v1", Port),
        // Transports of others.
        ("/ip4/192.0.2.1/udp/1/quic", Transport),
        ("/ip4/192.0.2.1/udp/1", Transport),
        ("/ip4/192.0.2.1/tcp/1/tls", Transport),
        ("/ip4/192.0.2.1/tcp/1/tls/wss", Transport),
        ("/ip4/192.0.2.1/tcp/1/sni/a.b/ws", GoesOn),
        ("/ip4/192.0.2.1/tcp/1/http", GoesOn),
        ("/ip4/192.0.2.1/tcp/1/noise", GoesOn),
        ("/ip4/192.0.2.1/tcp/1/ip4/127.0.0.1/tcp/22", GoesOn),
        ("/ip4/192.0.2.1/tcp/1/ws/ip4/127.0.0.1/tcp/22/ws", GoesOn),
        ("/ip4/192.0.2.1/sctp/1", Transport),
        ("/ip4/192.0.2.1/udp/1/utp", Transport),
        ("/ip4/192.0.2.1/udp/1/quic-v1/webtransport", GoesOn),
        ("/ip4/192.0.2.1", Transport),
        ("/ip4/192.0.2.1/udp/1/webrtc-direct", Certhash),
        ("/ip4/192.0.2.1/udp/1/webrtc-direct/p2p/PEER", Certhash),
        (
            "/ip4/192.0.2.1/udp/1/webrtc-direct/certhash/HASH/certhash/HASH",
            GoesOn,
        ),
        ("/ip6zone/eth0/ip6/fe80::1/tcp/1", Host),
        ("/dnsaddr/a.b", Host),
        ("/memory/7", Host),
        ("/unix/tmp%2Fsocket", Host),
        (
            "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234",
            Host,
        ),
        ("/tcp/1", Host),
        // Circuits.
        ("/p2p/RELAY", Relay),
        ("/webrtc", Relay),
        ("/webrtc/p2p/PEER", Relay),
        ("/p2p-circuit", Host),
        ("/ip4/192.0.2.1/tcp/1/p2p-circuit", Relay),
        ("/memory/7/p2p/RELAY/p2p-circuit/p2p/PEER", Host),
        (
            "/ip4/192.0.2.1/tcp/2/x-parity-ws/%2Fa/p2p/RELAY/p2p-circuit",
            Path,
        ),
        (
            "/ip4/192.0.2.1/tcp/2/p2p/RELAY/p2p/RELAY/p2p-circuit",
            GoesOn,
        ),
        (
            "/ip4/192.0.2.1/tcp/2/p2p/RELAY/p2p-circuit/p2p/PEER/p2p-circuit",
            GoesOn,
        ),
        (
            "/ip4/192.0.2.1/tcp/2/p2p/RELAY/p2p-circuit/ip4/127.0.0.1/tcp/22",
            GoesOn,
        ),
        ("/ip4/192.0.2.1/tcp/2/p2p/RELAY/p2p-circuit/ws", GoesOn),
    ] {
        assert_eq!(parse(&address(text)).map(|_| ()), Err(why), "{text:?}");
    }
    assert_eq!(parse(&Multiaddr::empty()).map(|_| ()), Err(Host));
    let label = "a".repeat(64);
    for name in [label.clone(), format!("{}a", "a.".repeat(127))] {
        let address = Multiaddr::empty()
            .with(Protocol::Dns(name.into()))
            .with(Protocol::Tcp(1));
        assert_eq!(parse(&address).map(|_| ()), Err(Name));
    }
}

/// One part of an address, with whatever text where it has some.
fn part() -> impl Strategy<Value = Protocol<'static>> {
    let text = prop_oneof![Just("/".to_owned()), "[a-z0-9.-]{0,20}", any::<String>()];
    let text = || text.clone().prop_map(Cow::<'static, str>::Owned);
    prop_oneof![
        any::<u32>().prop_map(|ip| Protocol::Ip4(ip.into())),
        any::<u128>().prop_map(|ip| Protocol::Ip6(ip.into())),
        text().prop_map(Protocol::Dns),
        text().prop_map(Protocol::Dns4),
        text().prop_map(Protocol::Sni),
        text().prop_map(Protocol::Ws),
        text().prop_map(Protocol::Wss),
        text().prop_map(Protocol::HttpPath),
        text().prop_map(Protocol::Unix),
        any::<u16>().prop_map(Protocol::Tcp),
        any::<u16>().prop_map(Protocol::Udp),
        prop::sample::select(vec![
            Protocol::Tls,
            Protocol::QuicV1,
            Protocol::WebRTC,
            Protocol::WebRTCDirect,
            Protocol::P2pCircuit,
            Protocol::P2p(PEER.parse().unwrap()),
            Protocol::Http,
        ]),
    ]
}

proptest! {
    /// Nothing of a stranger's choosing but hosts, ports and ids can come out of it.
    #[test]
    fn no_text_gets_through(
        start in prop_oneof![Just("/ip4/192.0.2.1/tcp/1"), Just("/ip4/192.0.2.1/tcp/1/ws"), Just("")],
        parts in prop::collection::vec(part(), 0..6),
    ) {
        let mut address: Multiaddr = start.parse().unwrap();
        parts.into_iter().for_each(|part| address.push(part));
        if is_dialled(&address) {
            let text = address.to_string();
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "/.:-".contains(c);
            prop_assert!(text.chars().all(is_plain), "{:?}", text);
            for part in &address {
                if let Protocol::Ws(path) | Protocol::Wss(path) = part {
                    prop_assert_eq!(path, "/");
                }
            }
        }
    }
}
