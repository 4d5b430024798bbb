//! Events and answers as JSON: what `moim --json` writes, one object a line. The shapes are an interface: fields are added,
//! never renamed or removed. Feature `json`.
//!
//! Ids and addresses are text, times are milliseconds since the Unix epoch, spans say their unit. Optional fields are left
//! out where they say nothing.
//!
//! ```
//! use moim_peer::json::Event;
//!
//! let event = Event::Said { id: "00ff".into(), text: "hello".into() };
//! assert_eq!(serde_json::to_string(&event)?, r#"{"type":"said","id":"00ff","text":"hello"}"#);
//! # Ok::<(), serde_json::Error>(())
//! ```

use libp2p::PeerId;
use moim_protocol::{message::MessageId, refusal_wire::Refusal};
use serde::Serialize;

use crate::{
    event::PeerEvent,
    history::{DirectMessage, RoomMessage},
    snapshot::{ClockOff, Connection, Member, NotDirect, Path, Receipt, Status, Stored, Value},
};

/// Something that happened, or the answer to a command.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The addresses at which others reach the peer are others now.
    Addresses {
        /// The addresses, each with the peer id.
        addresses: Vec<String>,
    },
    /// This device's clock is wrong, so that others refuse what it dates; or it is right again.
    Clock {
        /// The state as a word.
        state: &'static str,
        /// How far off it is, if that is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds: Option<u64>,
        /// Why, for people.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Answer: the open connections.
    Connections {
        /// Every one, ordered by peer.
        connections: Vec<ConnectionRow>,
    },
    /// A value that was stored is kept by so many others now.
    Copies {
        /// The name of the value.
        key: String,
        /// How many DHT servers keep it.
        copies: usize,
    },
    /// A direct message arrived.
    DirectMessage {
        /// The id of the message.
        id: String,
        /// The author.
        from: String,
        /// Whether the author is in the room.
        member: bool,
        /// What was written.
        text: String,
        /// `direct`, `turn` or `relayed`.
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<&'static str>,
        /// The author's clock.
        sent: u64,
    },
    /// Answer or, without `cmd`, news: something went wrong.
    Error {
        /// The code: see [`Code`](crate::Code).
        error: &'static str,
        /// What happened, why, and what to do, for people.
        message: String,
        /// The command that is answered.
        #[serde(skip_serializing_if = "Option::is_none")]
        cmd: Option<String>,
        /// Number of the input line, from 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<u64>,
    },
    /// The reader was too slow: this many events are missing here.
    Lagged {
        /// How many.
        missed: u64,
    },
    /// The room was left; the last line.
    Left,
    /// A member is in the room.
    MemberJoined(MemberRow),
    /// A member is gone.
    MemberLeft {
        /// Who.
        peer: String,
        /// `expired`, `left` or `lost`.
        reason: &'static str,
    },
    /// A member is reached in another way, has another name, or a name that looks like another's (no more).
    MemberUpdated(MemberRow),
    /// Answer: the members.
    Members {
        /// The others, by name and id.
        members: Vec<MemberRow>,
    },
    /// The room was joined on this side; the first line.
    Ready {
        /// This peer.
        peer_id: String,
        /// The addresses, each with the peer id.
        addresses: Vec<String>,
    },
    /// Answer: what became of a direct message.
    Receipt {
        /// The id of the message.
        id: String,
        /// The receiver.
        to: String,
        /// The state as a word.
        state: &'static str,
        /// `direct`, `turn` or `relayed`.
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<&'static str>,
        /// Why, for people.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Somebody else said something in the room.
    RoomMessage {
        /// The id of the message.
        id: String,
        /// The author.
        from: String,
        /// Whether the author is in the room. Anybody who knows the topic can say something there.
        member: bool,
        /// The name in the author's presence; empty if it is no member.
        name: String,
        /// What was written.
        text: String,
        /// The author's clock.
        sent: u64,
    },
    /// Answer: said in the room.
    Said {
        /// The id of the message.
        id: String,
        /// What was written.
        text: String,
    },
    /// Whether the peer takes part in the network.
    Status {
        /// The state as a word.
        state: &'static str,
        /// Why, for people.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// What a bootstrap node has said that does not let this peer in.
        #[serde(skip_serializing_if = "Option::is_none")]
        refusal: Option<&'static str>,
    },
    /// Answer: a value is kept by this many others; see `copies`.
    Stored {
        /// The name of the value.
        key: String,
        /// How many DHT servers keep it.
        copies: usize,
    },
    /// Answer: the value under a key. Without a publisher there is none.
    Value {
        /// The name of the value.
        key: String,
        /// The value; `null` where there is none.
        value: serde_json::Value,
        /// Who signed it.
        publisher: Option<String>,
    },
}

/// A member of a room.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct MemberRow {
    /// Who.
    pub peer: String,
    /// The display name.
    pub name: String,
    /// How it is reached: `connecting`, `direct`, `turn`, `relayed` or `unconnected`.
    pub path: &'static str,
    /// The peer id of another one in the room (perhaps this peer itself) whose name looks like this one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub looks_like: Option<String>,
}

/// An open connection.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ConnectionRow {
    /// Who.
    pub peer: String,
    /// The other side's address.
    pub address: String,
    /// How it is reached: `connecting`, `direct`, `turn`, `relayed` or `unconnected`.
    pub path: &'static str,
    /// Of a direct connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<String>,
    /// The relay of a relayed connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay: Option<String>,
    /// The last measured round trip, in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// The program at the other end.
    pub agent: Option<String>,
    /// Whether the other side is a bootstrap node.
    pub bootstrap_node: bool,
    /// Of a relayed connection: why the last attempt to connect directly has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_direct: Option<NotDirectRow>,
}

