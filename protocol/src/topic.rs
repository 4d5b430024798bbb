//! Topics and the keys that are derived from them.

use std::fmt;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest, Sha256};
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;

use crate::{
    limits::TOPIC_BYTES_MAX,
    names::{ROOM_PREFIX, TOPIC_PREFIX},
    text::is_forbidden_in_line,
};

/// Why a text is not a topic.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TopicError {
    /// Nothing but white space.
    #[error("the topic is empty")]
    Empty,
    /// A control character, or one that turns the direction of the lines around it.
    #[error("the character U+{code:04X} is not allowed in a topic", code = u32::from(*.0))]
    Forbidden(char),
    /// Longer than [`TOPIC_BYTES_MAX`] after normalisation.
    #[error("a topic has at most {TOPIC_BYTES_MAX} bytes, this one has {0}")]
    TooLong(usize),
}

/// What people gather around: a name, equal for everybody who types the same characters.
///
/// 1 to [`TOPIC_BYTES_MAX`] bytes of UTF-8 in Unicode normalisation form C, without white space
/// around it, control characters, line separators or direction overrides. Upper and lower case
/// differ.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(String);

impl Topic {
    /// Trims and normalises `text` (NFC) and checks it.
    pub fn new(text: &str) -> Result<Self, TopicError> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(TopicError::Empty);
        }
        if let Some(character) = trimmed.chars().find(|&c| is_forbidden_in_line(c)) {
            return Err(TopicError::Forbidden(character));
        }
        // NFC shortens a text to a third at most, so what is far too long need not be normalised.
        if trimmed.len() > 4 * TOPIC_BYTES_MAX {
            return Err(TopicError::TooLong(trimmed.len()));
        }
        let normal: String = trimmed.nfc().collect();
        if normal.len() > TOPIC_BYTES_MAX {
            return Err(TopicError::TooLong(normal.len()));
        }
        Ok(Self(normal))
    }

    /// The topic as it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the network knows the topic by.
    #[must_use]
    pub fn hash(&self) -> TopicHash {
        let mut hasher = Sha256::new();
        hasher.update(TOPIC_PREFIX);
        hasher.update(&self.0);
        TopicHash(hasher.finalize().into())
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
