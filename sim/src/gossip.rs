//! Gossipsub as a peer runs it (libp2p-gossipsub 0.50, with the settings of `peer/src/behaviour.rs`): a model, checked
//! against real processes by `cargo xtask sim --check`.
//!
//! It has the mesh and its heartbeat, flooding of one's own messages, IHAVE and IWANT, IDONTWANT, and PRUNE's backoff. It
//! has no scores: an honest peer's score is never negative, and nobody in a simulation is scored as dishonest.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    rc::Rc,
    time::Duration,
};

use crate::{
    bits::Bits,
    draw::Draw,
    event::Index,
    time::{Time, seconds},
};

/// How many neighbours pass on everything; fewer than the first are too few, as many as the last too many.
const MESH: (usize, usize, usize) = (5, 6, 12);

/// Neighbours outside of the mesh that are told what there is, in each heartbeat: as many at least, or this part.
const LAZY: (usize, f64) = (6, 0.25);

/// Heartbeats for which messages are kept, and are told of.
const HISTORY: (usize, usize) = (12, 8);

/// How often the mesh is looked after.
pub const HEARTBEAT: Duration = seconds(1);

/// How long who was sent away is not to come back.
const BACKOFF: Duration = seconds(60);

/// For how long a neighbour's word that it wants no second copy counts.
const UNWANTED_FOR: Duration = seconds(3);

/// A message larger than this is said not to be wanted again, as it is sent.
const UNWANTED_FROM: usize = 1_000;

/// What gossipsub adds to the data of a message: author, number, topic, signature and framing.
pub const MESSAGE_OVERHEAD: usize = 205;

/// What a message id takes in a control message.
const ID_BYTES: usize = 34;

/// What any control message takes besides: the topic, and framing.
const CONTROL_BYTES: usize = 86;

/// Numbers a message of the simulation.
pub type MessageNumber = u32;

/// What neighbours tell each other besides messages.
#[derive(Clone, Debug)]
pub enum Control {
    /// Pass everything on to me.
    Graft,
    /// No more.
    Prune,
    /// These were said.
    Have(Rc<Vec<MessageNumber>>),
    /// Give me these.
    Want(Vec<MessageNumber>),
    /// I have this one.
    Unwanted(MessageNumber),
}

impl Control {
    /// What it takes on the wire.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Graft | Self::Prune => CONTROL_BYTES,
            Self::Have(ids) => CONTROL_BYTES + ids.len() * ID_BYTES,
            Self::Want(ids) => 8 + ids.len() * ID_BYTES,
            Self::Unwanted(_) => 8 + ID_BYTES,
        }
    }
}

/// Whether a message of this many bytes of data is said not to be wanted again.
#[must_use]
pub const fn is_large(data: usize) -> bool {
    data + MESSAGE_OVERHEAD > UNWANTED_FROM
}

/// One peer's part in a room's gossip. See the [module](self).
#[derive(Debug, Default)]
pub struct Gossip {
    /// Connected peers that listen.
    listeners: BTreeSet<Index>,
    mesh: BTreeSet<Index>,
    backoff: BTreeMap<Index, Time>,
    seen: Bits,
    /// What is kept, the latest heartbeat's first.
    windows: VecDeque<Vec<MessageNumber>>,
    unwanted: HashSet<(Index, MessageNumber)>,
    unwanted_before: HashSet<(Index, MessageNumber)>,
    turned: Time,
}

impl Gossip {
    /// A connected peer listens.
    pub fn listens(&mut self, peer: Index) {
        self.listeners.insert(peer);
    }

    /// A peer does not listen any more, or is not connected.
    pub fn listens_no_more(&mut self, peer: Index) {
        self.listeners.remove(&peer);
        self.mesh.remove(&peer);
    }

    /// Who listens, and is connected.
    pub fn listeners(&self) -> impl Iterator<Item = Index> {
        self.listeners.iter().copied()
    }

    /// How many pass on everything to this peer, as far as it knows.
    #[must_use]
    pub fn mesh_len(&self) -> usize {
        self.mesh.len()
    }

    /// Whether a message is here for the first time.
    pub fn is_first(&mut self, message: MessageNumber) -> bool {
        self.seen.insert(message as usize)
    }

    /// A message holds, or was said here: it is kept for those who ask for it.
    pub fn keep(&mut self, message: MessageNumber) {
        if self.windows.is_empty() {
            self.windows.push_front(Vec::new());
        }
        self.windows[0].push(message);
    }

    /// Whether a message can be given to those who ask for it.
    #[must_use]
    pub fn has(&self, message: MessageNumber) -> bool {
        self.windows.iter().any(|window| window.contains(&message))
    }

    /// Who is passed on a message.
    #[must_use]
    pub fn pass_on_to(&self, message: MessageNumber, from: Index, author: Index) -> Vec<Index> {
        let wants = |peer: &Index| {
            let key = (*peer, message);
            !self.unwanted.contains(&key) && !self.unwanted_before.contains(&key)
        };
        let mesh = self.mesh.iter().copied();
        mesh.filter(|peer| *peer != from && *peer != author && wants(peer))
            .collect()
    }

    /// Who is told that a message need not be sent here again.
    #[must_use]
    pub fn tell_unwanted(&self, from: Index, author: Index) -> Vec<Index> {
        let mesh = self.mesh.iter().copied();
        mesh.filter(|peer| *peer != from && *peer != author)
            .collect()
    }

    /// A neighbour wants no second copy.
    pub fn is_unwanted(&mut self, peer: Index, message: MessageNumber) {
        self.unwanted.insert((peer, message));
    }

