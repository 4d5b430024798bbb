//! What the server listens on.

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, UdpSocket};

/// What the server listens on.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    pub(crate) udp: Vec<UdpSocket>,
    pub(crate) tcp: Vec<TcpListener>,
}

impl Sockets {
    /// Hands them to the runtime. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// If the runtime does not take one.
    pub(crate) fn new(
        udp: Vec<std::net::UdpSocket>,
        tcp: Vec<std::net::TcpListener>,
    ) -> io::Result<Self> {
        let udp = udp.into_iter().map(UdpSocket::from_std);
        let tcp = tcp.into_iter().map(TcpListener::from_std);
        Ok(Self {
            udp: udp.collect::<Result<_, _>>()?,
            tcp: tcp.collect::<Result<_, _>>()?,
        })
    }

    /// Where they are.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let sockets = self.udp.iter();
        sockets
            .filter_map(|socket| socket.local_addr().ok())
            .collect()
    }
}
