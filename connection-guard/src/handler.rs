//! The handler of a connection, on the heap, which may panic.
//!
//! libp2p's handlers lie inside each other by value, and the task of a connection has room for the
//! outermost one twice: as what it is given, and where it keeps it. A bootstrap node's takes some 9 KiB,
//! so that is what a box saves for every peer that is connected.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use libp2p::{
    core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo},
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, Stream, SubstreamProtocol,
        handler::{
            ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
            InboundUpgradeSend, ListenUpgradeError, OutboundUpgradeSend, UpgradeInfoSend,
        },
    },
};

use crate::catch::Panics;

/// What a handler reports.
#[derive(Debug)]
pub enum Outcome<T> {
    /// An event of the handler's.
    Event(T),
    /// It panicked. The connection is of no more use.
    Panicked,
}

/// What panicked is not touched any more.
#[derive(Clone, Debug)]
struct Guard {
    panics: Panics,
    fallen: Arc<AtomicBool>,
}

impl Guard {
    fn is_fallen(&self) -> bool {
        self.fallen.load(Ordering::Relaxed)
    }

    fn catch<T>(&self, act: impl FnOnce() -> T) -> Option<T> {
        if self.is_fallen() {
            return None;
        }
        let result = self.panics.catch(act);
        if result.is_none() {
            self.fallen.store(true, Ordering::Relaxed);
        }
        result
    }
}

/// `H`, on the heap, for as long as it doesn't panic.
#[derive(Debug)]
pub struct Handler<H> {
    /// `None` only while it is dropped.
    inner: Option<Box<H>>,
    guard: Guard,
    /// Whether the behaviour knows that it panicked.
    told: bool,
}

impl<H> Handler<H> {
    pub(crate) fn new(inner: H, panics: Panics) -> Self {
        Self {
            inner: Some(Box::new(inner)),
            guard: Guard {
                panics,
                fallen: Arc::default(),
            },
            told: false,
        }
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut H) -> T) -> Option<T> {
        let inner = self.inner.as_mut()?;
        self.guard.catch(|| act(inner))
    }
}

impl<H> Drop for Handler<H> {
    fn drop(&mut self) {
        let inner = self.inner.take();
        // What panicked once may do so again.
        self.guard.panics.catch(|| drop(inner));
    }
}

impl<H: ConnectionHandler> ConnectionHandler for Handler<H> {
    type FromBehaviour = H::FromBehaviour;
    type ToBehaviour = Outcome<H::ToBehaviour>;
    type InboundProtocol = Upgrade<H::InboundProtocol>;
    type OutboundProtocol = Upgrade<H::OutboundProtocol>;
    type InboundOpenInfo = Option<H::InboundOpenInfo>;
    type OutboundOpenInfo = H::OutboundOpenInfo;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, Self::InboundOpenInfo> {
        let inner = self.inner.as_ref();
        let protocol = inner.and_then(|inner| self.guard.catch(|| inner.listen_protocol()));
        match protocol {
            Some(protocol) => protocol
                .map_upgrade(|upgrade| Upgrade::new(upgrade, &self.guard))
                .map_info(Some),
            None => SubstreamProtocol::new(Upgrade::none(&self.guard), None),
        }
    }

