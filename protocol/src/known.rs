//! What a peer says it knows of a room when it asks for a list, so that nobody sends it that again.
//!
//! A list of a large room has a megabyte, and nearly all of it is known to whoever asks. A [`Known`] has ten bytes for
//! each peer: a part of a hash of its id, and the sequence number of its presence.

use std::collections::HashMap;

use libp2p_identity::PeerId;
use sha2::{Digest as _, Sha256};

use crate::{limits::KNOWN_MAX, names::KNOWN_PREFIX};

const SALT: usize = 4;
const HASH: usize = 4;
const SEQUENCE: usize = 6;
const ENTRY: usize = HASH + SEQUENCE;

/// The largest sequence number that fits. It is that of the year 10889.
const SEQUENCE_MAX: u64 = (1 << (8 * SEQUENCE)) - 1;

/// Which presences a peer knows: at most [`KNOWN_MAX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Another for each question, so that two ids with the same hash are told apart the next time.
    salt: [u8; SALT],
    sequences: HashMap<[u8; HASH], u64>,
}

impl Known {
    /// Those that are given, the first [`KNOWN_MAX`] of them. `salt` should be drawn for each.
    pub fn new(salt: u32, presences: impl IntoIterator<Item = (PeerId, u64)>) -> Self {
        let mut known = Self {
            salt: salt.to_be_bytes(),
            sequences: HashMap::new(),
        };
        for (peer, sequence) in presences.into_iter().take(KNOWN_MAX) {
            let sequence = sequence.min(SEQUENCE_MAX);
            let hash = known.hash(&peer);
            // Of two with the same hash the older one counts: rather too much is sent than too little.
            known
                .sequences
                .entry(hash)
                .and_modify(|before| *before = sequence.min(*before))
                .or_insert(sequence);
        }
        known
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sequences.is_empty()
    }

    /// Whether this presence of a peer, or a later one, is known.
    #[must_use]
    pub fn contains(&self, peer: &PeerId, sequence: u64) -> bool {
        let known = self.sequences.get(&self.hash(peer));
        known.is_some_and(|known| *known >= sequence)
    }

    fn hash(&self, peer: &PeerId) -> [u8; HASH] {
        let mut hasher = Sha256::new();
        hasher.update(KNOWN_PREFIX);
        hasher.update(self.salt);
        hasher.update(peer.to_bytes());
        let hash: [u8; 32] = hasher.finalize().into();
        let mut first = [0; HASH];
        first.copy_from_slice(hash.split_at(HASH).0);
        first
    }

    /// The salt, then for each presence the first four bytes of sha2-256 of [`KNOWN_PREFIX`], the salt and the bytes of
    /// the peer id, then six of its sequence number, the most significant first; in ascending order.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut entries: Vec<_> = self.sequences.iter().collect();
        entries.sort_unstable();
        let mut bytes = self.salt.to_vec();
        for (hash, sequence) in entries {
            bytes.extend_from_slice(hash);
            let sequence = sequence.to_be_bytes();
            bytes.extend_from_slice(sequence.split_at(sequence.len().saturating_sub(SEQUENCE)).1);
        }
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) writes, in any order. `None` for what is of no such form, or too long.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (salt, entries) = bytes.split_first_chunk::<SALT>()?;
        let (entries, rest) = entries.as_chunks::<ENTRY>();
        if !rest.is_empty() || entries.len() > KNOWN_MAX {
            return None;
        }
        let entries = entries.iter().filter_map(|entry| {
            let (hash, sequence) = entry.split_first_chunk::<HASH>()?;
            let sequence = sequence
                .iter()
                .fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
            Some((*hash, sequence))
        });
        Some(Self {
            salt: *salt,
            sequences: entries.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{limits::INTEGER_MAX, testing::peer};

    #[test]
    fn what_is_known_is_not_asked_for_and_what_is_newer_is() {
        let known = Known::new(7, [(peer(1), 5), (peer(2), INTEGER_MAX)]);
        assert!(known.contains(&peer(1), 4) && known.contains(&peer(1), 5));
        assert!(!known.contains(&peer(1), 6) && !known.contains(&peer(3), 1));
        assert!(known.contains(&peer(2), SEQUENCE_MAX));
        assert!(
            !known.contains(&peer(2), INTEGER_MAX),
            "it is sent in any case"
        );
        assert!(Known::new(7, []).is_empty() && !known.is_empty());
    }

    #[test]
    fn of_each_there_are_ten_bytes() {
        let known = Known::new(0x0102_0304, [(peer(1), 0x0506_0708_090a)]);
        let bytes = known.to_bytes();
        assert_eq!(bytes.len(), 14);
        assert_eq!(bytes[..4], [1, 2, 3, 4]);
        assert_eq!(bytes[8..], [5, 6, 7, 8, 9, 10]);
        let other = Known::new(0x0102_0305, [(peer(1), 0x0506_0708_090a)]);
        assert_ne!(bytes[4..8], other.to_bytes()[4..8], "another hash");
    }

    #[test]
    fn too_many_are_not_said_and_not_read() {
        let many = (0..KNOWN_MAX as u16 + 3).map(|n| (peer(n), 1));
        let bytes = Known::new(1, many).to_bytes();
        assert!(bytes.len() <= SALT + KNOWN_MAX * ENTRY);
        assert!(Known::from_bytes(&bytes).is_some());
        assert_eq!(
            Known::from_bytes(&vec![0; SALT + (KNOWN_MAX + 1) * ENTRY]),
            None
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(salt: u32, sequences in prop::collection::vec(1_u64..SEQUENCE_MAX, 0..40)) {
            let presences = (0..).map(peer).zip(sequences);
            let known = Known::new(salt, presences);
            prop_assert_eq!(Known::from_bytes(&known.to_bytes()), Some(known));
        }

        #[test]
        fn whatever_comes_is_read_or_not(bytes: Vec<u8>) {
            if let Some(known) = Known::from_bytes(&bytes) {
                prop_assert!(known.to_bytes().len() <= bytes.len());
            }
        }
    }
}
