//! What libp2p listens on, and when the node calls itself ready.

use std::{collections::HashMap, fmt};

use libp2p::{Multiaddr, core::transport::ListenerId};
use tokio::time::Instant;

use crate::limits;

/// The listeners.
#[derive(Debug)]
pub(super) struct Listeners {
    open: HashMap<ListenerId, Listener>,
    /// When the node calls itself ready; `None` once it is.
    ready_at: Option<Instant>,
}

/// One libp2p listener.
#[derive(Debug)]
struct Listener {
    flag: &'static str,
    addresses: Vec<Multiaddr>,
}

impl Listeners {
    /// Listeners that have no address yet, each with the flag that chose it.
    pub(super) fn new(open: impl IntoIterator<Item = (ListenerId, &'static str)>) -> Self {
        let open = open.into_iter().map(|(id, flag)| {
            let addresses = Vec::new();
            (id, Listener { flag, addresses })
        });
        Self {
            open: open.collect(),
            ready_at: Some(Instant::now() + limits::READY_TIMEOUT),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = ListenerId> {
        self.open.keys().copied()
    }

    /// The addresses listened on.
    pub(super) fn addresses(&self) -> Vec<Multiaddr> {
        let addresses = self.open.values().flat_map(|l| &l.addresses);
        addresses.cloned().collect()
    }

    /// When the node calls itself ready; `None` once it is.
    pub(super) fn ready_at(&self) -> Option<Instant> {
        self.ready_at
    }

    /// A listener has another address.
    pub(super) fn add(&mut self, id: ListenerId, address: Multiaddr) {
        // The first ones are told all at once when the node is ready.
        match self.ready_at {
            Some(_) => tracing::debug!(%address, "listening"),
            None => tracing::info!(%address, "listening on a new address"),
        }
        if let Some(listener) = self.open.get_mut(&id) {
            listener.addresses.push(address);
        }
        self.settle();
    }

    /// A listener has lost an address.
    pub(super) fn remove(&mut self, id: ListenerId, address: &Multiaddr) {
        tracing::info!(%address, "no longer listening");
        if let Some(listener) = self.open.get_mut(&id) {
            listener.addresses.retain(|other| other != address);
        }
    }

    /// A listener is gone.
    pub(super) fn closed(&mut self, id: ListenerId, reason: &dyn fmt::Debug) {
        if let Some(listener) = self.open.remove(&id) {
            tracing::error!(flag = listener.flag, ?reason, "a listener is gone");
        }
    }

    /// Moves the moment of readiness: soon after the last listener got its first address.
    fn settle(&mut self) {
        let all_listen = self.open.values().all(|l| !l.addresses.is_empty());
        if all_listen && self.ready_at.is_some() {
            self.ready_at = Some(Instant::now() + limits::READY_SETTLE);
        }
    }

    /// The moment of readiness has come.
    pub(super) fn ready(&mut self) {
        self.ready_at = None;
        for listener in self.open.values().filter(|l| l.addresses.is_empty()) {
            tracing::warn!(flag = listener.flag, "no address yet; is the network up?");
        }
    }
}
