//! The order in which the pages of somebody's list are asked for.

use libp2p_identity::PeerId;
use moim_protocol::{limits::SYNC_PAGES_MAX, random::Random};

/// How the bytes of a peer id begin that has an Ed25519 key: an identity multihash of 36 bytes, a protobuf message with
/// the key's type, and its 32 bytes (libp2p's peer id specification).
const ED25519: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// Where a walk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leg {
    /// From the first member to the last.
    Plain,
    /// On the first page, from which it goes on behind this one.
    Before(PeerId),
    /// From a member in the middle to the last; then from the first of these up to the second, which were leapt over.
    After(PeerId, PeerId),
    /// What was leapt over, up to this one.
    Rest(PeerId),
}

/// One list, page by page. The first page has the peer that is asked, which is to be known before a thousand others; so
/// every walk begins with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Walk {
    /// How many pages were read.
    page: usize,
    leg: Leg,
}

impl Walk {
    /// In order.
    pub(crate) const fn from_the_first() -> Self {
        let leg = Leg::Plain;
        Self { page: 0, leg }
    }

    /// From a member in the middle, anywhere.
    pub(crate) fn from_somewhere(random: &Random) -> Self {
        let key = [0; 4].map(|_: u8| random.next().to_be_bytes()).concat();
        // What others call a peer id is any multihash.
        match PeerId::from_bytes(&[&ED25519[..], &key].concat()) {
            Ok(from) => Self {
                page: 0,
                leg: Leg::Before(from),
            },
            Err(_) => Self::from_the_first(),
        }
    }

    /// Where the page starts that is to be read after one with this `next`, if there is one to be read. The last id of a
    /// page is behind the one that was asked for, so this ends; with a liar after [`SYNC_PAGES_MAX`] pages.
    pub(crate) fn next(self, next: Option<PeerId>) -> Option<(PeerId, Self)> {
        let (after, leg) = match (self.leg, next) {
            (Leg::Plain, Some(next)) => (next, Leg::Plain),
            (Leg::Before(from), Some(next)) if next < from => (from, Leg::After(next, from)),
            (Leg::Before(_), Some(next)) => (next, Leg::Plain),
            (Leg::After(resume, from), Some(next)) => (next, Leg::After(resume, from)),
            (Leg::After(resume, from), None) => (resume, Leg::Rest(from)),
            (Leg::Rest(end), Some(next)) if next < end => (next, Leg::Rest(end)),
            (Leg::Plain | Leg::Before(_), None) | (Leg::Rest(_), _) => return None,
        };
        let page = self.page.saturating_add(1);
        (page < SYNC_PAGES_MAX).then_some((after, Self { page, leg }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::testing::peer;

    /// Who is read of a list of so many, with so many on a page, in order.
    fn read(list: &BTreeSet<PeerId>, per_page: usize, mut walk: Walk) -> Vec<PeerId> {
        let (mut read, mut after) = (Vec::new(), None);
        loop {
            let rest = list.iter().filter(|peer| Some(**peer) > after).copied();
            let rest: Vec<PeerId> = rest.collect();
            let page = &rest[..per_page.min(rest.len())];
            read.extend(page);
            let next = (page.len() < rest.len()).then(|| page[page.len() - 1]);
            match walk.next(next) {
                Some((from, on)) => (after, walk) = (Some(from), on),
                None => return read,
            }
        }
    }

    proptest! {
        #[test]
        fn wherever_it_begins_all_is_read(members in 0_u16..200, per_page in 8_usize..60, seed: u64) {
            let list: BTreeSet<PeerId> = (0..members).map(peer).collect();
            let plain = read(&list, per_page, Walk::from_the_first());
            prop_assert!(plain.iter().eq(&list));
            let leapt = read(&list, per_page, Walk::from_somewhere(&Random::new(seed)));
            prop_assert_eq!(leapt.iter().copied().collect::<BTreeSet<_>>(), list);
            prop_assert!(leapt.len() <= plain.len() + per_page, "a page at most is read twice");
        }
    }

    #[test]
    fn lists_asked_for_at_once_begin_at_different_members() {
        let list: BTreeSet<PeerId> = (0..200).map(peer).collect();
        let random = Random::new(1);
        let second: BTreeSet<PeerId> = (0..8)
            .map(|_| read(&list, 10, Walk::from_somewhere(&random))[10])
            .collect();
        assert!(second.len() > 5, "{}", second.len());
    }

    #[test]
    fn pages_that_never_end_are_not_read() {
        let mut walk = Walk::from_the_first();
        let mut pages = 1;
        while let Some((_, on)) = walk.next(Some(peer(1))) {
            walk = on;
            pages += 1;
        }
        assert_eq!(pages, SYNC_PAGES_MAX);
    }
}
