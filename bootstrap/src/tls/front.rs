//! What becomes of a connection to the TLS port.

use std::{io, net::SocketAddr};

use futures::AsyncWriteExt as _;
use futures_rustls::{TlsAcceptor, rustls, server::TlsStream};
use tokio::{net::TcpStream, sync::mpsc, time};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

use super::{
    certificate::{CHALLENGE_ALPN, Certificate},
    head::{self, Rewound, Wants},
    transport::HandedOver,
};
use crate::limits;

/// A connection after its TLS handshake.
pub(crate) type Secured = Rewound<TlsStream<Compat<TcpStream>>>;

/// The connections that come by the TLS port for libp2p.
pub(crate) type Incoming = mpsc::Receiver<HandedOver<Secured>>;

/// Ends TLS, and gives libp2p its part. Clones share everything.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "the acceptor has no Debug")]
pub(crate) struct Front {
    acceptor: TlsAcceptor,
    to_libp2p: mpsc::Sender<HandedOver<Secured>>,
}

impl Front {
    /// A front with this certificate, and the connections for libp2p that come by it.
    ///
    /// # Errors
    ///
    /// If rustls can't be set up.
    pub(crate) fn new(certificate: &Certificate) -> Result<(Self, Incoming), rustls::Error> {
        let (to_libp2p, incoming) = mpsc::channel(limits::TLS_HANDED_OVER_MAX);
        let acceptor = certificate.server_config()?.into();
        let front = Self {
            acceptor,
            to_libp2p,
        };
        Ok((front, incoming))
    }

    /// Shakes hands and reads what is asked for. What is not for libp2p comes back, to be answered.
    /// For a CA that looks for the proof of a name, the handshake is all (RFC 8737, section 3).
    ///
    /// # Errors
    ///
    /// If the other side doesn't, or not in time.
    pub(crate) async fn receive(
        &self,
        stream: TcpStream,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> io::Result<Option<Secured>> {
        let handshake = async {
            let mut stream = self.acceptor.accept(stream.compat()).await?;
            if stream.get_ref().1.alpn_protocol() == Some(CHALLENGE_ALPN) {
                stream.close().await?;
                return Ok(None);
            }
            let read = head::read(stream, limits::HTTP_HEADER_BYTES_MAX).await?;
            Ok::<_, io::Error>(Some(read))
        };
        let handshake = time::timeout(limits::TLS_HANDSHAKE_TIMEOUT, handshake);
        let Some((wants, stream)) = handshake.await?? else {
            return Ok(None);
        };
        if wants == Wants::Http {
            return Ok(Some(stream));
        }
        let connection = HandedOver {
            stream,
            local,
            remote,
        };
        // When libp2p doesn't keep up, the newest wait for it here, holding a slot, until their
        // time is over.
        let handing = self.to_libp2p.send(connection);
        match time::timeout(limits::TLS_HANDSHAKE_TIMEOUT, handing).await? {
            Ok(()) => Ok(None),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}
