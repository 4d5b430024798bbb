//! DTLS over the selected candidate pair, without sockets or a clock.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::Arc,
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use rtc_crypto::{HashAlgorithm, RTCCryptoProvider};
use rtc_dtls::{
    config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig},
    crypto::Certificate as DtlsCertificate,
    endpoint::{Endpoint, EndpointEvent},
    extension::extension_use_srtp::SrtpProtectionProfile,
};
use rtc_shared::{TransportProtocol, error::Error};

use super::{super::BackendError, error};
use crate::direct::fingerprint::Fingerprint;

/// Both ends: addresses are a matter of ICE.
const NOBODY: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9));

/// Chromium's DTLS wants to agree on an SRTP protection profile (RFC 5764, section 4.1.2), even where there is no media.
const SRTP_PROFILES: [SrtpProtectionProfile; 2] = [
    SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
    SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
];

/// What has happened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The handshake is over.
    Connected,
    /// The other side has sent this.
    Data(Bytes),
    /// The other side has said that it is over.
    Closed,
}

/// A datagram is of no use.
#[derive(Debug)]
pub(super) enum Failure {
    /// The other side's certificate has another fingerprint than its description says.
    FingerprintMismatch,
    /// That need not be the end: anybody may send one.
    Datagram(BackendError),
}

/// See the [module](self).
pub(super) struct Dtls {
    endpoint: Endpoint,
    /// With what a client begins (ClientHello).
    hello: Option<Arc<HandshakeConfig>>,
}

/// The SHA-256 of a certificate in DER.
pub(super) fn fingerprint_of(
    der: &[u8],
    crypto: &dyn RTCCryptoProvider,
) -> Result<Fingerprint, BackendError> {
    let hashed = crypto.crypto().hash(HashAlgorithm::Sha256, der);
    Fingerprint::from_digest(&hashed.map_err(error)?)
        .ok_or_else(|| BackendError("a SHA-256 has not its length".to_owned()))
}

impl Dtls {
    /// Not begun. Without a fingerprint any certificate of the other side is taken.
    pub(super) fn new(
        is_client: bool,
        certificate: &DtlsCertificate,
        remote: Option<Fingerprint>,
        crypto: &Arc<dyn RTCCryptoProvider>,
    ) -> Result<Self, BackendError> {
        let hashing = Arc::clone(crypto);
        let config = ConfigBuilder::default()
            .with_crypto_provider(Arc::clone(crypto))
            .with_certificates(vec![certificate.clone()])
            .with_srtp_protection_profiles(SRTP_PROFILES.to_vec())
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            // Nobody has signed it: the fingerprint says whose it is.
            .with_insecure_skip_verify(true)
            .with_verify_peer_certificate(Some(Arc::new(move |chain: &[Vec<u8>], _: &[_]| {
                let first = chain.first().ok_or(Error::ErrNonCertificate)?;
                let is_expected = remote.is_none_or(|remote| {
                    fingerprint_of(first, &*hashing).is_ok_and(|theirs| theirs == remote)
                });
                match is_expected {
                    true => Ok(()),
                    false => Err(Error::ErrNoMatchingCertificateFingerprint),
                }
            })))
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .build(is_client, None)
            .map_err(error)?;
        let config = Arc::new(config);
        let (hello, server) = match is_client {
            true => (Some(config), None),
            false => (None, Some(config)),
        };
        Ok(Self {
            endpoint: Endpoint::new(NOBODY, TransportProtocol::UDP, server),
            hello,
        })
    }

    /// A candidate pair is selected: a client begins.
    pub(super) fn begin(&mut self, now: Instant) -> Result<(), BackendError> {
        match self.hello.take() {
            Some(hello) => self
                .endpoint
                .connect(now, NOBODY, hello, None)
                .map_err(error),
            None => Ok(()),
        }
    }

    /// A datagram has come.
    pub(super) fn receive(
        &mut self,
        datagram: BytesMut,
        now: Instant,
    ) -> Result<Vec<Event>, Failure> {
        let events = self.endpoint.read(now, NOBODY, None, datagram);
        let events = events.map_err(|failure| match failure {
            Error::ErrNoMatchingCertificateFingerprint => Failure::FingerprintMismatch,
            other => Failure::Datagram(error(other)),
        })?;
        let events = events.into_iter();
        let events = events.filter_map(|event| match event {
            EndpointEvent::HandshakeComplete => Some(Event::Connected),
            EndpointEvent::ApplicationData(data) => Some(Event::Data(data.freeze())),
            EndpointEvent::PeerClosed => Some(Event::Closed),
            _ => None,
        });
        Ok(events.collect())
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.endpoint.poll_timeout(&NOBODY)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), BackendError> {
        match self.endpoint.handle_timeout(NOBODY, now) {
            // It has not begun.
            Err(Error::InvalidRemoteAddress(_)) => Ok(()),
            done => done.map_err(error),
        }
    }

    /// Encrypts a packet.
    pub(super) fn send(&mut self, packet: &[u8], now: Instant) -> Result<(), BackendError> {
        self.endpoint.write(now, NOBODY, packet).map_err(error)
    }

    /// The next datagram to send.
    pub(super) fn poll_transmit(&mut self) -> Option<BytesMut> {
        let transmit = self.endpoint.poll_transmit()?;
        Some(transmit.message)
    }

    /// The certificate that the other side has proven to have, in DER.
    pub(super) fn remote_certificate(&self) -> Option<&[u8]> {
        let state = self.endpoint.get_connection_state(NOBODY)?;
        state.peer_certificates.first().map(Vec::as_slice)
    }

    /// Tells the other side that it is over.
    pub(super) fn close(&mut self, now: Instant) {
        if let Err(error) = self.endpoint.close(now) {
            tracing::debug!(%error, "closing");
        }
    }
}

#[cfg(test)]
mod tests;