    fn connection_keep_alive(&self) -> bool {
        let inner = self.inner.as_ref();
        inner
            .and_then(|inner| self.guard.catch(|| inner.connection_keep_alive()))
            .unwrap_or_default()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<
        ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>,
    > {
        if let Some(poll) = self.with(|inner| inner.poll(cx)) {
            let guard = &self.guard;
            return poll.map(|event| {
                event
                    .map_custom(Outcome::Event)
                    .map_protocol(|upgrade| Upgrade::new(upgrade, guard))
            });
        }
        if self.told {
            return Poll::Pending;
        }
        self.told = true;
        Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(Outcome::Panicked))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        self.with(|inner| inner.poll_close(cx))
            .unwrap_or(Poll::Ready(None))
            .map(|event| event.map(Outcome::Event))
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        self.with(|inner| inner.on_behaviour_event(event));
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            '_,
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        let event = match event {
            ConnectionEvent::FullyNegotiatedInbound(event) => {
                let FullyNegotiatedInbound { protocol, info } = event;
                let Some(info) = info else {
                    return;
                };
                ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, info })
            }
            ConnectionEvent::FullyNegotiatedOutbound(event) => {
                let FullyNegotiatedOutbound { protocol, info } = event;
                ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, info })
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error })
            }
            ConnectionEvent::ListenUpgradeError(ListenUpgradeError { info, error }) => {
                let Some(info) = info else {
                    return;
                };
                ConnectionEvent::ListenUpgradeError(ListenUpgradeError { info, error })
            }
            ConnectionEvent::AddressChange(change) => ConnectionEvent::AddressChange(change),
            ConnectionEvent::LocalProtocolsChange(change) => {
                ConnectionEvent::LocalProtocolsChange(change)
            }
            ConnectionEvent::RemoteProtocolsChange(change) => {
                ConnectionEvent::RemoteProtocolsChange(change)
            }
            // libp2p may come to tell more.
            _ => return,
        };
        self.with(|inner| inner.on_connection_event(event));
    }
}

/// What a stream is set up with, which may panic. Nothing comes of it then but the panic.
#[derive(Debug)]
pub struct Upgrade<U> {
    /// `None` once the handler has panicked.
    inner: Option<U>,
    guard: Guard,
}

impl<U> Upgrade<U> {
    fn new(inner: U, guard: &Guard) -> Self {
        Self {
            inner: Some(inner),
            guard: guard.clone(),
        }
    }

    fn none(guard: &Guard) -> Self {
        Self {
            inner: None,
            guard: guard.clone(),
        }
    }
}

impl<U: UpgradeInfoSend> UpgradeInfo for Upgrade<U> {
    type Info = U::Info;
    type InfoIter = std::iter::Flatten<std::option::IntoIter<U::InfoIter>>;

    fn protocol_info(&self) -> Self::InfoIter {
        let inner = self.inner.as_ref();
        let names = inner.and_then(|inner| self.guard.catch(|| inner.protocol_info()));
        names.into_iter().flatten()
    }
}

impl<U: InboundUpgradeSend> InboundUpgrade<Stream> for Upgrade<U> {
    type Output = U::Output;
    type Error = U::Error;
    type Future = Upgrading<U::Future>;

    fn upgrade_inbound(self, stream: Stream, name: U::Info) -> Self::Future {
        let Self { inner, guard } = self;
        let begin = |inner: U| guard.catch(|| inner.upgrade_inbound(stream, name));
        let inner = inner.and_then(begin).map(Box::pin);
        Upgrading { inner, guard }
    }
}

impl<U: OutboundUpgradeSend> OutboundUpgrade<Stream> for Upgrade<U> {
    type Output = U::Output;
    type Error = U::Error;
    type Future = Upgrading<U::Future>;

    fn upgrade_outbound(self, stream: Stream, name: U::Info) -> Self::Future {
        let Self { inner, guard } = self;
        let begin = |inner: U| guard.catch(|| inner.upgrade_outbound(stream, name));
        let inner = inner.and_then(begin).map(Box::pin);
        Upgrading { inner, guard }
    }
}

/// A stream that is being set up.
#[derive(Debug)]
pub struct Upgrading<F> {
    inner: Option<Pin<Box<F>>>,
    guard: Guard,
}

impl<F: Future> Future for Upgrading<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { inner, guard } = &mut *self;
        let poll = inner
            .as_mut()
            .and_then(|inner| guard.catch(|| inner.as_mut().poll(cx)));
        poll.unwrap_or_else(|| {
            // The handler says what has become of it.
            cx.waker().wake_by_ref();
            *inner = None;
            Poll::Pending
        })
    }
}
