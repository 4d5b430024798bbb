//! How the node ends.

use futures::StreamExt as _;
use tokio::time;

use super::Node;
use crate::limits;

impl Node {
    /// Takes no new connections, closes those there are, and waits for that a little.
    pub(super) async fn stop(mut self) {
        tracing::info!("stopping");
        self.http.abort();
        self.stun.abort();
        for listener in self.listeners.keys() {
            self.swarm.remove_listener(*listener);
        }
        let peers: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            // An error says that it is gone already.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closed = async {
            while self
                .swarm
                .network_info()
                .connection_counters()
                .num_established()
                > 0
            {
                self.swarm.select_next_some().await;
            }
        };
        if time::timeout(limits::SHUTDOWN_TIMEOUT, closed)
            .await
            .is_err()
        {
            tracing::warn!("some connections didn't close in time");
        }
        tracing::info!("stopped");
    }
}
