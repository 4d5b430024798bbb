//! The sockets that the configuration asks for.
//!
//! libp2p sets SO_REUSEPORT on TCP sockets it listens on, so two nodes on one port would both start
//! and share the connections at random. Hence every port is tried without that option first.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
};

use libp2p::{Multiaddr, multiaddr::Protocol};
use socket2::{Domain, Type};

pub use self::error::ListenError;
use crate::config::{Config, Host, Listen};

mod error;

/// Connections that may wait in a socket until they are taken.
const BACKLOG: i32 = 256;
/// A port that is free for UDP may not be for TCP: so many are tried where any free one will do.
const FREE_PORT_TRIES: usize = 16;

/// One socket to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    pub(crate) flag: &'static str,
    pub(crate) address: SocketAddr,
    kind: Kind,
    /// Whether the node may do without it: the IPv6 half of `*` on a machine without IPv6.
    pub(crate) optional: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http,
    Quic,
    Stun,
    StunTcp,
    Tcp,
    Tls,
    WebRtcDirect,
    WebSocket,
}

impl Kind {
    fn socket_type(self) -> Type {
        match self {
            Self::Http | Self::StunTcp | Self::Tcp | Self::Tls | Self::WebSocket => Type::STREAM,
            Self::Quic | Self::Stun | Self::WebRtcDirect => Type::DGRAM,
        }
    }
}

/// The sockets of libp2p.
pub(crate) fn libp2p(config: &Config) -> Vec<Socket> {
    [
        (config.tcp, "--tcp", Kind::Tcp),
        (config.quic, "--quic", Kind::Quic),
        (config.ws, "--ws", Kind::WebSocket),
        (config.webrtc_direct, "--webrtc-direct", Kind::WebRtcDirect),
    ]
    .into_iter()
    .flat_map(|(listen, flag, kind)| expand(listen, flag, kind))
    .collect()
}

/// Whether something still has one of the sockets, also of those that the node may do without.
pub(crate) fn is_any_in_use(config: &Config) -> bool {
    let others = [
        expand(config.http, "--http", Kind::Http),
        expand(config.tls, "--tls", Kind::Tls),
        expand(config.stun, "--stun", Kind::Stun),
    ];
    let mut all = others.into_iter().flatten().chain(libp2p(config));
    all.any(|socket| {
        socket
            .probe()
            .is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
    })
}

/// Opens the sockets of the HTTP server.
///
/// # Errors
///
/// If one that isn't optional can't be opened.
pub(crate) fn bind_http(config: &Config) -> Result<Vec<TcpListener>, ListenError> {
    bind_all(expand(config.http, "--http", Kind::Http))
}

/// Opens the sockets of the TLS port.
///
/// # Errors
///
/// If one that isn't optional can't be opened.
pub(crate) fn bind_tls(config: &Config) -> Result<Vec<TcpListener>, ListenError> {
    bind_all(expand(config.tls, "--tls", Kind::Tls))
}

