//! libp2p's `/webrtc-direct` transport, the dialling side: from a browser to a server that has an
//! address, but no certificate that browsers trust. The listening side, which only programs can be, is
//! with the native backend, `backend::native::server`.
//!
//! [libp2p/specs, webrtc/webrtc-direct.md](https://github.com/libp2p/specs/blob/master/webrtc/webrtc-direct.md),
//! revision 2. There is no signalling: the dialler makes the server's session description from its
//! address, and the server makes the dialler's from the first packet that it gets. DTLS proves that the
//! server has the certificate whose hash is in the address, and a Noise handshake on a data channel
//! proves to both who the other is.
//!
//! # Versions
//!
//! What the server has to know of the dialler is its ICE password. The STUN username of the first packet
//! is the only place for it, and there are two ways to get it there. In version 2 the dialler gives the
//! server a username fragment that is made of the password. In version 1 it gives itself the same one and the same
//! password as the server, which browsers are about to forbid. An address does not say which of them a server
//! speaks: version 2 is tried first, and version 1 beside it when there is no answer.
//!
//! # Use
//!
//! [`Transport`] gives a connection with its muxer: the same as of `/webrtc`. It does not listen.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::{BoxFuture, Pending};
use libp2p_core::{
    Multiaddr,
    transport::{DialOpts, ListenerId, TransportError, TransportEvent},
};
use libp2p_identity::{Keypair, PeerId};
use thiserror::Error;

use crate::{
    backend::{Backend, BackendError, CloseReason},
    error::Step,
    muxer::Connection,
};

mod address;
pub(crate) mod authenticate;
mod dial;
pub(crate) mod fingerprint;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
pub(crate) mod sdp;

/// Dials `/ip4|ip6/<ip>/udp/<port>/webrtc-direct/certhash/<hash>[/p2p/<peer>]`.
#[derive(Clone)]
pub struct Transport<B> {
    backend: B,
    identity: Keypair,
    timeout: Duration,
}

impl<B: Backend> Transport<B> {
    /// Dials as the peer with this key. A dial may take `timeout`.
    pub const fn new(backend: B, identity: Keypair, timeout: Duration) -> Self {
        Self {
            backend,
            identity,
            timeout,
        }
    }
}

impl<B> fmt::Debug for Transport<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Why there is no connection. The text says all, also of what is below, so there is no
/// [`source`](std::error::Error::source).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is for WebRTC-direct, but nobody can be reached by it.
    #[error("not an address for WebRTC-direct: {0}")]
    Address(&'static str),
    /// The WebRTC implementation refused.
    #[error("while {step}: {refusal}")]
    Backend {
        /// How far it had come.
        step: Step,
        /// What it said.
        refusal: BackendError,
    },
    /// The connection ended before it was there.
    #[error("while {step}: {}", match .reason {
        CloseReason::IceFailed => "nobody answers at this address",
        CloseReason::Closed => "the other side does not have the certificate that this address names, or gave up",
    })]
    Closed {
        /// How far it had come.
        step: Step,
        /// Why.
        reason: CloseReason,
    },
    /// The listening side's socket.
    #[error("the UDP socket: {0}")]
    Socket(std::io::Error),
    /// It took too long.
    #[error("while {0}: it took too long")]
    Timeout(Step),
    /// The other side did not prove who it is.
    #[error("while {step}: {0}", step = Step::Authenticating)]
    Noise(libp2p_noise::Error),
}

/// The WebRTC implementation refused while the descriptions were made.
pub(crate) fn refused(refusal: BackendError) -> Error {
    Error::Backend {
        step: Step::Describing,
        refusal,
    }
}

/// There is not everything in a description of our own.
pub(crate) fn missing(what: &str) -> Error {
    refused(BackendError(format!("no usable {what} in our description")))
}

impl<B: Backend> libp2p_core::Transport for Transport<B> {
    /// Who is there, and the connection. Whoever wants somebody in particular has to compare, as with
    /// every transport: a swarm does.
    type Output = (PeerId, Connection<B::Connection>);
    type Error = Error;
    type ListenerUpgrade = Pending<Result<Self::Output, Error>>;
    type Dial = BoxFuture<'static, Result<Self::Output, Error>>;

    fn listen_on(
        &mut self,
        _: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<Self::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        _: DialOpts,
    ) -> Result<Self::Dial, TransportError<Self::Error>> {
        if !address::is_webrtc_direct(&address) {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        let server = address::Server::parse(&address)
            .map_err(|error| TransportError::Other(Error::Address(error)))?;
        Ok(Box::pin(dial::dial(
            self.backend.clone(),
            server,
            self.identity.clone(),
            self.timeout,
        )))
    }

    fn poll(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
