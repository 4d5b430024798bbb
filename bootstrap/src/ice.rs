//! Which ICE servers peers are told of: this node's own STUN and TURN server, by every name that leads
//! to it. Pure.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use libp2p::{Multiaddr, multiaddr::Protocol};
use moim_protocol::{
    ice_wire::{IceServer, Request, Response},
    limits::ICE_SERVERS_MAX,
};

use crate::{addresses, status::Status, turn::Issued};

/// The answer to a request, with what the asker may use the TURN server with, and for how long.
pub(crate) fn answer(body: &[u8], status: &Status, turn: Option<(Issued, Duration)>) -> Response {
    match Request::decode(body) {
        Ok(Request::Get) => Response::Servers {
            servers: servers(status, turn.as_ref().map(|(issued, _)| issued)),
            ttl: turn.map(|(_, life)| life),
        },
        Err(error) => Response::from(&error),
    }
}

fn servers(status: &Status, turn: Option<&Issued>) -> Vec<IceServer> {
    let announced = addresses::announced(&status.external, &status.listening);
    let mut servers: Vec<IceServer> = Vec::new();
    for socket in &status.stun {
        let hosts = if socket.ip().is_unspecified() {
            announced.iter().filter_map(|a| host(a, socket)).collect()
        } else {
            vec![bracketed(socket.ip())]
        };
        for host in hosts {
            let server = server(&host, socket.port(), turn);
            if !servers.contains(&server) {
                servers.push(server);
            }
        }
    }
    servers.truncate(ICE_SERVERS_MAX);
    servers
}

/// One entry for both, because peers use few entries; what needs no name passes over it.
fn server(host: &str, port: u16, turn: Option<&Issued>) -> IceServer {
    let mut server = IceServer::stun(host, port);
    if let Some(issued) = turn {
        for transport in ["udp", "tcp"] {
            let url = format!("turn:{host}:{port}?transport={transport}");
            server.urls.push(url);
        }
        server.username = Some(issued.username.clone());
        server.credential = Some(issued.password.clone());
    }
    server
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

    fn status(stun: &[&str], external: &[&str], listening: &[&str]) -> Status {
        let addresses = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        Status {
            ready: true,
            peer_id: PeerId::random(),
            external: addresses(external),
            listening: addresses(listening),
            http: Vec::new(),
            domain: None,
            tls: Vec::new(),
            admin: false,
            page: false,
            stun: stun.iter().map(|text| text.parse().unwrap()).collect(),
            turn: false,
            store_stuck: false,
            store_full: false,
            peers: 0,
            restarts: 0,
        }
    }

    fn urls(stun: &[&str], external: &[&str], listening: &[&str]) -> Vec<String> {
        let status = status(stun, external, listening);
        let Response::Servers { servers, ttl: None } =
            answer(&Request::Get.encode(), &status, None)
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
    fn a_turn_server_comes_with_a_name_a_password_and_a_time() {
        let issued = Issued {
            username: "1:peer".to_owned(),
            password: "secret".to_owned(),
        };
        let life = Duration::from_secs(60);
        let status = status(&["[::1]:5"], &[], &[]);
        let answer = answer(&Request::Get.encode(), &status, Some((issued, life)));
        let server = IceServer {
            urls: vec![
                "stun:[::1]:5".to_owned(),
                "turn:[::1]:5?transport=udp".to_owned(),
                "turn:[::1]:5?transport=tcp".to_owned(),
            ],
            username: Some("1:peer".to_owned()),
            credential: Some("secret".to_owned()),
        };
        let expected = Response::Servers {
            servers: vec![server],
            ttl: Some(life),
        };
        assert_eq!(answer, expected);
        assert_eq!(Response::decode(&answer.encode()).unwrap(), answer);
    }

    #[test]
    fn what_is_no_request_is_an_error() {
        let status = status(&[], &[], &[]);
        for body in [&b""[..], b"{}", br#"{"v":1,"type":"set"}"#] {
            assert!(matches!(
                answer(body, &status, None),
                Response::Error { .. }
            ));
        }
    }
}
