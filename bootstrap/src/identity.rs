//! Who the node is: its key, which makes its peer id, and its WebRTC certificate, which is part of
//! its `/webrtc-direct` addresses. Both are made once and then stay, so that an address once handed
//! out stays good. A damaged file is reported and left alone, never replaced.

use std::path::PathBuf;

use libp2p::identity::{DecodingError, Keypair};
use moim_webrtc::backend::native::server::{Certificate, CertificateError};
use thiserror::Error;

use crate::data_dir::{DataDir, DataDirError};

/// The node's Ed25519 key pair as libp2p's protobuf `PrivateKey` (libp2p specs, peer-ids).
const KEY_FILE: &str = "identity.key";
/// The node's WebRTC certificate with its private key, PEM.
const CERTIFICATE_FILE: &str = "webrtc.pem";

/// Why the node doesn't know who it is.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The certificate file holds none.
    #[error(
        "{} is damaged, so the node can't offer WebRTC under its old address; restore it from a \
         copy, or remove it to get a new certificate (pages then need the new address), or start \
         with --webrtc-direct off",
        .path.display()
    )]
    BrokenCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, where more is known.
        source: Option<CertificateError>,
    },
    /// The key file holds none.
    #[error(
        "{} is damaged, so the node doesn't know its peer id; restore it from a copy, or remove it \
         to start with a new identity (addresses that name the old peer id then fail)",
        .path.display()
    )]
    BrokenKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: DecodingError,
    },
    /// The files can't be read or written.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// No certificate could be made.
    #[error("can't make a WebRTC certificate")]
    Generate(#[source] CertificateError),
}

/// The node's key pair, made at the first start.
///
/// # Errors
///
/// If the file is damaged, or can't be read or written.
pub(crate) fn keypair(data: &DataDir) -> Result<Keypair, IdentityError> {
    let broken = |source| IdentityError::BrokenKey {
        path: data.file(KEY_FILE),
        source,
    };
    if let Some(bytes) = data.read(KEY_FILE)? {
        return Keypair::from_protobuf_encoding(&bytes).map_err(broken);
    }
    let keypair = Keypair::generate_ed25519();
    data.write(KEY_FILE, &keypair.to_protobuf_encoding().map_err(broken)?)?;
    Ok(keypair)
}

/// The node's WebRTC certificate, made at the first start. It is valid until the year 4096.
///
/// # Errors
///
/// If the file is damaged, or can't be read or written.
pub(crate) fn certificate(data: &DataDir) -> Result<Certificate, IdentityError> {
    if let Some(bytes) = data.read(CERTIFICATE_FILE)? {
        let broken = |source| IdentityError::BrokenCertificate {
            path: data.file(CERTIFICATE_FILE),
            source,
        };
        let text = String::from_utf8(bytes).map_err(|_| broken(None))?;
        return Certificate::from_pem(&text).map_err(|error| broken(Some(error)));
    }
    let certificate = Certificate::generate().map_err(IdentityError::Generate)?;
    let text = certificate.to_pem().map_err(IdentityError::Generate)?;
    data.write(CERTIFICATE_FILE, text.as_bytes())?;
    Ok(certificate)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use libp2p::multiaddr::Protocol;

    use super::*;

    fn data_dir() -> (tempfile::TempDir, DataDir) {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        (dir, data)
    }

    #[test]
    fn key_and_certificate_survive() {
        let (_dir, data) = data_dir();
        let first = keypair(&data).unwrap().public();
        assert_eq!(keypair(&data).unwrap().public(), first);
        let first = certificate(&data).unwrap();
        assert_eq!(certificate(&data).unwrap().certhash(), first.certhash());
    }

    /// Nodes had another WebRTC implementation before, which made this file. Lines ended with CRLF, but for
    /// the empty one after the first block.
    #[test]
    fn a_certificate_of_an_older_node_stays_good() {
        let (_dir, data) = data_dir();
        let (expires, rest) = include_str!("identity/old.pem").split_once("\n\n").unwrap();
        let [expires, rest] = [expires, rest].map(|part| part.replace('\n', "\r\n"));
        fs::write(
            data.file(CERTIFICATE_FILE),
            format!("{expires}\r\n\n{rest}"),
        )
        .unwrap();
        let hash = Protocol::Certhash(certificate(&data).unwrap().certhash());
        assert_eq!(
            hash.to_string(),
            "/certhash/uEiDHXQXrWbK1jBTDBCOaoFgO4iJ3juXswOSwVVycbp6G2g"
        );
    }

    #[test]
    fn a_damaged_key_is_refused_and_left_alone() {
        for content in [
            &b""[..],
            b"garbage",
            &[0x08, 0x01, 0x12, 0x40, 1, 2, 3],
            &[0xff; 5000],
        ] {
            let (_dir, data) = data_dir();
            fs::write(data.file(KEY_FILE), content).unwrap();
            let error = keypair(&data).unwrap_err();
            assert!(matches!(error, IdentityError::BrokenKey { .. }), "{error}");
            assert!(error.to_string().contains("identity.key"), "{error}");
            assert_eq!(fs::read(data.file(KEY_FILE)).unwrap(), content);
        }
    }

    #[test]
    fn a_damaged_certificate_is_refused_and_left_alone() {
        let (_dir, data) = data_dir();
        certificate(&data).unwrap();
        let good = fs::read_to_string(data.file(CERTIFICATE_FILE)).unwrap();
        let half = &good[..good.len() / 2];
        let short_expiry = "-----BEGIN EXPIRES-----\nAAAA\n-----END EXPIRES-----\n\n";
        for content in ["", "garbage", half, short_expiry, "-----BEGIN EXPIRES-----"] {
            fs::write(data.file(CERTIFICATE_FILE), content).unwrap();
            let error = certificate(&data).map(|_| ()).unwrap_err();
            assert!(
                matches!(error, IdentityError::BrokenCertificate { .. }),
                "{error}"
            );
            assert_eq!(
                fs::read_to_string(data.file(CERTIFICATE_FILE)).unwrap(),
                content
            );
        }
        fs::write(data.file(CERTIFICATE_FILE), [0xff, 0xfe]).unwrap();
        certificate(&data).map(|_| ()).unwrap_err();
    }
}
