//! Topics and the keys that are derived from them.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{
    limits::TOPIC_BYTES_MAX,
    names::{ROOM_PREFIX, TOPIC_PREFIX},
    normal::nfc,
    text::line::{self, LineError},
};

/// Why a text is not a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the topic {0}")]
pub struct TopicError(pub LineError);

/// What people gather around: a name, equal for everybody who types the same.
///
/// 1 to [`TOPIC_BYTES_MAX`] bytes of UTF-8 in Unicode normalisation form C, without white space around it, that show
/// everybody the same (see [`LineError`]). Upper and lower case differ. Topics are equal, and have the same hash, when
/// they differ by nothing but characters that change how others are drawn: joiners (U+200C, U+200D) and variation
/// selectors (U+FE0E, U+FE0F).
#[derive(Clone)]
pub struct Topic {
    shown: String,
    /// What is hashed and compared.
    plain: String,
}

impl Topic {
    /// Trims and normalises `text` (NFC) and checks it.
    pub fn new(text: &str) -> Result<Self, TopicError> {
        let trimmed = text.trim();
        // NFC shortens a text to a third at most, so what is far too long need not be normalised.
        if trimmed.len() > 4 * TOPIC_BYTES_MAX {
            let (bytes, max) = (trimmed.len(), TOPIC_BYTES_MAX);
            return Err(TopicError(LineError::TooLong { bytes, max }));
        }
        let shown = nfc(trimmed);
        line::check(&shown, TOPIC_BYTES_MAX).map_err(TopicError)?;
        let plain = nfc(&line::plain(&shown));
        Ok(Self { shown, plain })
    }

    /// The topic as it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// What the network knows the topic by.
    #[must_use]
    pub fn hash(&self) -> TopicHash {
        let mut hasher = Sha256::new();
        hasher.update(TOPIC_PREFIX);
        hasher.update(&self.plain);
        TopicHash(hasher.finalize().into())
    }
}

impl PartialEq for Topic {
    fn eq(&self, other: &Self) -> bool {
        self.plain == other.plain
    }
}

impl Eq for Topic {}

impl Hash for Topic {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.plain.hash(state);
    }
}

impl PartialOrd for Topic {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Topic {
    fn cmp(&self, other: &Self) -> Ordering {
        self.plain.cmp(&other.plain)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Topic").field(&self.shown).finish()
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl std::str::FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

/// The text is not 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a topic hash is 64 lower-case hexadecimal digits")]
pub struct TopicHashError;

/// sha2-256 of `/moim/topic/1/` followed by the topic: what the network knows it by.
///
/// In JSON it is 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicHash([u8; 32]);

impl TopicHash {
    /// The hash itself.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A hash from its bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// Reads 64 lower-case hexadecimal digits.
    pub fn from_hex(text: &str) -> Result<Self, TopicHashError> {
        let mut bytes = [0; 32];
        if text.len() != 64 {
            return Err(TopicHashError);
        }
        match HEXLOWER.decode_mut(text.as_bytes(), &mut bytes) {
            Ok(32) => Ok(Self(bytes)),
            _ => Err(TopicHashError),
        }
    }

    /// The key of the topic's provider records: the hash as a sha2-256 multihash
    /// (`0x12`, `0x20`, 32 bytes), which is what any libp2p program can make from a CID.
    #[must_use]
    pub fn provider_key(&self) -> Vec<u8> {
        [&[0x12, 0x20], self.0.as_slice()].concat()
    }

    /// The gossipsub topic of the room: `/moim/room/1/` and the hash in hex.
    #[must_use]
    pub fn gossip_topic(&self) -> String {
        format!("{ROOM_PREFIX}{}", self.to_hex())
    }

    /// The room that a gossipsub topic is of, if it is one of ours.
    #[must_use]
    pub fn from_gossip_topic(topic: &str) -> Option<Self> {
        Self::from_hex(topic.strip_prefix(ROOM_PREFIX)?).ok()
    }
}

impl fmt::Debug for TopicHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicHash({self})")
    }
}

impl fmt::Display for TopicHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl Serialize for TopicHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TopicHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::from_hex(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
