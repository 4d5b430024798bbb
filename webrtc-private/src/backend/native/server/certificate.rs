//! The certificate of a server, or of one connection.

use libp2p_core::multihash::Multihash;
use rtc_crypto::default_provider;
use rtc_dtls::crypto::Certificate as DtlsCertificate;
use thiserror::Error;

use super::super::dtls::fingerprint_of;
use crate::direct::fingerprint::Fingerprint;

/// How the private key begins in a text.
const KEY: &str = "-----BEGIN PRIVATE_KEY-----";

/// A certificate with its private key. Its hash is part of the server's addresses, so it should be kept.
#[derive(Clone, Debug)]
pub struct Certificate {
    certificate: DtlsCertificate,
    fingerprint: Fingerprint,
}

/// There is no certificate.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the certificate can be neither made nor read: {0}")]
pub struct CertificateError(String);

fn error(error: impl std::fmt::Display) -> CertificateError {
    CertificateError(error.to_string())
}

impl Certificate {
    /// A new one, valid until the year 4096. ECDSA with P-256.
    ///
    /// # Errors
    /// [`CertificateError`] when the system has no randomness.
    pub fn generate() -> Result<Self, CertificateError> {
        let crypto = default_provider().map_err(error)?;
        Self::new(
            DtlsCertificate::generate_self_signed(Vec::new(), crypto.crypto()).map_err(error)?,
        )
    }

    /// From [`to_pem`](Self::to_pem): the private key in PKCS#8 and the certificate. What is before them, as the block
    /// with the time of expiry that earlier versions wrote, is left out.
    ///
    /// # Errors
    /// [`CertificateError`] when the text is not of this form.
    pub fn from_pem(pem: &str) -> Result<Self, CertificateError> {
        let key = pem
            .find(KEY)
            .ok_or_else(|| error("there is no private key"))?;
        let pem = pem.get(key..).unwrap_or_default();
        let crypto = default_provider().map_err(error)?;
        Self::new(DtlsCertificate::from_pem(pem, crypto.crypto()).map_err(error)?)
    }

    /// As text, with the private key.
    ///
    /// # Errors
    /// [`CertificateError`] when the key cannot be exported.
    pub fn to_pem(&self) -> Result<String, CertificateError> {
        self.certificate.serialize_pem().map_err(error)
    }

    fn new(certificate: DtlsCertificate) -> Result<Self, CertificateError> {
        let crypto = default_provider().map_err(error)?;
        let first = certificate.certificate.first();
        let first = first.ok_or_else(|| error("there is only a private key"))?;
        let fingerprint = fingerprint_of(first, &*crypto).map_err(error)?;
        Ok(Self {
            certificate,
            fingerprint,
        })
    }

    /// Its SHA-256, as in `/certhash`.
    #[must_use]
    pub fn certhash(&self) -> Multihash<64> {
        self.fingerprint.into()
    }

    pub(in crate::backend::native) const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(in crate::backend::native) const fn dtls(&self) -> &DtlsCertificate {
        &self.certificate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_survives_as_text() {
        let certificate = Certificate::generate().unwrap();
        let text = certificate.to_pem().unwrap();
        let again = Certificate::from_pem(&text).unwrap();
        assert_eq!(again.certhash(), certificate.certhash());
        assert_eq!(again.to_pem().unwrap(), text);
        assert_ne!(
            Certificate::generate().unwrap().certhash(),
            certificate.certhash()
        );
    }

    #[test]
    fn one_of_an_earlier_version_is_read() {
        let text = Certificate::generate().unwrap().to_pem().unwrap();
        let earlier =
            format!("-----BEGIN EXPIRES-----\r\n/0bZnw8AAAA=\r\n-----END EXPIRES-----\r\n\n{text}");
        let certificate = Certificate::from_pem(&earlier).unwrap();
        assert_eq!(certificate.to_pem().unwrap(), text);
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let text = Certificate::generate().unwrap().to_pem().unwrap();
        for (from, to) in [
            ("-----BEGIN CERTIFICATE-----", ""),
            ("-----END CERTIFICATE-----", ""),
            ("-----BEGIN PRIVATE_KEY-----", ""),
            ("PRIVATE_KEY", "PUBLIC_KEY"),
        ] {
            let damaged = text.replace(from, to);
            assert_ne!(damaged, text);
            assert!(Certificate::from_pem(&damaged).is_err(), "{damaged}");
        }
        for text in ["", "\n\n", &text[..100]] {
            assert!(Certificate::from_pem(text).is_err(), "{text}");
        }
    }
}
