//! Settings, each with its reason.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use libp2p_swarm::StreamProtocol;

use crate::backend::IceServer;
pub use crate::session::candidates::Reachable;

/// Settings of the transport and its behaviour. Begin with the [default](Self::default), and set what is to be another.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// STUN and TURN servers. None by default: a page should tell nobody of its users but those that
    /// it is meant to talk to.
    pub ice_servers: IceServers,
    /// How long a connection may take to be made. ICE itself gives up after 15 s in Chromium.
    pub timeout: Duration,
    /// Whether relayed connections that we have dialled become direct ones by themselves. A peer
    /// that others can dial has a quicker upgrade, such as DCUtR.
    pub upgrade: bool,
    /// Whether relayed connections that others have dialled do, when they don't by themselves.
    pub upgrade_inbound: bool,
    /// Another upgrade, which comes first where both sides know it. Browsers know none.
    pub preferred: Option<PreferredUpgrade>,
    /// Sessions that others may have under way with us; half of them, if they are not
    /// [known](crate::Behaviour::set_known).
    pub inbound_max: usize,
    /// Where we may be had check for the other side. A session that is bound to fail for it takes no longer.
    pub reachable: Reachable,
}

/// Another upgrade from a relayed connection to a direct one, such as DCUtR between peers with sockets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PreferredUpgrade {
    /// Whoever speaks one of these knows it. A peer may speak others on connections that it has dialled than
    /// on those that it has not.
    pub protocols: Vec<StreamProtocol>,
    /// How long it has before this one is tried.
    pub time: Duration,
}

impl PreferredUpgrade {
    /// An upgrade by one of these protocols, which has this long.
    #[must_use]
    pub const fn new(protocols: Vec<StreamProtocol>, time: Duration) -> Self {
        Self { protocols, time }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ice_servers: IceServers::default(),
            timeout: Duration::from_secs(20),
            upgrade: true,
            upgrade_inbound: true,
            preferred: None,
            inbound_max: 16,
            reachable: Reachable::default(),
        }
    }
}

/// The STUN and TURN servers by which candidates are gathered. They can be changed at any time, as credentials expire;
/// what is under way goes on with those it has begun with.
#[derive(Clone, Debug, Default)]
pub struct IceServers(Arc<RwLock<Vec<IceServer>>>);

impl IceServers {
    /// These servers.
    #[must_use]
    pub fn new(servers: Vec<IceServer>) -> Self {
        Self(Arc::new(RwLock::new(servers)))
    }

    /// From now on these.
    pub fn set(&self, servers: Vec<IceServer>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = servers;
    }

    /// The servers as of now.
    #[must_use]
    pub fn get(&self) -> Vec<IceServer> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
