//! Why something did not come about, as data.
//!
//! Every reason that a person may see is one of these, so that each face can word it in its own language; the English of
//! [`Display`](std::fmt::Display) is for terminals and programs. What libraries say about it goes to the log alone.

use std::{fmt, io::ErrorKind, time::Duration};

use moim_protocol::{
    limits,
    record::{KeyError, RecordError},
    refusal_wire::Refusal,
    wire::ErrorCode,
};
use moim_webrtc::{Failure, Step};
use thiserror::Error;

use crate::snapshot::ClockOff;

/// Why no address of a peer led to it. Of several reasons the last one here says most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Unreached {
    /// Nobody says why.
    Unknown,
    /// No address is known that this peer can dial.
    NoAddress,
    /// It is no address that strangers may have this peer dial.
    Forbidden,
    /// As many dials to strangers' addresses of this host as may be are under way.
    Busy,
    /// This peer has too many connections.
    TooMany,
    /// The network of this device does not lead there.
    NoRoute,
    /// A browser tells no more of a WebSocket that does not open.
    Silent,
    /// No answer in time.
    NoAnswer,
    /// There is no such host name.
    NoHost,
    /// The connection broke while it was made.
    Broken,
    /// The relay does not reach it either, or does not want to.
    Relay,
    /// The machine is there, and nothing takes connections at this port.
    Refused,
    /// Who answers there has another certificate than the address says.
    Certificate,
    /// Who answers there is another peer than the address says.
    OtherPeer,
}

/// By what a system calls it.
impl From<ErrorKind> for Unreached {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::AddrNotAvailable
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::NetworkUnreachable => Self::NoRoute,
            // The word of a page's WebSocket that does not open.
            ErrorKind::BrokenPipe => Self::Silent,
            ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::InvalidData
            | ErrorKind::UnexpectedEof => Self::Broken,
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::TimedOut => Self::NoAnswer,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "no connection could be made",
            Self::NoAddress => "this peer knows no address that it can dial",
            Self::Forbidden => "this peer must not dial its address",
            Self::Busy => "this peer is dialling that host too many times at once",
            Self::TooMany => "this peer has too many connections",
            Self::NoRoute => "this device's network does not lead there",
            Self::Silent => "nobody answers there, or the connection was dropped",
            Self::NoAnswer => "no answer in time",
            Self::NoHost => "there is no such host name",
            Self::Broken => "the connection broke while it was being made",
            Self::Relay => "the relay does not reach it either",
            Self::Refused => "connection refused: nothing listens there",
            Self::Certificate => {
                "the other side does not have the certificate that this address names, or gave up"
            }
            Self::OtherPeer => "another peer answers at that address",
        })
    }
}

/// What is wrong with the `bootstrap.json` of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum DocumentFault {
    /// Its server answered with this HTTP status.
    #[error("its bootstrap.json cannot be fetched: the server answered {0}")]
    Status(u16),
    /// Nobody answered.
    #[error("its bootstrap.json cannot be fetched: {0}")]
    Unreached(Unreached),
    /// Not JSON, or of another shape.
    #[error("its bootstrap.json is not valid JSON of the expected shape")]
    Json,
    /// It names no address that this peer can dial.
    #[error("its bootstrap.json names no address that this peer can dial")]
    NoAddress,
    /// Its server says that it is elsewhere. No redirect is followed.
    #[error("its bootstrap.json is elsewhere: give the URL to which this one redirects")]
    Redirect,
    /// Its peer id is none.
    #[error("its bootstrap.json has a malformed peer id")]
    PeerId,
    /// Larger than any real one.
    #[error("its bootstrap.json is too large")]
    TooLarge,
}

/// Why a bootstrap node is not connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum NodeFault {
    /// It closed the connection before it had introduced itself.
    #[error("the node closed the connection at once")]
    Closed,
    /// What is known of its addresses.
    #[error("{0}")]
    Document(DocumentFault),
    /// The connection was there, and is lost.
    #[error("the connection was lost")]
    Lost,
    /// It does not let this peer in.
    #[error("{0}")]
    TurnedAway(Refusal),
    /// It was not reached.
    #[error("{0}")]
    Unreached(Unreached),
}

/// Why a peer is not in the DHT.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotInDht {
    /// No bootstrap node has answered yet.
    NoAnswer,
    /// No bootstrap node was given.
    NoNode,
    /// No DHT server is connected.
    NoServer,
    /// Each of these bootstrap nodes, as it was given, and what became of it.
    Nodes(Vec<(String, NodeFault)>),
    /// The device says that it has no network.
    Offline,
    /// The part of this program that talks to the network has broken down and begins again.
    Restarting,
}

impl NotInDht {
    /// What a person can do about it.
    pub fn advice(&self) -> &'static str {
        let is_turned_away =
            |(_, fault): &(String, NodeFault)| matches!(fault, NodeFault::TurnedAway(_));
        match self {
            Self::Nodes(nodes) if nodes.iter().any(is_turned_away) => {
                "this peer goes on trying; or name another bootstrap node"
            }
            Self::NoAnswer | Self::NoNode | Self::NoServer | Self::Nodes(_) => {
                "check the bootstrap addresses"
            }
            Self::Offline => "it goes on by itself when the network is back",
            Self::Restarting => "try again in a moment",
        }
    }
}

impl fmt::Display for NotInDht {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer => f.write_str("no bootstrap node has answered yet"),
            Self::NoNode => f.write_str("no bootstrap node was given"),
            Self::NoServer => f.write_str("no DHT server is connected"),
            Self::Nodes(nodes) => {
                for (index, (node, why)) in nodes.iter().enumerate() {
                    let between = if index == 0 { "" } else { "; " };
                    write!(f, "{between}{node}: {why}")?;
                }
                Ok(())
            }
            Self::Offline => f.write_str("the device is offline"),
            Self::Restarting => {
                f.write_str("the part of this program that talks to the network is starting again")
            }
        }
    }
}

