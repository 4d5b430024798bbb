//! How long answers are, and how many requests one counts for.

use libp2p::kad::{KadPeer, Record};

use super::handler::{KadIn, KadOut};
use crate::requests::surcharge;

/// What a message has besides for each address, id, key or value.
const FIELD_BYTES: usize = 4;

/// Bytes of these peers in a message, about.
fn peers_bytes(peers: &[KadPeer]) -> usize {
    let bytes = |peer: &KadPeer| {
        let addresses = peer.multiaddrs.iter().map(|it| it.len() + FIELD_BYTES);
        peer.node_id.to_bytes().len() + FIELD_BYTES + addresses.sum::<usize>()
    };
    peers.iter().map(bytes).sum()
}

fn record_bytes(key: &[u8], value: &[u8]) -> usize {
    key.len() + value.len() + 2 * FIELD_BYTES
}

fn found_bytes(record: Option<&Record>, closer: &[KadPeer]) -> usize {
    let record = record.map_or(0, |it| record_bytes(it.key.as_ref(), &it.value));
    record + peers_bytes(closer)
}

/// Bytes of an answer of ours.
pub(super) fn answer_bytes(answer: &KadIn) -> usize {
    match answer {
        KadIn::FindNodeRes { closer_peers, .. } => peers_bytes(closer_peers),
        KadIn::GetProvidersRes {
            closer_peers,
            provider_peers,
            ..
        } => peers_bytes(closer_peers) + peers_bytes(provider_peers),
        KadIn::GetRecordRes {
            record,
            closer_peers,
            ..
        } => found_bytes(record.as_ref(), closer_peers),
        KadIn::PutRecordRes { key, value, .. } => record_bytes(key.as_ref(), value),
        _ => 0,
    }
}

/// By how many requests more a server counts what it answered.
pub(super) fn surcharge_of(answer: &KadOut) -> u32 {
    surcharge(match answer {
        KadOut::FindNodeRes { closer_peers, .. } => peers_bytes(closer_peers),
        KadOut::GetProvidersRes {
            closer_peers,
            provider_peers,
            ..
        } => peers_bytes(closer_peers) + peers_bytes(provider_peers),
        KadOut::GetRecordRes {
            record,
            closer_peers,
            ..
        } => found_bytes(record.as_ref(), closer_peers),
        KadOut::PutRecordRes { key, value, .. } => record_bytes(key.as_ref(), value),
        _ => 0,
    })
}
