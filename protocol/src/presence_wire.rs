//! Bodies of `/moim/presence/1.0.0`: members tell each other who is in a room.
//!
//! One request and one answer per stream, each a JSON body of at most
//! [`BODY_BYTES_MAX`] bytes, ended by closing the writing side.

use std::time::Duration;

use libp2p_identity::PeerId;
use serde::{Deserialize, Serialize};

use crate::{
    json,
    known::Known,
    limits::BODY_BYTES_MAX,
    presence::{SignedPresence, State},
    time::whole_millis,
    topic::TopicHash,
    wire::{self, BodyError, ErrorCode, WireError},
};

/// What one member asks of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Tells the room's members where the sender is, or that somebody left.
    Announce {
        /// The sender's own presence, `here` or `left`, or the `left` of another.
        presence: SignedPresence,
    },
    /// Asks who is in a room.
    Sync {
        /// The room.
        topic: TopicHash,
        /// The sender's own presence, if it is in the room itself.
        presence: Option<SignedPresence>,
        /// Only members after this one: the `next` of the page before.
        after: Option<PeerId>,
        /// What the sender knows already. It is left out of the answer.
        known: Option<Known>,
    },
}

/// What the other answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// The announced presence is known.
    Accepted,
    /// The request was not accepted.
    Error {
        /// Why, for programs.
        code: ErrorCode,
        /// Why, for people: at most [`REASON_BYTES_MAX`](crate::limits::REASON_BYTES_MAX) bytes.
        reason: String,
    },
    /// Members in the order of their peer ids' bytes; on the first page the one who answers before them.
    Members {
        /// Each with its age: how long it has lived at the sender and those before.
        members: Vec<(SignedPresence, Duration)>,
        /// Where the next page starts (after this peer), if there is one.
        next: Option<PeerId>,
    },
}

/// Bytes of a `members` body besides its members, with the longest `next`: rounded up.
pub(crate) const MEMBERS_BYTES: usize = 192;

/// At most so many bytes of a `members` body are one member's.
pub(crate) fn member_bytes(presence: &SignedPresence) -> usize {
    const FRAME: usize = r#"{"presence":"","age":9007199254740991},"#.len();
    json::base64::text_len(presence.as_bytes().len()).saturating_add(FRAME)
}

#[derive(Serialize)]
struct AnnounceOut<'a> {
    #[serde(serialize_with = "json::base64::serialize")]
    presence: &'a [u8],
}

#[derive(Deserialize)]
struct AnnounceIn {
    #[serde(deserialize_with = "json::base64::deserialize")]
    presence: Vec<u8>,
}

#[derive(Serialize)]
struct SyncOut<'a> {
    topic: TopicHash,
    #[serde(serialize_with = "json::base64::optional::serialize")]
    #[serde(skip_serializing_if = "Option::is_none")]
    presence: Option<&'a [u8]>,
    #[serde(with = "json::peer::optional", skip_serializing_if = "Option::is_none")]
    after: Option<PeerId>,
    #[serde(serialize_with = "json::base64::optional::serialize")]
    #[serde(skip_serializing_if = "Option::is_none")]
    known: Option<Vec<u8>>,
}

#[derive(Deserialize)]
struct SyncIn {
    topic: TopicHash,
    #[serde(default, deserialize_with = "json::base64::optional::deserialize")]
    presence: Option<Vec<u8>>,
    #[serde(default, with = "json::peer::optional")]
    after: Option<PeerId>,
    #[serde(default, deserialize_with = "json::base64::optional::deserialize")]
    known: Option<Vec<u8>>,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct MembersOut<'a> {
    members: Vec<MemberOut<'a>>,
    #[serde(with = "json::peer::optional", skip_serializing_if = "Option::is_none")]
    next: Option<PeerId>,
}

#[derive(Serialize)]
struct MemberOut<'a> {
    #[serde(serialize_with = "json::base64::serialize")]
    presence: &'a [u8],
    age: u64,
}

#[derive(Deserialize)]
struct MembersIn<'a> {
    #[serde(borrow)]
    members: json::List<'a>,
    #[serde(default, with = "json::peer::optional")]
    next: Option<PeerId>,
}

#[derive(Deserialize)]
struct MemberIn {
    #[serde(deserialize_with = "json::base64::deserialize")]
    presence: Vec<u8>,
    #[serde(deserialize_with = "json::integer::deserialize")]
    age: u64,
}

