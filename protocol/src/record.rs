//! Values that people put into the DHT: JSON under a name, signed and with an expiry.
//!
//! Anybody may put a value under any name, and the one with the highest sequence number counts (the
//! last writer wins). The signature says who wrote it, not that it was theirs to write.

use std::{fmt, time::Duration};

use libp2p_identity::{Keypair, PeerId, SigningError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

pub use self::typed::{TypedError, from_json, from_typed};
use crate::{
    envelope::{self, EnvelopeError, Purpose},
    json,
    limits::{
        CLOCK_SKEW_MAX, INTEGER_MAX, RECORD_ENVELOPE_BYTES_MAX, RECORD_KEY_BYTES_MAX,
        RECORD_TTL_MAX, RECORD_TTL_MIN, RECORD_VALUE_BYTES_MAX,
    },
    names::{RECORD_DOMAIN, RECORD_KEY_PREFIX, RECORD_PAYLOAD_TYPE},
    normal::nfc,
    text::line::{self, LineError},
    time::{UnixMillis, Validity},
    wire::{BodyError, ErrorCode},
};

mod typed;

const PURPOSE: Purpose = Purpose {
    domain: RECORD_DOMAIN,
    payload_type: RECORD_PAYLOAD_TYPE,
    bytes_max: RECORD_ENVELOPE_BYTES_MAX,
};

/// The `type` of the payload.
const KIND: &str = "record";

/// Why a value cannot be taken.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The payload is not a record.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The envelope around it.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Past its end by more than clocks may differ.
    #[error("expired, by more than clocks may differ ({} s)", CLOCK_SKEW_MAX.as_secs())]
    Expired,
    /// Dated further in the future than clocks may differ.
    #[error("dated in the future, by more than clocks may differ ({} s)", CLOCK_SKEW_MAX.as_secs())]
    Future,
    /// The name.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Not between [`RECORD_TTL_MIN`] and [`RECORD_TTL_MAX`].
    #[error(
        "a life of {0:?} is not allowed; it must be from {RECORD_TTL_MIN:?} to {RECORD_TTL_MAX:?}"
    )]
    Lifetime(Duration),
    /// A number in the value is not exact in every program.
    #[error(
        "the number {0} is not exact in every program: numbers must be from -(2^53 - 1) to 2^53 - 1; put it as text"
    )]
    Number(serde_json::Number),
    /// Zero, or further ahead of its date than clocks may differ: nobody could write after it.
    #[error("the sequence number is 0 or more than {} s ahead of the date", CLOCK_SKEW_MAX.as_secs())]
    Sequence,
    /// Signed by another peer (this one) than it names as its publisher.
    #[error("signed by {0}, which is not its publisher")]
    Signer(Box<PeerId>),
    /// The value is larger than [`RECORD_VALUE_BYTES_MAX`] as compact JSON.
    #[error("its value has {0} bytes of JSON; at most {RECORD_VALUE_BYTES_MAX} are allowed")]
    ValueTooLarge(usize),
}

impl RecordError {
    /// The code for such a record.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Expired | Self::Future => ErrorCode::Expired,
            Self::Envelope(EnvelopeError::TooLarge { .. })
            | Self::Key(KeyError(LineError::TooLong { .. }))
            | Self::ValueTooLarge(_) => ErrorCode::TooLarge,
            Self::Body(error) => error.code(),
            Self::Envelope(_)
            | Self::Key(_)
            | Self::Lifetime(_)
            | Self::Number(_)
            | Self::Sequence
            | Self::Signer(_) => ErrorCode::Invalid,
        }
    }
}

