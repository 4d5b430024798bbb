//! A certificate and its key out of files, read again when these change.

use std::{
    convert::Infallible,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use futures_rustls::rustls::{
    self,
    crypto::ring,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use thiserror::Error;
use tokio::time;

use super::certificate::{self, Certificate};
use crate::limits;

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

/// The files of a certificate and its key.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// What tells whether the files are as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp([Option<(SystemTime, u64)>; 2]);

impl Files {
    pub(crate) fn new(certificate: &Path, key: &Path) -> Self {
        Self {
            certificate: certificate.into(),
            key: key.into(),
        }
    }

    /// What is in them.
    ///
    /// # Errors
    ///
    /// If there is no usable pair in them.
    pub(crate) fn read(&self) -> Result<CertifiedKey, CertificateError> {
        let text = read(&self.certificate, "--tls-cert")?;
        let pem = |path: &Path, what, source| CertificateError::Pem {
            path: path.into(),
            what,
            source,
        };
        let chain = certificate::chain(&text)
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

/// Looks after the files until aborted, and puts what is in them to use.
pub(super) async fn watch(files: Files, certificate: Certificate) -> Infallible {
    let mut seen = files.stamp();
    // A pair is two files: whoever replaces them does so one after the other.
    let mut is_pending = false;
    loop {
        time::sleep(limits::CERTIFICATE_INTERVAL).await;
        let stamp = files.stamp();
        if stamp != seen {
            seen = stamp;
            is_pending = true;
            continue;
        }
        if !std::mem::take(&mut is_pending) {
            continue;
        }
        match files.read() {
            Ok(key) => {
                certificate.set(key);
                tracing::info!("the certificate has changed and is in use");
            }
            Err(error) => {
                tracing::error!(
                    %error,
                    "the certificate has changed and can't be used; the one before stays in use"
                );
                certificate.set_trouble(&error, None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["moim.example".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_pair_is_read_and_what_is_none_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (cert_path, key_path) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        let write = |cert: &str, key: &str| {
            fs::write(&cert_path, cert).unwrap();
            fs::write(&key_path, key).unwrap();
        };
        let (first, second) = (pair(), pair());
        let files = Files::new(&cert_path, &key_path);
        write(&first.0, &first.1);
        let stamp = files.stamp();
        let before = files.read().unwrap().cert[0].clone();

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
            files.read().unwrap_err();
        }
        assert_ne!(files.stamp(), stamp);
        write(&second.0, &second.1);
        assert_ne!(files.read().unwrap().cert[0], before);
        fs::remove_file(&key_path).unwrap();
        let error = files.read().unwrap_err();
        assert!(error.to_string().contains("--tls-key"), "{error}");
    }
}
