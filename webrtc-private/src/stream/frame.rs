//! The messages on a data channel: a length, then protobuf.
//!
//! [libp2p/specs, webrtc/README.md](https://github.com/libp2p/specs/blob/master/webrtc/README.md#multiplexing).
//! A channel is a stream of bytes to us: js-libp2p sends one frame in several channel messages.

use bytes::{Buf as _, Bytes, BytesMut};
use prost::Message as _;
use thiserror::Error;

/// Largest frame that is sent, with its length: what the specification allows.
pub(crate) const FRAME_BYTES_MAX: usize = 16 * 1024;

/// Most bytes of data in one frame: what its length (2), a flag (2) and the tag and length of the
/// data (3) leave.
pub(crate) const DATA_BYTES_MAX: usize = FRAME_BYTES_MAX - 7;

/// Largest frame that is taken: libp2p/specs#628 would raise the limit to what browsers send in one
/// message.
const FRAME_BYTES_TAKEN: usize = 256 * 1024;

/// What a frame says besides its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Flag {
    /// The sender will send no more.
    Fin = 0,
    /// The sender will read no more.
    StopSending = 1,
    /// The sender gives up both directions.
    Reset = 2,
    /// Every byte before the other's `Fin` has arrived.
    FinAck = 3,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Wire {
    #[prost(int32, optional, tag = "1")]
    flag: Option<i32>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    message: Option<Bytes>,
}

/// What arrived: data first, then the flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) data: Bytes,
    /// Unknown flags are left out: a later version may have more.
    pub(crate) flag: Option<Flag>,
}

/// The other side does not speak this protocol.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum FrameError {
    #[error("a frame of {0} bytes is too large")]
    TooLarge(u64),
    #[error("the length of a frame is not a varint")]
    Length,
    #[error("a frame is not valid protobuf: {0}")]
    Protobuf(#[from] prost::DecodeError),
}

/// A frame with data, ready to be sent. At most [`DATA_BYTES_MAX`] of it.
pub(crate) fn encode_data(data: &[u8]) -> Vec<u8> {
    encode(&Wire {
        flag: None,
        message: Some(Bytes::copy_from_slice(data)),
    })
}

/// A frame with nothing but a flag, ready to be sent.
pub(crate) fn encode_flag(flag: Flag) -> Vec<u8> {
    encode(&Wire {
        flag: Some(flag.into()),
        message: None,
    })
}

fn encode(wire: &Wire) -> Vec<u8> {
    wire.encode_length_delimited_to_vec()
}

/// Puts frames together from what a channel brings.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, if it is there.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let (length, prefix) = match unsigned_varint::decode::u64(&self.buffer) {
            Ok((length, rest)) => (length, self.buffer.len().saturating_sub(rest.len())),
            Err(unsigned_varint::decode::Error::Insufficient) => return Ok(None),
            Err(_) => return Err(FrameError::Length),
        };
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= FRAME_BYTES_TAKEN)
            .ok_or(FrameError::TooLarge(length))?;
        if self.buffer.len() < prefix.saturating_add(length) {
            return Ok(None);
        }
        self.buffer.advance(prefix);
        let wire = Wire::decode(self.buffer.split_to(length).freeze())?;
        Ok(Some(Frame {
            data: wire.message.unwrap_or_default(),
            flag: wire.flag.and_then(|flag| Flag::try_from(flag).ok()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode_all(pieces: &[&[u8]]) -> Result<Vec<Frame>, FrameError> {
        let mut decoder = Decoder::default();
        let mut frames = Vec::new();
        for piece in pieces {
            decoder.push(piece);
            while let Some(frame) = decoder.next()? {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    #[test]
    fn frames_look_as_specified() {
        assert_eq!(encode_data(b"hi"), b"\x04\x12\x02hi");
        assert_eq!(encode_flag(Flag::Fin), b"\x02\x08\x00");
        assert_eq!(encode_flag(Flag::StopSending), b"\x02\x08\x01");
        assert_eq!(encode_flag(Flag::Reset), b"\x02\x08\x02");
        assert_eq!(encode_flag(Flag::FinAck), b"\x02\x08\x03");
        assert_eq!(
            encode_data(&vec![7; DATA_BYTES_MAX]).len() + 2,
            FRAME_BYTES_MAX,
            "the largest frame leaves two bytes for a flag"
        );
    }

    #[test]
    fn what_others_send_is_read() {
        for (bytes, data, flag) in [
            (&b"\x06\x08\x00\x12\x02hi"[..], "hi", Some(Flag::Fin)),
            (b"\x06\x12\x02hi\x08\x03", "hi", Some(Flag::FinAck)),
            // Nothing at all; an unknown flag; an unknown field.
            (b"\x00", "", None),
            (b"\x02\x08\x09", "", None),
            (b"\x07\x12\x02hi\x1a\x01x", "hi", None),
        ] {
            let frames = decode_all(&[bytes]).unwrap();
            let data = Bytes::from(data);
            assert_eq!(frames, [Frame { data, flag }], "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        assert_eq!(
            decode_all(&[b"\x81\x80\x10"]),
            Err(FrameError::TooLarge(262_145))
        );
        assert_eq!(decode_all(&[&[0xff; 10]]), Err(FrameError::Length));
        assert!(matches!(
            decode_all(&[b"\x02\x12\x05"]),
            Err(FrameError::Protobuf(_))
        ));
    }

    proptest! {
        #[test]
        fn frames_survive_being_cut(
            data in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..8),
            cut in 1_usize..50,
        ) {
            let bytes: Vec<u8> = data.iter().flat_map(|data| encode_data(data)).collect();
            let pieces: Vec<&[u8]> = bytes.chunks(cut).collect();
            let frames = decode_all(&pieces).unwrap();
            let read: Vec<Vec<u8>> = frames.iter().map(|frame| frame.data.to_vec()).collect();
            prop_assert_eq!(read, data);
        }

        #[test]
        fn hostile_bytes_do_no_harm(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let _ = decode_all(&pieces);
        }
    }
}