/// Why a value could not be signed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SignRecordError {
    /// Others would not take it, for this reason.
    #[error(transparent)]
    Invalid(#[from] RecordError),
    /// The key would not sign.
    #[error("the key cannot sign")]
    Signing(#[from] SigningError),
}

/// Why a text is not the name of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the key {0}")]
pub struct KeyError(pub LineError);

/// The name of a value: 1 to [`RECORD_KEY_BYTES_MAX`] bytes of UTF-8 that show everybody the same, see [`LineError`].
///
/// It is kept as it is written, white space around it too; [`record_key`] says which names are of one value.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey(String);

impl RecordKey {
    /// Checks `key`.
    pub fn new(key: impl Into<String>) -> Result<Self, KeyError> {
        let key = key.into();
        line::check(&key, RECORD_KEY_BYTES_MAX).map_err(KeyError)?;
        Ok(Self(key))
    }

    /// The name as it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for RecordKey {
    type Err = KeyError;

    fn from_str(key: &str) -> Result<Self, Self::Err> {
        Self::new(key)
    }
}

impl AsRef<str> for RecordKey {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A value under a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The name.
    pub key: RecordKey,
    /// Any JSON of at most [`RECORD_VALUE_BYTES_MAX`] bytes when written compactly, with numbers of at most
    /// [`INTEGER_MAX`], or as much below 0.
    pub value: serde_json::Value,
    /// Who wrote it.
    pub publisher: PeerId,
    /// The highest counts. At least 1, and at most [`CLOCK_SKEW_MAX`] ahead of `issued`; see
    /// [`next_sequence`](crate::presence::next_sequence).
    pub sequence: u64,
    /// When it was signed, by the publisher's clock.
    pub issued: UnixMillis,
    /// Until when it holds: [`RECORD_TTL_MIN`] to [`RECORD_TTL_MAX`] after `issued`.
    pub expires: UnixMillis,
}

#[derive(Serialize, Deserialize)]
struct Payload {
    key: String,
    value: serde_json::Value,
    #[serde(with = "json::peer")]
    publisher: PeerId,
    #[serde(deserialize_with = "json::integer::deserialize")]
    sequence: u64,
    issued: UnixMillis,
    expires: UnixMillis,
}

impl Record {
    /// Signs it with the publisher's key.
    ///
    /// What this returns, every other peer takes: it has passed the same checks.
    pub fn sign(&self, keypair: &Keypair) -> Result<SignedRecord, SignRecordError> {
        self.check()?;
        let payload = Payload {
            key: self.key.as_str().to_owned(),
            value: self.value.clone(),
            publisher: self.publisher,
            sequence: self.sequence,
            issued: self.issued,
            expires: self.expires,
        };
        let bytes = envelope::seal(keypair, PURPOSE, json::encode(KIND, payload))?;
        Ok(SignedRecord::decode(&bytes)?)
    }

    fn check(&self) -> Result<(), RecordError> {
        let bytes = serde_json::to_vec(&self.value).map_or(usize::MAX, |bytes| bytes.len());
        if bytes > RECORD_VALUE_BYTES_MAX {
            return Err(RecordError::ValueTooLarge(bytes));
        }
        if let Some(number) = inexact(&self.value) {
            return Err(RecordError::Number(number.clone()));
        }
        if self.sequence == 0 || self.sequence > self.issued.saturating_add(CLOCK_SKEW_MAX).0 {
            return Err(RecordError::Sequence);
        }
        let ttl = self.validity().ttl();
        if !(RECORD_TTL_MIN..=RECORD_TTL_MAX).contains(&ttl) {
            return Err(RecordError::Lifetime(ttl));
        }
        Ok(())
    }

    const fn validity(&self) -> Validity {
        Validity {
            issued: self.issued,
            expires: self.expires,
        }
    }
}

/// The first number in a value that JavaScript, or a reader that takes all numbers for IEEE 754 doubles, may read as
/// another one (RFC 8259, section 6). A larger one than 64 bits hold is a double here already, and as large.
fn inexact(value: &serde_json::Value) -> Option<&serde_json::Number> {
    use serde_json::Value;
    match value {
        Value::Number(number) => {
            let is_exact = match (number.as_u64(), number.as_i64()) {
                (Some(positive), _) => positive <= INTEGER_MAX,
                (None, Some(negative)) => negative.unsigned_abs() <= INTEGER_MAX,
                (None, None) => number
                    .as_f64()
                    .is_some_and(|double| double.abs() <= INTEGER_MAX as f64),
            };
            (!is_exact).then_some(number)
        }
        Value::Array(values) => values.iter().find_map(inexact),
        Value::Object(fields) => fields.values().find_map(inexact),
        Value::Null | Value::Bool(_) | Value::String(_) => None,
    }
}

/// A value with the envelope that proves it. It has passed every check but
/// [`check_time`](Self::check_time).
#[derive(Clone, PartialEq)]
pub struct SignedRecord {
    record: Record,
    bytes: Vec<u8>,
}

impl SignedRecord {
    /// Reads and checks an envelope: its size, form and signature, that the signer is the
    /// publisher, and every bound of [`Record`].
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let opened = envelope::open(bytes, PURPOSE)?;
        let kind = json::head(&opened.payload, RECORD_ENVELOPE_BYTES_MAX)?;
        if kind != KIND {
            return Err(BodyError::unknown_type(&kind).into());
        }
        let payload: Payload = json::fields(&opened.payload)?;
        let record = Record {
            key: RecordKey::new(payload.key)?,
            value: payload.value,
            publisher: payload.publisher,
            sequence: payload.sequence,
            issued: payload.issued,
            expires: payload.expires,
        };
        if opened.signer != record.publisher {
            return Err(RecordError::Signer(Box::new(opened.signer)));
        }
        record.check()?;
        Ok(Self {
            record,
            bytes: bytes.to_vec(),
        })
    }

    /// The value.
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// The envelope, as it was received: what is stored in the DHT.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The envelope, as it was received: what is stored in the DHT.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Refuses what is dated further from the receiver's clock than clocks may differ
    /// ([`CLOCK_SKEW_MAX`]).
    pub fn check_time(&self, wall: UnixMillis) -> Result<(), RecordError> {
        let validity = self.record.validity();
        if validity.is_future(wall) {
            return Err(RecordError::Future);
        }
        if validity.is_expired(wall) {
            return Err(RecordError::Expired);
        }
        Ok(())
    }

    /// What is left of its life on the receiver's clock: never more than it was signed for, and
    /// never past the time at which [`check_time`](Self::check_time) would refuse it.
    #[must_use]
    pub fn life(&self, wall: UnixMillis) -> Duration {
        self.record.validity().life(Duration::ZERO, wall)
    }

    /// How long from `wall` on [`check_time`](Self::check_time) still takes it.
    #[must_use]
    pub fn replayable(&self, wall: UnixMillis) -> Duration {
        self.record.validity().replayable(wall)
    }
}

impl fmt::Debug for SignedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SignedRecord").field(&self.record).finish()
    }
}

/// The DHT key of the value named `key`: `/moim/record/1/` and the sha2-256 of the name in Unicode
/// normalisation form C, without joiners and variation selectors (as in a [`Topic`](crate::topic::Topic)).
#[must_use]
pub fn record_key(key: impl AsRef<str>) -> Vec<u8> {
    let normal = nfc(&line::plain(key.as_ref()));
    [RECORD_KEY_PREFIX, Sha256::digest(normal).as_slice()].concat()
}

#[cfg(test)]
mod tests;
