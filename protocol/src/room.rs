//! What is said in a room: the data of gossipsub messages on the room's topic.
//!
//! Who said it is the gossipsub message's signed `from`; which room it was said in is its topic.

use libp2p_identity::PeerId;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    json,
    limits::{CLOCK_SKEW_MAX, ROOM_BYTES_MAX, SESSION_YOUNG},
    message::id::MessageId,
    presence::SignedPresence,
    text::{Name, Text},
    time::UnixMillis,
    wire::{BodyError, WireError},
};

/// What is said in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoomMessage {
    /// A member's presence, published by the member itself or by one whom it told directly.
    Presence {
        /// The presence; it has no age here.
        presence: SignedPresence,
    },
    /// A text for everybody in the room.
    Text(RoomText),
    /// A member that its author had a connection to, and can't reach any more.
    Doubt(Doubt),
}

/// That a member may be gone, said by another that can't reach it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// Who is in doubt.
    #[serde(with = "json::peer")]
    pub peer: PeerId,
    /// The sequence number of its newest presence that the author knows: whoever knows a newer one need not doubt.
    #[serde(deserialize_with = "json::integer::deserialize")]
    pub sequence: u64,
}

/// A text for everybody in a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomText {
    /// Drawn at random by the sender.
    pub id: MessageId,
    /// When the sender joined, in milliseconds of its wall clock: a restart starts anew. At least 1.
    #[serde(deserialize_with = "json::integer::deserialize")]
    pub session: u64,
    /// 1, 2, 3… per sender and session.
    #[serde(deserialize_with = "json::integer::deserialize")]
    pub sequence: u64,
    /// The sender's display name as it stands beside the text, where that is one. It is shown to nobody: whoever is in
    /// the room has said its name in its presence. Peers of version 0.1 take no message without.
    #[serde(
        default,
        deserialize_with = "claimed",
        skip_serializing_if = "Option::is_none"
    )]
    pub name: Option<Name>,
    /// What was said.
    pub text: Text,
    /// When it was written, by the sender's clock.
    pub sent: UnixMillis,
}

impl RoomText {
    /// Whether it was said so soon after its sender joined that the sender's first messages may
    /// still be under way. Both times are of the sender's clock, so clocks that differ do no harm.
    #[must_use]
    pub fn is_young(&self) -> bool {
        self.sent.since(UnixMillis(self.session)) < SESSION_YOUNG
    }

    /// Refuses what no sender may send.
    pub(crate) fn check(&self) -> Result<(), WireError> {
        if self.session == 0 || self.sequence == 0 {
            return Err(WireError::Sequence);
        }
        Ok(())
    }

    /// Refuses what is dated further from the receiver's clock than clocks may differ: old messages
    /// played again.
    pub fn check_time(&self, wall: UnixMillis) -> Result<(), WireError> {
        if self.sent.since(wall).max(wall.since(self.sent)) > CLOCK_SKEW_MAX {
            return Err(WireError::Date(self.sent));
        }
        Ok(())
    }
}

fn claimed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Name>, D::Error> {
    let name = Option::<String>::deserialize(deserializer)?;
    Ok(name.and_then(|name| Name::received(&name).ok()))
}

#[derive(Serialize)]
struct PresenceOut<'a> {
    #[serde(serialize_with = "json::base64::serialize")]
    presence: &'a [u8],
}

#[derive(Deserialize)]
struct PresenceIn {
    #[serde(deserialize_with = "json::base64::deserialize")]
    presence: Vec<u8>,
}

impl RoomMessage {
    /// The data to be published. A [`Name`] and a [`Text`] always fit in [`ROOM_BYTES_MAX`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Presence { presence } => json::encode(
                "presence",
                PresenceOut {
                    presence: presence.as_bytes(),
                },
            ),
            Self::Text(text) => json::encode("text", text),
            Self::Doubt(doubt) => json::encode("doubt", doubt),
        }
    }

    /// Reads and checks the data of a message, the signature of a presence in it too.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        match json::head(bytes, ROOM_BYTES_MAX)?.as_ref() {
            "presence" => {
                let body: PresenceIn = json::fields(bytes)?;
                Ok(Self::Presence {
                    presence: SignedPresence::decode(&body.presence)?,
                })
            }
            "text" => {
                let text: RoomText = json::fields(bytes)?;
                text.check()?;
                Ok(Self::Text(text))
            }
            "doubt" => Ok(Self::Doubt(json::fields(bytes)?)),
            kind => Err(BodyError::unknown_type(kind).into()),
        }
    }

    /// Refuses what is dated further from the receiver's clock than clocks may differ.
    pub fn check_time(&self, wall: UnixMillis) -> Result<(), WireError> {
        match self {
            Self::Presence { presence } => Ok(presence.check_time(wall)?),
            Self::Text(text) => text.check_time(wall),
            // It counts for as long as the presence that it is about is the newest.
            Self::Doubt(_) => Ok(()),
        }
    }
}

/// How the data of every [`RoomMessage::Presence`] begins.
const PRESENCE_START: &[u8] = br#"{"v":1,"type":"presence","#;

/// The gossipsub message id of a message: sha2-256 of the topic's text, then the bytes of the peer
/// id it is `from`, then the data.
///
/// For a presence (data that begins with exactly `{"v":1,"type":"presence",`) the peer id is left
/// out: several members may publish the same newcomer's presence, it proves itself, and needs to go
/// round only once. Everything else keeps the sender in its id: else whoever is quick could publish
/// another's words as its own, and the true message would be dropped as a duplicate.
#[must_use]
pub fn gossip_message_id(topic: &str, from: Option<&PeerId>, data: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(topic);
    if !data.starts_with(PRESENCE_START)
        && let Some(from) = from
    {
        hasher.update(from.to_bytes());
    }
    hasher.update(data);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests;
