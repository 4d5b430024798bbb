//! What can go wrong, and at which step.

use std::{fmt, io};

use thiserror::Error;

use crate::{
    backend::{BackendError, CloseReason},
    report::Failure,
};

/// How far an attempt to connect directly came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Step {
    /// Opening a signalling stream on a connection that exists already.
    Signaling,
    /// Exchanging session descriptions.
    Describing,
    /// ICE checks candidate pairs, then DTLS proves who is at the other end.
    Connecting,
    /// The first data channel opens and closes.
    Settling,
    /// A Noise handshake proves who is at the other end, where the signalling has not.
    Authenticating,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signaling => "opening the signalling stream",
            Self::Describing => "exchanging session descriptions",
            Self::Connecting => "looking for a way (ICE)",
            Self::Settling => "opening the first data channel",
            Self::Authenticating => "proving who is at the other end (Noise)",
        })
    }
}

/// Why there is no direct connection.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is none that this transport can use; see [`address`](crate::address).
    #[error("not an address for a direct connection over WebRTC: {0}")]
    Address(&'static str),
    /// There is no stream to signal on.
    #[error("while {step}: {0}", step = Step::Signaling)]
    NoSignaling(#[from] OpenError),
    /// The other side broke the signalling protocol, or its stream broke.
    #[error("while {step}: {source}")]
    Signaling {
        /// How far it had come.
        step: Step,
        /// What happened.
        source: SignalingError,
    },
    /// The WebRTC implementation refused.
    #[error("while {step}: {source}")]
    Backend {
        /// How far it had come.
        step: Step,
        /// What it said.
        source: BackendError,
    },
    /// The connection ended before it was there.
    #[error("while {step}: {}", match .reason {
        CloseReason::IceFailed => "there is no way through the networks in between",
        CloseReason::Closed => "the other side gave up",
    })]
    Closed {
        /// How far it had come.
        step: Step,
        /// Why.
        reason: CloseReason,
    },
    /// It took too long.
    #[error("while {0}: it took too long")]
    Timeout(Step),
    /// The other side is making a connection to us at the same time; that one counts.
    #[error("the session that the other side has begun is used instead")]
    Superseded,
    /// The other half, [`Behaviour`](crate::Behaviour), is gone.
    #[error("the swarm is gone")]
    Gone,
}

impl Error {
    /// What kind of failure it is.
    pub(crate) const fn failure(&self) -> Failure {
        match self {
            Self::NoSignaling(OpenError::Unsupported) => Failure::Unsupported,
            Self::NoSignaling(OpenError::UnderWay) | Self::Superseded => Failure::Superseded,
            Self::Address(_)
            | Self::NoSignaling(OpenError::TooMany | OpenError::Failed(_))
            | Self::Gone => Failure::NoSignaling,
            Self::Signaling { .. } => Failure::Signaling,
            Self::Backend { .. } => Failure::Refused,
            Self::Closed {
                reason: CloseReason::IceFailed,
                ..
            }
            | Self::Timeout(Step::Connecting) => Failure::IceFailed,
            Self::Closed { .. } => Failure::GivenUp,
            Self::Timeout(_) => Failure::Timeout,
        }
    }
}

/// Why there is no stream to signal on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The other side does not speak the signalling protocol.
    #[error("the other side does not speak /webrtc-signaling/0.0.1")]
    Unsupported,
    /// There is an attempt already, by another address of the same peer.
    #[error("another attempt is under way")]
    UnderWay,
    /// There were as many sessions lately, with this peer or with all, as there may be.
    #[error("too many sessions have begun lately; one may begin again in some seconds")]
    TooMany,
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// What is wrong with the other side's signalling.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SignalingError {
    /// A message longer than 64 KiB.
    #[error("a message of {0} bytes is too large")]
    TooLarge(u64),
    /// The length of a message is no varint.
    #[error("the length of a message is not a varint")]
    Length,
    /// A message that is no protobuf.
    #[error("a message is not valid protobuf: {0}")]
    Protobuf(#[from] prost::DecodeError),
    /// A message of a type that is none.
    #[error("a message of unknown type {0}")]
    UnknownType(i32),
    /// A message that does not belong here.
    #[error("{message} came while {step}")]
    Unexpected {
        /// How far it had come.
        step: Step,
        /// What came.
        message: &'static str,
    },
    /// More candidates than any network has.
    #[error("more than {max} candidates")]
    TooManyCandidates {
        /// The limit.
        max: usize,
    },
    /// The session description is not one that this protocol allows.
    #[error("the session description {0}")]
    Description(&'static str),
    /// The stream ended.
    #[error("the signalling stream ended")]
    Ended,
    /// The stream broke.
    #[error("the signalling stream broke: {0}")]
    Io(#[from] io::Error),
}
