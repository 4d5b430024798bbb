//! The transport below DNS.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::{TryFutureExt as _, future::MapErr};
use libp2p::{
    Multiaddr, Transport,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
};

use crate::{Dials, Error, attempt, first_ip};

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

impl<T> Transport for Resolved<T>
where
    T: Transport + Unpin,
{
    type Output = T::Output;
    type Error = Error<T::Error>;
    type ListenerUpgrade = MapErr<T::ListenerUpgrade, fn(T::Error) -> Self::Error>;
    type Dial = MapErr<T::Dial, fn(T::Error) -> Self::Error>;

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
        let judged = self.dials.judge_ip(ip, attempt::origin());
        judged.map_err(|refusal| TransportError::Other(Error::Refused(refusal)))?;
        attempt::goes_to(ip);
        let dial = self.inner.dial(address, options);
        let dial = dial.map_err(|error| error.map(Error::Transport))?;
        Ok(dial.map_err(Error::Transport))
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
