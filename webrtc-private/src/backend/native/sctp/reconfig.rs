//! What `sctp-proto` 0.10 gets wrong about resets of streams (RFC 6525), put right in the packets.
//!
//! An Outgoing SSN Reset Request has a response sequence number: which of the other side's requests it answers (section
//! 4.1). `sctp-proto` names the last one there, also while that has to wait for data that got lost, and takes it for an
//! answer when it reads it: it goes on to its next request too early, which is refused, and then each one after that is.
//! So requests of ours say what Chromium's do: that they answer themselves, which is nothing.

use bytes::{Bytes, BytesMut};
use crc::{CRC_32_ISCSI, Crc};

use super::packet::{Item, chunks, parameters};

/// The checksum of a packet (RFC 9260, appendix A), and where it is.
const CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
const CHECKSUM: usize = 8;

/// The type of RE-CONFIG chunks (RFC 6525, section 3.1).
const RE_CONFIG: u8 = 130;

/// The type of an Outgoing SSN Reset Request (section 4.1), which resets what its sender sends. Its value begins with
/// its request sequence number and its response sequence number.
const OUTGOING_RESET_REQUEST: [u8; 2] = [0, 13];

/// A packet of ours as it is to be sent.
pub(super) fn amend(packet: Bytes) -> Bytes {
    let requests = requests(&packet);
    if requests.is_empty() {
        return packet;
    }
    let mut amended = BytesMut::from(&packet[..]);
    for (answered, number) in requests {
        put(&mut amended, answered, number);
    }
    put(&mut amended, CHECKSUM, [0; 4]);
    let checksum = CRC32C.checksum(&amended);
    put(&mut amended, CHECKSUM, checksum.to_le_bytes());
    amended.freeze()
}

fn put(packet: &mut [u8], at: usize, bytes: [u8; 4]) {
    if let Some(place) = packet.get_mut(at..at.saturating_add(4)) {
        place.copy_from_slice(&bytes);
    }
}

/// Where the requests of a packet have their response sequence numbers, and their request sequence numbers.
fn requests(packet: &[u8]) -> Vec<(usize, [u8; 4])> {
    let chunks = chunks(packet).filter(|chunk| chunk.kind[0] == RE_CONFIG);
    let parameters = chunks.flat_map(|chunk| parameters(packet, chunk));
    let requests = parameters.filter(|parameter| parameter.kind == OUTGOING_RESET_REQUEST);
    let numbered = requests.filter_map(|Item { value, end, .. }| {
        let number = packet.get(value..end)?.first_chunk::<4>()?;
        Some((value + 4, *number)).filter(|(answered, _)| answered + 4 <= end)
    });
    numbered.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(chunks: &[&[u8]]) -> Bytes {
        let mut packet = vec![0x13, 0x88, 0x13, 0x88, 1, 2, 3, 4, 0, 0, 0, 0];
        for chunk in chunks {
            packet.extend_from_slice(chunk);
            packet.resize(packet.len().next_multiple_of(4), 0);
        }
        let checksum = CRC32C.checksum(&packet);
        put(&mut packet, CHECKSUM, checksum.to_le_bytes());
        packet.into()
    }

    fn request(number: u8, answers: u8) -> Vec<u8> {
        let mut chunk = vec![130, 0, 0, 22, 0, 13, 0, 18];
        chunk.extend([0, 0, 0, number, 0, 0, 0, answers, 0, 0, 0, 77, 0, 5]);
        chunk
    }

    /// A Re-configuration Response (section 4.4), which stays as it is.
    const RESPONSE: [u8; 16] = [130, 0, 0, 16, 0, 16, 0, 12, 0, 0, 0, 3, 0, 0, 0, 6];

    /// A chunk of data with a length that is no multiple of four.
    const DATA: [u8; 5] = [0, 3, 0, 5, 9];

    #[test]
    fn requests_answer_nothing() {
        let amended = amend(packet(&[&DATA, &request(8, 3), &RESPONSE]));
        assert_eq!(amended, packet(&[&DATA, &request(8, 8), &RESPONSE]));
        let others = packet(&[&DATA, &RESPONSE]);
        assert_eq!(amend(others.clone()), others);
    }

    #[test]
    fn what_is_cut_off_or_lies_about_its_length_does_no_harm() {
        let whole = packet(&[&DATA, &request(8, 3), &RESPONSE]);
        for length in 0..whole.len() {
            assert_eq!(amend(whole.slice(..length)).len(), length);
        }
        for at in 0..whole.len() {
            for byte in [0, 1, 3, 5, 255] {
                let mut changed = whole.to_vec();
                changed[at] = byte;
                assert_eq!(amend(changed.into()).len(), whole.len());
            }
        }
    }
}
