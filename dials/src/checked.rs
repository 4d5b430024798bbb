//! The outermost transport.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{FutureExt as _, future::BoxFuture};
use libp2p::{
    Multiaddr, Transport,
    core::transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent},
};
use moim_protocol::{
    address::{self, Address},
    dials::Origin,
};

use crate::{
    Dials, Error,
    attempt::{Attempt, Within},
    first_ip,
};

/// A transport that dials what its [`Dials`] allow. See the [crate].
#[derive(Debug)]
pub struct Checked<O> {
    inner: Boxed<O>,
    dials: Dials,
}

impl<O> Checked<O> {
    /// Around `inner`, which has to be all of the swarm's transports together.
    #[must_use]
    pub const fn new(inner: Boxed<O>, dials: Dials) -> Self {
        Self { inner, dials }
    }
}

impl<O: Send + 'static> Transport for Checked<O> {
    type Output = O;
    type Error = Error<io::Error>;
    type ListenerUpgrade = BoxFuture<'static, Result<O, Self::Error>>;
    type Dial = BoxFuture<'static, Result<O, Self::Error>>;

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
        let origin = self.dials.judge(&address).map_err(|refusal| {
            tracing::debug!(%refusal, "an address is not dialled");
            TransportError::Other(Error::Refused(refusal))
        })?;
        let ip = first_ip(&address);
        let mut attempt = Attempt {
            origin,
            by_name: ip.is_none(),
            ip,
        };
        let is_direct = matches!(address::parse(&address), Ok(Address::Direct(_)));
        let permit = match ip {
            Some(ip) if is_direct => self.dials.begin(ip, origin),
            _ => Ok(None),
        };
        let permit = permit.map_err(|refusal| TransportError::Other(Error::Refused(refusal)))?;
        let future = attempt
            .within(|| self.inner.dial(address, options))
            .map_err(|error| error.map(Error::Transport))?;
        let dials = self.dials.clone();
        Ok(async move {
            let (result, ip) = Within { attempt, future }.await;
            drop(permit);
            let is_chosen = origin != Origin::Stranger;
            if let (true, true, Ok(_), Some(ip)) = (is_chosen, is_direct, &result, ip) {
                dials.meet(ip);
            }
            result.map_err(Error::Transport)
        }
        .boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.inner).poll(cx).map(|event| {
            event
                .map_upgrade(|upgrade| {
                    upgrade
                        .map(|result| result.map_err(Error::Transport))
                        .boxed()
                })
                .map_err(Error::Transport)
        })
    }
}
