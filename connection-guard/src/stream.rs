//! One stream, which waits for its other end so long and no longer.

use std::{
    io::{self, IoSlice, IoSliceMut},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite, FutureExt as _};
use futures_timer::Delay;
use libp2p::core::muxing::SubstreamBox;

use crate::{
    limits::PROGRESS_BYTES,
    muxer::{Shared, fallen},
};

/// See [`crate::Limits::stall`].
pub(crate) struct Stream {
    inner: SubstreamBox,
    shared: Arc<Shared>,
    /// Since when the other end has taken less than it should, if it has.
    stall: Option<Stall>,
    /// Bytes that may be written to nobody, see [`ANSWER_BYTES`].
    unheard: usize,
}

/// So many bytes may be written to another end that has opened the stream, said something and gone. Whoever opens a stream
/// lazily (multistream-select's `V1Lazy`) sends its message with its wish for a protocol, and where no answer is owed (kad's
/// ADD_PROVIDER) drops the stream at once. The agreement on the protocol has to be written nevertheless, and if that
/// failed, the message that is there would not be read.
const ANSWER_BYTES: usize = 256;

struct Stall {
    until: Delay,
    taken: usize,
}

impl Stream {
    /// One that this side opens.
    pub(crate) fn outbound(inner: SubstreamBox, shared: Arc<Shared>) -> Self {
        Self {
            inner,
            shared,
            stall: None,
            unheard: 0,
        }
    }

    /// One that the other side has opened.
    pub(crate) fn inbound(inner: SubstreamBox, shared: Arc<Shared>) -> Self {
        Self {
            unheard: ANSWER_BYTES,
            ..Self::outbound(inner, shared)
        }
    }

    /// What comes of writing `bytes` where the other end takes nothing any more.
    fn unheard<T>(&mut self, result: io::Result<T>, bytes: usize, instead: T) -> io::Result<T> {
        let is_gone = |error: &io::Error| {
            matches!(
                error.kind(),
                io::ErrorKind::BrokenPipe
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::WriteZero
            )
        };
        match result {
            Err(error) if self.unheard > bytes && is_gone(&error) => {
                self.unheard -= bytes;
                Ok(instead)
            }
            result => {
                // Whoever takes something has more to hear.
                if result.is_ok() {
                    self.unheard = self.unheard.saturating_sub(bytes);
                }
                result
            }
        }
    }

    fn reading(
        &mut self,
        poll: impl FnOnce(Pin<&mut SubstreamBox>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let inner = Pin::new(&mut self.inner);
        let read = ready!(self.shared.catch(|| poll(inner)).unwrap_or_else(fallen))?;
        if read > 0 {
            self.shared.sign();
        }
        Poll::Ready(Ok(read))
    }

    /// Sends, with a time in which the other end has to take enough of it. `taken` says how much it took,
    /// as far as that is known.
    fn writing<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut SubstreamBox>, &mut Context<'_>) -> Poll<io::Result<T>>,
        taken: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        let inner = Pin::new(&mut self.inner);
        let result = self.shared.catch(|| poll(inner, cx));
        match result.unwrap_or_else(fallen) {
            Poll::Ready(Ok(value)) => {
                if let Some(stall) = &mut self.stall {
                    stall.taken = stall.taken.saturating_add(taken(&value));
                    if stall.taken >= PROGRESS_BYTES {
                        self.stall = None;
                    }
                }
                Poll::Ready(Ok(value))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let limit = self.shared.limits.stall;
                let stall = self.stall.get_or_insert_with(|| Stall {
                    until: Delay::new(limit),
                    taken: 0,
                });
                ready!(stall.until.poll_unpin(cx));
                Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the other end takes nothing of this stream",
                )))
            }
        }
    }
}

