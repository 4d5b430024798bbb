//! Other settings, while the node runs.

use std::sync::Arc;

use tokio::sync::watch;

use super::{named, network::Network};
use crate::{admission, config::Config, error::ReloadError, site::Site, supervisor, turn};

/// The settings in force, and who is told when they change.
#[derive(Debug)]
pub(super) struct InForce {
    pub(super) config: Config,
    /// The page.
    pub(super) site: watch::Sender<Arc<Site>>,
    pub(super) turn: watch::Sender<turn::Settings>,
    /// What the settings say, or less where the process may open few files.
    pub(super) turn_allocations_max: u32,
}

impl InForce {
    /// Takes up what it can of these settings, and says what has to wait for the next start. What
    /// can't be done leaves everything as it was.
    pub(super) fn reload(&mut self, new: &Config, network: &mut Network) {
        supervisor::reloading();
        if let Err(error) = self
            .try_reload(new, network)
            .map_err(|error| error.placed(new))
        {
            tracing::error!(%error, "the settings can't be used; those in force stay");
        }
        supervisor::ready();
    }

    fn try_reload(&mut self, new: &Config, network: &mut Network) -> Result<(), ReloadError> {
        let peer_id = network.status.borrow().peer_id;
        let changes = self.config.changes(new);
        named::check_external(&new.external_address, peer_id)?;
        // Also when the setting has not changed: what is in its folder may have.
        let site = Site::open(&new.web)?;

        let config = self.config.with_live(new);
        let admission = &mut network.swarm.behaviour_mut().admission;
        admission.set_memory_max(admission::max_bytes(&config));
        let turn = turn::settings(&config, self.turn_allocations_max);
        self.turn.send_if_modified(|settings| {
            let before = std::mem::replace(settings, turn);
            before != turn
        });
        network.others = named::others(&config, peer_id);
        admission.set_named(network.others.iter().map(|(peer, _)| *peer));
        let external = named::external(&config, network.status.borrow().domain.as_ref());
        named::follow_settings(&network.dials, &config, &external);
        network.status.send_modify(|status| {
            status.external = external;
            status.page = site.has_page();
        });
        self.site.send_replace(Arc::new(site));
        self.config = config;
        network.announce();
        network.join();
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
