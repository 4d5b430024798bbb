//! How peer ids and addresses are written.

use moim_peer::{Multiaddr, PeerId, Snapshot};

/// Characters of the short form. Six of base58 tell 38 thousand million peers apart: enough for
/// the members of a room, and a short form is only ever resolved among those.
const SHORT_CHARACTERS: usize = 6;

/// The end of a peer's id (all ids begin alike), as `…Xy12Zw`.
pub(crate) fn short(peer: &PeerId) -> String {
    let id = peer.to_base58();
    // Base58 is ASCII.
    format!("…{}", &id[id.len().saturating_sub(SHORT_CHARACTERS)..])
}

/// The peer's addresses in the form in which others can be given them, `/p2p/<id>` and all.
pub(crate) fn addresses(snapshot: &Snapshot) -> Vec<String> {
    let whole = |address: &Multiaddr| match address.clone().with_p2p(snapshot.peer) {
        Ok(address) | Err(address) => address.to_string(),
    };
    snapshot.addresses.iter().map(whole).collect()
}
