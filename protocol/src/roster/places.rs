//! Whose places are whose in a full room.
//!
//! Keys cost nothing, so anybody can bring any number of members that do not exist. A member that this
//! peer is connected to is there; of another it is known only who brought it. So a connected one always
//! has a place, and the others' are counted by who brought them: whoever has brought most gives way.

use std::collections::{HashMap, HashSet};

use libp2p_identity::PeerId;

use crate::limits::HEARSAY_MIN;

/// A member that this peer was never connected to.
#[derive(Clone, Copy, Debug)]
struct Hearsay {
    /// Who brought it.
    by: PeerId,
    /// Its number, in the order in which they came.
    number: u64,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Those who are connected, members or not.
    connected: HashSet<PeerId>,
    hearsay: HashMap<PeerId, Hearsay>,
    /// How many of them each has brought; none for no time.
    brought: HashMap<PeerId, usize>,
    numbered: u64,
}

impl Places {
    pub(super) fn connected(&mut self, peer: PeerId) {
        self.leave(&peer);
        self.connected.insert(peer);
    }

    pub(super) fn disconnected(&mut self, peer: &PeerId) {
        self.connected.remove(peer);
    }

    pub(super) fn all_disconnected(&mut self) {
        self.connected.clear();
    }

    /// A member has come or lives on, as it was told `by` another or by itself.
    pub(super) fn take(&mut self, member: PeerId, by: PeerId) {
        if self.connected.contains(&member) {
            return;
        }
        let number = match self.hearsay.get(&member) {
            // It counts for whoever has brought fewer: nobody makes another's member his by repeating it.
            Some(known) if !self.has_brought_less(&by, &known.by) => return,
            Some(known) => known.number,
            None => {
                self.numbered = self.numbered.saturating_add(1);
                self.numbered
            }
        };
        self.leave(&member);
        self.hearsay.insert(member, Hearsay { by, number });
        let count = self.brought.entry(by).or_default();
        *count = count.saturating_add(1);
    }

    /// A member has gone.
    pub(super) fn leave(&mut self, member: &PeerId) {
        let Some(Hearsay { by, .. }) = self.hearsay.remove(member) else {
            return;
        };
        if let Some(count) = self.brought.get_mut(&by) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.brought.remove(&by);
            }
        }
    }

    fn brought_by(&self, peer: &PeerId) -> usize {
        self.brought.get(peer).copied().unwrap_or_default()
    }

    /// Whether one still has brought less than another when one more member counts for it instead.
    fn has_brought_less(&self, one: &PeerId, other: &PeerId) -> bool {
        self.brought_by(one).saturating_add(1) < self.brought_by(other)
    }

    /// Whether this peer is or was connected to a member.
    pub(super) fn has_met(&self, member: &PeerId) -> bool {
        !self.hearsay.contains_key(member)
    }

    /// Who makes room for a newcomer to a full room, if anybody does. `members` are in the order in which
    /// their lives end; `is_past_half` tells whether one has not said for long that it is there.
    pub(super) fn giving_way(
        &self,
        newcomer: &PeerId,
        by: &PeerId,
        members: impl Iterator<Item = PeerId> + Clone,
        is_past_half: impl Fn(&PeerId) -> bool,
    ) -> Option<PeerId> {
        let parted = || {
            let mut members = members.clone();
            members.find(|peer| self.has_met(peer) && !self.connected.contains(peer))
        };
        if self.connected.contains(newcomer) {
            let newest = || self.newest_of(self.largest()?);
            return if self.hearsay.len() > HEARSAY_MIN {
                newest()
            } else {
                parted().or_else(newest)
            };
        }
        if self.hearsay.len() < HEARSAY_MIN
            && let Some(parted) = parted()
        {
            return Some(parted);
        }
        if let Some(largest) = self.largest()
            && self.has_brought_less(by, &largest)
        {
            return self.newest_of(largest);
        }
        members.clone().find(|peer| {
            let is_own = |known: &Hearsay| known.by == *by;
            self.hearsay.get(peer).is_some_and(is_own) && is_past_half(peer)
        })
    }

    /// Who has brought most.
    fn largest(&self) -> Option<PeerId> {
        let brought = self.brought.iter();
        let largest = brought.max_by_key(|(peer, count)| (**count, **peer));
        largest.map(|(peer, _)| *peer)
    }

    /// Those who were there before a flood began stay.
    fn newest_of(&self, by: PeerId) -> Option<PeerId> {
        let brought = self.hearsay.iter().filter(|(_, known)| known.by == by);
        let newest = brought.max_by_key(|(_, known)| known.number);
        newest.map(|(member, _)| *member)
    }
}

#[cfg(test)]
mod tests;