/// What has been flushed has been taken, however little it was.
fn all((): &()) -> usize {
    PROGRESS_BYTES
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.reading(|inner| inner.poll_read(cx, buffer))
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.reading(|inner| inner.poll_read_vectored(cx, buffers))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = self.writing(cx, |inner, cx| inner.poll_write(cx, bytes), |taken| *taken);
        let length = bytes.len();
        result.map(|result| self.unheard(result, length, length))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = self.writing(
            cx,
            |inner, cx| inner.poll_write_vectored(cx, parts),
            |taken| *taken,
        );
        let length = parts.iter().map(|part| part.len()).sum();
        result.map(|result| self.unheard(result, length, length))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = self.writing(cx, |inner, cx| inner.poll_flush(cx), all);
        result.map(|result| self.unheard(result, 0, ()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writing(cx, |inner, cx| inner.poll_close(cx), all)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::{AsyncReadExt as _, AsyncWriteExt as _, executor::block_on};

    use super::*;
    use crate::{Limits, Panics};

    const STALL: Duration = Duration::from_millis(100);

    /// Longer than anything here takes on a busy machine.
    const LONG: Duration = Duration::from_secs(60);

    /// The other end takes so many bytes at a time, and a moment later as many again. It says nothing.
    struct Taking {
        bytes: usize,
        full: Option<Delay>,
    }

    const MOMENT: Duration = Duration::from_millis(5);

    impl AsyncRead for Taking {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            panic!("as a protocol may")
        }
    }

    impl AsyncWrite for Taking {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            if self.bytes == 0 {
                return Poll::Pending;
            }
            let full = self.full.get_or_insert_with(|| Delay::new(MOMENT));
            ready!(full.poll_unpin(cx));
            self.full = None;
            Poll::Ready(Ok(bytes.len().min(self.bytes)))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            match self.bytes {
                0 => Poll::Pending,
                _ => Poll::Ready(Ok(())),
            }
        }

        fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.poll_flush(cx)
        }
    }

    fn stream(bytes: usize, stall: Duration) -> Stream {
        let limits = Limits {
            stall,
            ..Limits::default()
        };
        let taking = Taking { bytes, full: None };
        let shared = Arc::new(Shared::new(limits, Panics::default()));
        Stream::outbound(SubstreamBox::new(taking), shared)
    }

    #[test]
    fn who_takes_nothing_is_not_waited_for() {
        let error = block_on(stream(0, STALL).write_all(b"an answer")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let error = block_on(stream(0, STALL).flush()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let error = block_on(stream(0, STALL).close()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn who_takes_a_little_all_the_time_is_not_waited_for_either() {
        // Byte by byte it would take five seconds.
        let error = block_on(stream(1, STALL).write_all(&[0; PROGRESS_BYTES])).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn who_takes_enough_is_waited_for() {
        block_on(async {
            let mut stream = stream(PROGRESS_BYTES, LONG);
            stream.write_all(&[0; 64 * PROGRESS_BYTES]).await.unwrap();
            assert!(stream.stall.is_none());
            let mut stream = self::stream(1, LONG);
            stream.write_all(b"an answer").await.unwrap();
            assert!(stream.stall.is_some());
            stream.flush().await.unwrap();
            assert!(stream.stall.is_none());
        });
    }

    /// The other end has said something and takes nothing any more.
    struct Gone(&'static [u8]);

    impl AsyncRead for Gone {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buffer: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_read(cx, buffer)
        }
    }

    impl AsyncWrite for Gone {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }

        fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.poll_flush(cx)
        }
    }

    #[test]
    fn what_was_said_by_one_who_has_gone_is_read() {
        let shared = || Arc::new(Shared::new(Limits::default(), Panics::default()));
        let gone = || SubstreamBox::new(Gone(b"a message"));
        block_on(async {
            let mut stream = Stream::inbound(gone(), shared());
            stream.write_all(b"/a/protocol/1.0.0\n").await.unwrap();
            stream.flush().await.unwrap();
            let mut said = Vec::new();
            stream.read_to_end(&mut said).await.unwrap();
            assert_eq!(said, b"a message");
            // An answer as long as it likes is not written to nobody.
            let error = stream.write_all(&[0; ANSWER_BYTES]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            for _ in 0..ANSWER_BYTES {
                let _ = stream.write_all(&[0]).await;
            }
            stream.write_all(&[0]).await.unwrap_err();
            // Who has opened a stream hears that nobody listens.
            let mut stream = Stream::outbound(gone(), shared());
            stream.write_all(b"a question").await.unwrap_err();
        });
    }

    #[test]
    fn a_stream_that_panics_is_not_touched_again() {
        block_on(async {
            let mut stream = stream(PROGRESS_BYTES, LONG);
            stream.read(&mut [0; 1]).await.unwrap_err();
            stream.write(&[0; 1]).await.unwrap_err();
        });
    }
}
