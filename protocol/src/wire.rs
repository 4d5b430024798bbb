//! What the bodies of all Moim protocols have in common: version, error codes, and what is wrong
//! with a body that cannot be taken.

use std::{fmt, str::Utf8Error};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    json, limits::REASON_BYTES_MAX, presence::PresenceError, stream_wire::ProtocolNameError,
    time::UnixMillis,
};

/// The version in every body (`"v":1`).
pub const VERSION: u64 = 1;

/// Why a request was not accepted, in the `code` of an error answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// `busy`: the other side has too much to do; the same request may be accepted later.
    Busy,
    /// `expired`: dated too far in the past or in the future.
    Expired,
    /// `invalid`: a field is missing, of the wrong kind, out of bounds, or not signed as it must be.
    Invalid,
    /// `invalid_json`: not JSON, or not UTF-8.
    InvalidJson,
    /// `not_a_member`: the other side is not in the room that was asked about.
    NotAMember,
    /// `not_accepted`: the other side understood, and does not want it (a blocked sender).
    NotAccepted,
    /// `too_large`: the body is larger than its limit.
    TooLarge,
    /// `unknown_protocol`: no program at the other side speaks the protocol on streams.
    UnknownProtocol,
    /// `unknown_type`: the `type`, or the `state` of a presence, is none that the other side knows.
    UnknownType,
    /// `unsupported_version`: the `v` is none that the other side knows.
    UnsupportedVersion,
    /// Any code that this version does not know.
    Other,
}

impl ErrorCode {
    /// Whether the same request may be accepted later.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::Busy => true,
            Self::Expired
            | Self::Invalid
            | Self::InvalidJson
            | Self::NotAMember
            | Self::NotAccepted
            | Self::TooLarge
            | Self::UnknownProtocol
            | Self::UnknownType
            | Self::UnsupportedVersion
            | Self::Other => false,
        }
    }

    /// Whether a later version of the protocol may take what this one does not: it has a form that
    /// versions have in common, with a `v` and a `type`, and says something else.
    #[must_use]
    pub const fn is_of_later_version(self) -> bool {
        matches!(self, Self::UnknownType | Self::UnsupportedVersion)
    }

    /// The code as it stands in an answer.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Expired => "expired",
            Self::Invalid => "invalid",
            Self::InvalidJson => "invalid_json",
            Self::NotAMember => "not_a_member",
            Self::NotAccepted => "not_accepted",
            Self::TooLarge => "too_large",
            Self::UnknownProtocol => "unknown_protocol",
            Self::UnknownType => "unknown_type",
            Self::UnsupportedVersion => "unsupported_version",
            Self::Other => "other",
        }
    }

    /// The code of an answer; [`ErrorCode::Other`] for what this version does not know.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        [
            Self::Busy,
            Self::Expired,
            Self::Invalid,
            Self::InvalidJson,
            Self::NotAMember,
            Self::NotAccepted,
            Self::TooLarge,
            Self::UnknownProtocol,
            Self::UnknownType,
            Self::UnsupportedVersion,
        ]
        .into_iter()
        .find(|code| code.as_str() == text)
        .unwrap_or(Self::Other)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the answers of all protocols have in common: a `Response` with a variant `Error`.
macro_rules! answers_errors {
    ($Response:ty) => {
        impl $Response {
            /// An answer that says why not; the reason is cut to its limit.
            #[must_use]
            pub fn error(code: $crate::wire::ErrorCode, reason: &str) -> Self {
                let reason = $crate::wire::reason(reason);
                Self::Error { code, reason }
            }
        }

        impl From<&$crate::wire::WireError> for $Response {
            fn from(error: &$crate::wire::WireError) -> Self {
                Self::error(error.code(), &error.to_string())
            }
        }
    };
}
pub(crate) use answers_errors;

