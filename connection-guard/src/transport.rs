//! The outermost transport.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent},
    },
};

use crate::{
    catch::Panics,
    limits::Limits,
    muxer::{Muxer, fallen},
};

type Connections = Boxed<(PeerId, StreamMuxerBox)>;

/// A transport whose connections end when they panic, when their other end is silent, and when it takes
/// nothing of what is sent to it.
#[derive(Debug)]
pub struct Transport {
    inner: Connections,
    limits: Limits,
    panics: Panics,
}

impl Transport {
    /// Wraps the outermost transport.
    #[must_use]
    pub fn new(inner: Connections, limits: Limits, panics: Panics) -> Self {
        Self {
            inner,
            limits,
            panics,
        }
    }

    fn set_up<F>(&self, inner: F) -> SetUp<F> {
        SetUp {
            inner: Some(inner),
            limits: self.limits,
            panics: self.panics.clone(),
        }
    }

    fn catch<T>(
        panics: &Panics,
        act: impl FnOnce() -> Result<T, TransportError<io::Error>>,
    ) -> Result<T, TransportError<io::Error>> {
        let panicked = || Err(TransportError::Other(io::Error::other("it panicked")));
        panics.catch(act).unwrap_or_else(panicked)
    }
}

impl libp2p::Transport for Transport {
    type Output = (PeerId, StreamMuxerBox);
    type Error = io::Error;
    type ListenerUpgrade = SetUp<<Connections as libp2p::Transport>::ListenerUpgrade>;
    type Dial = SetUp<<Connections as libp2p::Transport>::Dial>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        Self::catch(&self.panics, || self.inner.listen_on(id, address))
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        let dial = Self::catch(&self.panics, || self.inner.dial(address, options))?;
        Ok(self.set_up(dial))
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        let event = ready!(Pin::new(&mut self.inner).poll(cx));
        Poll::Ready(event.map_upgrade(|upgrade| self.set_up(upgrade)))
    }
}

/// A connection that is being set up.
#[derive(Debug)]
pub struct SetUp<F> {
    /// `None` once it has panicked.
    inner: Option<F>,
    limits: Limits,
    panics: Panics,
}

impl<F> Future for SetUp<F>
where
    F: Future<Output = io::Result<(PeerId, StreamMuxerBox)>> + Unpin,
{
    type Output = io::Result<(PeerId, StreamMuxerBox)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self {
            inner,
            limits,
            panics,
        } = &mut *self;
        let Some(running) = inner.as_mut() else {
            return fallen();
        };
        let Some(poll) = panics.catch(|| Pin::new(running).poll(cx)) else {
            *inner = None;
            return fallen();
        };
        let (peer, muxer) = ready!(poll)?;
        let muxer = Muxer::new(muxer, *limits, panics.clone());
        Poll::Ready(Ok((peer, StreamMuxerBox::new(muxer))))
    }
}
