//! What the bodies of all Moim protocols have in common: version, error codes, and what is wrong
//! with a body that cannot be taken.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::body::cut;
pub use self::body::{BodyError, ErrorCode, VERSION};
use crate::{
    json, limits::REASON_BYTES_MAX, presence::PresenceError, stream_wire::name::ProtocolNameError,
    time::UnixMillis,
};

pub(crate) mod body;

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

#[cfg(test)]
mod tests;
