//! One port for pages on the internet: HTTPS, and libp2p over secure WebSocket.
//!
//! A browser that got its page by HTTPS opens no connection without TLS. So [`Front`] ends the TLS
//! of every connection, reads the head of its first request, and gives those that want to become
//! WebSockets to libp2p, by way of [`Tls`]; the others are answered by the HTTP server like all. The
//! [`Certificate`] is read again whenever its files change, for the connections that come then.

use std::convert::Infallible;

use tokio::{sync::mpsc, time};

pub use self::certificate::CertificateError;
pub(crate) use self::{
    certificate::Certificate,
    front::{Front, Secured},
    transport::{HandedOver, Tls},
};

/// The connections that come by the TLS port for libp2p.
pub(crate) type Incoming = mpsc::Receiver<HandedOver<Secured>>;

use crate::limits;

mod certificate;
mod front;
mod head;
mod transport;

/// Looks after the files of the certificate until aborted.
pub(crate) async fn watch(certificate: Certificate) -> Infallible {
    let mut seen = certificate.stamp();
    // A pair is two files: whoever replaces them does so one after the other.
    let mut is_pending = false;
    loop {
        time::sleep(limits::CERTIFICATE_INTERVAL).await;
        let stamp = certificate.stamp();
        if stamp != seen {
            seen = stamp;
            is_pending = true;
            continue;
        }
        if !std::mem::take(&mut is_pending) {
            continue;
        }
        match certificate.reload() {
            Ok(()) => tracing::info!("the certificate has changed and is in use"),
            Err(error) => tracing::error!(
                %error,
                "the certificate has changed and can't be used; the one before stays in use"
            ),
        }
    }
}
