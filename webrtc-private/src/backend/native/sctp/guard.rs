//! What of the other side's packets is let through.
//!
//! `sctp-proto` 0.10 does not expect a hostile peer: it takes any number of streams, data without any user
//! data, for which its window has no bound, and chunks that it can do nothing with yet, of which it sorts
//! all for each; and a late INIT ends the association.

use super::{
    super::super::UNKNOWN_UNREAD_MAX,
    PAYLOAD_MAX, STREAMS_MAX, StreamId,
    packet::{Item, chunks},
};

/// Types of chunks (RFC 9260, section 3.2; RFC 8260, section 2.1).
const DATA: u8 = 0;
const INIT: u8 = 1;
const I_DATA: u8 = 64;

/// Bytes of such a chunk before the user data, without its header: TSN, stream and others.
const BEFORE_DATA: usize = 12;
const BEFORE_I_DATA: usize = 16;

/// Chunks of data that belong to no message that has been read. A window full of messages of some bytes behind
/// a packet that got lost has fewer.
const PENDING_MAX: usize = 16 * 1024;

/// Streams of which the other side has not confirmed that they are reset.
const RESETS_MAX: usize = 2 * STREAMS_MAX as usize;

/// What is to be done with a packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Take,
    Drop,
    /// The other side breaks the rules, or is out to do harm.
    End,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Guard {
    pending: usize,
    /// Bytes of data that belong to no message that has been read, as long as it is not known who sends them.
    unknown: usize,
    is_trusted: bool,
    resets: usize,
}

impl Guard {
    /// It is known who is at the other end.
    pub(super) const fn trust(&mut self) {
        self.is_trusted = true;
    }

    pub(super) fn judge(&mut self, packet: &[u8], is_connected: bool) -> Verdict {
        let unknown = match self.is_trusted {
            true => 0,
            false => self.unknown.saturating_add(packet.len()),
        };
        for Item {
            kind: [kind, _],
            value,
            end,
        } in chunks(packet)
        {
            let before = match kind {
                // It comes late, or again. It is never with anything else.
                INIT if is_connected => return Verdict::Drop,
                DATA => BEFORE_DATA,
                I_DATA => BEFORE_I_DATA,
                _ => continue,
            };
            if unknown > UNKNOWN_UNREAD_MAX {
                // What is of use is sent again.
                return Verdict::Drop;
            }
            let stream = packet
                .get(value + 4..end)
                .and_then(|rest| rest.first_chunk());
            let stream = stream.map(|bytes| StreamId::from_be_bytes(*bytes));
            self.pending = self.pending.saturating_add(1);
            let has_data = end - value > before;
            let is_fine = has_data && stream.is_some_and(|stream| stream < STREAMS_MAX);
            if !is_fine || self.pending > PENDING_MAX {
                return Verdict::End;
            }
            self.unknown = unknown;
        }
        Verdict::Take
    }

    /// A message of so many bytes has been read.
    pub(super) fn on_message(&mut self, bytes: usize) {
        self.unknown = self.unknown.saturating_sub(bytes);
        // Its chunks may have been smaller than necessary, and have come twice.
        let chunks = bytes / (PAYLOAD_MAX as usize / 2) + 2;
        self.pending = self.pending.saturating_sub(chunks);
    }

    /// A stream has ended, and ours is to be reset as well. Whether that is not too much.
    pub(super) fn on_finished(&mut self) -> bool {
        self.resets = self.resets.saturating_add(1);
        self.resets <= RESETS_MAX
    }

    /// That is over.
    pub(super) fn on_reset(&mut self) {
        self.resets = self.resets.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(stream: StreamId, length: usize) -> Vec<u8> {
        let [high, low] = stream.to_be_bytes();
        let chunk_length = u16::try_from(16 + length).expect("short").to_be_bytes();
        let mut chunk = vec![
            0,
            3,
            chunk_length[0],
            chunk_length[1],
            0,
            0,
            0,
            1,
            high,
            low,
        ];
        chunk.extend([0, 0, 0, 0, 0, 53]);
        chunk.extend(vec![7; length]);
        chunk.resize(chunk.len().next_multiple_of(4), 0);
        chunk
    }

    fn packet(chunks: &[Vec<u8>]) -> Vec<u8> {
        [vec![0; 12], chunks.concat()].concat()
    }

    #[test]
    fn what_breaks_the_rules_ends_it() {
        for (chunk, verdict) in [
            (data(0, 1), Verdict::Take),
            (data(STREAMS_MAX - 1, 1000), Verdict::Take),
            (data(STREAMS_MAX, 1), Verdict::End),
            (data(0, 0), Verdict::End),
            (
                vec![64, 3, 0, 20].into_iter().chain([0; 16]).collect(),
                Verdict::End,
            ),
            (vec![0, 3, 0, 6, 1, 2, 0, 0], Verdict::End),
            // SACK.
            (vec![3, 0, 0, 4], Verdict::Take),
        ] {
            let packet = packet(&[vec![10, 0, 0, 4], chunk]);
            assert_eq!(Guard::default().judge(&packet, true), verdict, "{packet:?}");
        }
    }

    #[test]
    fn an_init_is_of_use_before_there_is_an_association() {
        let packet = packet(&[vec![1, 0, 0, 4]]);
        assert_eq!(Guard::default().judge(&packet, false), Verdict::Take);
        assert_eq!(Guard::default().judge(&packet, true), Verdict::Drop);
    }

    #[test]
    fn data_of_which_nothing_comes_has_an_end() {
        let mut guard = Guard::default();
        guard.trust();
        let chunk = packet(&[data(1, 1)]);
        let taken = (0..).take_while(|_| guard.judge(&chunk, true) == Verdict::Take);
        assert_eq!(taken.count(), PENDING_MAX);
        let mut guard = Guard::default();
        guard.trust();
        for _ in 0..100_000 {
            for _ in 0..14 {
                assert_eq!(guard.judge(&chunk, true), Verdict::Take);
            }
            guard.on_message(16 * 1024);
        }
    }

    #[test]
    fn of_somebody_unknown_little_is_kept() {
        let mut guard = Guard::default();
        let chunk = packet(&[data(1, 1000)]);
        let most = UNKNOWN_UNREAD_MAX / chunk.len();
        let takes = |guard: &mut Guard| guard.judge(&chunk, true) == Verdict::Take;
        assert_eq!((0..).take_while(|_| takes(&mut guard)).count(), most);
        assert_eq!(guard.judge(&chunk, true), Verdict::Drop);
        let sack = packet(&[vec![3, 0, 0, 4]]);
        assert_eq!(guard.judge(&sack, true), Verdict::Take);
        guard.on_message(2 * chunk.len());
        assert!(takes(&mut guard));
        guard.trust();
        assert!((0..1000).all(|_| takes(&mut guard)));
    }

    #[test]
    fn resets_that_nobody_confirms_have_an_end() {
        let mut guard = Guard::default();
        for _ in 0..10_000 {
            assert!(guard.on_finished());
            guard.on_reset();
        }
        let taken = (0..).take_while(|_| guard.on_finished());
        assert_eq!(taken.count(), RESETS_MAX);
    }
}
