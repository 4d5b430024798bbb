//! The networks that this machine is in, as the system has them.

use std::time::{Duration, Instant};

use moim_protocol::dials::Network;

/// How long they are taken to be the same. A laptop that has just changed networks dials nobody sooner.
const FRESH: Duration = Duration::from_secs(2);

/// Networks looked at; a machine full of containers has some hundred.
const NETWORKS_MAX: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Networks {
    asked: Option<Instant>,
    networks: Vec<Network>,
}

impl Networks {
    pub(crate) fn current(&mut self) -> &[Network] {
        let now = Instant::now();
        let is_fresh = |asked| now.saturating_duration_since(asked) < FRESH;
        if !self.asked.is_some_and(is_fresh) {
            self.asked = Some(now);
            match if_addrs::get_if_addrs() {
                Ok(interfaces) => {
                    let networks = interfaces.iter().map(|interface| Network {
                        ip: interface.ip(),
                        prefix: match &interface.addr {
                            if_addrs::IfAddr::V4(address) => address.prefixlen,
                            if_addrs::IfAddr::V6(address) => address.prefixlen,
                        },
                    });
                    self.networks = networks.take(NETWORKS_MAX).collect();
                }
                // Those of before are the best there is.
                Err(error) => tracing::debug!(%error, "the system does not tell its addresses"),
            }
        }
        &self.networks
    }
}
