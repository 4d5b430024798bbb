//! Why the node can't begin to look after its certificate.

use std::{io, path::PathBuf};

use futures_rustls::rustls::{self, pki_types::pem};
use thiserror::Error;

use crate::data_dir::DataDirError;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why the node can't begin to look after its certificate.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AcmeError {
    /// The account's file holds none.
    #[error(
        "{} is damaged, so the node doesn't know its account at the CA: {source}; restore the file \
         from a copy, or remove it to get a new account",
        .path.display()
    )]
    BrokenAccount {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: BoxError,
    },
    /// The certificate's file holds none.
    #[error(
        "{} is damaged, so the node has no certificate: {source}; restore the file from a copy, or \
         remove it to get a new certificate",
        .path.display()
    )]
    BrokenCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: BoxError,
    },
    /// The files can't be read.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The file of `--acme-root` can't be read.
    #[error("{}: {source}; check the path given by --acme-root and the file's owner and mode", .path.display())]
    RootRead {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no certificate in the file of `--acme-root`.
    #[error("{}: no certificate in PEM form: {source} (--acme-root)", .path.display())]
    RootPem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: pem::Error,
    },
    /// TLS can't be set up, or a certificate of `--acme-root` is none.
    #[error("can't trust the CA's server: {0}")]
    Tls(#[from] rustls::Error),
}
