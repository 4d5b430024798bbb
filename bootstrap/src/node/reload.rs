//! Other settings, while the node runs.

use std::sync::Arc;

use libp2p::{Multiaddr, PeerId};

use super::{Node, start};
use crate::{
    admission,
    config::{Config, Domain},
    error::{ExternalAddressError, ReloadError},
    site::Site,
    supervisor, turn,
};

impl Node {
    /// Takes up what it can of these settings, and says what has to wait for the next start. What
    /// can't be done leaves everything as it was.
    pub(super) fn reload(&mut self, new: &Config) {
        supervisor::reloading();
        if let Err(error) = self.try_reload(new).map_err(|error| error.placed(new)) {
            tracing::error!(%error, "the settings can't be used; those in force stay");
        }
        supervisor::ready();
    }

    fn try_reload(&mut self, new: &Config) -> Result<(), ReloadError> {
        let peer_id = self.status.borrow().peer_id;
        let changes = self.config.changes(new);
        check_external(&new.external_address, peer_id)?;
        // Also when the setting has not changed: what is in its folder may have.
        let site = Site::open(&new.web)?;

        let config = self.config.with_live(new);
        self.swarm
            .behaviour_mut()
            .admission
            .set_memory_max(admission::max_bytes(&config));
        let turn = turn::settings(&config, self.turn_allocations_max);
        self.turn_settings.send_if_modified(|settings| {
            let before = std::mem::replace(settings, turn);
            before != turn
        });
        self.others = start::others(&config, peer_id);
        let named = self.others.iter().map(|(peer, _)| *peer);
        self.swarm.behaviour_mut().admission.set_named(named);
        let external = external(&config, self.status.borrow().domain.as_ref());
        start::follow_settings(&self.dials, &config, &external);
        self.status.send_modify(|status| {
            status.external = external;
            status.page = site.has_page();
        });
        self.site.send_replace(Arc::new(site));
        self.config = config;
        self.announce();
        self.join();
        tracing::info!(changed = ?changes.live, "the settings are in force");
        if !changes.at_start.is_empty() {
            tracing::warn!(
                settings = ?changes.at_start,
                "these settings have changed, too, and take effect at the next start"
            );
        }
        Ok(())
    }
}

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
