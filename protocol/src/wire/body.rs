//! The outside of a body: its version, and what is wrong with one that cannot be read.

use std::{fmt, str::Utf8Error};

use thiserror::Error;

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

/// The longest start of `text` with at most `max` bytes.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max))
        .unwrap_or_default()
}
