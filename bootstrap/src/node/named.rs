//! Addresses that the settings name: the node's own, and those of other bootstrap nodes.

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use moim_dials::Dials;
use moim_protocol::{
    address::{self, Address, Host},
    dials::is_local_name,
    targets::{Scope, scope},
};

use crate::{
    config::{Config, Domain},
    error::ExternalAddressError,
    sockets,
};

/// Whether these may be announced by this node.
pub(super) fn check_external(
    addresses: &[Multiaddr],
    peer_id: PeerId,
) -> Result<(), ExternalAddressError> {
    match addresses
        .iter()
        .find(|a| (*a).clone().with_p2p(peer_id).is_err())
    {
        Some(address) => Err(ExternalAddressError {
            address: address.clone(),
            peer_id,
        }),
        None => Ok(()),
    }
}

/// The addresses that the settings add to those listened on.
pub(super) fn external(config: &Config, domain: Option<&(Domain, u16)>) -> Vec<Multiaddr> {
    let mut external = config.external_address.clone();
    external.extend(domain.map(|(name, port)| name.address(*port)));
    external
}

/// Tells what the settings say of whom the node dials. A node that is told to listen at one address of the
/// machine or of a network of its own, and is not announced to the world, is there for that machine or
/// network; else it stands behind a proxy.
pub(super) fn follow_settings(dials: &Dials, config: &Config, external: &[Multiaddr]) {
    for address in &config.bootstrap {
        dials.name(address);
    }
    dials.announce(external);
    if !external.iter().any(is_public) {
        for socket in sockets::libp2p(config) {
            dials.listen(&socket.multiaddr());
        }
    }
}

/// Whether an address means this node everywhere.
fn is_public(address: &Multiaddr) -> bool {
    match address::parse(address).as_ref().map(Address::place) {
        Ok(Some(place)) => match &place.host {
            Host::Ip(ip) => scope(*ip) == Scope::Public,
            Host::Name(name) => !is_local_name(name),
        },
        _ => false,
    }
}

/// The other bootstrap nodes of the configuration. Their addresses name them, or it wouldn't have
/// been accepted.
pub(super) fn others(config: &Config, local: PeerId) -> Vec<(PeerId, Multiaddr)> {
    let with_peer = config
        .bootstrap
        .iter()
        .filter_map(|address| match address.iter().last()? {
            Protocol::P2p(peer) => Some((peer, address.clone())),
            _ => None,
        });
    with_peer.filter(|(peer, _)| *peer != local).collect()
}
