//! libp2p's TCP transport, which dials from another port where its own can't be had.
//!
//! [`tcp::tokio::Transport`] dials from the port that it listens on
//! ([`PortUse::Reuse`]), because hole punching and the addresses that others observe depend on it.
//! For that it binds to the wildcard address, `0.0.0.0` or `::`, also where it listens on one
//! address. Whatever else has that port on another address of the machine makes the binding fail
//! with `EADDRINUSE`: a program that listens there, a connection that happened to get the number, or
//! one that is over and in `TIME_WAIT`. libp2p-tcp 0.45 has another port for `EADDRNOTAVAIL` of the
//! connecting only, and so could not dial anybody for as long as that lasts.
//!
//! [`Transport`] then dials once more, from a port of the system's choice.
//!
//! ```
//! use libp2p::tcp;
//!
//! let transport = moim_tcp_reuse::Transport::new(tcp::Config::default().nodelay(true));
//! ```

#![forbid(unsafe_code)]

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{FutureExt as _, TryFutureExt as _, future::BoxFuture};
use libp2p::{
    Multiaddr,
    core::{
        Transport as _,
        transport::{DialOpts, ListenerId, PortUse, TransportError, TransportEvent},
    },
    tcp,
};

type Inner = tcp::tokio::Transport;

/// A [`tcp::tokio::Transport`] for which a port in use is no reason not to dial.
pub struct Transport {
    inner: Inner,
    config: tcp::Config,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Transport {
    /// A transport of libp2p's with `config`, which needs a tokio runtime to listen and to dial.
    pub fn new(config: tcp::Config) -> Self {
        Self {
            inner: Inner::new(config.clone()),
            config,
        }
    }
}

impl libp2p::Transport for Transport {
    type Output = <Inner as libp2p::Transport>::Output;
    type Error = io::Error;
    type ListenerUpgrade = <Inner as libp2p::Transport>::ListenerUpgrade;
    type Dial = BoxFuture<'static, Result<Self::Output, io::Error>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        let dial = self.inner.dial(address.clone(), options)?;
        if options.port_use == PortUse::New {
            return Ok(dial);
        }
        let config = self.config.clone();
        Ok(dial
            .or_else(move |error| async move {
                if error.kind() != io::ErrorKind::AddrInUse {
                    return Err(error);
                }
                tracing::debug!(%address, "dialling from another port than ours, which is in use");
                from_new_port(config, address, options).await
            })
            .boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}

async fn from_new_port(
    config: tcp::Config,
    address: Multiaddr,
    options: DialOpts,
) -> io::Result<<Inner as libp2p::Transport>::Output> {
    let options = DialOpts {
        port_use: PortUse::New,
        ..options
    };
    match Inner::new(config).dial(address, options) {
        Ok(dial) => dial.await,
        Err(TransportError::Other(error)) => Err(error),
        Err(error @ TransportError::MultiaddrNotSupported(_)) => Err(io::Error::other(error)),
    }
}

// Elsewhere there may be one loopback address only.
#[cfg(all(test, target_os = "linux"))]
mod tests;
