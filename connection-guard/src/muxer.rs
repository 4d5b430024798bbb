//! One connection, which ends when it panics, when its other end is silent, and when closing it takes
//! too long.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use futures::FutureExt as _;
use futures_timer::Delay;
use libp2p::core::{
    StreamMuxer,
    muxing::{StreamMuxerBox, StreamMuxerEvent},
};

use crate::{
    catch::Panics,
    limits::{LOOKS, Limits},
    stream::Stream,
};

/// What a connection and its streams have in common.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    panics: Panics,
    /// Whether there was a sign of life since the last look.
    sign: AtomicBool,
    /// Whether something panicked. Nothing of the connection is touched any more.
    fallen: AtomicBool,
}

impl Shared {
    pub(crate) fn new(limits: Limits, panics: Panics) -> Self {
        Self {
            limits,
            panics,
            sign: AtomicBool::new(true),
            fallen: AtomicBool::new(false),
        }
    }

    /// The other end lives.
    pub(crate) fn sign(&self) {
        self.sign.store(true, Ordering::Relaxed);
    }

    /// What `act` gives, unless it panics or something did before.
    pub(crate) fn catch<T>(&self, act: impl FnOnce() -> T) -> Option<T> {
        if self.fallen.load(Ordering::Relaxed) {
            return None;
        }
        let result = self.panics.catch(act);
        if result.is_none() {
            self.fallen.store(true, Ordering::Relaxed);
        }
        result
    }
}

/// What a connection or stream says that panicked.
pub(crate) fn fallen<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::Error::other("the connection panicked")))
}

pub(crate) struct Muxer {
    inner: StreamMuxerBox,
    shared: Arc<Shared>,
    next_look: Delay,
    /// Looks in a row without a sign of life before them.
    silent: u32,
    /// When closing has taken long enough.
    closing: Option<Delay>,
}

impl Muxer {
    pub(crate) fn new(inner: StreamMuxerBox, limits: Limits, panics: Panics) -> Self {
        Self {
            inner,
            shared: Arc::new(Shared::new(limits, panics)),
            next_look: Delay::new(limits.silence / LOOKS),
            silent: 0,
            closing: None,
        }
    }

    fn with<T>(
        &mut self,
        poll: impl FnOnce(Pin<&mut StreamMuxerBox>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let inner = Pin::new(&mut self.inner);
        self.shared.catch(|| poll(inner)).unwrap_or_else(fallen)
    }

    /// Ready when there was no sign of life for too long.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.next_look.poll_unpin(cx));
            if self.shared.sign.swap(false, Ordering::Relaxed) {
                self.silent = 0;
            } else {
                self.silent += 1;
            }
            if self.silent >= LOOKS {
                return Poll::Ready(());
            }
            self.next_look.reset(self.shared.limits.silence / LOOKS);
        }
    }
}

impl StreamMuxer for Muxer {
    type Substream = Stream;
    type Error = io::Error;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Self::Substream>> {
        let stream = ready!(self.with(|inner| inner.poll_inbound(cx)))?;
        self.shared.sign();
        Poll::Ready(Ok(Stream::inbound(stream, Arc::clone(&self.shared))))
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Self::Substream>> {
        let stream = ready!(self.with(|inner| inner.poll_outbound(cx)))?;
        Poll::Ready(Ok(Stream::outbound(stream, Arc::clone(&self.shared))))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(result) = self.with(|inner| inner.poll_close(cx)) {
            return Poll::Ready(result);
        }
        let limit = self.shared.limits.close;
        let closing = self.closing.get_or_insert_with(|| Delay::new(limit));
        ready!(closing.poll_unpin(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the other end took no goodbye",
        )))
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        if let Poll::Ready(event) = self.with(|inner| inner.poll(cx)) {
            return Poll::Ready(event);
        }
        ready!(self.poll_silence(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "no sign of life from the other end",
        )))
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use futures::executor::block_on;
    use libp2p::core::muxing::{StreamMuxerExt as _, SubstreamBox};

    use super::*;

    /// Says nothing, takes no goodbye, and panics when it is to open a stream.
    struct Dead;

    impl StreamMuxer for Dead {
        type Substream = SubstreamBox;
        type Error = io::Error;

        fn poll_inbound(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<io::Result<SubstreamBox>> {
            Poll::Pending
        }

        fn poll_outbound(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<io::Result<SubstreamBox>> {
            panic!("as a muxer may")
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
            Poll::Pending
        }
    }

    fn muxer(panics: &Panics) -> Muxer {
        let limits = Limits {
            silence: Duration::from_millis(100),
            stall: Duration::from_millis(100),
            close: Duration::from_millis(100),
        };
        Muxer::new(StreamMuxerBox::new(Dead), limits, panics.clone())
    }

    #[test]
    fn who_says_nothing_is_not_waited_for() {
        let mut muxer = muxer(&Panics::default());
        let error = block_on(poll_fn(|cx| muxer.poll_unpin(cx))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn who_takes_no_goodbye_is_not_waited_for() {
        let error = block_on(muxer(&Panics::default()).close()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_muxer_that_panics_ends_its_connection() {
        let panics = Panics::default();
        let mut muxer = muxer(&panics);
        assert!(block_on(poll_fn(|cx| muxer.poll_outbound_unpin(cx))).is_err());
        assert!(block_on(poll_fn(|cx| muxer.poll_unpin(cx))).is_err());
        assert!(block_on(muxer.close()).is_err());
        assert_eq!(panics.total(), 1);
    }
}
