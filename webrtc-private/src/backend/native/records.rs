//! Which records of DTLS are handed on to the protocol, and in which form.
//!
//! rtc-dtls 0.21 keeps every fragment of a handshake message, however many of them come and whatever message they
//! are of, adds up their sizes and puts them together by recursion for each one. It queues whatever comes of an epoch
//! that there are no keys for yet, answers every alert, and forgets to send its own flight again once the other side
//! repeats its own. So it gets each handshake message once, whole and in turn (see [`messages`]), and of
//! everything else no more than a handshake takes.

use bytes::{BufMut as _, BytesMut};

use self::messages::{Fragment, Messages};

mod messages;

/// Records of the handshake in cleartext (epoch 0), in bytes. One handshake takes 4 KiB, and is repeated where they get
/// lost.
const HANDSHAKE_BYTES_MAX: usize = 64 * 1024;

/// Records of epoch 1 that came before its keys were there, in bytes.
const EARLY_BYTES_MAX: usize = 16 * 1024;

/// The same in number. Each is looked at again when the keys are there.
const EARLY_MAX: usize = 32;

/// Records of a few bytes: ChangeCipherSpec, alerts, and the encrypted Finished, of which there is one in each flight
/// that is retransmitted.
const SHORT_MAX: usize = 32;

/// The longest of them: Finished has 24 bytes, and the cipher suite that adds most to it adds 56.
const SHORT_BYTES_MAX: usize = 80;

/// Bytes of a header (RFC 6347, section 4.1).
const HEADER: usize = 13;

/// The largest content of a record (RFC 6347, section 4.1).
pub(super) const CONTENT_MAX: usize = 1 << 14;

/// The version that is agreed on, and the one that the first records may have (RFC 6347, section 4.1).
const DTLS_1_2: [u8; 2] = [254, 253];
/// See [`DTLS_1_2`].
const DTLS_1_0: [u8; 2] = [254, 255];

/// Content types of records (RFC 5246, section 6.2.1).
const CHANGE_CIPHER_SPEC: u8 = 20;
/// See [`CHANGE_CIPHER_SPEC`].
const ALERT: u8 = 21;
/// See [`CHANGE_CIPHER_SPEC`].
const HANDSHAKE: u8 = 22;
/// See [`CHANGE_CIPHER_SPEC`].
const APPLICATION_DATA: u8 = 23;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Records {
    messages: Messages,
    /// Records in cleartext that were handed on. They are numbered anew, since some take the place of several.
    next_sequence: u32,
    handshake_bytes: usize,
    early: usize,
    early_bytes: usize,
    short: usize,
}

struct Record<'a> {
    content_type: u8,
    epoch: u16,
    content: &'a [u8],
    /// With its header.
    whole: &'a [u8],
}

/// The records of a datagram, as far as they are whole and of a version that is known.
fn records(datagram: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let (header, after) = rest.split_first_chunk::<HEADER>()?;
        let [
            content_type,
            major,
            minor,
            epoch,
            low_epoch,
            ..,
            length,
            low_length,
        ] = *header;
        let length = usize::from(u16::from_be_bytes([length, low_length]));
        let content = after.get(..length)?;
        let (whole, next) = rest.split_at_checked(HEADER + length)?;
        rest = next;
        ([DTLS_1_2, DTLS_1_0].contains(&[major, minor])).then_some(Record {
            content_type,
            epoch: u16::from_be_bytes([epoch, low_epoch]),
            content,
            whole,
        })
    })
}

fn is_data_alone(datagram: &[u8]) -> bool {
    let first = records(datagram).next();
    first.is_some_and(|first| {
        (first.epoch, first.content_type) == (1, APPLICATION_DATA)
            && first.whole.len() == datagram.len()
    })
}

impl Records {
    /// What of a datagram is handed on, if anything. `is_connected`: the handshake is over.
    pub(super) fn take(&mut self, datagram: BytesMut, is_connected: bool) -> Option<BytesMut> {
        // What comes nearly always.
        if is_connected && is_data_alone(&datagram) {
            return Some(datagram);
        }
        let mut taken = BytesMut::new();
        for record in records(&datagram) {
            match (record.epoch, record.content_type) {
                // Nobody has signed it, and there is no other handshake.
                (0, _) if is_connected => {}
                (0, HANDSHAKE) => self.take_handshake(record.content, &mut taken),
                (0, CHANGE_CIPHER_SPEC | ALERT) if self.takes_short(record.content, 2) => {
                    self.put(record.content_type, record.content, &mut taken);
                }
                (1, HANDSHAKE | ALERT) if self.takes_short(record.content, SHORT_BYTES_MAX) => {
                    taken.put_slice(record.whole);
                }
                (1, APPLICATION_DATA) if is_connected || self.takes_early(record.whole) => {
                    taken.put_slice(record.whole);
                }
                _ => {}
            }
        }
        (!taken.is_empty()).then_some(taken)
    }

    fn takes_short(&mut self, content: &[u8], max: usize) -> bool {
        content.len() <= max && spend(&mut self.short, 1, SHORT_MAX)
    }

    fn takes_early(&mut self, record: &[u8]) -> bool {
        spend(&mut self.early, 1, EARLY_MAX)
            && spend(&mut self.early_bytes, record.len(), EARLY_BYTES_MAX)
    }

    fn take_handshake(&mut self, content: &[u8], taken: &mut BytesMut) {
        if !spend(
            &mut self.handshake_bytes,
            content.len(),
            HANDSHAKE_BYTES_MAX,
        ) {
            return;
        }
        let mut rest = content;
        while let Some((fragment, next)) = Fragment::split(rest) {
            rest = next;
            self.messages.take(fragment);
        }
        while let Some(message) = self.messages.next_whole() {
            self.put(HANDSHAKE, &message, taken);
        }
    }

    /// Writes a record in cleartext.
    fn put(&mut self, content_type: u8, content: &[u8], taken: &mut BytesMut) {
        let Ok(length) = u16::try_from(content.len()) else {
            return;
        };
        taken.put_u8(content_type);
        taken.put_slice(&DTLS_1_2);
        // The epoch, and the first bytes of the sequence number.
        taken.put_slice(&[0; 4]);
        taken.put_u32(self.next_sequence);
        taken.put_u16(length);
        taken.put_slice(content);
        self.next_sequence = self.next_sequence.saturating_add(1);
    }
}

/// Whether there is so much left.
fn spend(spent: &mut usize, amount: usize, max: usize) -> bool {
    let sum = spent.saturating_add(amount);
    let is_left = sum <= max;
    if is_left {
        *spent = sum;
    }
    is_left
}

#[cfg(test)]
mod tests;
