//! Which providers of a key an answer names.

use std::collections::{HashMap, HashSet};

use multiaddr::Multiaddr;

use super::entry::{Entry, Provider};
use crate::{random::Random, shares::Origin};

/// So many of one place are named in any case, where there are others: fewer than a newcomer asks at once
/// (five), so that one of the others is among the first it asks.
const OF_ONE_PLACE: usize = 4;

/// The lists that an answer is drawn from, in turns: half of it is of those who are connected.
const TURNS: [usize; 4] = [CONNECTED, FRESH, CONNECTED, ANYBODY];
const CONNECTED: usize = 0;
const FRESH: usize = 1;
const ANYBODY: usize = 2;

/// At most `count` of `entries` that take at most `bytes_max` bytes, taking turns: who is connected, who
/// announced itself last, and anybody.
pub(super) fn draw(
    mut entries: Vec<&Entry>,
    count: usize,
    bytes_max: usize,
    random: &Random,
) -> Vec<Provider> {
    shuffle(&mut entries, random);
    let mut entries = in_turns(entries);
    for part in [Origin::peer, Origin::network, Origin::site] {
        bound(&mut entries, part);
    }
    let held = entries.iter().filter(|entry| entry.place.is_held());
    let mut connected = in_turns(held.copied().collect());
    let mut fresh = entries.clone();
    fresh.sort_unstable_by_key(|entry| entry.added);
    // Each list has its next at its end.
    connected.reverse();
    entries.reverse();

    let mut lists = [connected, fresh, entries];
    let mut sample = Vec::new();
    let mut seen = HashSet::new();
    let mut bytes = 0_usize;
    while sample.len() < count && lists.iter().any(|list| !list.is_empty()) {
        for list in TURNS {
            while let Some(entry) = lists.get_mut(list).and_then(Vec::pop) {
                // One that does not fit leaves room for smaller ones.
                let total = bytes.saturating_add(encoded_bytes(&entry.provider));
                if sample.len() < count && total <= bytes_max && seen.insert(entry.added) {
                    bytes = total;
                    sample.push(entry.provider.clone());
                    break;
                }
            }
        }
    }
    sample
}

fn shuffle(entries: &mut [&Entry], random: &Random) {
    for last in (1..entries.len()).rev() {
        entries.swap(random.below(last.saturating_add(1)), last);
    }
}

/// Puts entries in such an order that each site has its first before any has its second; and within a
/// site each network, and within a network each peer.
fn in_turns(mut entries: Vec<&Entry>) -> Vec<&Entry> {
    for part in [Origin::peer, Origin::network, Origin::site] {
        let mut turns: HashMap<u64, usize> = HashMap::new();
        let mut numbered: Vec<(usize, &Entry)> = entries
            .into_iter()
            .map(|entry| {
                let turn = turns.entry(part(&entry.origin)).or_default();
                *turn = turn.saturating_add(1);
                (*turn, entry)
            })
            .collect();
        // Stable: those who have the same turn stay in their order.
        numbered.sort_by_key(|(turn, _)| *turn);
        entries = numbered.into_iter().map(|(_, entry)| entry).collect();
    }
    entries
}

/// Leaves out what is more of one place than of all others together, if there are others.
fn bound(entries: &mut Vec<&Entry>, part: fn(&Origin) -> u64) {
    let mut counts: HashMap<u64, usize> = HashMap::new();
    for entry in &*entries {
        let count = counts.entry(part(&entry.origin)).or_default();
        *count = count.saturating_add(1);
    }
    let total = entries.len();
    let mut named: HashMap<u64, usize> = HashMap::new();
    entries.retain(|entry| {
        let place = part(&entry.origin);
        let count = counts.get(&place).copied().unwrap_or_default();
        let others = total.saturating_sub(count);
        let named = named.entry(place).or_default();
        *named = named.saturating_add(1);
        others == 0 || *named <= others.max(OF_ONE_PLACE)
    });
}

/// At most so many bytes a provider takes in a kad answer (a protobuf `Peer`): each field has a tag
/// of one byte and a length of at most three, the connection type takes two.
pub(super) fn encoded_bytes(provider: &Provider) -> usize {
    const FIELD: usize = 4;
    const FRAME: usize = FIELD + 2;
    let id = provider.peer.to_bytes().len();
    let addresses = provider.addresses.iter().map(Multiaddr::len);
    std::iter::once(id)
        .chain(addresses)
        .fold(FRAME, |bytes, field| {
            bytes.saturating_add(FIELD).saturating_add(field)
        })
}
