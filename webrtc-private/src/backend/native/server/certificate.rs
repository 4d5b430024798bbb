//! The certificate of a server, or of one connection.

use libp2p_core::multihash::Multihash;
use rtc::{
    crypto::{SignatureScheme, default_provider},
    peer_connection::certificate::{CertificateParams, RTCCertificate},
};
use thiserror::Error;

use crate::direct::fingerprint::Fingerprint;

/// A certificate with its private key. Its hash is part of the server's addresses, so it should be kept.
#[derive(Clone, Debug)]
pub struct Certificate {
    certificate: RTCCertificate,
    fingerprint: Fingerprint,
}

/// There is no certificate.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no certificate: {0}")]
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
        let params = CertificateParams::new(Vec::new()).map_err(error)?;
        let scheme = SignatureScheme::EcdsaP256Sha256;
        Self::new(RTCCertificate::generate(crypto.crypto(), scheme, params).map_err(error)?)
    }

    /// From [`to_pem`](Self::to_pem): an `EXPIRES` block with the seconds since 1970 as 8 bytes, little
    /// endian, then the private key in PKCS#8 and the certificate.
    ///
    /// # Errors
    /// [`CertificateError`] when the text is not of this form.
    pub fn from_pem(pem: &str) -> Result<Self, CertificateError> {
        if !has_expiry(pem) {
            return Err(CertificateError(
                "it does not say until when it is valid".to_owned(),
            ));
        }
        let crypto = default_provider().map_err(error)?;
        Self::new(RTCCertificate::from_pem(pem, crypto.crypto()).map_err(error)?)
    }

    /// As text, with the private key.
    ///
    /// # Errors
    /// [`CertificateError`] when the key cannot be exported.
    pub fn to_pem(&self) -> Result<String, CertificateError> {
        self.certificate.serialize_pem().map_err(error)
    }

    fn new(certificate: RTCCertificate) -> Result<Self, CertificateError> {
        let crypto = default_provider().map_err(error)?;
        let fingerprints = certificate
            .get_fingerprints(crypto.crypto())
            .map_err(error)?;
        let fingerprint = fingerprints
            .iter()
            .find(|one| one.algorithm == "sha-256")
            .and_then(|one| Fingerprint::from_hex(&one.value))
            .ok_or_else(|| error("it has no fingerprint"))?;
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

    pub(in crate::backend::native) const fn rtc(&self) -> &RTCCertificate {
        &self.certificate
    }
}

/// Whether the first block is an `EXPIRES` of at least 8 bytes (11 base64 digits): rtc panics over a
/// shorter one.
fn has_expiry(pem: &str) -> bool {
    let digits = pem
        .trim_start()
        .strip_prefix("-----BEGIN EXPIRES-----")
        .and_then(|rest| rest.split_once("-----END EXPIRES-----"))
        .map(|(body, _)| {
            body.chars()
                .filter(|c| !c.is_whitespace() && *c != '=')
                .count()
        });
    digits.is_some_and(|count| count >= 11)
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
    fn what_is_no_certificate_is_refused() {
        let text = Certificate::generate().unwrap().to_pem().unwrap();
        for (from, to) in [
            ("-----BEGIN EXPIRES-----", "-----BEGIN OTHER-----"),
            ("-----BEGIN CERTIFICATE-----", ""),
            ("-----END CERTIFICATE-----", ""),
            ("PRIVATE_KEY", "PUBLIC_KEY"),
        ] {
            let damaged = text.replace(from, to);
            assert_ne!(damaged, text);
            assert!(Certificate::from_pem(&damaged).is_err(), "{damaged}");
        }
        let short = "-----BEGIN EXPIRES-----\nAAAA\n-----END EXPIRES-----\n";
        for text in ["", "\n\n", short, &text[..100]] {
            assert!(Certificate::from_pem(text).is_err(), "{text}");
        }
    }
}