/// Why there is no direct connection.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct NotDirectRow {
    /// Why, for people.
    pub reason: String,
    /// What this side had to offer, if it was WebRTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_candidates: Option<String>,
    /// What the other side had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub their_candidates: Option<String>,
    /// Seconds from the failure to the next attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_s: Option<u64>,
}

impl From<&NotDirect> for NotDirectRow {
    fn from(why: &NotDirect) -> Self {
        Self {
            reason: why.why.to_string(),
            own_candidates: why.report.map(|report| report.local.to_string()),
            their_candidates: why.report.map(|report| report.remote.to_string()),
            retry_s: why.retry.map(|retry| retry.as_secs()),
        }
    }
}

impl Event {
    /// What happened, beside the `members` of the room that is shown; `None` for what the snapshot tells, which cannot
    /// lag.
    pub fn of(event: PeerEvent, members: &[Member]) -> Option<Self> {
        Some(match event {
            PeerEvent::CopiesGrown(Stored { key, copies }) => Self::Copies {
                key: key.to_string(),
                copies,
            },
            PeerEvent::DirectMessage(message) => {
                let is_member = members.iter().any(|member| member.peer == message.from);
                Self::direct_message(message, is_member)
            }
            PeerEvent::Lagged(missed) => Self::Lagged { missed },
            PeerEvent::MemberJoined { member, .. } => Self::MemberJoined(MemberRow::from(&member)),
            PeerEvent::MemberLeft { peer, reason, .. } => Self::MemberLeft {
                peer: peer.to_string(),
                reason: reason.word(),
            },
            PeerEvent::MemberUpdated { member, .. } => {
                Self::MemberUpdated(MemberRow::from(&member))
            }
            PeerEvent::RoomMessage(message) => Self::room_message(message),
            PeerEvent::ClockChanged(_) | PeerEvent::StatusChanged(_) => return None,
        })
    }

    /// A direct message has arrived.
    pub fn delivered(receipt: &Receipt) -> Self {
        Self::Receipt {
            id: receipt.id.to_string(),
            to: receipt.to.to_string(),
            state: "delivered",
            path: receipt.path.map(|path| path.word()),
            reason: None,
        }
    }

    /// A direct message has not arrived, and why, for people.
    pub fn undelivered(id: MessageId, to: PeerId, reason: String) -> Self {
        Self::Receipt {
            id: id.to_string(),
            to: to.to_string(),
            state: "failed",
            path: None,
            reason: Some(reason),
        }
    }

    /// A direct message; `member` says whether its author is in the room.
    pub fn direct_message(message: DirectMessage, member: bool) -> Self {
        Self::DirectMessage {
            id: message.id.to_string(),
            from: message.from.to_string(),
            member,
            text: message.text.to_string(),
            path: message.path.map(|path| path.word()),
            sent: message.sent.0,
        }
    }

    /// Something that was said.
    pub fn room_message(message: RoomMessage) -> Self {
        Self::RoomMessage {
            id: message.id.to_string(),
            from: message.from.to_string(),
            member: message.name.is_some(),
            name: message
                .name
                .map(|name| name.to_string())
                .unwrap_or_default(),
            text: message.text.to_string(),
            sent: message.sent.0,
        }
    }

    /// The state of the peer, and what a bootstrap node has said that does not let it in.
    pub fn status(status: &Status, refusal: Option<Refusal>) -> Self {
        Self::Status {
            state: status.word(),
            reason: status.why().map(ToString::to_string),
            refusal: refusal.map(Refusal::as_str),
        }
    }

    /// What is wrong with this device's clock.
    pub fn clock(off: Option<ClockOff>) -> Self {
        Self::Clock {
            state: off.map_or("right", |off| off.word()),
            seconds: off.and_then(|off| off.by()).map(|by| by.as_secs()),
            reason: off.map(|off| off.to_string()),
        }
    }

    /// What a key has.
    pub fn value(key: String, value: Option<Value>) -> Self {
        match value {
            Some(value) => Self::Value {
                key,
                value: value.value,
                publisher: Some(value.publisher.to_string()),
            },
            None => Self::Value {
                key,
                value: serde_json::Value::Null,
                publisher: None,
            },
        }
    }

    /// Something went wrong that is no answer to a command.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::Error {
            error: code,
            message: message.into(),
            cmd: None,
            line: None,
        }
    }
}

/// An event that answers a command.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    #[serde(flatten)]
    /// The answer.
    pub event: Event,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    /// What the command had as its `ref`.
    pub reference: Option<serde_json::Value>,
}

impl From<&Member> for MemberRow {
    fn from(member: &Member) -> Self {
        Self {
            peer: member.peer.to_string(),
            name: member.name.to_string(),
            path: member.reach.word(),
            looks_like: member.looks_like.map(|peer| peer.to_string()),
        }
    }
}

impl From<&Connection> for ConnectionRow {
    fn from(connection: &Connection) -> Self {
        let transport = connection.path.transport();
        let relay = match connection.path {
            Path::Direct(_) | Path::Turn => None,
            Path::Relayed { by } => Some(by.to_string()),
        };
        Self {
            peer: connection.peer.to_string(),
            address: connection.address.to_string(),
            path: connection.path.word(),
            transport: transport.map(|transport| transport.to_string()),
            relay,
            round_trip_ms: connection
                .round_trip
                .map(|time| (time.as_secs_f64() * 1e5).round() / 100.0),
            agent: connection.agent.clone(),
            bootstrap_node: connection.bootstrap_node,
            not_direct: connection.not_direct.as_ref().map(Into::into),
        }
    }
}
