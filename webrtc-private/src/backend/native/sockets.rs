//! The UDP sockets of a connection: one on each of the machine's addresses.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use tokio::{io::ReadBuf, net::UdpSocket};

use super::{super::BackendError, place::Place};

/// Addresses of this machine that are used. Machines with more have most of them for containers.
const SOCKETS_MAX: usize = 16;

/// Longer datagrams do not occur: SCTP keeps to the path's MTU.
pub(super) const DATAGRAM_MAX: usize = 4096;

/// Addresses for documentation (RFC 5737, RFC 3849): the route to them is the default route.
const DEFAULT_ROUTES: [(IpAddr, u16); 2] = [
    (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9),
    (
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
        9,
    ),
];

/// A datagram that has come or is to go.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) data: BytesMut,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Sockets {
    sockets: Vec<(SocketAddr, UdpSocket)>,
    /// The one to be read next, so that a busy one does not shut the others out.
    turn: usize,
    /// Datagrams that the system had no room for.
    unsent: VecDeque<Datagram>,
    buffer: Box<[u8]>,
    /// In place of sockets of our own.
    place: Option<Place>,
    /// To whom how many bytes were sent.
    #[cfg(test)]
    pub(super) sent: Vec<(SocketAddr, usize)>,
}

impl Sockets {
    /// No sockets yet.
    pub(super) fn new() -> Self {
        Self {
            sockets: Vec::new(),
            turn: 0,
            unsent: VecDeque::new(),
            buffer: vec![0; DATAGRAM_MAX].into_boxed_slice(),
            place: None,
            #[cfg(test)]
            sent: Vec::new(),
        }
    }

    /// A place at somebody else's socket, and none of our own.
    pub(super) fn sharing(place: Place) -> Self {
        Self {
            buffer: Box::default(),
            place: Some(place),
            ..Self::new()
        }
    }

    /// Takes a port on each address of this machine. Returns their addresses.
    pub(super) fn bind(&mut self) -> Result<Vec<SocketAddr>, BackendError> {
        if let Some(place) = &self.place {
            return Ok(vec![place.local()]);
        }
        let mut failure = None;
        for ip in own_addresses()?.into_iter().take(SOCKETS_MAX) {
            match bind(ip) {
                Ok(socket) => self.sockets.push(socket),
                // An address that has gone meanwhile, or may not be used yet.
                Err(error) => {
                    tracing::debug!(%ip, %error, "no socket");
                    failure = Some(error);
                }
            }
        }
        match failure {
            Some(error) if self.sockets.is_empty() => {
                Err(BackendError(format!("no UDP socket can be had: {error}")))
            }
            _ => Ok(self.sockets.iter().map(|(address, _)| *address).collect()),
        }
    }

    /// The next datagram of any socket.
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Datagram> {
        if let Some(place) = &mut self.place {
            return place.poll_receive(cx);
        }
        let mut index = 0;
        while index < self.sockets.len() {
            let at = self.turn.wrapping_add(index) % self.sockets.len();
            let Some((local, socket)) = self.sockets.get(at) else {
                break;
            };
            let mut buffer = ReadBuf::new(&mut self.buffer);
            match socket.poll_recv_from(cx, &mut buffer) {
                Poll::Ready(Ok(remote)) => {
                    let datagram = Datagram {
                        local: *local,
                        remote,
                        data: BytesMut::from(buffer.filled()),
                    };
                    self.turn = at.wrapping_add(1);
                    return Poll::Ready(datagram);
                }
                // Some systems tell in this way that an earlier datagram did not arrive.
                Poll::Ready(Err(error)) if is_of_the_other_side(&error) => {}
                Poll::Ready(Err(error)) => {
                    tracing::debug!(%local, %error, "a socket is broken");
                    self.sockets.swap_remove(at);
                }
                Poll::Pending => index += 1,
            }
        }
        Poll::Pending
    }