    /// A neighbour wants to be passed on everything. Returns whether it is.
    pub fn graft(&mut self, peer: Index, now: Time) -> bool {
        if self.mesh.contains(&peer) {
            return true;
        }
        let is_away = self.backoff.get(&peer).is_some_and(|until| now < *until);
        if is_away || !self.listeners.contains(&peer) || self.mesh.len() >= MESH.2 {
            self.backoff.insert(peer, now + BACKOFF);
            return false;
        }
        self.mesh.insert(peer);
        true
    }

    /// A neighbour passes nothing on any more.
    pub fn prune(&mut self, peer: Index, now: Time) {
        self.mesh.remove(&peer);
        self.backoff.insert(peer, now + BACKOFF);
    }

    /// Of these messages those that are not here.
    #[must_use]
    pub fn missing(&self, messages: &[MessageNumber]) -> Vec<MessageNumber> {
        let messages = messages.iter().copied();
        messages
            .filter(|message| !self.seen.contains(*message as usize))
            .collect()
    }

    /// Looks after the mesh. Returns what is to be told to whom.
    pub fn heartbeat(&mut self, now: Time, draw: &mut Draw) -> Vec<(Index, Control)> {
        let mut told = Vec::new();
        self.backoff.retain(|_, until| now < *until);
        if now - self.turned >= UNWANTED_FOR {
            self.turned = now;
            self.unwanted_before = std::mem::take(&mut self.unwanted);
        }
        let others = |it: &Self| -> Vec<Index> {
            let others = it.listeners.iter().copied();
            others.filter(|peer| !it.mesh.contains(peer)).collect()
        };
        let (low, wanted, high) = MESH;
        if self.mesh.len() < low {
            let mut free = others(self);
            free.retain(|peer| !self.backoff.contains_key(peer));
            for peer in draw.some_of(free, wanted - self.mesh.len()) {
                self.mesh.insert(peer);
                told.push((peer, Control::Graft));
            }
        } else if self.mesh.len() >= high {
            let mesh: Vec<Index> = self.mesh.iter().copied().collect();
            let excess = mesh.len() - wanted;
            for peer in draw.some_of(mesh, excess) {
                self.prune(peer, now);
                told.push((peer, Control::Prune));
            }
        }
        let ids: Vec<MessageNumber> = self
            .windows
            .iter()
            .take(HISTORY.1)
            .flatten()
            .copied()
            .collect();
        if !ids.is_empty() {
            let (ids, others) = (Rc::new(ids), others(self));
            let count = LAZY.0.max((others.len() as f64 * LAZY.1) as usize);
            for peer in draw.some_of(others, count) {
                told.push((peer, Control::Have(Rc::clone(&ids))));
            }
        }
        self.windows.push_front(Vec::new());
        self.windows.truncate(HISTORY.0);
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn among(listeners: usize) -> (Gossip, Draw) {
        let mut gossip = Gossip::default();
        (0..listeners).for_each(|peer| gossip.listens(peer));
        (gossip, Draw::new(1))
    }

    #[test]
    fn the_mesh_is_filled_up_and_cut_down() {
        let (mut gossip, mut draw) = among(20);
        let told = gossip.heartbeat(Time::at(1), &mut draw);
        assert!(
            told.iter()
                .all(|(_, control)| matches!(control, Control::Graft))
        );
        assert_eq!((told.len(), gossip.mesh_len()), (6, 6));
        for peer in 0..20 {
            gossip.graft(peer, Time::at(2));
        }
        assert_eq!(gossip.mesh_len(), 12, "no more are taken");
        let told = gossip.heartbeat(Time::at(2), &mut draw);
        assert!(
            told.iter()
                .all(|(_, control)| matches!(control, Control::Prune))
        );
        assert_eq!((told.len(), gossip.mesh_len()), (6, 6));
        let (away, _) = told[0];
        assert!(!gossip.graft(away, Time::at(3)), "not so soon");
        assert!(gossip.graft(away, Time::at(64)));
    }

    #[test]
    fn those_outside_the_mesh_are_told_what_there_is_for_eight_heartbeats() {
        let (mut gossip, mut draw) = among(30);
        gossip.heartbeat(Time::at(1), &mut draw);
        assert!(gossip.is_first(7) && !gossip.is_first(7));
        gossip.keep(7);
        for beat in 2..10 {
            let told = gossip.heartbeat(Time::at(beat), &mut draw);
            assert_eq!(told.len(), 6, "{beat}");
        }
        assert!(gossip.heartbeat(Time::at(10), &mut draw).is_empty());
        assert!(gossip.has(7));
        for beat in 11..15 {
            gossip.heartbeat(Time::at(beat), &mut draw);
        }
        assert!(!gossip.has(7));
        assert_eq!(gossip.missing(&[7, 8]), [8]);
    }

    #[test]
    fn messages_go_to_the_mesh_but_not_back_nor_to_whom_has_them() {
        let (mut gossip, mut draw) = among(6);
        gossip.heartbeat(Time::at(1), &mut draw);
        assert_eq!(gossip.pass_on_to(1, 0, 1), [2, 3, 4, 5]);
        gossip.is_unwanted(3, 1);
        assert_eq!(gossip.pass_on_to(1, 0, 1), [2, 4, 5]);
        gossip.listens_no_more(2);
        assert_eq!(gossip.pass_on_to(1, 0, 1), [4, 5]);
        assert_eq!(gossip.tell_unwanted(0, 1), [3, 4, 5]);
        for beat in [4, 7] {
            gossip.heartbeat(Time::at(beat), &mut draw);
        }
        assert!(gossip.pass_on_to(1, 0, 1).contains(&3), "that is forgotten");
    }
}
