//! Events and answers on standard output. The shapes are an interface: fields are added, never
//! renamed or removed.

use moim_peer::{
    ClockOff, Connection, DirectMessage, Member, MessageId, NotDirect, Path, PeerId, Receipt,
    Refusal, RoomMessage, Status, Value,
};
use serde::Serialize;

use crate::{exit::Failure, text};

/// One line of output.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Event {
    /// The addresses at which others reach the peer are others now.
    Addresses { addresses: Vec<String> },
    /// This device's clock is wrong, so that others refuse what it dates; or it is right again.
    Clock {
        state: &'static str,
        /// How far off it is, if that is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Answer: the open connections.
    Connections { connections: Vec<ConnectionRow> },
    /// A value that was stored is kept by so many others now.
    Copies { key: String, copies: usize },
    /// A direct message arrived.
    DirectMessage {
        id: String,
        from: String,
        /// Whether the author is in the room.
        member: bool,
        text: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<&'static str>,
        sent: u64,
    },
    /// Answer or, without `cmd`, news: something went wrong.
    Error {
        error: &'static str,
        message: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        cmd: Option<String>,
        /// Number of the input line, from 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<u64>,
    },
    /// The reader was too slow: this many events are missing here.
    Lagged { missed: u64 },
    /// The room was left; the last line.
    Left,
    /// A member is in the room.
    MemberJoined(MemberRow),
    /// A member is gone.
    MemberLeft { peer: String, reason: &'static str },
    /// A member is reached in another way, has another name, or a name that looks like another's (no more).
    MemberUpdated(MemberRow),
    /// Answer: the members.
    Members { members: Vec<MemberRow> },
    /// The room was joined on this side; the first line.
    Ready {
        peer_id: String,
        addresses: Vec<String>,
    },
    /// Answer: what became of a direct message.
    Receipt {
        id: String,
        to: String,
        state: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Somebody else said something in the room.
    RoomMessage {
        id: String,
        from: String,
        /// Whether the author is in the room. Anybody who knows the topic can say something there.
        member: bool,
        /// The name in the author's presence; empty if it is no member.
        name: String,
        text: String,
        sent: u64,
    },
    /// Answer: said in the room.
    Said { id: String, text: String },
    /// Whether the peer takes part in the network.
    Status {
        state: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// What a bootstrap node has said that does not let this peer in.
        #[serde(skip_serializing_if = "Option::is_none")]
        refusal: Option<&'static str>,
    },
    /// Answer: a value is kept by this many others; see `copies`.
    Stored { key: String, copies: usize },
    /// Answer: the value under a key. Without a publisher there is none.
    Value {
        key: String,
        value: serde_json::Value,
        publisher: Option<String>,
    },
}

/// A member of a room.
#[derive(Debug, Serialize)]
pub(crate) struct MemberRow {
    peer: String,
    name: String,
    path: &'static str,
    /// The peer id of another one in the room (perhaps this peer itself) whose name looks like this one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    looks_like: Option<String>,
}

/// An open connection.
#[derive(Debug, Serialize)]
pub(crate) struct ConnectionRow {
    peer: String,
    address: String,
    path: &'static str,
    /// Of a direct connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<String>,
    /// The relay of a relayed connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    relay: Option<String>,
    round_trip_ms: Option<f64>,
    agent: Option<String>,
    bootstrap_node: bool,
    /// Of a relayed connection: why the last attempt to connect directly has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_direct: Option<NotDirectRow>,
}

#[derive(Clone, Debug, Serialize)]
struct NotDirectRow {
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    own_candidates: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    their_candidates: Option<String>,
    /// Seconds from the failure to the next attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_s: Option<u64>,
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
    pub(crate) fn delivered(receipt: &Receipt) -> Self {
        Self::Receipt {
            id: receipt.id.to_string(),
            to: receipt.to.to_string(),
            state: "delivered",
            path: receipt.path.map(|path| path.word()),
            reason: None,
        }
    }

    pub(crate) fn undelivered(id: MessageId, to: PeerId, reason: String) -> Self {
        Self::Receipt {
            id: id.to_string(),
            to: to.to_string(),
            state: "failed",
            path: None,
            reason: Some(reason),
        }
    }

    pub(crate) fn direct_message(message: DirectMessage, member: bool) -> Self {
        Self::DirectMessage {
            id: message.id.to_string(),
            from: message.from.to_string(),
            member,
            text: message.text.to_string(),
            path: message.path.map(|path| path.word()),
            sent: message.sent,
        }
    }

    pub(crate) fn room_message(message: RoomMessage) -> Self {
        Self::RoomMessage {
            id: message.id.to_string(),
            from: message.from.to_string(),
            member: message.name.is_some(),
            name: message
                .name
                .map(|name| name.to_string())
                .unwrap_or_default(),
            text: message.text.to_string(),
            sent: message.sent,
        }
    }

    pub(crate) fn status(status: &Status, refusal: Option<Refusal>) -> Self {
        Self::Status {
            state: status.word(),
            reason: status.why().map(ToString::to_string),
            refusal: refusal.map(Refusal::as_str),
        }
    }

    pub(crate) fn clock(off: Option<ClockOff>) -> Self {
        Self::Clock {
            state: off.map_or("right", |off| off.word()),
            seconds: off.and_then(|off| off.by()).map(|by| by.as_secs()),
            reason: off.map(text::clock),
        }
    }

    pub(crate) fn value(key: String, value: Option<Value>) -> Self {
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

    /// What ends the program, in its own words.
    pub(crate) fn failure(failure: &Failure) -> Self {
        Self::Error {
            error: failure.code,
            message: failure.message.clone(),
            cmd: None,
            line: None,
        }
    }

    /// The event as a line with its end.
    pub(crate) fn to_line(&self) -> String {
        line(self)
    }
}

/// An event that answers a command.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    #[serde(flatten)]
    pub(crate) event: Event,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<serde_json::Value>,
}

impl Answer {
    /// The answer as a line with its end.
    pub(crate) fn to_line(&self) -> String {
        line(self)
    }
}

fn line(event: &impl Serialize) -> String {
    match serde_json::to_string(event) {
        Ok(json) => text::json(&json) + "\n",
        // Only types whose keys are no strings cannot be written, and there are none.
        Err(_) => {
            "{\"type\":\"error\",\"error\":\"failed\",\"message\":\"an event cannot be written\"}\n"
                .to_owned()
        }
    }
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