/// Why a direct message has not arrived yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Setback {
    /// The receiver answered that it does not take it now.
    Answered(ErrorCode),
    /// The connection broke before the receipt came.
    Broken,
    /// There is no receipt on the connection.
    NoAnswer,
    /// There is no connection yet.
    NotConnected,
    /// What came is no receipt for it.
    Nonsense,
    /// The receiver was not reached.
    Unreached(Unreached),
}

impl fmt::Display for Setback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(code) => write!(f, "{}", Answered(*code)),
            Self::Broken => f.write_str("the connection broke"),
            Self::NoAnswer => f.write_str("no answer in time"),
            Self::NotConnected => f.write_str("not connected"),
            Self::Nonsense => f.write_str("the answer is no receipt for this message"),
            Self::Unreached(why) => why.fmt(f),
        }
    }
}

/// What an error code of a receiver means to people.
pub(crate) struct Answered(pub(crate) ErrorCode);

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            ErrorCode::Busy => "it has too much to do",
            ErrorCode::Expired => "its clock and this device's differ too much",
            ErrorCode::NotAccepted => "it does not want messages from here",
            ErrorCode::TooLarge => "it is too large for it",
            ErrorCode::Invalid
            | ErrorCode::InvalidJson
            | ErrorCode::NotAMember
            | ErrorCode::UnknownProtocol
            | ErrorCode::UnknownType
            | ErrorCode::UnsupportedVersion
            | ErrorCode::Other => "its program does not understand it",
        })
    }
}

/// Why there is no direct connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NoDirectWay {
    /// Hole punching (DCUtR) did not get through.
    HolePunching,
    /// Nobody says why.
    Unknown,
    /// WebRTC did not, and how far it came.
    WebRtc(Failure, Step),
}

impl fmt::Display for NoDirectWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HolePunching => f.write_str("hole punching did not get through"),
            Self::Unknown => f.write_str("no direct connection could be made"),
            Self::WebRtc(failure, step) => {
                let what = match failure {
                    Failure::Unsupported => "the other program does not use WebRTC",
                    Failure::NoSignaling => "no stream for the signalling could be opened",
                    Failure::Signaling => "the signalling broke",
                    Failure::Refused => "this program's WebRTC refused the connection",
                    Failure::IceFailed => "there is no way through the networks in between",
                    Failure::GivenUp => "the other side gave up",
                    Failure::Timeout => "it took too long",
                    Failure::Superseded => "another attempt counts instead",
                    _ => "no direct connection could be made",
                };
                write!(f, "while {step}: {what}")
            }
        }
    }
}

/// Why a value cannot be stored.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidValue {
    /// Its name.
    #[error("{0}")]
    Key(KeyError),
    /// How long it is to be kept.
    #[error(
        "its lifetime must be between {min} and {max} s",
        min = limits::RECORD_TTL_MIN.as_secs(),
        max = limits::RECORD_TTL_MAX.as_secs()
    )]
    Lifetime,
    /// A number in it is not exact in every program.
    #[error(
        "the number {0} is not exact in every program: numbers must be from -(2^53 - 1) to 2^53 - 1; put it as text"
    )]
    Number(String),
    /// It has so many bytes.
    #[error(
        "it has {0} bytes of JSON; at most {max} are allowed",
        max = limits::RECORD_VALUE_BYTES_MAX
    )]
    TooLarge(usize),
    /// Others would not take it.
    #[error("other peers would refuse it")]
    Other,
}

impl From<RecordError> for InvalidValue {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Key(error) => Self::Key(error),
            RecordError::Lifetime(_) => Self::Lifetime,
            RecordError::Number(number) => Self::Number(number.to_string()),
            RecordError::ValueTooLarge(bytes) => Self::TooLarge(bytes),
            _ => Self::Other,
        }
    }
}

/// What is wrong with this device's clock, and what to do about it.
impl fmt::Display for ClockOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ahead { by } => write!(
                f,
                "this device's clock is {} ahead of the bootstrap node's",
                span(*by)
            )?,
            Self::Behind { by } => write!(
                f,
                "this device's clock is {} behind the bootstrap node's",
                span(*by)
            )?,
            Self::Unknown => f.write_str("others refuse what is dated by this device's clock")?,
        }
        f.write_str(
            "; set it right: what is dated more than ten minutes off reaches only those who are connected to this \
             device, and newcomers do not find it (if it is right, tell the node's operator)",
        )
    }
}

/// `30 min`, `3 h`, `2 days`: what is of interest of it.
fn span(span: Duration) -> String {
    const HOUR: u64 = 60;
    const DAY: u64 = 24 * HOUR;
    match span.as_secs() / 60 {
        minutes if minutes < 2 * HOUR => format!("{minutes} min"),
        minutes if minutes < 2 * DAY => format!("{} h", minutes / HOUR),
        minutes => format!("{} days", minutes / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_is_told_in_numbers_that_people_use() {
        for (minutes, told) in [
            (5, "5 min"),
            (30, "30 min"),
            (119, "119 min"),
            (180, "3 h"),
            (60 * 24 * 365, "365 days"),
        ] {
            let by = Duration::from_secs(60 * minutes);
            let ahead = ClockOff::Ahead { by }.to_string();
            assert!(ahead.contains(&format!("{told} ahead")), "{ahead}");
            let behind = ClockOff::Behind { by }.to_string();
            assert!(behind.contains(&format!("{told} behind")), "{behind}");
        }
        assert!(ClockOff::Unknown.to_string().contains("refuse"));
    }
}
