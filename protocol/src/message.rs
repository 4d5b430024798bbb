//! Bodies of `/moim/message/1.0.0`: direct messages.
//!
//! One request and one answer per stream, each a JSON body of at most [`BODY_BYTES_MAX`] bytes,
//! ended by closing the writing side. `accepted` means that the other side has the message: it has
//! checked and stored it. The same id from the same sender is accepted again and shown once.

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use thiserror::Error;

use crate::{
    json,
    limits::BODY_BYTES_MAX,
    text::check_text,
    time::UnixMillis,
    wire::{self, BodyError, ErrorCode, WireError},
};

/// The text is not 32 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a message id is 32 lower-case hexadecimal digits")]
pub struct MessageIdError;

/// What a message is known by: 16 bytes drawn at random by its sender, 32 lower-case hexadecimal
/// digits as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId([u8; 16]);

impl MessageId {
    /// An id from its bytes, which should be random.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({self})")
    }
}

impl FromStr for MessageId {
    type Err = MessageIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 16];
        if text.len() != 32 {
            return Err(MessageIdError);
        }
        match HEXLOWER.decode_mut(text.as_bytes(), &mut bytes) {
            Ok(16) => Ok(Self(bytes)),
            _ => Err(MessageIdError),
        }
    }
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A text for the receiver alone.
    Text {
        /// The same in every attempt to send this message.
        id: MessageId,
        /// See [`check_text`].
        text: String,
        /// When it was written, by the sender's clock.
        sent: UnixMillis,
    },
}

/// What the receiver answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// The receiver has the message.
    Accepted {
        /// The id of the message.
        id: MessageId,
    },
    /// The receiver does not have it.
    Error {
        /// Why, for programs.
        code: ErrorCode,
        /// Why, for people: at most [`REASON_BYTES_MAX`](crate::limits::REASON_BYTES_MAX) bytes.
        reason: String,
    },
}

#[derive(Serialize)]
struct TextOut<'a> {
    id: MessageId,
    text: &'a str,
    sent: UnixMillis,
}

#[derive(Deserialize)]
struct TextIn {
    id: MessageId,
    text: String,
    sent: UnixMillis,
}

#[derive(Serialize, Deserialize)]
struct Accepted {
    id: MessageId,
}

impl Request {
    /// The body to be sent. What [`check_text`] takes always fits in [`BODY_BYTES_MAX`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let Self::Text { id, text, sent } = self;
        json::encode(
            "text",
            TextOut {
                id: *id,
                text,
                sent: *sent,
            },
        )
    }

    /// Reads and checks a body.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        match json::head(bytes, BODY_BYTES_MAX)?.as_ref() {
            "text" => {
                let TextIn { id, text, sent } = json::fields(bytes)?;
                check_text(&text)?;
                Ok(Self::Text { id, text, sent })
            }
            kind => Err(BodyError::unknown_type(kind).into()),
        }
    }
}

impl Response {
    /// An answer that says why not; the reason is cut to its limit.
    #[must_use]
    pub fn error(code: ErrorCode, reason: &str) -> Self {
        Self::Error {
            code,
            reason: wire::reason(reason),
        }
    }

    /// The body to be sent.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Accepted { id } => json::encode("accepted", Accepted { id: *id }),
            Self::Error { code, reason } => wire::encode_error(*code, reason),
        }
    }

    /// Reads and checks a body.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        match json::head(bytes, BODY_BYTES_MAX)?.as_ref() {
            "accepted" => {
                let Accepted { id } = json::fields(bytes)?;
                Ok(Self::Accepted { id })
            }
            "error" => {
                let (code, reason) = wire::decode_error(bytes)?;
                Ok(Self::Error { code, reason })
            }
            kind => Err(BodyError::unknown_type(kind).into()),
        }
    }
}

impl From<&WireError> for Response {
    fn from(error: &WireError) -> Self {
        Self::Error {
            code: error.code(),
            reason: wire::reason(error),
        }
    }
}

#[cfg(test)]
mod tests;
