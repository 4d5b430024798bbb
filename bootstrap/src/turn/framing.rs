//! Where messages end in a stream of bytes. RFC 8489, section 6.2.2, and RFC 8656, section 12.5.

use crate::{limits, stun::wire::HEADER_BYTES};

/// Length of the header of ChannelData.
const CHANNEL_HEADER_BYTES: usize = 4;

/// What the bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// No message of ours; there is no way to find the next.
    Broken,
    /// The beginning of one.
    Part,
    /// One of this length.
    Whole(usize),
}

/// Looks at the beginning of `bytes`.
pub(super) fn next(bytes: &[u8]) -> Frame {
    let Some(([first, _, high, low], _)) = bytes.split_first_chunk() else {
        return Frame::Part;
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let whole = match first >> 6 {
        0 if length.is_multiple_of(4) => HEADER_BYTES + length,
        // Padded over TCP.
        1 => CHANNEL_HEADER_BYTES + length.next_multiple_of(4),
        _ => return Frame::Broken,
    };
    if whole > limits::TURN_MESSAGE_BYTES_MAX {
        Frame::Broken
    } else if bytes.len() < whole {
        Frame::Part
    } else {
        Frame::Whole(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_end_where_they_say() {
        let stun = [0, 1, 0, 8];
        let mut bytes = stun.to_vec();
        for length in 0..28 {
            bytes.resize(length, 0);
            bytes[..length.min(4)].copy_from_slice(&stun[..length.min(4)]);
            assert_eq!(next(&bytes), Frame::Part, "{length}");
        }
        bytes.resize(40, 0);
        assert_eq!(next(&bytes), Frame::Whole(28));
        assert_eq!(next(&[0x40, 0, 0, 5, 1, 2, 3, 4, 5]), Frame::Part);
        assert_eq!(
            next(&[0x40, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0]),
            Frame::Whole(12)
        );
        assert_eq!(next(&[0x40, 0, 0, 0]), Frame::Whole(4));
    }

    #[test]
    fn what_is_no_message_or_too_long_ends_the_stream() {
        for broken in [
            *b"GET ",
            *b"\x16\x03\x01\x02",
            [0, 1, 0, 3],
            [0, 1, 0xff, 0xfc],
            [0x40, 0, 0xff, 0xff],
            [0x80, 0, 0, 0],
            [0xff; 4],
        ] {
            assert_eq!(next(&broken), Frame::Broken, "{broken:?}");
        }
    }
}
