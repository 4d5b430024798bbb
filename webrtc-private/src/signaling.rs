//! The signalling protocol, `/webrtc-signaling/0.0.1`.
//!
//! Messages on a stream of a connection that proves who is at the other end, each after its length
//! as an unsigned varint. See step 4 to 8 of
//! [libp2p/specs, webrtc/webrtc.md](https://github.com/libp2p/specs/blob/master/webrtc/webrtc.md).

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, BytesMut};
use futures::{AsyncRead, AsyncWrite};
use libp2p_swarm::StreamProtocol;
use prost::Message as _;

use crate::error::{SignalingError, Step};

/// The protocol's name.
pub const PROTOCOL: StreamProtocol = StreamProtocol::new("/webrtc-signaling/0.0.1");

/// Largest message. The specification names none; a session description has under 2 KiB.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// What the two sides tell each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// SDP.
    Offer(String),
    /// SDP.
    Answer(String),
    /// The JSON of `RTCIceCandidate.toJSON()`; `None` after the last one.
    Candidate(Option<String>),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Wire {
    #[prost(int32, optional, tag = "1")]
    kind: Option<i32>,
    #[prost(string, optional, tag = "2")]
    data: Option<String>,
}

const OFFER: i32 = 0;
const ANSWER: i32 = 1;
const CANDIDATE: i32 = 2;

impl Message {
    fn encode(&self) -> Vec<u8> {
        let (kind, data) = match self {
            Self::Offer(sdp) => (OFFER, sdp.clone()),
            Self::Answer(sdp) => (ANSWER, sdp.clone()),
            Self::Candidate(json) => (CANDIDATE, json.clone().unwrap_or_default()),
        };
        let wire = Wire {
            kind: Some(kind),
            data: Some(data),
        };
        wire.encode_length_delimited_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, SignalingError> {
        let wire = Wire::decode(bytes)?;
        let data = wire.data.unwrap_or_default();
        match wire.kind {
            Some(OFFER) => Ok(Self::Offer(data)),
            Some(ANSWER) => Ok(Self::Answer(data)),
            Some(CANDIDATE) => {
                // js-libp2p and browsers say in several ways that there are no more.
                let is_last = matches!(data.trim(), "" | "null" | "\"\"");
                Ok(Self::Candidate((!is_last).then_some(data)))
            }
            kind => Err(SignalingError::UnknownType(kind.unwrap_or(-1))),
        }
    }

    /// What it is, for people.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Offer(_) => "an offer",
            Self::Answer(_) => "an answer",
            Self::Candidate(_) => "a candidate",
        }
    }
}

/// A signalling stream: messages in, messages out.
#[derive(Debug)]
pub(crate) struct Signaling<S> {
    stream: S,
    incoming: BytesMut,
    outgoing: BytesMut,
    ended: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Signaling<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            incoming: BytesMut::new(),
            outgoing: BytesMut::new(),
            ended: false,
        }
    }

    /// Puts a message in the queue. What goes out is sent by [`poll_flush`](Self::poll_flush).
    pub(crate) fn queue(&mut self, message: &Message) {
        self.outgoing.extend_from_slice(&message.encode());
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SignalingError>> {
        while !self.outgoing.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.outgoing))?;
            if written == 0 {
                return Poll::Ready(Err(SignalingError::Ended));
            }
            self.outgoing.advance(written);
        }
        Pin::new(&mut self.stream)
            .poll_flush(cx)
            .map_err(Into::into)
    }

    /// The next message, `None` after the last.
    pub(crate) fn poll_message(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Message>, SignalingError>> {
        loop {
            if let Some(message) = self.take_message()? {
                return Poll::Ready(Ok(Some(message)));
            }
            if self.ended {
                return Poll::Ready(Ok(None));
            }
            let mut chunk = [0; 4096];
            let count = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut chunk))?;
            match chunk.get(..count) {
                None | Some([]) => self.ended = true,
                Some(bytes) => self.incoming.extend_from_slice(bytes),
            }
        }
    }

    fn take_message(&mut self) -> Result<Option<Message>, SignalingError> {
        let (length, prefix) = match unsigned_varint::decode::u64(&self.incoming) {
            Ok((length, rest)) => (length, self.incoming.len().saturating_sub(rest.len())),
            Err(unsigned_varint::decode::Error::Insufficient) => return Ok(None),
            Err(_) => return Err(SignalingError::Length),
        };
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= MESSAGE_BYTES_MAX)
            .ok_or(SignalingError::TooLarge(length))?;
        if self.incoming.len() < prefix.saturating_add(length) {
            return Ok(None);
        }
        self.incoming.advance(prefix);
        Message::decode(&self.incoming.split_to(length)).map(Some)
    }

    #[cfg(fuzzing)]
    pub(crate) fn into_stream(self) -> S {
        self.stream
    }

    /// Ends our side and waits for the other's: whoever answers must not find the stream reset.
    pub(crate) async fn finish(mut self) {
        use futures::AsyncWriteExt as _;
        let _ = futures::future::poll_fn(|cx| self.poll_flush(cx)).await;
        // The session is there; how its signalling ends changes nothing any more.
        let _ = self.stream.close().await;
        while let Ok(Some(_)) = futures::future::poll_fn(|cx| self.poll_message(cx)).await {}
    }
}

