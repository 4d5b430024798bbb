//! What opens a stream of a program's own: `/moim/stream/1.0.0`.
//!
//! Each direction is a row of *chunks*: two bytes of length, the higher one first, and so many bytes. The first chunk is
//! the header, a JSON body of at most [`STREAM_HEADER_BYTES_MAX`] bytes: [`Request`] from the side that opens,
//! [`Response`] from the other. All others are the program's. A chunk of length 0 is the end of a direction. A direction
//! that ends without it was broken off: transports do not say so by themselves (yamux shows a lost connection as an end,
//! and so does QUIC a stream that was dropped).
//!
//! ```
//! use moim_protocol::stream_wire::{ProtocolName, Request};
//!
//! let protocol = ProtocolName::new("chess/1")?;
//! let header = Request::Open { protocol }.encode();
//! assert_eq!(header, br#"{"v":1,"type":"open","protocol":"chess/1"}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use serde::{Deserialize, Serialize};

pub use self::name::{ProtocolName, ProtocolNameError};
use crate::{
    json,
    limits::STREAM_HEADER_BYTES_MAX,
    wire::{self, BodyError, ErrorCode, WireError},
};

pub(crate) mod name;

/// Bytes of length before each chunk.
pub const CHUNK_HEAD_BYTES: usize = 2;

/// The header of the side that opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// It wants to speak this protocol.
    Open {
        /// What the program calls it.
        protocol: ProtocolName,
    },
}

/// The header of the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// A program there speaks the protocol.
    Accepted,
    /// The stream ends here.
    Error {
        /// Why, for programs.
        code: ErrorCode,
        /// Why, for people: at most [`REASON_BYTES_MAX`](crate::limits::REASON_BYTES_MAX) bytes.
        reason: String,
    },
}

#[derive(Serialize)]
struct OpenOut<'a> {
    protocol: &'a str,
}

#[derive(Deserialize)]
struct OpenIn {
    protocol: String,
}

#[derive(Serialize)]
struct Empty {}

impl Request {
    /// The header to be sent, without its length.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let Self::Open { protocol } = self;
        let protocol = protocol.as_str();
        json::encode("open", OpenOut { protocol })
    }

    /// Reads and checks a header.
    ///
    /// # Errors
    /// [`WireError`], which says what to answer.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        match json::head(bytes, STREAM_HEADER_BYTES_MAX)?.as_ref() {
            "open" => {
                let OpenIn { protocol } = json::fields(bytes)?;
                let protocol = protocol.parse()?;
                Ok(Self::Open { protocol })
            }
            kind => Err(BodyError::unknown_type(kind).into()),
        }
    }
}

wire::answers_errors!(Response);

impl Response {
    /// The header to be sent, without its length.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Accepted => json::encode("accepted", Empty {}),
            Self::Error { code, reason } => wire::encode_error(*code, reason),
        }
    }

    /// Reads and checks a header.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        match json::head(bytes, STREAM_HEADER_BYTES_MAX)?.as_ref() {
            "accepted" => Ok(Self::Accepted),
            "error" => {
                let (code, reason) = wire::decode_error(bytes)?;
                Ok(Self::Error { code, reason })
            }
            kind => Err(BodyError::unknown_type(kind).into()),
        }
    }
}

#[cfg(test)]
mod tests;
