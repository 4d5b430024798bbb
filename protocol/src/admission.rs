//! What a DHT server checks before it keeps a record for others.
//!
//! A key is in one of two namespaces, each with one kind of value; everything else is refused. The
//! key must be the one that follows from the value, so that nobody can put a good value where it
//! does not belong.

use std::time::Duration;

use thiserror::Error;

use crate::{
    names::{PRESENCE_KEY_PREFIX, RECORD_KEY_PREFIX},
    presence::{PresenceError, SignedPresence, presence_record_key},
    record::{RecordError, SignedRecord, record_key},
    time::UnixMillis,
    wire::ErrorCode,
};

/// Why a record is not kept.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AdmissionError {
    /// The key is not the one that follows from the value.
    #[error("the key does not match the value")]
    KeyMismatch,
    /// Under a presence key, and not a presence that can be taken.
    #[error("presence: {0}")]
    Presence(#[from] PresenceError),
    /// Under a record key, and not a value that can be taken.
    #[error("record: {0}")]
    Record(#[from] RecordError),
    /// The key is in neither namespace.
    #[error("the key must begin as that of a presence or of a value")]
    UnknownNamespace,
}

impl AdmissionError {
    /// The code for such a record (kad has no answer that could carry it: for logs and metrics).
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::KeyMismatch => ErrorCode::Invalid,
            Self::Presence(error) => error.code(),
            Self::Record(error) => error.code(),
            Self::UnknownNamespace => ErrorCode::UnknownType,
        }
    }
}

/// A record that may be kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Admitted {
    /// A peer's presence in a topic.
    Presence(SignedPresence),
    /// A value that somebody put there.
    Record(SignedRecord),
}

impl Admitted {
    /// The sequence number, see [`supersedes`].
    #[must_use]
    pub fn sequence(&self) -> u64 {
        match self {
            Self::Presence(signed) => signed.presence().sequence,
            Self::Record(signed) => signed.record().sequence,
        }
    }

    /// What is left of its life on the server's clock: at most
    /// [`PRESENCE_TTL`](crate::limits::PRESENCE_TTL) or
    /// [`RECORD_TTL_MAX`](crate::limits::RECORD_TTL_MAX).
    #[must_use]
    pub fn lifetime(&self, wall: UnixMillis) -> Duration {
        match self {
            Self::Presence(signed) => signed.life(Duration::ZERO, wall),
            Self::Record(signed) => signed.life(wall),
        }
    }

    /// How long from `wall` on [`admit`] would still take a copy of it: so long a server remembers
    /// the sequence number of one that is gone, to refuse the older ones.
    #[must_use]
    pub fn replayable(&self, wall: UnixMillis) -> Duration {
        match self {
            Self::Presence(signed) => signed.replayable(wall),
            Self::Record(signed) => signed.replayable(wall),
        }
    }

    /// The peer that signed it.
    #[must_use]
    pub fn publisher(&self) -> libp2p_identity::PeerId {
        match self {
            Self::Presence(signed) => signed.presence().peer,
            Self::Record(signed) => signed.record().publisher,
        }
    }

    /// The envelope.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Presence(signed) => signed.as_bytes(),
            Self::Record(signed) => signed.as_bytes(),
        }
    }
}

/// Checks a record that a remote asks this server to keep, at `wall` on the server's clock.
pub fn admit(key: &[u8], value: &[u8], wall: UnixMillis) -> Result<Admitted, AdmissionError> {
    if key.starts_with(PRESENCE_KEY_PREFIX) {
        let signed = SignedPresence::decode(value)?;
        let presence = signed.presence();
        if key != presence_record_key(presence.topic, &presence.peer) {
            return Err(AdmissionError::KeyMismatch);
        }
        signed.check_time(wall)?;
        Ok(Admitted::Presence(signed))
    } else if key.starts_with(RECORD_KEY_PREFIX) {
        let signed = SignedRecord::decode(value)?;
        if key != record_key(&signed.record().key) {
            return Err(AdmissionError::KeyMismatch);
        }
        signed.check_time(wall)?;
        Ok(Admitted::Record(signed))
    } else {
        Err(AdmissionError::UnknownNamespace)
    }
}

/// Whether `new` takes the place of `old` under the same key: the higher sequence number does, and
/// of two with the same number the one whose bytes are greater, so that all servers agree.
#[must_use]
pub fn supersedes(new: &Admitted, old: &Admitted) -> bool {
    (new.sequence(), new.as_bytes()) > (old.sequence(), old.as_bytes())
}

#[cfg(test)]
mod tests;
