//! Which addresses of a DHT server go into the routing table, and so to everybody who asks.
//!
//! Every kad answer carries up to 20 closer peers with all their addresses, and has to fit 16 KiB
//! beside the largest record (10 KiB). Hence [`TABLE_ADDRESSES_BYTES_MAX`]: a server that announces
//! a hundred addresses must not make our answers fail.

use std::net::IpAddr;

use libp2p::{
    Multiaddr,
    kad::{self, store::RecordStore},
    multiaddr::Protocol,
};
use moim_protocol::{
    address::{self, Address, Host},
    dials::is_local_name,
    targets::{Scope, scope},
};

/// Bytes of addresses per peer in the routing table, in binary form with `/p2p`: 20 peers with this
/// much take 6 KiB of an answer. Enough for TCP, QUIC, WebSocket and WebRTC-direct on one IPv4
/// address.
pub const TABLE_ADDRESSES_BYTES_MAX: usize = 250;

/// What kad adds to each address: `/p2p` and an Ed25519 peer id.
const PEER_SUFFIX_BYTES: usize = 41;

/// Transports in the order of their use: the first reaches pages and natives, the last is for pages
/// that can't use the first.
const TRANSPORTS: [fn(&Protocol<'_>) -> bool; 3] = [
    |part| matches!(part, Protocol::Ws(_) | Protocol::Wss(_)),
    |part| matches!(part, Protocol::QuicV1),
    |part| matches!(part, Protocol::WebRTCDirect),
];

/// Picks from the addresses a peer announces those that go into the routing table.
///
/// `seen_at` is where the peer's connection comes from. Loopback addresses are taken only from a
/// peer on this machine and private ones only from one in a private network (or on this machine):
/// from elsewhere they lead nowhere, or to a machine that has nothing to do with it. Relayed
/// addresses are left out: a DHT server has to be reachable itself. One address of each transport
/// comes first, so that pages and native peers each find one.
#[must_use]
pub fn table_addresses(announced: &[Multiaddr], seen_at: Option<IpAddr>) -> Vec<Multiaddr> {
    let mut usable: Vec<_> = announced
        .iter()
        .filter(|address| is_usable(address, seen_at))
        .map(|address| (distance(address), transport(address), address))
        .collect();
    usable.sort_by_key(|(distance, transport, _)| (*distance, *transport));

    let mut seen = [false; TRANSPORTS.len() + 1];
    let (first, rest): (Vec<_>, Vec<_>) = usable
        .into_iter()
        .partition(|(_, transport, _)| !std::mem::replace(&mut seen[*transport], true));

    let mut bytes_left = TABLE_ADDRESSES_BYTES_MAX;
    let mut picked: Vec<Multiaddr> = Vec::new();
    for (.., address) in first.into_iter().chain(rest) {
        let address = without_peer(address.clone());
        let size = address.len() + PEER_SUFFIX_BYTES;
        if !picked.contains(&address) && size <= bytes_left {
            bytes_left -= size;
            picked.push(address);
        }
    }
    picked
}

/// Keeps a peer's addresses in the routing table within [`TABLE_ADDRESSES_BYTES_MAX`]. To be called
/// with every event of kad: kad itself adds addresses it dialled, without a bound.
pub fn trim_addresses<S>(kad: &mut kad::Behaviour<S>, event: &kad::Event)
where
    S: RecordStore + Send + 'static,
{
    let kad::Event::RoutingUpdated {
        peer, addresses, ..
    } = event
    else {
        return;
    };
    let mut bytes: usize = addresses.iter().map(Multiaddr::len).sum();
    // The newest are at the end and most likely still true.
    for address in addresses.iter() {
        if bytes <= TABLE_ADDRESSES_BYTES_MAX {
            break;
        }
        bytes -= address.len();
        kad.remove_address(peer, address);
    }
}

/// 0 for addresses all can dial, then narrower.
fn distance(address: &Multiaddr) -> u8 {
    match first_ip(address).map(scope) {
        Some(Scope::Loopback) => 2,
        Some(Scope::Site) => 1,
        _ => 0,
    }
}

/// Index into [`TRANSPORTS`], or one past its end for plain TCP and whatever else.
fn transport(address: &Multiaddr) -> usize {
    TRANSPORTS
        .iter()
        .position(|is_transport| address.iter().any(|part| is_transport(&part)))
        .unwrap_or(TRANSPORTS.len())
}

fn is_usable(address: &Multiaddr, seen_at: Option<IpAddr>) -> bool {
    match address::parse(address) {
        Ok(Address::Direct(place)) => match place.host {
            Host::Ip(ip) => is_dialable(ip, seen_at),
            // It means another host, or none, to whoever is told.
            Host::Name(name) => !is_local_name(&name),
        },
        Ok(Address::Circuit { .. }) | Err(_) => false,
    }
}

fn is_dialable(ip: IpAddr, seen_at: Option<IpAddr>) -> bool {
    let seen_from = seen_at.map(scope);
    match scope(ip) {
        Scope::Public => true,
        Scope::Site => matches!(seen_from, Some(Scope::Loopback | Scope::Site)),
        Scope::Loopback => seen_from == Some(Scope::Loopback),
        Scope::Link | Scope::Special | Scope::Nobody => false,
    }
}

/// The IP address that an address begins with, if it does not begin with a name.
#[must_use]
pub fn first_ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// The address without `/p2p/…` at its end; kad puts it there itself.
fn without_peer(mut address: Multiaddr) -> Multiaddr {
    if matches!(address.iter().last(), Some(Protocol::P2p(_))) {
        address.pop();
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(addresses: &[&str]) -> Vec<Multiaddr> {
        addresses.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn check(announced: &[&str], seen_at: &str, expected: &[&str]) {
        let seen_at = Some(seen_at.parse().unwrap());
        assert_eq!(table_addresses(&list(announced), seen_at), list(expected));
    }

    #[test]
    fn local_addresses_count_only_where_they_lead_to_the_peer() {
        let announced = [
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/10.0.0.1/tcp/1",
            "/ip4/192.0.2.1/tcp/1",
        ];
        check(
            &announced,
            "127.0.0.1",
            &[announced[2], announced[1], announced[0]],
        );
        check(
            &announced,
            "::ffff:127.0.0.1",
            &[announced[2], announced[1], announced[0]],
        );
        check(&announced, "10.9.9.9", &[announced[2], announced[1]]);
        check(&announced, "198.51.100.7", &[announced[2]]);
        assert_eq!(
            table_addresses(&list(&announced), None),
            list(&announced[2..])
        );
    }

    #[test]
    fn what_nobody_can_dial_is_left_out() {
        let announced = [
            "/ip4/0.0.0.0/tcp/1",
            "/ip4/192.0.2.1/tcp/0",
            "/ip4/224.0.0.1/udp/1/quic-v1",
            "/ip4/255.255.255.255/tcp/1",
            "/ip4/169.254.1.1/tcp/1",
            "/ip6/fe80::1/tcp/1",
            "/memory/7",
            "/ip4/192.0.2.1/tcp/1/p2p-circuit",
            "/ip4/192.0.2.1/tcp/1/x-parity-ws/%2Fa%0D%0A",
            "/ip6/::ffff:127.0.0.1/tcp/1",
            "/ip6/64:ff9b::7f00:1/tcp/1",
            "/dns4/127.0.0.1/tcp/1",
            "/dnsaddr/a.example",
            "/dns4/localhost/tcp/1",
            "/dns4/nas.local/tcp/1",
        ];
        check(&announced, "127.0.0.1", &[]);
    }

    #[test]
    fn each_transport_gets_its_place_before_a_second_address_of_another() {
        let announced = [
            "/ip4/192.0.2.1/tcp/1",
            "/ip4/192.0.2.2/tcp/1",
            "/ip4/192.0.2.3/tcp/1",
            "/ip4/192.0.2.4/tcp/1",
            "/ip4/192.0.2.5/tcp/1",
            "/ip4/192.0.2.1/udp/1/quic-v1",
            "/ip4/192.0.2.1/tcp/2/ws",
        ];
        let expected = [
            announced[6],
            announced[5],
            announced[0],
            announced[1],
            announced[2],
        ];
        check(&announced, "127.0.0.1", &expected);
    }

    #[test]
    fn the_bytes_of_one_peer_are_bounded() {
        let peer = libp2p::PeerId::random();
        let mut announced: Vec<Multiaddr> = (0..200)
            .map(|n| format!("/ip4/192.0.2.{n}/tcp/1/ws").parse().unwrap())
            .collect();
        announced.insert(
            0,
            format!("/dns4/{}.example/tcp/1", vec!["a".repeat(60); 4].join("."))
                .parse()
                .unwrap(),
        );
        let picked = table_addresses(&announced, None);
        assert!(!picked.is_empty());
        let bytes: usize = picked
            .into_iter()
            .map(|a| a.with_p2p(peer).unwrap().len())
            .sum();
        assert!(bytes <= TABLE_ADDRESSES_BYTES_MAX, "{bytes}");
    }

    #[test]
    fn the_four_transports_of_a_node_fit() {
        let hash = "uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g";
        let webrtc = format!("/ip4/192.0.2.1/udp/8469/webrtc-direct/certhash/{hash}");
        let announced = [
            "/ip4/192.0.2.1/tcp/8469/ws",
            "/ip4/192.0.2.1/udp/8468/quic-v1",
            &webrtc,
            "/ip4/192.0.2.1/tcp/8468",
        ];
        check(&announced, "127.0.0.1", &announced);
    }
}
