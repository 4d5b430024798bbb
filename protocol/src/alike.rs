//! Names that look alike: `Ana`, `Аna` with a Cyrillic А, `Ana` once more.
//!
//! A name is free for all, and no table of characters stops whoever wants to be taken for another. So names are never
//! refused for this; people are warned where two in a room look alike, and tell them apart by their ids.

use std::{
    collections::{BTreeSet, HashMap},
    sync::OnceLock,
};

use libp2p_identity::PeerId;

use self::table::TABLE;
use crate::{
    normal::nfd,
    text::{
        Name,
        class::{Class, number},
    },
};

mod table;

/// What a text looks like: the skeleton of UTS #39, section 4 (Unicode 18.0). Two texts that look alike have the same.
///
/// The table behind it has the characters of Latin, Greek, Cyrillic, Hangul and Kana, and what looks like a letter of these,
/// whatever script it is of; others stand for themselves.
#[must_use]
pub fn skeleton(text: &str) -> String {
    let parts: String = nfd(text)
        .chars()
        .filter(|&character| Class::of(character) != Class::Refused)
        .flat_map(|character| {
            let prototype = prototype(character);
            prototype
                .chars()
                .chain(prototype.is_empty().then_some(character))
        })
        .collect();
    nfd(&parts)
}

/// What a name is compared by: its skeleton, in which case and the width of spaces do not count.
fn look(name: &Name) -> String {
    // In this order: a capital I looks like an l, and a small i does not; M looks like no rn, and m does.
    let skeleton = skeleton(&skeleton(name.as_str()).to_lowercase());
    let words: Vec<&str> = skeleton.split_whitespace().collect();
    words.join(" ")
}

/// What a character looks like; empty if it is like no other.
fn prototype(character: char) -> &'static str {
    static PROTOTYPES: OnceLock<Vec<(u32, &'static str)>> = OnceLock::new();
    let prototypes = PROTOTYPES.get_or_init(|| decode(TABLE));
    prototypes
        .binary_search_by_key(&u32::from(character), |(code, _)| *code)
        .ok()
        .and_then(|index| prototypes.get(index))
        .map_or("", |(_, prototype)| prototype)
}

/// See `examples/unicode-tables.rs` for how the table is written.
fn decode(mut table: &'static [u8]) -> Vec<(u32, &'static str)> {
    let mut prototypes = Vec::new();
    let mut code: u32 = 0;
    while let Some(step) = number(&mut table) {
        code = code.saturating_add(step >> 1);
        let count = if step & 1 == 0 {
            Some(1)
        } else {
            number(&mut table)
        };
        let mut bytes: usize = 0;
        for _ in 0..count.unwrap_or_default() {
            bytes = bytes.saturating_add(utf8_len(table.get(bytes).copied().unwrap_or_default()));
        }
        let Some((prototype, rest)) = table.split_at_checked(bytes) else {
            break;
        };
        prototypes.push((code, std::str::from_utf8(prototype).unwrap_or_default()));
        table = rest;
    }
    prototypes
}

/// How many bytes a character has in UTF-8 that begins with this one.
const fn utf8_len(first: u8) -> usize {
    match first {
        0..0xc0 => 1,
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0.. => 4,
    }
}

/// Whose names look alike in one room. Holds whom it is told of, and nobody else.
#[derive(Debug)]
pub struct Alike {
    me: PeerId,
    looks: HashMap<PeerId, String>,
    peers: HashMap<String, BTreeSet<PeerId>>,
}

impl Alike {
    /// An empty room, seen by the peer `me`.
    #[must_use]
    pub fn new(me: PeerId) -> Self {
        Self {
            me,
            looks: HashMap::new(),
            peers: HashMap::new(),
        }
    }

    /// Somebody is here, or has another name.
    pub fn insert(&mut self, peer: PeerId, name: &Name) {
        self.remove(&peer);
        let look = look(name);
        self.peers.entry(look.clone()).or_default().insert(peer);
        self.looks.insert(peer, look);
    }

    /// Somebody is gone.
    pub fn remove(&mut self, peer: &PeerId) {
        let Some(look) = self.looks.remove(peer) else {
            return;
        };
        if let Some(peers) = self.peers.get_mut(&look) {
            peers.remove(peer);
            if peers.is_empty() {
                self.peers.remove(&look);
            }
        }
    }

    /// Everybody in the room whose name looks like this one's, itself among them. What [`of`](Self::of) says of one of
    /// these may change when this one comes, goes or has another name, and of nobody else.
    pub fn like(&self, peer: &PeerId) -> impl Iterator<Item = PeerId> {
        let look = self.looks.get(peer);
        let peers = look.and_then(|look| self.peers.get(look));
        peers.into_iter().flatten().copied()
    }

    /// Another one in the room whose name looks like this one's: this peer itself before everybody else.
    #[must_use]
    pub fn of(&self, peer: &PeerId) -> Option<PeerId> {
        let peers = self.peers.get(self.looks.get(peer)?)?;
        if *peer != self.me && peers.contains(&self.me) {
            return Some(self.me);
        }
        peers.iter().find(|other| *other != peer).copied()
    }
}

#[cfg(test)]
mod tests;
