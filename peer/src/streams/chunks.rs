//! Bytes in chunks, with an end that is said: see [`moim_protocol::stream_wire`].

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use moim_protocol::{limits::STREAM_HEADER_BYTES_MAX, stream_wire::CHUNK_HEAD_BYTES};

/// What is sent in one chunk: with its length, one frame of yamux.
const CHUNK_BYTES: usize = 16 * 1024 - CHUNK_HEAD_BYTES;

#[derive(Debug)]
enum Reading {
    /// Of the length of the next chunk, so many bytes are here.
    Head {
        bytes: [u8; CHUNK_HEAD_BYTES],
        have: usize,
    },
    /// So many bytes of the chunk are still to come.
    Body { left: usize },
    /// The other side has said that this is the end.
    Ended,
}

impl Reading {
    const NEXT: Self = Self::Head {
        bytes: [0; CHUNK_HEAD_BYTES],
        have: 0,
    };
}

#[derive(Debug, PartialEq, Eq)]
enum Writing {
    Open,
    /// The end is in the buffer.
    Ending,
}

/// A stream on which the end of each direction is said.
#[derive(Debug)]
pub(crate) struct Chunks<T> {
    inner: T,
    reading: Reading,
    writing: Writing,
    /// The chunk that is being sent, with its length.
    buffer: Vec<u8>,
    /// So many bytes of it are sent.
    sent: usize,
}

/// The other side went without an end.
fn broken_off() -> io::Error {
    io::Error::new(
        io::ErrorKind::ConnectionReset,
        "the stream was reset, or its connection was lost",
    )
}

impl<T> Chunks<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self {
            inner,
            reading: Reading::NEXT,
            writing: Writing::Open,
            buffer: Vec::new(),
            sent: 0,
        }
    }
}

#[cfg(fuzzing)]
impl<T> Chunks<T> {
    pub(crate) fn into_inner(self) -> T {
        self.inner
    }
}

impl<T: AsyncRead + Unpin> Chunks<T> {
    /// How much of the present chunk is still to be read; of the next one, where there is none. 0 is the end.
    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            match &mut self.reading {
                Reading::Ended => return Poll::Ready(Ok(0)),
                Reading::Body { left } => return Poll::Ready(Ok(*left)),
                Reading::Head { bytes, have } => {
                    let Some(wanted) = bytes.get_mut(*have..).filter(|wanted| !wanted.is_empty())
                    else {
                        let left = usize::from(u16::from_be_bytes(*bytes));
                        self.reading = match left {
                            0 => Reading::Ended,
                            left => Reading::Body { left },
                        };
                        continue;
                    };
                    let read = ready!(Pin::new(&mut self.inner).poll_read(cx, wanted))?;
                    if read == 0 {
                        return Poll::Ready(Err(broken_off()));
                    }
                    *have += read;
                }
            }
        }
    }

    /// The first chunk.
    pub(crate) async fn read_header(&mut self) -> io::Result<Vec<u8>> {
        let length = std::future::poll_fn(|cx| self.poll_left(cx)).await?;
        // One byte more is read of what is too large, so that it is refused as such.
        let mut header = vec![0; length.min(STREAM_HEADER_BYTES_MAX + 1)];
        self.read_exact(&mut header).await?;
        Ok(header)
    }
}

impl<T: AsyncWrite + Unpin> Chunks<T> {
    /// Sends what is in the buffer.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.buffer.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let sent = ready!(Pin::new(&mut self.inner).poll_write(cx, rest))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent;
        }
        self.buffer.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Chunks<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let left = ready!(self.poll_left(cx))?;
        let most = left.min(buffer.len());
        let Some(wanted) = buffer.get_mut(..most).filter(|wanted| !wanted.is_empty()) else {
            return Poll::Ready(Ok(0));
        };
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, wanted))?;
        if read == 0 {
            return Poll::Ready(Err(broken_off()));
        }
        self.reading = match left.saturating_sub(read) {
            0 => Reading::NEXT,
            left => Reading::Body { left },
        };
        Poll::Ready(Ok(read))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Chunks<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.writing != Writing::Open {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(self.poll_drain(cx))?;
        let chunk = bytes.get(..CHUNK_BYTES).unwrap_or(bytes);
        let Ok(length) = u16::try_from(chunk.len()) else {
            return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
        };
        // A chunk without bytes would be the end.
        if length > 0 {
            self.buffer.extend(length.to_be_bytes());
            self.buffer.extend(chunk);
            // What is not taken now is sent with the next bytes, or by flushing.
            if let Poll::Ready(Err(error)) = self.poll_drain(cx) {
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(chunk.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        if self.writing == Writing::Open {
            self.buffer.extend([0; CHUNK_HEAD_BYTES]);
            self.writing = Writing::Ending;
            ready!(self.poll_drain(cx))?;
        }
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

#[cfg(test)]
mod tests;
