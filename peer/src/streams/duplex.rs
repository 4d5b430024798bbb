//! A stream as a program has it.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::{PeerId, Stream};
use moim_protocol::stream_wire::ProtocolName;

use super::{chunks::Chunks, places::Place};
use crate::snapshot::Path;

/// A stream of bytes each way between two programs, encrypted and ordered: futures' [`AsyncRead`] and [`AsyncWrite`].
/// `futures::AsyncReadExt::split` makes two halves of it, `tokio_util::compat` gives it tokio's traits.
///
/// - **Back-pressure**: a write waits while the other side does not read. One that reads less than 1 KiB in 30 s ends the
///   stream.
/// - **Flushing**: what was written may wait here until `flush` or `close`.
/// - **The end**: `close` says that nothing more is written; the other side then reads 0 bytes, and can still write.
/// - **Reset**: dropping a stream that was not closed resets it. So does the loss of its connection. The other side then
///   reads [`io::ErrorKind::ConnectionReset`] and never takes it for the end. A stream does not move to another
///   connection: open a new one.
///
/// It counts as one of the [`limits::STREAMS_PER_PEER`](crate::limits::STREAMS_PER_PEER) of its peer until it is dropped.
/// It ends when the [`Peer`](crate::Peer) that it belongs to stops.
pub struct Duplex {
    chunks: Chunks<Stream>,
    peer: PeerId,
    protocol: ProtocolName,
    path: Path,
    /// Free when the stream is dropped.
    _place: Place,
}

impl Duplex {
    pub(super) fn new(
        chunks: Chunks<Stream>,
        peer: PeerId,
        protocol: ProtocolName,
        path: Path,
        place: Place,
    ) -> Self {
        Self {
            chunks,
            peer,
            protocol,
            path,
            _place: place,
        }
    }

    /// Who is at the other end, proven by the connection's handshake.
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// The protocol that both programs speak.
    pub fn protocol(&self) -> &ProtocolName {
        &self.protocol
    }

    /// The way that its connection took when it was opened. A relayed one has the relay's bounds on bytes and time.
    pub fn path(&self) -> Path {
        self.path
    }

    /// Breaks it off: the other side hears that this is no proper end. The same as dropping it.
    pub fn reset(self) {
        drop(self);
    }
}

impl fmt::Debug for Duplex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Duplex")
            .field("peer", &self.peer)
            .field("protocol", &self.protocol)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl AsyncRead for Duplex {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.chunks).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.chunks).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.chunks).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.chunks).poll_close(cx)
    }
}
