//! The machine-readable word for each error of the peer, for `--json`. Words are never changed or
//! reused, programs depend on them.

use moim_peer::{
    GetError, JoinError, LookupError, PutError, SayError, SendError, StartError, TextError,
};

/// An error that programs can tell from others by a word.
pub(crate) trait Code {
    /// The word.
    fn code(&self) -> &'static str;
}

/// For variants that the peer library has got since.
const OTHER: &str = "failed";

impl Code for GetError {
    fn code(&self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Invalid(_) => "invalid",
            Self::NoAnswer => "no_answer",
            Self::NotConnected(_) => "not_connected",
            Self::Stopped => "stopped",
            _ => OTHER,
        }
    }
}

impl Code for JoinError {
    fn code(&self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Topic(_) => "invalid",
            _ => OTHER,
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
            Self::Topic(_) => "invalid",
            _ => OTHER,
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
            _ => OTHER,
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
            _ => OTHER,
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
            _ => OTHER,
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
            _ => OTHER,
        }
    }
}
