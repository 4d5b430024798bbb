//! The certificate and its key: read from files, and read again when they change.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use futures_rustls::rustls::{
    self, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use thiserror::Error;

/// HTTP/1.1 alone: browsers' WebSockets begin with it.
const ALPN: &[u8] = b"http/1.1";

/// Largest file that is read: chains have a few KiB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why a certificate can't be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file can't be read.
    #[error("{}: {source}; check the path given by {flag} and the file's owner and mode", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The flag that named it.
        flag: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{}: no {what} in PEM form: {source}", .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
        /// What is wrong.
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate and key don't belong together, or are of a kind that can't be used.
    #[error("certificate {} and key {}: {source}", .certificate.display(), .key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
}

/// The certificate in use. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Certificate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    files: Files,
    current: RwLock<Arc<CertifiedKey>>,
}

#[derive(Clone, Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// What tells whether the files are as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp([Option<(SystemTime, u64)>; 2]);

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// If there is no usable pair in them.
    pub(crate) fn open(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let files = Files {
            certificate: certificate.into(),
            key: key.into(),
        };
        let current = RwLock::new(Arc::new(files.read()?));
        Ok(Self(Arc::new(Shared { files, current })))
    }

    /// When and how long the files are now.
    pub(crate) fn stamp(&self) -> Stamp {
        self.0.files.stamp()
    }

    /// Reads the files again, for connections from now on. Those there are go on as they are.
    ///
    /// # Errors
    ///
    /// If there is no usable pair in them; the one in use stays then.
    pub(crate) fn reload(&self) -> Result<(), CertificateError> {
        let new = Arc::new(self.0.files.read()?);
        *self
            .0
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// The settings of a server that uses this certificate, today's and later ones.
    pub(super) fn server_config(&self) -> Result<Arc<ServerConfig>, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.0.current.read();
        Some(Arc::clone(&current.unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Files {
    fn read(&self) -> Result<CertifiedKey, CertificateError> {
        let text = read(&self.certificate, "--tls-cert")?;
        let pem = |path: &Path, what, source| CertificateError::Pem {
            path: path.into(),
            what,
            source,
        };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<_, _>>()
            .and_then(|chain: Vec<_>| {
                if chain.is_empty() {
                    Err(rustls::pki_types::pem::Error::NoItemsFound)
                } else {
                    Ok(chain)
                }
            })
            .map_err(|error| pem(&self.certificate, "certificate", error))?;
        let text = read(&self.key, "--tls-key")?;
        let key = PrivateKeyDer::from_pem_slice(&text)
            .map_err(|error| pem(&self.key, "private key", error))?;
        // Compares the two as well.
        CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|source| {
            CertificateError::Pair {
                certificate: self.certificate.clone(),
                key: self.key.clone(),
                source,
            }
        })
    }

    fn stamp(&self) -> Stamp {
        let of = |path: &Path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        Stamp([of(&self.certificate), of(&self.key)])
    }
}

fn read(path: &Path, flag: &'static str) -> Result<Vec<u8>, CertificateError> {
    use io::Read as _;
    let failed = |source| CertificateError::Read {
        path: path.into(),
        flag,
        source,
    };
    let mut text = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut text)
        .map_err(failed)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["moim.example".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn leaf(certificate: &Certificate) -> CertificateDer<'static> {
        certificate.0.current.read().unwrap().cert[0].clone()
    }

    #[test]
    fn a_pair_is_read_and_read_again_and_a_broken_one_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (cert_path, key_path) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        let write = |cert: &str, key: &str| {
            fs::write(&cert_path, cert).unwrap();
            fs::write(&key_path, key).unwrap();
        };
        let (first, second) = (pair(), pair());
        write(&first.0, &first.1);
        let certificate = Certificate::open(&cert_path, &key_path).unwrap();
        let (before, stamp) = (leaf(&certificate), certificate.stamp());
        certificate.server_config().unwrap();

        for (cert, key) in [
            (second.0.as_str(), first.1.as_str()),
            ("", first.1.as_str()),
            (&second.0, ""),
            (
                &second.0,
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
            ),
            ("\0\0\0\0", "\u{ff}"),
        ] {
            write(cert, key);
            certificate.reload().unwrap_err();
            assert_eq!(leaf(&certificate), before);
        }
        assert_ne!(certificate.stamp(), stamp);
        write(&second.0, &second.1);
        certificate.reload().unwrap();
        assert_ne!(leaf(&certificate), before);
        fs::remove_file(&key_path).unwrap();
        let error = certificate.reload().unwrap_err();
        assert!(error.to_string().contains("--tls-key"), "{error}");
    }
}
