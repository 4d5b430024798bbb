//! How the swarm begins: where it listens, and what the settings say of whom it dials.

use libp2p::{Multiaddr, Swarm};
use moim_dials::Dials;

use crate::{
    behaviour::Behaviour, bootstrap::BootstrapSource, builder::PeerBuilder, error::StartError,
    swarm,
};

/// Whom a peer with these settings dials.
pub(super) fn dials(settings: &PeerBuilder) -> Dials {
    let dials = Dials::new(swarm::NAMES);
    for source in &settings.bootstrap {
        if let BootstrapSource::Address(address) = source {
            dials.name(address);
        }
    }
    for address in &settings.listen {
        dials.listen(address);
    }
    dials
}

/// Listens on all addresses that have to be, and on those that are to be had of the others.
pub(super) fn begin(
    swarm: &mut Swarm<Behaviour>,
    settings: &PeerBuilder,
) -> Result<(), StartError> {
    let mut listen_on = |address: &Multiaddr| {
        let listening = swarm.listen_on(address.clone());
        listening.map(|_| ()).map_err(|source| StartError::Listen {
            address: address.to_string(),
            source,
        })
    };
    listen_on(&swarm::signalled())?;
    for address in &settings.listen {
        listen_on(address)?;
    }
    let results = settings.listen_where_possible.iter().map(listen_on);
    let (listening, refused): (Vec<_>, Vec<_>) = results.partition(Result::is_ok);
    for error in refused.into_iter().filter_map(Result::err) {
        if settings.listen.is_empty() && listening.is_empty() {
            return Err(error);
        }
        tracing::debug!(%error, "not listening there");
    }
    Ok(())
}