impl Request {
    /// The body to be sent.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Announce { presence } => json::encode(
                "announce",
                AnnounceOut {
                    presence: presence.as_bytes(),
                },
            ),
            Self::Sync {
                topic,
                presence,
                after,
                known,
            } => {
                let presence = presence.as_ref().map(SignedPresence::as_bytes);
                json::encode(
                    "sync",
                    SyncOut {
                        topic: *topic,
                        presence,
                        after: *after,
                        known: known.as_ref().map(Known::to_bytes),
                    },
                )
            }
        }
    }

    /// Reads and checks a body, the signature of the presence in it too.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        match json::head(bytes, BODY_BYTES_MAX)?.as_ref() {
            "announce" => {
                let body: AnnounceIn = json::fields(bytes)?;
                Ok(Self::Announce {
                    presence: SignedPresence::decode(&body.presence)?,
                })
            }
            "sync" => {
                let body: SyncIn = json::fields(bytes)?;
                let presence = body
                    .presence
                    .as_deref()
                    .map(SignedPresence::decode)
                    .transpose()?;
                if presence
                    .as_ref()
                    .is_some_and(|signed| signed.presence().topic != body.topic)
                {
                    return Err(WireError::WrongTopic);
                }
                Ok(Self::Sync {
                    topic: body.topic,
                    presence,
                    after: body.after,
                    // Who says it in a form that cannot be read is sent all.
                    known: body.known.as_deref().and_then(Known::from_bytes),
                })
            }
            kind => Err(BodyError::unknown_type(kind).into()),
        }
    }

    /// The room that is spoken of.
    #[must_use]
    pub fn topic(&self) -> TopicHash {
        match self {
            Self::Announce { presence } => presence.presence().topic,
            Self::Sync { topic, .. } => *topic,
        }
    }

    /// The sender's presence, if it sent one.
    #[must_use]
    pub const fn presence(&self) -> Option<&SignedPresence> {
        match self {
            Self::Announce { presence } => Some(presence),
            Self::Sync { presence, .. } => presence.as_ref(),
        }
    }

    /// Refuses the `here` of anybody but the one at the other end of the connection: only from the
    /// peer itself is it known to be fresh. An announced `left` counts however old it is.
    pub fn check_sender(&self, remote: &PeerId) -> Result<(), WireError> {
        if let Self::Announce { presence } = self
            && presence.presence().state == State::Left
        {
            return Ok(());
        }
        match self.presence() {
            Some(signed) if signed.presence().peer != *remote => Err(WireError::Sender),
            _ => Ok(()),
        }
    }
}

impl Response {
    /// The body to be sent.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Accepted => json::encode("accepted", Empty {}),
            Self::Error { code, reason } => wire::encode_error(*code, reason),
            Self::Members { members, next } => {
                let members = members
                    .iter()
                    .map(|(presence, age)| MemberOut {
                        presence: presence.as_bytes(),
                        age: whole_millis(*age).min(crate::limits::INTEGER_MAX),
                    })
                    .collect();
                json::encode(
                    "members",
                    MembersOut {
                        members,
                        next: *next,
                    },
                )
            }
        }
    }

    /// Reads and checks a body.
    ///
    /// Members that do not hold are left out: one bad entry of one member must not hide the others.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        Self::decode_new(bytes, |_| false)
    }

    /// Like [`decode`](Self::decode), but leaves out the members whose envelope `is_known`: most of a
    /// list is what the lists before it had, and checking signatures is nearly all that it costs.
    pub fn decode_new(bytes: &[u8], is_known: impl Fn(&[u8]) -> bool) -> Result<Self, WireError> {
        match json::head(bytes, BODY_BYTES_MAX)?.as_ref() {
            "accepted" => Ok(Self::Accepted),
            "error" => {
                let (code, reason) = wire::decode_error(bytes)?;
                Ok(Self::Error { code, reason })
            }
            "members" => {
                let body: MembersIn<'_> = json::fields(bytes)?;
                let members = body
                    .members
                    .entries()
                    .filter(|member: &MemberIn| !is_known(&member.presence))
                    .filter_map(|member| {
                        let presence = SignedPresence::decode(&member.presence).ok()?;
                        Some((presence, Duration::from_millis(member.age)))
                    })
                    .collect();
                Ok(Self::Members {
                    members,
                    next: body.next,
                })
            }
            kind => Err(BodyError::unknown_type(kind).into()),
        }
    }
}

wire::answers_errors!(Response);

#[cfg(test)]
mod tests;
