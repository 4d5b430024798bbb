//! The transport below DNS.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::{TryFuture, TryFutureExt as _, future::MapErr, ready};
use libp2p::{
    Multiaddr, Transport,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
};

use crate::{Dials, Error, attempt, first_ip, pending::Permit};

/// A transport that dials those IP addresses that its [`Dials`] allow, and no names. See the [crate].
#[derive(Debug)]
pub struct Resolved<T> {
    inner: T,
    dials: Dials,
}

impl<T> Resolved<T> {
    /// Around `inner`, which is given addresses in which names are resolved.
    #[must_use]
    pub const fn new(inner: T, dials: Dials) -> Self {
        Self { inner, dials }
    }
}

/// A dial, counted as long as it is under way.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Dial<F> {
    dial: Pin<Box<F>>,
    permit: Option<Permit>,
}

impl<F: TryFuture> Future for Dial<F> {
    type Output = Result<F::Ok, Error<F::Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.dial.as_mut().try_poll(cx));
        self.permit = None;
        Poll::Ready(result.map_err(Error::Transport))
    }
}

impl<T> Transport for Resolved<T>
where
    T: Transport + Unpin,
    T::Error: 'static,
{
    type Output = T::Output;
    type Error = Error<T::Error>;
    type ListenerUpgrade = MapErr<T::ListenerUpgrade, fn(T::Error) -> Self::Error>;
    type Dial = Dial<T::Dial>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<Self::Error>> {
        self.inner
            .listen_on(id, address)
            .map_err(|error| error.map(Error::Transport))
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<Self::Error>> {
        let Some(ip) = first_ip(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let refused = |refusal| TransportError::Other(Error::Refused(refusal));
        let origin = attempt::origin();
        self.dials.judge_ip(ip, origin).map_err(refused)?;
        // Where the address has the IP address itself, the outermost transport has counted it.
        let permit = match attempt::by_name() {
            true => self.dials.begin(ip, origin).map_err(refused)?,
            false => None,
        };
        attempt::goes_to(ip);
        let dial = self.inner.dial(address, options);
        let dial = dial.map_err(|error| error.map(Error::Transport))?;
        Ok(Dial {
            dial: Box::pin(dial),
            permit,
        })
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.inner).poll(cx).map(|event| {
            event
                .map_upgrade(|upgrade| upgrade.map_err::<_, fn(_) -> _>(Error::Transport))
                .map_err(Error::Transport)
        })
    }
}
