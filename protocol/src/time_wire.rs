//! Bodies of `/moim/time/1.0.0`: a bootstrap node says what time it is, so that a peer whose clock is wrong
//! can tell its user.
//!
//! One request and one answer per stream, each a JSON body of at most [`BODY_BYTES_MAX`] bytes, ended by
//! closing the writing side.

use serde::{Deserialize, Serialize};

use crate::{
    UnixMillis, json,
    limits::{BODY_BYTES_MAX, INTEGER_MAX},
    wire::{self, BodyError, ErrorCode, WireError},
};

/// What a peer asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// What time it is.
    Get,
}

/// What a bootstrap node answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// The request was not accepted.
    Error {
        /// Why, for programs.
        code: ErrorCode,
        /// Why, for people: at most [`REASON_BYTES_MAX`](crate::limits::REASON_BYTES_MAX) bytes.
        reason: String,
    },
    /// The time by the clock that the node judges dates by.
    Time(UnixMillis),
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize, Deserialize)]
struct Time {
    time: u64,
}

impl Request {
    /// The body to be sent.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        let Self::Get = self;
        json::encode("get", Empty {})
    }

    /// Reads and checks a body.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        match json::head(bytes, BODY_BYTES_MAX)?.as_ref() {
            "get" => Ok(Self::Get),
            kind => Err(BodyError::unknown_type(kind).into()),
        }
    }
}

impl Response {
    /// The body to be sent.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Error { code, reason } => wire::encode_error(*code, reason),
            Self::Time(time) => json::encode("time", Time { time: time.0 }),
        }
    }

    /// Reads and checks a body. A time beyond [`INTEGER_MAX`] is taken for that.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        match json::head(bytes, BODY_BYTES_MAX)?.as_ref() {
            "error" => {
                let (code, reason) = wire::decode_error(bytes)?;
                Ok(Self::Error { code, reason })
            }
            "time" => {
                let Time { time } = json::fields(bytes)?;
                Ok(Self::Time(UnixMillis(time.min(INTEGER_MAX))))
            }
            kind => Err(BodyError::unknown_type(kind).into()),
        }
    }
}

wire::answers_errors!(Response);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(
            Request::decode(&Request::Get.encode()).unwrap(),
            Request::Get
        );
        for answer in [
            Response::Time(UnixMillis(1_800_000_000_000)),
            Response::Time(UnixMillis(0)),
            Response::Error {
                code: ErrorCode::Busy,
                reason: "later".to_owned(),
            },
        ] {
            assert_eq!(Response::decode(&answer.encode()).unwrap(), answer);
        }
    }

    #[test]
    fn what_is_no_time_is_refused_and_what_is_too_late_is_cut() {
        for wrong in [
            &b"{}"[..],
            br#"{"v":1,"type":"time"}"#,
            br#"{"v":1,"type":"time","time":-1}"#,
            br#"{"v":1,"type":"time","time":"now"}"#,
            br#"{"v":1,"type":"time","time":1.5}"#,
        ] {
            assert!(Response::decode(wrong).is_err());
        }
        let late = br#"{"v":1,"type":"time","time":18446744073709551615}"#;
        let read = Response::decode(late).unwrap();
        assert_eq!(read, Response::Time(UnixMillis(INTEGER_MAX)));
    }
}
