//! The signed envelope of libp2p (RFC 0002) around everything that others pass on or keep.
//!
//! <https://github.com/libp2p/specs/blob/master/RFC/0002-signed-envelopes.md>
//!
//! Stricter than the RFC in two things, so that one signature stands in one sequence of bytes and
//! every peer judges it alike: the key is an Ed25519 key, and the protobuf encoding is canonical.

use libp2p_core::{
    SignedEnvelope,
    signed_envelope::{DecodingError, ReadPayloadError},
};
use libp2p_identity::{KeyType, Keypair, PeerId, SigningError};
use multiaddr::multihash::Multihash;
use thiserror::Error;

/// Why an envelope does not hold.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Signed with a key that is not Ed25519.
    #[error("signed with a {0} key, only Ed25519 is used")]
    KeyType(KeyType),
    /// Not the protobuf message of RFC 0002, or the public key in it cannot be read.
    #[error("not a signed envelope: {0}")]
    Malformed(#[source] DecodingError),
    /// The same content in other bytes: fields out of order, repeated, or unknown.
    #[error("the envelope is not encoded canonically")]
    NotCanonical,
    /// Signed for another purpose.
    #[error("the envelope has another payload type than was expected")]
    PayloadType,
    /// The signature is not the key's over this payload.
    #[error("the signature does not match")]
    Signature,
    /// Larger than its limit.
    #[error("the envelope has {bytes} bytes, at most {max} are allowed")]
    TooLarge {
        /// Size of the envelope.
        bytes: usize,
        /// The limit.
        max: usize,
    },
}

/// What is signed for: the domain separation string, the payload type, and the largest envelope.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Purpose {
    pub(crate) domain: &'static str,
    pub(crate) payload_type: &'static [u8],
    pub(crate) bytes_max: usize,
}

/// An envelope whose signature has been verified.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) payload: Vec<u8>,
    pub(crate) signer: PeerId,
}

/// Signs `payload`.
pub(crate) fn seal(
    keypair: &Keypair,
    purpose: Purpose,
    payload: Vec<u8>,
) -> Result<Vec<u8>, SigningError> {
    let domain = purpose.domain.to_owned();
    let envelope = SignedEnvelope::new(keypair, domain, purpose.payload_type.to_vec(), payload)?;
    Ok(envelope.into_protobuf_encoding())
}

/// Checks size, form and signature.
pub(crate) fn open(bytes: &[u8], purpose: Purpose) -> Result<Opened, EnvelopeError> {
    if bytes.len() > purpose.bytes_max {
        return Err(EnvelopeError::TooLarge {
            bytes: bytes.len(),
            max: purpose.bytes_max,
        });
    }
    let envelope =
        SignedEnvelope::from_protobuf_encoding(bytes).map_err(EnvelopeError::Malformed)?;
    let (payload, key) = envelope
        .payload_and_signing_key(purpose.domain.to_owned(), purpose.payload_type)
        .map_err(|error| match error {
            ReadPayloadError::InvalidSignature => EnvelopeError::Signature,
            ReadPayloadError::UnexpectedPayloadType { .. } => EnvelopeError::PayloadType,
        })?;
    if key.key_type() != KeyType::Ed25519 {
        return Err(EnvelopeError::KeyType(key.key_type()));
    }
    let opened = Opened {
        payload: payload.to_vec(),
        signer: key.to_peer_id(),
    };
    if envelope.into_protobuf_encoding() != bytes {
        return Err(EnvelopeError::NotCanonical);
    }
    Ok(opened)
}

/// Who signed an envelope that has been checked before: reads no more than that. `None` for anything
/// that does not begin like one.
#[must_use]
pub fn signer(checked: &[u8]) -> Option<PeerId> {
    /// Field 1, and its length.
    const PUBLIC_KEY: [u8; 2] = [0x0a, 36];
    /// The code of the identity: a peer id is its key, if that is short.
    const IDENTITY: u64 = 0;
    let key = checked.strip_prefix(&PUBLIC_KEY)?.get(..36)?;
    let hash = Multihash::wrap(IDENTITY, key).ok()?;
    PeerId::from_multihash(hash).ok()
}

#[cfg(test)]
mod tests;
