//! One error type per operation.

use std::time::Duration;

use moim_protocol::{limits, record::KeyError, text::TextError, wire::ErrorCode};
use thiserror::Error;

use crate::reason::{Answered, InvalidValue, NotInDht, Setback, Unreached};

/// Why a peer could not be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address to listen on is malformed or in use.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: String,
        /// What the transport said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A part of the peer could not be set up.
    #[error("cannot set up {part}")]
    SetUp {
        /// Which part.
        part: &'static str,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why a room could not be joined.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// The room was joined already.
    #[error("this topic is already joined")]
    AlreadyJoined,
    /// The peer has stopped.
    #[error("the peer has stopped")]
    Stopped,
    /// More rooms than a peer may be in.
    #[error("a peer can be in at most {max} rooms at once")]
    TooManyRooms {
        /// The bound.
        max: usize,
    },
}

/// Why streams of a protocol are not accepted.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcceptError {
    /// Another [`Incoming`](crate::Incoming) of this peer takes them.
    #[error("this program accepts streams of this protocol already")]
    AlreadyAccepted,
    /// The peer has stopped.
    #[error("the peer has stopped")]
    Stopped,
}

/// Why a stream could not be opened.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// The connection broke before the other side had answered.
    #[error("the connection broke")]
    Broken,
    /// [`limits::STREAMS_PER_PEER`] to this peer or [`limits::STREAMS_ALL`] in all are open or being opened from here.
    #[error("too many streams are open; close some, or try again later")]
    Busy,
    /// The other side has not answered in time.
    #[error("no answer within {} s", limits::STREAM_HEADER_TIME.as_secs())]
    NoAnswer,
    /// There is no connection to the peer, and none could be made in time.
    #[error("not connected: {0}")]
    NotConnected(Unreached),
    /// The other side does not take the stream. [`ErrorCode::Busy`]: it has as many as it may.
    #[error("the other side refused the stream: {}", Answered(*.0))]
    Refused(ErrorCode),
    /// The peer has stopped.
    #[error("the peer has stopped")]
    Stopped,
    /// The receiver is this peer itself.
    #[error("a peer cannot open a stream to itself")]
    ToSelf,
    /// No program at the other side accepts this protocol.
    #[error("no program there speaks this protocol")]
    UnknownProtocol,
    /// The other peer knows nothing of streams.
    #[error("the other peer takes no streams")]
    Unsupported,
}

/// Why the DHT is not told that this peer provides something.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProvideError {
    /// DHT servers are connected, and none of those that were asked has answered in time.
    #[error("no DHT server has answered; try again in a moment")]
    NoAnswer,
    /// The peer is not in the DHT and did not get there in time.
    #[error("not in the DHT: {why}; {advice}", why = .0, advice = .0.advice())]
    NotConnected(NotInDht),
    /// The peer has stopped.
    #[error("the peer has stopped")]
    Stopped,
    /// More keys than a peer provides at once.
    #[error("a peer provides at most {max} keys at once")]
    TooMany {
        /// The bound.
        max: usize,
    },
}

/// Why a message to a room was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SayError {
    /// The room was left.
    #[error("the room was left")]
    Left,
    /// The peer has stopped.
    #[error("the peer has stopped")]
    Stopped,
    /// The text cannot be said.
    #[error("the message is not valid")]
    Text(#[from] TextError),
    /// [`limits::SAY_WAITING_MAX`] messages wait for their turn.
    #[error(
        "{max} messages are waiting to be said, at {rate} a second; say this one again when there are fewer",
        max = limits::SAY_WAITING_MAX,
        rate = limits::SAY.things.per_second,
    )]
    TooFast,
}

/// Why a direct message was not delivered.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// Too many messages wait for a receipt.
    #[error("too many messages wait for a receipt")]
    Busy,
    /// A message with this id waits for its receipt already.
    #[error("a message with this id waits for its receipt already")]
    Duplicate,
    /// No receipt within the deadline. The message may or may not have arrived.
    #[error("no receipt within {} s; the last attempt failed: {last}", .after.as_secs())]
    NoReceipt {
        /// The deadline.
        after: Duration,
        /// What became of the last attempt.
        last: Setback,
    },
    /// The receiver answered that it does not take the message.
    #[error("the receiver refused the message: {}", Answered(*.0))]
    Refused(ErrorCode),
    /// The peer has stopped.
    #[error("the peer has stopped")]
    Stopped,
    /// The text cannot be sent.
    #[error("the message is not valid")]
    Text(#[from] TextError),
    /// The receiver is this peer itself.
    #[error("a peer cannot send a direct message to itself")]
    ToSelf,
    /// The program at the other end does not speak the protocol of direct messages.
    #[error("the other program takes no direct messages")]
    Unsupported,
}

/// Why a value was not stored in the DHT.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutError {
    /// As many are under way and wait as a peer keeps.
    #[error("too many puts and gets wait for their turn; try again in a moment")]
    Busy,
    /// Key, value or lifetime break a limit.
    #[error("the value cannot be stored: {0}")]
    Invalid(#[from] InvalidValue),
    /// DHT servers are connected, and none of those that were asked has answered in time.
    #[error("no DHT server has answered; try again in a moment")]
    NoAnswer,
    /// The peer is not in the DHT and did not get there in time.
    #[error("not in the DHT: {why}; {advice}", why = .0, advice = .0.advice())]
    NotConnected(NotInDht),
    /// No DHT server acknowledged it.
    #[error("none of {asked} DHT servers kept the value")]
    Refused {
        /// How many were asked.
        asked: usize,
    },
    /// The peer has stopped.
    #[error("the peer has stopped")]
    Stopped,
}

/// Why a value could not be looked up in the DHT. A missing value is not an error.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum GetError {
    /// As many are under way and wait as a peer keeps.
    #[error("too many puts and gets wait for their turn; try again in a moment")]
    Busy,
    /// The key breaks a limit.
    #[error("the key is not valid: {0}")]
    Invalid(#[from] KeyError),
    /// DHT servers are connected, and none of those that were asked has answered in time.
    #[error("no DHT server has answered; try again in a moment")]
    NoAnswer,
    /// The peer is not in the DHT and did not get there in time.
    #[error("not in the DHT: {why}; {advice}", why = .0, advice = .0.advice())]
    NotConnected(NotInDht),
    /// The peer has stopped.
    #[error("the peer has stopped")]
    Stopped,
}

/// Why the members of a topic, or the providers of a key, could not be looked up.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum LookupError {
    /// As many are under way as a peer makes at once.
    #[error("too much is looked up at once; try again in a moment")]
    Busy,
    /// DHT servers are connected, and none of those that were asked has answered in time.
    #[error("no DHT server has answered; try again in a moment")]
    NoAnswer,
    /// The peer is not in the DHT and did not get there in time.
    #[error("not in the DHT: {why}; {advice}", why = .0, advice = .0.advice())]
    NotConnected(NotInDht),
    /// The peer has stopped.
    #[error("the peer has stopped")]
    Stopped,
}
