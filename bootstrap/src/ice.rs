//! Which ICE servers peers are told of: this node's own STUN server, by every name that leads to it.
//! Pure.

use std::net::{IpAddr, SocketAddr};

use libp2p::{Multiaddr, multiaddr::Protocol};
use moim_protocol::{
    ice_wire::{IceServer, Request, Response},
    limits::ICE_SERVERS_MAX,
};

use crate::{addresses, status::Status};

/// The answer to a request.
pub(crate) fn answer(body: &[u8], status: &Status) -> Response {
    match Request::decode(body) {
        Ok(Request::Get) => Response::Servers {
            servers: servers(status),
            ttl: None,
        },
        Err(error) => Response::from(&error),
    }
}

fn servers(status: &Status) -> Vec<IceServer> {
    let announced = addresses::announced(&status.external, &status.listening);
    let mut servers: Vec<IceServer> = Vec::new();
    for socket in &status.stun {
        let hosts = if socket.ip().is_unspecified() {
            announced.iter().filter_map(|a| host(a, socket)).collect()
        } else {
            vec![bracketed(socket.ip())]
        };
        for host in hosts {
            let server = IceServer::stun(host, socket.port());
            if !servers.contains(&server) {
                servers.push(server);
            }
        }
    }
    servers.truncate(ICE_SERVERS_MAX);
    servers
}

/// The host in an address, if a socket that takes whatever comes for this machine is reached by it.
fn host(address: &Multiaddr, socket: &SocketAddr) -> Option<String> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => socket.is_ipv4().then(|| ip.to_string()),
        Protocol::Ip6(ip) => socket.is_ipv6().then(|| bracketed(ip.into())),
        Protocol::Dns(name) | Protocol::Dnsaddr(name) => Some(name.into_owned()),
        Protocol::Dns4(name) => socket.is_ipv4().then(|| name.into_owned()),
        Protocol::Dns6(name) => socket.is_ipv6().then(|| name.into_owned()),
        _ => None,
    }
}

fn bracketed(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use libp2p::PeerId;

    use super::*;

    fn urls(stun: &[&str], external: &[&str], listening: &[&str]) -> Vec<String> {
        let addresses = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        let status = Status {
            ready: true,
            peer_id: PeerId::random(),
            external: addresses(external),
            listening: addresses(listening),
            http: Vec::new(),
            admin: false,
            page: false,
            stun: stun.iter().map(|text| text.parse().unwrap()).collect(),
            store_stuck: false,
            peers: 0,
        };
        let Response::Servers { servers, ttl: None } = answer(&Request::Get.encode(), &status)
        else {
            panic!("servers");
        };
        servers.into_iter().flat_map(|server| server.urls).collect()
    }

    #[test]
    fn a_socket_for_everybody_is_named_by_every_host_the_farthest_first() {
        let listening = [
            "/ip4/127.0.0.1/tcp/8468",
            "/ip4/192.168.1.5/tcp/8468",
            "/ip4/192.168.1.5/tcp/8469/ws",
            "/ip4/203.0.113.9/tcp/8468",
            "/ip6/2001:db8::9/tcp/8468",
        ];
        let external = ["/dns4/moim.example.org/tcp/443/tls/ws"];
        assert_eq!(
            urls(&["0.0.0.0:3478", "[::]:3478"], &external, &listening),
            [
                "stun:moim.example.org:3478",
                "stun:203.0.113.9:3478",
                "stun:192.168.1.5:3478",
                "stun:127.0.0.1:3478",
                "stun:[2001:db8::9]:3478",
            ]
        );
    }

    #[test]
    fn a_socket_of_one_address_is_named_by_it_and_without_any_there_is_none() {
        let listening = ["/ip4/192.168.1.5/tcp/8468"];
        assert_eq!(
            urls(&["127.0.0.1:1"], &[], &listening),
            ["stun:127.0.0.1:1"]
        );
        assert_eq!(urls(&["[::1]:1"], &[], &listening), ["stun:[::1]:1"]);
        assert_eq!(urls(&[], &[], &listening), [""; 0]);
    }

    #[test]
    fn what_is_no_request_is_an_error() {
        let status = Status {
            ready: true,
            peer_id: PeerId::random(),
            external: Vec::new(),
            listening: Vec::new(),
            http: Vec::new(),
            admin: false,
            page: false,
            stun: Vec::new(),
            store_stuck: false,
            peers: 0,
        };
        for body in [&b""[..], b"{}", br#"{"v":1,"type":"set"}"#] {
            assert!(matches!(answer(body, &status), Response::Error { .. }));
        }
    }
}
