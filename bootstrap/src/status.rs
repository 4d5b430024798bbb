//! What the node tells about itself, published by the event loop and read by everybody else.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId};

use crate::{config::Domain, limits};

/// A snapshot of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Whether every listener has an address.
    pub ready: bool,
    /// The node's peer id.
    pub peer_id: PeerId,
    /// Addresses the configuration adds, as given.
    pub external: Vec<Multiaddr>,
    /// Addresses listened on, without `/p2p`, in no particular order. Changes as interfaces come
    /// and go.
    pub listening: Vec<Multiaddr>,
    /// Sockets of the HTTP server.
    pub http: Vec<SocketAddr>,
    /// Whether the HTTP server has the dashboard.
    pub admin: bool,
    /// Whether the HTTP server has the page.
    pub page: bool,
    /// The name and the port by which the TLS port is reached, if it has a name.
    pub domain: Option<(Domain, u16)>,
    /// Sockets of the TLS port.
    pub tls: Vec<SocketAddr>,
    /// Sockets of the STUN server.
    pub stun: Vec<SocketAddr>,
    /// Whether the STUN server is a TURN server too, over UDP and TCP.
    pub turn: bool,
    /// Whether values are refused because the store can't be written.
    pub store_stuck: bool,
    /// Whether a part of the store is full: what comes takes the place of others, or is refused.
    pub store_full: bool,
    /// Peers connected right now.
    pub peers: usize,
    /// Times that the node panicked and was started anew in this process.
    pub restarts: u32,
}

/// Signs of life of the event loop. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Heartbeat {
    started: Instant,
    /// Milliseconds from the start to the last one.
    last: Arc<AtomicU64>,
}

impl Heartbeat {
    /// With a first one now.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            started: now,
            last: Arc::default(),
        }
    }

    /// Gives one.
    pub(crate) fn beat(&self, now: Instant) {
        self.last.store(self.millis(now), Ordering::Relaxed);
    }

    /// How long there has been none, if that is too long.
    pub(crate) fn stalled(&self, now: Instant) -> Option<Duration> {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        let silent = now
            .saturating_duration_since(self.started)
            .saturating_sub(last);
        (silent > limits::HEARTBEAT_MAX).then_some(silent)
    }

    fn millis(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.started);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_loop_that_stands_still_is_noticed_and_its_return_too() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let heartbeat = Heartbeat::new(start);
        assert_eq!(heartbeat.stalled(after(10)), None);
        assert_eq!(
            heartbeat.clone().stalled(after(11)),
            Some(Duration::from_secs(11))
        );
        heartbeat.beat(after(11));
        assert_eq!(heartbeat.stalled(after(21)), None);
        assert!(heartbeat.stalled(after(22)).is_some());
    }
}