/// What a message that does not belong here is reported as.
pub(crate) fn unexpected(step: Step, message: &Message) -> SignalingError {
    SignalingError::Unexpected {
        step,
        message: message.name(),
    }
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, future::poll_fn, io::Cursor};
    use proptest::prelude::*;

    use super::*;

    fn read_all(bytes: &[u8]) -> Result<Vec<Message>, SignalingError> {
        let mut signaling = Signaling::new(Cursor::new(bytes.to_vec()));
        let mut messages = Vec::new();
        block_on(async {
            while let Some(message) = poll_fn(|cx| signaling.poll_message(cx)).await? {
                messages.push(message);
            }
            Ok(messages)
        })
    }

    #[test]
    fn messages_look_as_specified() {
        for (message, bytes) in [
            (
                Message::Offer("v=0".to_owned()),
                &b"\x07\x08\x00\x12\x03v=0"[..],
            ),
            (
                Message::Answer("v=0".to_owned()),
                b"\x07\x08\x01\x12\x03v=0",
            ),
            (
                Message::Candidate(Some("{}".to_owned())),
                b"\x06\x08\x02\x12\x02{}",
            ),
            (Message::Candidate(None), b"\x04\x08\x02\x12\x00"),
        ] {
            assert_eq!(message.encode(), bytes);
            assert_eq!(read_all(bytes).unwrap(), [message]);
        }
    }

    #[test]
    fn the_last_candidate_is_told_in_many_ways() {
        for last in ["", "null", "\"\"", " null "] {
            let mut bytes = vec![4 + u8::try_from(last.len()).unwrap(), 8, 2, 18];
            bytes.push(u8::try_from(last.len()).unwrap());
            bytes.extend(last.bytes());
            assert_eq!(read_all(&bytes).unwrap(), [Message::Candidate(None)]);
        }
        assert_eq!(
            read_all(b"\x02\x08\x02").unwrap(),
            [Message::Candidate(None)]
        );
    }

    #[test]
    fn what_is_no_message_is_refused() {
        assert!(matches!(
            read_all(b"\x81\x80\x04"),
            Err(SignalingError::TooLarge(65_537))
        ));
        assert!(matches!(read_all(&[0xff; 10]), Err(SignalingError::Length)));
        assert!(matches!(
            read_all(b"\x02\x08\x07"),
            Err(SignalingError::UnknownType(7))
        ));
        assert!(matches!(
            read_all(b"\x02\x12\x00"),
            Err(SignalingError::UnknownType(-1))
        ));
        assert!(matches!(
            read_all(b"\x02\x12\x05"),
            Err(SignalingError::Protobuf(_))
        ));
        // Half a message is none.
        assert_eq!(read_all(b"\x07\x08").unwrap(), []);
    }

    proptest! {
        #[test]
        fn hostile_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_all(&bytes);
        }
    }
}
