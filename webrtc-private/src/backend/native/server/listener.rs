//! One socket, with the addresses under which it is reached.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use bytes::BytesMut;
use if_watch::{IfEvent, tokio::IfWatcher};
use libp2p_core::transport::ListenerId;
use rtc_crypto::default_provider;
use tokio::{io::ReadBuf, net::UdpSocket};

use super::clients::{Clients, NewClient, Taken};
use crate::backend::native::{
    budget::Ledger,
    sockets::{DATAGRAM_MAX, is_of_the_other_side},
};

/// Datagrams that are taken before others of the same task have their turn.
const BURST: usize = 64;

/// What has happened at a socket.
pub(super) enum Event {
    /// It is reached at this address.
    Up(SocketAddr),
    /// It is not any more.
    Down(SocketAddr),
    /// Somebody new is there.
    Client(NewClient),
    /// It cannot go on.
    Broken(io::Error),
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Listener {
    id: ListenerId,
    local: SocketAddr,
    socket: Arc<UdpSocket>,
    clients: Clients,
    buffer: Box<[u8]>,
    /// Tells the machine's addresses, where the socket is at all of them.
    interfaces: Option<IfWatcher>,
    /// Its only address was not told yet.
    is_new: bool,
}

impl Listener {
    pub(super) fn bind(id: ListenerId, address: SocketAddr, ledger: Ledger) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket)?;
        let local = socket.local_addr()?;
        let is_anywhere = local.ip().is_unspecified();
        let interfaces = is_anywhere.then(IfWatcher::new).transpose()?;
        let crypto = default_provider().map_err(io::Error::other)?;
        Ok(Self {
            id,
            local,
            socket: Arc::new(socket),
            clients: Clients::new(crypto, ledger),
            buffer: vec![0; DATAGRAM_MAX].into_boxed_slice(),
            interfaces,
            is_new: !is_anywhere,
        })
    }

    pub(super) const fn id(&self) -> ListenerId {
        self.id
    }

    pub(super) const fn local(&self) -> SocketAddr {
        self.local
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if std::mem::take(&mut self.is_new) {
            return Poll::Ready(Event::Up(self.local));
        }
        if let Poll::Ready(event) = self.poll_interfaces(cx) {
            return Poll::Ready(event);
        }
        for _ in 0..BURST {
            let mut buffer = ReadBuf::new(&mut self.buffer);
            match self.socket.poll_recv_from(cx, &mut buffer) {
                Poll::Ready(Ok(from)) => {
                    let data = BytesMut::from(buffer.filled());
                    let taken =
                        self.clients
                            .take(from, data, Instant::now(), self.local, &self.socket);
                    match taken {
                        Some(Taken::Client(client)) => return Poll::Ready(Event::Client(client)),
                        Some(Taken::Ask(check)) => self.ask(from, &check),
                        None => {}
                    }
                }
                Poll::Ready(Err(error)) if is_of_the_other_side(&error) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Event::Broken(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn ask(&self, newcomer: SocketAddr, check: &[u8]) {
        // It may get lost: whoever is there says again that it is.
        if let Err(error) = self.socket.try_send_to(check, newcomer) {
            tracing::trace!(%newcomer, %error, "not asked");
        }
    }

    fn poll_interfaces(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let Some(interfaces) = &mut self.interfaces else {
            return Poll::Pending;
        };
        while let Poll::Ready(event) = interfaces.poll_if_event(cx) {
            let (ip, is_up) = match event {
                Ok(IfEvent::Up(network)) => (network.addr(), true),
                Ok(IfEvent::Down(network)) => (network.addr(), false),
                Err(error) => {
                    tracing::debug!(%error, "the machine's addresses are not known");
                    continue;
                }
            };
            if ip.is_ipv4() != self.local.is_ipv4() {
                continue;
            }
            let address = SocketAddr::new(ip, self.local.port());
            return Poll::Ready(if is_up {
                Event::Up(address)
            } else {
                Event::Down(address)
            });
        }
        Poll::Pending
    }
}