/// Opens the sockets of the STUN server, and where it is a TURN server too, those for TCP on the same
/// ports.
///
/// # Errors
///
/// If one that isn't optional can't be opened.
pub(crate) fn bind_stun(
    config: &Config,
) -> Result<(Vec<UdpSocket>, Vec<TcpListener>), ListenError> {
    let mut tries = 0;
    loop {
        let udp: Vec<UdpSocket> = bind_all(expand(config.stun, "--stun", Kind::Stun))?;
        if !config.turn.is_on() {
            return Ok((udp, Vec::new()));
        }
        let same = udp.iter().filter_map(|socket| socket.local_addr().ok());
        let same = same.map(|address| Socket {
            flag: "--stun",
            address,
            kind: Kind::StunTcp,
            optional: false,
        });
        tries += 1;
        match bind_all(same.collect()) {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(_) if is_any_port(config.stun) && tries < FREE_PORT_TRIES => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_any_port(listen: Listen) -> bool {
    matches!(listen, Listen::At { port: 0, .. })
}

fn bind_all<T: From<socket2::Socket>>(sockets: Vec<Socket>) -> Result<Vec<T>, ListenError> {
    let mut all = Vec::new();
    for socket in sockets {
        let bound = socket.bind().and_then(|bound| {
            bound.set_nonblocking(true)?;
            Ok(bound.into())
        });
        match bound {
            Ok(bound) => all.push(bound),
            Err(error) => socket.refuse(error)?,
        }
    }
    Ok(all)
}

impl Socket {
    /// Checks that nobody else listens here. There is a moment between this and the real thing, in
    /// which somebody else may come; then the transport's own error is all there is.
    pub(crate) fn probe(&self) -> io::Result<()> {
        if self.address.port() == 0 {
            Ok(())
        } else {
            self.bind().map(drop)
        }
    }

    /// Fails unless the socket is optional.
    pub(crate) fn refuse(&self, source: io::Error) -> Result<(), ListenError> {
        if self.optional {
            tracing::debug!(socket = %self.address, flag = self.flag, error = %source, "no IPv6");
            return Ok(());
        }
        Err(ListenError {
            flag: self.flag,
            socket: self.address,
            source,
        })
    }

    /// The address to give to the transports.
    pub(crate) fn multiaddr(&self) -> Multiaddr {
        let port = self.address.port();
        let base = Multiaddr::from(self.address.ip());
        match self.kind {
            Kind::Http | Kind::StunTcp | Kind::Tcp | Kind::Tls => base.with(Protocol::Tcp(port)),
            Kind::Stun => base.with(Protocol::Udp(port)),
            Kind::Quic => base.with(Protocol::Udp(port)).with(Protocol::QuicV1),
            Kind::WebRtcDirect => base.with(Protocol::Udp(port)).with(Protocol::WebRTCDirect),
            Kind::WebSocket => base
                .with(Protocol::Tcp(port))
                .with(Protocol::Ws("/".into())),
        }
    }

    fn bind(&self) -> io::Result<socket2::Socket> {
        let domain = Domain::for_address(self.address);
        let socket = socket2::Socket::new(domain, self.kind.socket_type(), None)?;
        if self.address.is_ipv6() {
            // As the transports do: IPv4 has a socket of its own.
            socket.set_only_v6(true)?;
        }
        if cfg!(unix) && self.kind.socket_type() == Type::STREAM {
            // A restarted node doesn't have to wait until its old connections are forgotten.
            socket.set_reuse_address(true)?;
        }
        socket.bind(&self.address.into())?;
        if self.kind.socket_type() == Type::STREAM {
            // With SO_REUSEADDR only this tells whether somebody else listens.
            socket.listen(BACKLOG)?;
        }
        Ok(socket)
    }
}

fn expand(listen: Listen, flag: &'static str, kind: Kind) -> Vec<Socket> {
    let Listen::At { host, port } = listen else {
        return Vec::new();
    };
    host.addresses()
        .into_iter()
        .map(|ip| Socket {
            flag,
            address: SocketAddr::new(ip, port),
            kind,
            optional: host == Host::All && ip.is_ipv6(),
        })
        // WebRTC's IPv6 socket would claim the port for IPv4 too, which has one already.
        .filter(|socket| !(socket.optional && kind == Kind::WebRtcDirect))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn socket(kind: Kind, address: SocketAddr) -> Socket {
        Socket {
            flag: "--test",
            address,
            kind,
            optional: false,
        }
    }

    #[test]
    fn a_port_in_use_is_noticed_for_tcp_and_udp() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = socket(Kind::Tcp, tcp.local_addr().unwrap());
        let error = taken.refuse(taken.probe().unwrap_err()).unwrap_err();
        assert!(error.to_string().contains("--test"), "{error}");
        assert!(error.to_string().contains("another program"), "{error}");

        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let taken = socket(Kind::Quic, udp.local_addr().unwrap());
        assert_eq!(taken.probe().unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_port_shared_with_reuseport_is_noticed() {
        let first = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        first.set_reuse_address(true).unwrap();
        #[cfg(unix)]
        first.set_reuse_port(true).unwrap();
        first
            .bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into())
            .unwrap();
        first.listen(1).unwrap();
        let address = first.local_addr().unwrap().as_socket().unwrap();
        assert!(socket(Kind::WebSocket, address).probe().is_err());
    }

    #[test]
    fn all_means_both_families_where_the_transport_can() {
        let listen = Listen::At {
            host: Host::All,
            port: 1,
        };
        assert_eq!(expand(listen, "--tcp", Kind::Tcp).len(), 2);
        assert_eq!(
            expand(listen, "--webrtc-direct", Kind::WebRtcDirect).len(),
            1
        );
        assert_eq!(expand(Listen::Off, "--tcp", Kind::Tcp), []);
        let v6: IpAddr = "::1".parse().unwrap();
        let one = expand(
            Listen::At {
                host: Host::Ip(v6),
                port: 1,
            },
            "--ws",
            Kind::WebSocket,
        );
        assert_eq!(one[0].multiaddr().to_string(), "/ip6/::1/tcp/1/ws");
        assert!(!one[0].optional);
    }
}