/// What is wrong with the outside of a body: its size, its JSON, its version, its type, its fields.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BodyError {
    /// Larger than its limit.
    #[error("{bytes} bytes are more than the {max} allowed")]
    TooLarge {
        /// Size of the body, or of the part of it that was read.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// Not JSON.
    #[error("not valid JSON: {0}")]
    InvalidJson(#[source] serde_json::Error),
    /// Not UTF-8.
    #[error("not valid UTF-8: {0}")]
    NotUtf8(#[source] Utf8Error),
    /// A version that this peer does not know.
    #[error("version {0} is not supported, only {VERSION} is")]
    UnsupportedVersion(String),
    /// A type that this peer does not know here.
    #[error("unknown type {0:?}")]
    UnknownType(String),
    /// Not an object, or a field is missing, there twice, or of the wrong kind.
    #[error("invalid body: {0}")]
    Invalid(#[source] serde_json::Error),
}

impl BodyError {
    /// The code that an answer to such a body carries.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::TooLarge { .. } => ErrorCode::TooLarge,
            Self::InvalidJson(_) | Self::NotUtf8(_) => ErrorCode::InvalidJson,
            Self::UnsupportedVersion(_) => ErrorCode::UnsupportedVersion,
            Self::UnknownType(_) => ErrorCode::UnknownType,
            Self::Invalid(_) => ErrorCode::Invalid,
        }
    }

    /// An unknown type, cut to a length that is fit for an answer.
    pub(crate) fn unknown_type(kind: &str) -> Self {
        Self::UnknownType(cut(kind, 64).to_owned())
    }
}

/// Why a request, an answer or a room message cannot be taken.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WireError {
    /// The body itself.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// Dated too far in the past or in the future.
    #[error("sent at {sent}, which is more than ten minutes from this peer's clock", sent = .0.0)]
    Date(UnixMillis),
    /// The presence in it.
    #[error("presence: {0}")]
    Presence(#[from] PresenceError),
    /// The name of a protocol in it.
    #[error("protocol: {0}")]
    ProtocolName(#[from] ProtocolNameError),
    /// The presence in it is of another peer than the one who sent it.
    #[error("the presence is not the sender's own")]
    Sender,
    /// The sequence number or session in it is zero.
    #[error("sequence and session start at 1")]
    Sequence,
    /// The presence in it is of another topic than the request.
    #[error("the presence is of another topic")]
    WrongTopic,
}

impl WireError {
    /// The code that an answer to such a body carries.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Body(error) => error.code(),
            Self::Date(_) => ErrorCode::Expired,
            Self::Presence(error) => error.code(),
            Self::ProtocolName(_) | Self::Sender | Self::Sequence | Self::WrongTopic => {
                ErrorCode::Invalid
            }
        }
    }

    /// Whether whoever passed it on should have known better. Names are another matter: more of them held in version 0.1,
    /// and it depends on the version of Unicode which do.
    #[must_use]
    pub const fn is_forwarders_fault(&self) -> bool {
        !matches!(self, Self::Presence(PresenceError::Name(_)))
    }
}

#[derive(Serialize)]
struct ErrorOut<'a> {
    code: &'a str,
    reason: &'a str,
}

#[derive(Deserialize)]
struct ErrorIn {
    code: String,
    reason: Option<String>,
}

/// An `error` body.
pub(crate) fn encode_error(code: ErrorCode, reason: &str) -> Vec<u8> {
    json::encode(
        "error",
        ErrorOut {
            code: code.as_str(),
            reason: cut(reason, REASON_BYTES_MAX),
        },
    )
}

/// The fields of an `error` body.
pub(crate) fn decode_error(bytes: &[u8]) -> Result<(ErrorCode, String), BodyError> {
    let ErrorIn { code, reason } = json::fields(bytes)?;
    Ok((
        ErrorCode::from_text(&code),
        cut(&reason.unwrap_or_default(), REASON_BYTES_MAX).to_owned(),
    ))
}

/// A reason fit for an answer: at most [`REASON_BYTES_MAX`] bytes.
pub(crate) fn reason(reason: &str) -> String {
    cut(reason, REASON_BYTES_MAX).to_owned()
}

/// The longest start of `text` with at most `max` bytes.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
