//! Bodies of `/moim/message/1.0.0`: direct messages, and what was missed of a room.
//!
//! One request and one answer per stream, each a JSON body of at most [`BODY_BYTES_MAX`] bytes,
//! ended by closing the writing side. `accepted` means that the other side has the message: it has
//! checked and stored it. The same id from the same sender is accepted again and shown once.
//!
//! Gossip loses what was under way on a connection that broke, and what was said before somebody
//! was connected. A member asks the others with [`Request::CatchUp`] for what *they* said in the
//! meantime; the connection proves who says it. See [`Said`](crate::said::Said) for the answering side.

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::id::{MessageId, MessageIdError};
use crate::{
    json,
    limits::{BODY_BYTES_MAX, INTEGER_MAX},
    room::RoomText,
    text::Text,
    time::{UnixMillis, whole_millis},
    topic::TopicHash,
    wire::{self, BodyError, ErrorCode, WireError},
};

pub(crate) mod id;

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A text for the receiver alone.
    Text {
        /// The same in every attempt to send this message.
        id: MessageId,
        /// What was written.
        text: Text,
        /// When it was written, by the sender's clock.
        sent: UnixMillis,
    },
    /// Asks for what the other said itself in a room and the sender of this has not heard.
    CatchUp {
        /// The room.
        topic: TopicHash,
        /// The newest that the sender of this said itself, so that the other can ask in turn.
        said: Position,
        /// The other's messages up to here are known.
        known: Position,
        /// How long the sender of this has been in the room: what is older was not meant for it.
        member_for: Duration,
    },
}

/// How far somebody's talk in a room goes: everything of lower sessions, and the messages of this
/// `session` up to this `sequence`. Zeroes stand for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// See [`RoomText::session`].
    #[serde(deserialize_with = "json::integer::deserialize")]
    pub session: u64,
    /// See [`RoomText::sequence`].
    #[serde(deserialize_with = "json::integer::deserialize")]
    pub sequence: u64,
}

/// What the receiver answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// The receiver has the message.
    Accepted {
        /// The id of the message.
        id: MessageId,
    },
    /// What was asked for by [`Request::CatchUp`].
    Missed {
        /// The newest that the answerer said.
        said: Position,
        /// The earliest of what was missed, in order, as many as fit in a body.
        messages: Vec<RoomText>,
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
    text: &'a Text,
    sent: UnixMillis,
}

#[derive(Deserialize)]
struct TextIn {
    id: MessageId,
    text: Text,
    sent: UnixMillis,
}

#[derive(Serialize, Deserialize)]
struct Accepted {
    id: MessageId,
}

#[derive(Serialize)]
struct CatchUpOut {
    topic: TopicHash,
    said: Position,
    known: Position,
    member_for: u64,
}

#[derive(Deserialize)]
struct CatchUpIn {
    topic: TopicHash,
    said: json::Object<Position>,
    known: json::Object<Position>,
    #[serde(deserialize_with = "json::integer::deserialize")]
    member_for: u64,
}

#[derive(Serialize)]
struct MissedOut<'a> {
    said: Position,
    messages: &'a [RoomText],
}

#[derive(Deserialize)]
struct MissedIn<'a> {
    said: json::Object<Position>,
    #[serde(borrow)]
    messages: json::List<'a>,
}

/// Bytes of a `missed` body besides its messages: rounded up.
pub(crate) const MISSED_BYTES: usize = 128;

impl Request {
    /// The body to be sent. A [`Text`] always fits in [`BODY_BYTES_MAX`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Text { id, text, sent } => json::encode(
                "text",
                TextOut {
                    id: *id,
                    text,
                    sent: *sent,
                },
            ),
            Self::CatchUp {
                topic,
                said,
                known,
                member_for,
            } => json::encode(
                "catch_up",
                CatchUpOut {
                    topic: *topic,
                    said: *said,
                    known: *known,
                    member_for: whole_millis(*member_for).min(INTEGER_MAX),
                },
            ),
        }
    }

    /// Reads and checks a body.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        match json::head(bytes, BODY_BYTES_MAX)?.as_ref() {
            "text" => {
                let TextIn { id, text, sent } = json::fields(bytes)?;
                Ok(Self::Text { id, text, sent })
            }
            "catch_up" => {
                let body: CatchUpIn = json::fields(bytes)?;
                Ok(Self::CatchUp {
                    topic: body.topic,
                    said: body.said.0,
                    known: body.known.0,
                    member_for: Duration::from_millis(body.member_for),
                })
            }
            kind => Err(BodyError::unknown_type(kind).into()),
        }
    }
}

impl Response {
    /// The body to be sent.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Accepted { id } => json::encode("accepted", Accepted { id: *id }),
            Self::Missed { said, messages } => json::encode(
                "missed",
                MissedOut {
                    said: *said,
                    messages,
                },
            ),
            Self::Error { code, reason } => wire::encode_error(*code, reason),
        }
    }

    /// Reads and checks a body. Messages that do not hold are left out: one bad entry must not hide the others.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        match json::head(bytes, BODY_BYTES_MAX)?.as_ref() {
            "accepted" => {
                let Accepted { id } = json::fields(bytes)?;
                Ok(Self::Accepted { id })
            }
            "missed" => {
                let body: MissedIn<'_> = json::fields(bytes)?;
                let messages = body.messages.entries();
                Ok(Self::Missed {
                    said: body.said.0,
                    messages: messages
                        .filter(|text: &RoomText| text.check().is_ok())
                        .collect(),
                })
            }
            "error" => {
                let (code, reason) = wire::decode_error(bytes)?;
                Ok(Self::Error { code, reason })
            }
            kind => Err(BodyError::unknown_type(kind).into()),
        }
    }
}

wire::answers_errors!(Response);

#[cfg(test)]
mod tests;
