//! Certificates with their keys: read, and made for requests and challenges.

use futures_rustls::rustls::{
    self,
    crypto::ring,
    pki_types::{
        PrivateKeyDer, PrivatePkcs8KeyDer,
        pem::{self, PemObject as _},
    },
    sign::CertifiedKey,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::tls::certificate::{self, Validity};

/// A certificate with the chain that leads to it, and its key, both PEM.
#[derive(Deserialize, Serialize)]
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// Why a [`Pair`] can't be used.
#[derive(Debug, Error)]
pub(super) enum PairError {
    #[error("no certificate in PEM form: {0}")]
    Certificate(#[source] pem::Error),
    #[error("no private key in PEM form: {0}")]
    Key(#[source] pem::Error),
    #[error("certificate and key: {0}")]
    Pair(#[from] rustls::Error),
    #[error("the certificate doesn't say how long it is valid")]
    Validity,
}

impl Pair {
    /// The pair, and how long it is good.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub(super) fn check(&self) -> Result<(CertifiedKey, Validity), PairError> {
        let chain =
            certificate::chain(self.certificate.as_bytes()).map_err(PairError::Certificate)?;
        let validity = chain.first().and_then(Validity::of);
        let validity = validity.ok_or(PairError::Validity)?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(PairError::Key)?;
        // Compares the two as well.
        let pair = CertifiedKey::from_der(chain, key, &ring::default_provider())?;
        Ok((pair, validity))
    }
}

/// A request for a certificate of a name (PKCS #10, DER), and the key, PEM.
pub(super) fn request(domain: &str) -> Result<(Vec<u8>, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new([domain.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key)?;
    Ok((request.der().to_vec(), key.serialize_pem()))
}

/// Why there is no certificate to answer a challenge with.
#[derive(Debug, Error)]
pub(super) enum ProofError {
    #[error(transparent)]
    Make(#[from] rcgen::Error),
    #[error(transparent)]
    Use(#[from] rustls::Error),
}

/// The certificate that answers a challenge (RFC 8737, section 3): self-signed, for the name alone,
/// with the SHA-256 digest of the key authorization in it.
pub(super) fn proof(domain: &str, digest: &[u8; 32]) -> Result<CertifiedKey, ProofError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new([domain.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key)?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let key = ring::default_provider()
        .key_provider
        .load_private_key(key.into())?;
    // Not `from_der`, which takes no certificate with a critical extension that it doesn't know.
    Ok(CertifiedKey::new(vec![certificate.der().clone()], key))
}

#[cfg(test)]
mod tests {
    use x509_parser::{certificate::X509Certificate, der_parser::oid, prelude::FromDer as _};

    use super::*;

    #[test]
    fn a_proof_has_what_the_ca_looks_for() {
        let proof = proof("a.example", &[7; 32]).unwrap();
        let (_, parsed) = X509Certificate::from_der(&proof.cert[0]).unwrap();
        let names = parsed.subject_alternative_name().unwrap().unwrap();
        let names: Vec<_> = names.value.general_names.iter().collect();
        assert_eq!(names.len(), 1);
        assert_eq!(names[0].to_string(), "DNSName(a.example)");
        let identifier = oid!(1.3.6.1.5.5.7.1.31);
        let extension = parsed.get_extension_unique(&identifier).unwrap().unwrap();
        assert!(extension.critical);
        // An OCTET STRING of 32 bytes.
        assert_eq!(extension.value[..2], [4, 32]);
        assert_eq!(extension.value[2..], [7; 32]);
    }

    #[test]
    fn a_pair_is_one_certificate_with_its_key() {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let pair = |certificate: &str, key: &str| Pair {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        };
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let (_, validity) = pair(&certificate, &key).check().unwrap();
        assert!(validity.from < validity.until);
        let other = KeyPair::generate().unwrap().serialize_pem();
        for (certificate, key) in [
            ("", key.as_str()),
            (certificate.as_str(), ""),
            (&certificate, &other),
            (&key, &certificate),
        ] {
            assert!(pair(certificate, key).check().is_err());
        }
    }
}
