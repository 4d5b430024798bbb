//! Handshake messages, put together from their fragments (RFC 6347, section 4.2.3).
//!
//! Fragments may come in any order, twice, and overlap: of each the bytes are taken that are not there yet. How
//! much work that can be is bounded by the number of fragments, by that of the pieces of one message, and by the
//! bytes of all, which the [records](super) count.

use std::collections::BTreeMap;

use super::CONTENT_MAX;

/// Fragments in all. A handshake takes some ten of them, and may be repeated seven times.
pub(super) const FRAGMENTS_MAX: usize = 256;

/// Messages of one side: eight with a session ticket, which nobody here gives.
pub(super) const MESSAGES_MAX: u16 = 8;

/// How often ClientHello is handed on again. Whoever repeats it waits twice as long each time.
pub(super) const REPEATS_MAX: usize = 8;

/// Pieces of one message that do not follow each other. The longest that is taken, in datagrams of the 576 bytes
/// that every path takes, has 30.
pub(super) const PIECES_MAX: usize = 32;

/// Bytes of a header.
const HEADER: usize = 12;

/// The longest message: handed on it is one record.
const LENGTH_MAX: usize = CONTENT_MAX - HEADER;

/// The type of ClientHello (RFC 5246, section 7.4).
const CLIENT_HELLO: u8 = 1;

/// A part of a message, or all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment<'a> {
    /// The type of the message.
    pub(super) kind: u8,
    /// How long the whole message is (`length`).
    pub(super) length: usize,
    /// Which message it is (`message_seq`).
    pub(super) number: u16,
    /// Where in the message the bytes belong (`fragment_offset`).
    pub(super) offset: usize,
    pub(super) bytes: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// The first fragment in a record, and what comes after it.
    pub(super) fn split(content: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (header, rest) = content.split_first_chunk::<HEADER>()?;
        let [kind, l1, l2, l3, n1, n2, o1, o2, o3, s1, s2, s3] = *header;
        let three = |bytes: [u8; 3]| {
            let [high, middle, low] = bytes.map(usize::from);
            high << 16 | middle << 8 | low
        };
        let (bytes, rest) = rest.split_at_checked(three([s1, s2, s3]))?;
        let fragment = Self {
            kind,
            length: three([l1, l2, l3]),
            number: u16::from_be_bytes([n1, n2]),
            offset: three([o1, o2, o3]),
            bytes,
        };
        Some((fragment, rest))
    }

    /// Whether a sender that keeps to the protocol may have made it.
    fn is_fine(&self) -> bool {
        let is_inside = self.offset.saturating_add(self.bytes.len()) <= self.length;
        // A message without content, as one is, has no other fragment.
        let is_of_use = !self.bytes.is_empty() || self.length == 0;
        is_inside && is_of_use && self.length <= LENGTH_MAX
    }
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// The number of the message that is handed on next.
    next: u16,
    unfinished: BTreeMap<u16, Message>,
    fragments: usize,
    repeats: usize,
}

#[derive(Debug)]
struct Message {
    kind: u8,
    length: usize,
    /// By where they begin. They do not overlap.
    pieces: BTreeMap<usize, Vec<u8>>,
}

impl Messages {
    /// A fragment has come.
    pub(super) fn take(&mut self, fragment: Fragment<'_>) {
        if self.fragments >= FRAGMENTS_MAX {
            return;
        }
        self.fragments += 1;
        let is_due = (self.next..MESSAGES_MAX).contains(&fragment.number);
        if !fragment.is_fine() || !(is_due || self.is_repeat(&fragment)) {
            return;
        }
        let Fragment { kind, length, .. } = fragment;
        let message = self.unfinished.entry(fragment.number);
        let message = message.or_insert_with(|| Message {
            kind,
            length,
            pieces: BTreeMap::new(),
        });
        if (message.kind, message.length) == (kind, length) {
            message.add(fragment.offset, fragment.bytes);
        }
    }

    /// Whether a client repeats its ClientHello. It may not have got the HelloVerifyRequest with the cookie, which
    /// rtc-dtls repeats only then. Later repetitions are for nobody: it sends its own flight again when it
    /// is time, unless it hears of them.
    fn is_repeat(&self, fragment: &Fragment<'_>) -> bool {
        let is_first = (fragment.number, fragment.kind) == (0, CLIENT_HELLO);
        is_first && self.next == 1 && self.repeats < REPEATS_MAX
    }

    /// The next message that is whole, with its header.
    pub(super) fn next_whole(&mut self) -> Option<Vec<u8>> {
        let is_whole = |number: &u16| self.unfinished.get(number).is_some_and(Message::is_whole);
        // The first one again, and the one in turn.
        let number = [0, self.next].into_iter().find(is_whole)?;
        let message = self.unfinished.remove(&number)?;
        if number < self.next {
            self.repeats += 1;
        } else {
            self.next += 1;
            self.unfinished.retain(|number, _| *number >= self.next);
        }
        Some(message.join(number))
    }
}

impl Message {
    fn is_whole(&self) -> bool {
        let bytes: usize = self.pieces.values().map(Vec::len).sum();
        bytes == self.length
    }

    /// Keeps what is new of these bytes.
    fn add(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        let mut at = offset;
        let overlapping = self.pieces.range(..end);
        let there: Vec<_> = overlapping
            .map(|(start, piece)| (*start, start + piece.len()))
            .filter(|(_, piece_end)| *piece_end > offset)
            .collect();
        for (start, piece_end) in there.into_iter().chain([(end, end)]) {
            if start > at && self.pieces.len() < PIECES_MAX {
                let new = bytes.get(at - offset..start - offset).unwrap_or_default();
                self.pieces.insert(at, new.to_vec());
            }
            at = at.max(piece_end);
        }
    }

    fn join(self, number: u16) -> Vec<u8> {
        let length = u32::try_from(self.length).unwrap_or_default().to_be_bytes();
        let [_, length @ ..] = length;
        let mut whole = Vec::with_capacity(HEADER + self.length);
        whole.push(self.kind);
        whole.extend(length);
        whole.extend(number.to_be_bytes());
        whole.extend([0; 3]);
        whole.extend(length);
        for piece in self.pieces.into_values() {
            whole.extend(piece);
        }
        whole
    }
}

#[cfg(test)]
impl Messages {
    /// Pieces that are kept.
    pub(super) fn pieces(&self) -> usize {
        let pieces = self.unfinished.values().map(|message| message.pieces.len());
        pieces.sum()
    }
}