    /// Whether everything has gone out that was to.
    pub(super) fn is_idle(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Sends a datagram, or keeps it until there is room. What cannot be sent at all is lost, as
    /// datagrams may be.
    pub(super) fn send(&mut self, datagram: Datagram) {
        #[cfg(test)]
        self.sent.push((datagram.remote, datagram.data.len()));
        let sent = match (&self.place, socket_at(&self.sockets, datagram.local)) {
            (Some(place), _) => place.try_send(&datagram.data, datagram.remote),
            (None, Some(socket)) => socket.try_send_to(&datagram.data, datagram.remote),
            (None, None) => return,
        };
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.unsent.push_back(datagram);
            }
            Err(error) => tracing::trace!(remote = %datagram.remote, %error, "not sent"),
            Ok(_) => {}
        }
    }

    /// Sends what was kept.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(datagram) = self.unsent.front() {
            if let Some(place) = &mut self.place {
                ready!(place.poll_send(&datagram.data, datagram.remote, cx));
                self.unsent.pop_front();
                continue;
            }
            if let Some(socket) = socket_at(&self.sockets, datagram.local)
                && socket
                    .poll_send_to(cx, &datagram.data, datagram.remote)
                    .is_pending()
            {
                return Poll::Pending;
            }
            self.unsent.pop_front();
        }
        Poll::Ready(())
    }

    /// It is known who is at the other end.
    pub(super) fn trust(&self) {
        if let Some(place) = &self.place {
            place.trust();
        }
    }

    /// What was kept is not sent any more.
    pub(super) fn forget_unsent(&mut self) {
        self.unsent.clear();
    }

    /// Gives all ports back but that of this address.
    pub(super) fn keep_only(&mut self, address: SocketAddr) {
        self.sockets.retain(|(local, _)| *local == address);
    }

    /// Gives the ports back.
    pub(super) fn close(&mut self) {
        self.sockets.clear();
        self.unsent.clear();
        self.place = None;
    }
}

fn socket_at(sockets: &[(SocketAddr, UdpSocket)], address: SocketAddr) -> Option<&UdpSocket> {
    sockets
        .iter()
        .find(|(local, _)| *local == address)
        .map(|(_, socket)| socket)
}

pub(super) fn is_of_the_other_side(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    )
}

fn bind(ip: IpAddr) -> io::Result<(SocketAddr, UdpSocket)> {
    let socket = std::net::UdpSocket::bind((ip, 0))?;
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    Ok((address, UdpSocket::from_std(socket)?))
}

/// The addresses by which others may reach this machine; only where there are none, those by which it
/// reaches itself.
fn own_addresses() -> Result<Vec<IpAddr>, BackendError> {
    let interfaces = if_addrs::get_if_addrs().map_err(|error| {
        BackendError(format!("the network's interfaces are not known: {error}"))
    })?;
    // The first ones count where there are many.
    let usual = DEFAULT_ROUTES
        .iter()
        .filter_map(|remote| own_address_to(*remote));
    Ok(useful(
        usual.chain(interfaces.iter().map(if_addrs::Interface::ip)),
    ))
}

/// The address by which this machine reaches another. Nothing is sent for it.
fn own_address_to(remote: (IpAddr, u16)) -> Option<IpAddr> {
    let any: IpAddr = match remote.0 {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = std::net::UdpSocket::bind((any, 0)).ok()?;
    socket.connect(remote).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn useful(addresses: impl IntoIterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut others = Vec::new();
    let mut loopback = Vec::new();
    for ip in addresses {
        let list = if ip.is_loopback() {
            &mut loopback
        } else {
            &mut others
        };
        if !is_link_local(&ip) && !ip.is_unspecified() && !list.contains(&ip) {
            list.push(ip);
        }
    }
    if others.is_empty() { loopback } else { others }
}

/// Such an address means nothing to others without the interface it belongs to (RFC 4007).
fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_used_only_where_there_is_nothing_else() {
        let parse = |addresses: &[&str]| -> Vec<IpAddr> {
            addresses
                .iter()
                .map(|address| address.parse().expect("valid"))
                .collect()
        };
        for (all, wanted) in [
            (
                &["127.0.0.1", "::1", "192.0.2.1", "2001:db8::1", "fe80::1"][..],
                &["192.0.2.1", "2001:db8::1"][..],
            ),
            (&["127.0.0.1", "::1", "fe80::1"], &["127.0.0.1", "::1"]),
            (&["169.254.0.1", "127.0.0.1"], &["127.0.0.1"]),
            (&["192.0.2.1", "192.0.2.1"], &["192.0.2.1"]),
            (&[], &[]),
        ] {
            assert_eq!(useful(parse(all)), parse(wanted), "{all:?}");
        }
    }
}
