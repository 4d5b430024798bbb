//! How channels are opened in band: the Data Channel Establishment Protocol (DCEP, RFC 8832).

/// The type of DATA_CHANNEL_OPEN (section 8.2.1).
const OPEN: u8 = 3;

/// DATA_CHANNEL_ACK, the answer to it (section 5.2).
pub(super) const ACK: [u8; 1] = [2];

/// DATA_CHANNEL_RELIABLE: channels that keep the order and lose nothing (section 5.1). libp2p has no others.
const RELIABLE: u8 = 0;

/// Bytes before the label.
const HEADER: usize = 12;

/// The longest label that is taken. libp2p's are empty, or a word.
const LABEL_MAX: usize = 256;

/// DATA_CHANNEL_OPEN.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) label: String,
}

impl Open {
    /// `None` when it is not such a message, or one of a channel that may lose or reorder something.
    pub(super) fn decode(message: &[u8]) -> Option<Self> {
        let (header, rest) = message.split_at_checked(HEADER)?;
        let [OPEN, RELIABLE, _, _, _, _, _, _, high, low, ..] = header else {
            return None;
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let label = rest
            .get(..length)
            .filter(|label| label.len() <= LABEL_MAX)?;
        let label = String::from_utf8(label.to_vec()).ok()?;
        Some(Self { label })
    }
}

/// DATA_CHANNEL_OPEN, with priority 0. `None` when the label is too long.
pub(super) fn open(label: &str) -> Option<Vec<u8>> {
    let length = Some(label.len()).filter(|length| *length <= LABEL_MAX)?;
    let [high, low] = u16::try_from(length).ok()?.to_be_bytes();
    let header = [OPEN, RELIABLE, 0, 0, 0, 0, 0, 0, high, low, 0, 0];
    Some([&header, label.as_bytes()].concat())
}

/// Whether it is a DATA_CHANNEL_ACK.
pub(super) fn is_ack(message: &[u8]) -> bool {
    message.starts_with(&ACK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for label in ["", "init", "모임", &"x".repeat(LABEL_MAX)] {
            let message = open(label).expect("short enough");
            let label = label.to_owned();
            assert_eq!(Open::decode(&message), Some(Open { label }));
        }
        assert_eq!(open(&"x".repeat(LABEL_MAX + 1)), None);
    }

    #[test]
    fn a_browsers_message_is_read() {
        // Priority 256 and a protocol beside the label.
        let message = b"\x03\x00\x01\x00\x00\x00\x00\x00\x00\x04\x00\x02initxy";
        let label = "init".to_owned();
        assert_eq!(Open::decode(message), Some(Open { label }));
    }

    #[test]
    fn what_is_no_such_message_is_not_taken() {
        let valid = open("init").expect("short enough");
        for (at, byte) in [
            (0, 2),
            (0, 4),
            (1, 1),
            (1, 0x80),
            (9, 5),
            (8, 1),
            (12, 0xff),
        ] {
            let mut message = valid.clone();
            message[at] = byte;
            assert_eq!(Open::decode(&message), None, "{at}: {byte}");
        }
        for length in 0..valid.len() {
            assert_eq!(Open::decode(&valid[..length]), None, "{length} bytes");
        }
        assert!(is_ack(&ACK) && !is_ack(&[]) && !is_ack(&valid));
    }
}
