//! A place at a UDP socket that many connections share.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use futures::{FutureExt as _, StreamExt as _, channel::mpsc, future::BoxFuture};
use tokio::net::UdpSocket;

use super::{super::UNKNOWN_UNREAD_MAX, sockets::Datagram};

/// Bytes of datagrams that wait for a connection's task: what SCTP lets the other side send at a time.
const WAITING_MAX: usize = 1024 * 1024;

/// Bytes that wait for a connection's task.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    bytes: AtomicUsize,
    is_trusted: AtomicBool,
}

impl Waiting {
    /// So many more are to wait. Whether they may.
    pub(super) fn put(&self, bytes: usize) -> bool {
        let max = match self.is_trusted() {
            true => WAITING_MAX,
            false => UNKNOWN_UNREAD_MAX,
        };
        let fits = |waiting: usize| waiting.checked_add(bytes).filter(|sum| *sum <= max);
        self.bytes.fetch_update(Relaxed, Relaxed, fits).is_ok()
    }

    /// Whether it is known who is at the other end.
    pub(super) fn is_trusted(&self) -> bool {
        self.is_trusted.load(Relaxed)
    }

    /// So many wait no more.
    pub(super) fn take(&self, bytes: usize) {
        let left = |waiting: usize| Some(waiting.saturating_sub(bytes));
        // It always has a next value.
        let _ = self.bytes.fetch_update(Relaxed, Relaxed, left);
    }
}

/// See the [module](self).
pub(super) struct Place {
    local: SocketAddr,
    socket: Arc<UdpSocket>,
    incoming: mpsc::Receiver<(SocketAddr, BytesMut)>,
    waiting: Arc<Waiting>,
    /// Ready when the system has room again.
    room: Option<BoxFuture<'static, ()>>,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.local).finish()
    }
}

impl Place {
    /// At this socket, with what others have received for us.
    pub(super) fn new(
        bound: SocketAddr,
        socket: Arc<UdpSocket>,
        incoming: mpsc::Receiver<(SocketAddr, BytesMut)>,
        waiting: Arc<Waiting>,
    ) -> Self {
        // ICE wants an address, also where the socket is at all of them. Nobody is told this one.
        let ip = match bound.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Self {
            local: SocketAddr::new(ip, bound.port()),
            socket,
            incoming,
            waiting,
            room: None,
        }
    }

    pub(super) const fn local(&self) -> SocketAddr {
        self.local
    }

    /// It is known who is at the other end.
    pub(super) fn trust(&self) {
        self.waiting.is_trusted.store(true, Relaxed);
    }

    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Datagram> {
        match ready!(self.incoming.poll_next_unpin(cx)) {
            Some((remote, data)) => {
                self.waiting.take(data.len());
                Poll::Ready(Datagram {
                    local: self.local,
                    remote,
                    data,
                })
            }
            // The listener is gone. What is said on the connection can still go out, but nothing comes
            // any more: ICE notices.
            None => Poll::Pending,
        }
    }

    pub(super) fn try_send(&self, data: &[u8], remote: SocketAddr) -> io::Result<usize> {
        self.socket.try_send_to(data, remote)
    }

    /// Ready when it has gone out, or is lost. Other than in the socket's own polls, many tasks may wait
    /// in here for room.
    pub(super) fn poll_send(
        &mut self,
        data: &[u8],
        remote: SocketAddr,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            if let Some(room) = &mut self.room {
                ready!(room.poll_unpin(cx));
                self.room = None;
            }
            match self.try_send(data, remote) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let socket = Arc::clone(&self.socket);
                    self.room = Some(Box::pin(async move {
                        // A socket that is broken is noticed by sending.
                        let _ = socket.writable().await;
                    }));
                }
                _ => return Poll::Ready(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_may_wait_of_somebody_who_is_known() {
        let waiting = Waiting::default();
        let fill = || (0..).take_while(|_| waiting.put(4096)).count();
        assert_eq!(fill(), UNKNOWN_UNREAD_MAX / 4096);
        waiting.take(4096);
        assert_eq!(fill(), 1);
        waiting.is_trusted.store(true, Relaxed);
        assert_eq!(fill(), (WAITING_MAX - UNKNOWN_UNREAD_MAX) / 4096);
        waiting.take(usize::MAX);
        assert_eq!(fill(), WAITING_MAX / 4096);
        assert!(!waiting.put(usize::MAX));
    }
}
