//! One port for pages on the internet: HTTPS, and libp2p over secure WebSocket.
//!
//! A browser that got its page by HTTPS opens no connection without TLS. So [`Front`] ends the TLS
//! of every connection, reads the head of its first request, and gives those that want to become
//! WebSockets to libp2p, by way of [`Tls`]; the others are answered by the HTTP server like all. The
//! [`Certificate`] comes from [`files`], read again whenever they change, or by [`acme`]; a new one
//! is for the connections that come then.

use std::convert::Infallible;

use futures::future::BoxFuture;
use futures_rustls::rustls;
use thiserror::Error;

use self::{acme::Acme, counters::Source};
pub use self::{acme::AcmeError, files::CertificateError};
pub(crate) use self::{
    certificate::{Certificate, Report, State},
    counters::Counters,
    files::Files,
    front::{Front, Incoming},
    transport::Tls,
};
use crate::{config::Config, data_dir::DataDir};

pub(crate) mod acme;
mod certificate;
mod counters;
mod files;
mod front;
pub(crate) mod head;
mod transport;

/// What the TLS port needs.
#[allow(missing_debug_implementations, reason = "a future has no Debug")]
pub(crate) struct Port {
    pub(crate) certificate: Certificate,
    pub(crate) front: Front,
    /// What looks after the certificate until aborted. To be begun when the port is open, where a CA
    /// looks for the proof.
    pub(crate) keeping: BoxFuture<'static, Infallible>,
}

/// Why the TLS port can't be opened.
#[derive(Debug, Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Acme(#[from] AcmeError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// What ends TLS and looks after its certificate, and the connections for libp2p that come by it;
/// `None` if TLS is off.
///
/// # Errors
///
/// If the certificate can't be used, or what is needed to get one.
pub(crate) fn open(
    config: &Config,
    data: &DataDir,
    counters: &Counters,
) -> Result<Option<(Port, Incoming)>, OpenError> {
    let (certificate, keeping): (_, BoxFuture<'static, _>) =
        if let Some((certificate, key)) = config.tls_files() {
            let files = Files::new(certificate, key);
            let certificate = Certificate::empty(Source::Files, counters.clone());
            certificate.set(files.read()?);
            let keeping = files::watch(files, certificate.clone());
            (certificate, Box::pin(keeping))
        } else if let Some(acme) = Acme::open(config, data, counters)? {
            (acme.certificate().clone(), Box::pin(acme.keep()))
        } else {
            return Ok(None);
        };
    let (front, incoming) = Front::new(&certificate)?;
    let port = Port {
        certificate,
        front,
        keeping,
    };
    Ok(Some((port, incoming)))
}
