//! The word for each error, for programs. Words are never changed or reused.

use moim_protocol::text::TextError;

use crate::error::{
    AcceptError, GetError, JoinError, LookupError, OpenError, ProvideError, PutError, SayError,
    SendError, StartError,
};

/// An error that programs can tell from others by a word, as `moim --json` shows it.
///
/// ```
/// use moim_peer::{Code as _, SendError};
///
/// assert_eq!(SendError::ToSelf.code(), "to_self");
/// ```
pub trait Code: std::error::Error {
    /// The word: lower-case letters and `_`.
    fn code(&self) -> &'static str;
}

impl Code for AcceptError {
    fn code(&self) -> &'static str {
        match self {
            Self::AlreadyAccepted => "already_accepted",
            Self::Stopped => "stopped",
        }
    }
}

impl Code for GetError {
    fn code(&self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Invalid(_) => "invalid",
            Self::NoAnswer => "no_answer",
            Self::NotConnected(_) => "not_connected",
            Self::Stopped => "stopped",
        }
    }
}

impl Code for JoinError {
    fn code(&self) -> &'static str {
        match self {
            Self::AlreadyJoined => "already_joined",
            Self::TooManyRooms { .. } => "too_many_rooms",
            Self::Stopped => "stopped",
        }
    }
}

impl Code for LookupError {
    fn code(&self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::NotConnected(_) => "not_connected",
            Self::Stopped => "stopped",
        }
    }
}

impl Code for OpenError {
    fn code(&self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::NotConnected(_) => "not_connected",
            Self::Refused(_) => "refused",
            Self::Stopped => "stopped",
            Self::ToSelf => "to_self",
            Self::UnknownProtocol => "unknown_protocol",
            Self::Unsupported => "unsupported",
        }
    }
}

impl Code for ProvideError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoAnswer => "no_answer",
            Self::NotConnected(_) => "not_connected",
            Self::Stopped => "stopped",
            Self::TooMany { .. } => "too_many",
        }
    }
}

impl Code for PutError {
    fn code(&self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Invalid(_) => "invalid",
            Self::NoAnswer => "no_answer",
            Self::NotConnected(_) => "not_connected",
            Self::Refused { .. } => "refused",
            Self::Stopped => "stopped",
        }
    }
}

impl Code for SayError {
    fn code(&self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Stopped => "stopped",
            Self::Text(error) => text_code(error),
            Self::TooFast => "too_fast",
        }
    }
}

impl Code for SendError {
    fn code(&self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Duplicate => "duplicate",
            Self::NoReceipt { .. } => "no_receipt",
            Self::Refused(_) => "refused",
            Self::Stopped => "stopped",
            Self::Text(error) => text_code(error),
            Self::ToSelf => "to_self",
            Self::Unsupported => "unsupported",
        }
    }
}

fn text_code(error: &TextError) -> &'static str {
    match error {
        TextError::Empty => "empty",
        TextError::TooLong(_) => "too_long",
        _ => "invalid",
    }
}

impl Code for StartError {
    fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "listen",
            Self::SetUp { .. } => "failed",
        }
    }
}
