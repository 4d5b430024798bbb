//! libp2p's WebSocket transport for browser pages.
//!
//! [libp2p/specs, websockets/README.md](https://github.com/libp2p/specs/blob/master/websockets/README.md),
//! over the browser's own [`WebSocket`](https://websockets.spec.whatwg.org/). A page can dial and not
//! listen. The connection is a stream of bytes without encryption: upgrade it like one of TCP.
//!
//! ```
//! let transport = moim_websocket::Transport::default();
//! ```
//!
//! # Back-pressure
//!
//! Writing waits while [`OUTGOING_MAX`] bytes are on their way out, and flushing does not wait: the
//! browser sends what it has without being asked. There is no event for what has gone out, so a
//! writer that waits looks again when something arrives and every few milliseconds.
//!
//! Nothing in the browser's API slows the other side down. That is left to the multiplexer, whose
//! windows have to be smaller than [`UNREAD_MAX`]: a connection with more than that unread is closed.
//! Until [`Unknown::is_known`] is called, a connection is closed with more than [`UNKNOWN_UNREAD_MAX`] unread.
//!
//! # Platforms
//!
//! It compiles everywhere, as web-sys does, and works in pages and in workers.

#![forbid(unsafe_code)]

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::future;
use js_sys::Reflect;
use libp2p_core::{
    Multiaddr,
    transport::{DialOpts, ListenerId, TransportError, TransportEvent},
};

pub use crate::connection::{
    Connection, Dial, OUTGOING_MAX, UNKNOWN_UNREAD_MAX, UNREAD_MAX, Unknown,
};

mod address;
mod connection;
mod inbox;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not even tried: `ws` from a page that came by HTTPS, a port that the browser blocks, or
    /// no WebSocket at all.
    #[error("the browser refuses to open {url}: {reason}")]
    Refused {
        /// What was to be opened.
        url: String,
        /// What the browser says.
        reason: String,
    },
    /// Nobody answers there, or no WebSocket server. The browser does not tell pages which.
    #[error("cannot open {url}")]
    Failed {
        /// What was to be opened.
        url: String,
    },
}

/// Whether the page, or the worker's script, came by HTTPS.
fn is_page_secure() -> bool {
    let protocol = Reflect::get(&js_sys::global(), &"location".into())
        .and_then(|location| Reflect::get(&location, &"protocol".into()));
    protocol.is_ok_and(|protocol| protocol.as_string().as_deref() == Some("https:"))
}

/// Dials `/ws` and `/wss` addresses.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Transport {}

impl libp2p_core::Transport for Transport {
    type Output = Connection;
    type Error = Error;
    type ListenerUpgrade = future::Pending<Result<Connection, Error>>;
    type Dial = Dial;

    /// A page cannot listen.
    fn listen_on(
        &mut self,
        _: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Dial, TransportError<Error>> {
        match address::server(&address) {
            // The browser would refuse it too, and complain in its console.
            Some(server) if server.is_exposed && is_page_secure() => {
                Err(TransportError::Other(Error::Refused {
                    url: server.url,
                    reason: "a page that came by HTTPS opens connections with TLS only".to_owned(),
                }))
            }
            Some(server) if options.role.is_dialer() => Ok(Dial::new(server.url)),
            _ => Err(TransportError::MultiaddrNotSupported(address)),
        }
    }

    fn poll(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Error>> {
        Poll::Pending
    }
}
