//! Ports for allocations, and the addresses that they are known by.

use std::{
    collections::HashSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use libp2p::Multiaddr;
use socket2::{Domain, Socket, Type};
use tokio::net::UdpSocket;

use crate::{
    config::PortRange,
    limits,
    status::Status,
    turn::relay::{NoPort, Opening},
};

/// Opens the port of an allocation, at the first of the addresses listened on that is of its family, and says by
/// which address peers reach it.
pub(super) fn port(
    opening: &Opening,
    mut listening: impl Iterator<Item = IpAddr>,
    status: &Status,
    ports: PortRange,
) -> Result<(SocketAddr, UdpSocket), NoPort> {
    let bind = listening
        .find(|ip| ip.is_ipv6() == opening.is_ipv6)
        .ok_or(NoPort::Family)?;
    let known = known_ip(bind, opening.client().ip(), status).ok_or(NoPort::Family)?;
    for _ in 0..limits::TURN_PORT_TRIES {
        let port = rand::random_range(ports.ports());
        if opening.is_even && !port.is_multiple_of(2) {
            continue;
        }
        match bind_udp(SocketAddr::new(bind, port)) {
            Ok(socket) => return Ok((SocketAddr::new(known, port), socket)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => {
                tracing::debug!(%error, "no port for a TURN allocation");
                return Err(NoPort::Taken);
            }
        }
    }
    Err(NoPort::Taken)
}

/// The address of this machine that peers elsewhere know: as the operator says; else what the
/// sockets are bound to; else what it has on the way to the client.
fn known_ip(bind: IpAddr, client: IpAddr, status: &Status) -> Option<IpAddr> {
    let is_same_family = |ip: &IpAddr| ip.is_ipv6() == bind.is_ipv6();
    let mut external = status.external.iter().filter_map(moim_dht::first_ip);
    if let Some(ip) = external.find(is_same_family) {
        return Some(ip);
    }
    if !bind.is_unspecified() {
        return Some(bind);
    }
    if client.is_ipv6() == bind.is_ipv6()
        && let Ok(ip) = on_the_way_to(client)
    {
        return Some(ip);
    }
    let listening = status.listening.iter().filter_map(moim_dht::first_ip);
    let mut listening = listening.filter(is_same_family);
    listening.find(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

/// What the addresses of this machine are.
pub(super) fn own_addresses(status: &Status) -> HashSet<IpAddr> {
    let addresses = status.external.iter().chain(&status.listening);
    let ip_of = |address: &Multiaddr| moim_dht::first_ip(address);
    addresses
        .filter_map(ip_of)
        .chain(status.stun.iter().map(SocketAddr::ip))
        .map(|ip| ip.to_canonical())
        .collect()
}

fn bind_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

/// The address that this machine has in the network by which it reaches another. Nothing is sent.
fn on_the_way_to(other: IpAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match other {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = std::net::UdpSocket::bind((any, 0))?;
    // Any port: it is only about the way.
    socket.connect((other, 9))?;
    Ok(socket.local_addr()?.ip())
}
