//! How the node ends.

use std::{future::poll_fn, task::Poll};

use futures::StreamExt as _;
use moim_connection_guard::catch_future;
use tokio::{task, time};

use super::{network::Network, services::Services};
use crate::{limits, store::Writer, swarm::NodeSwarm};

/// Takes no new connections, closes those there are, and waits for that a little.
pub(super) async fn close(network: &mut Network) {
    for listener in network.listeners.ids() {
        network.swarm.remove_listener(listener);
    }
    let peers: Vec<_> = network.swarm.connected_peers().copied().collect();
    for peer in peers {
        // An error says that it is gone already.
        let _ = network.swarm.disconnect_peer_id(peer);
    }
    let closed = async {
        while network
            .swarm
            .network_info()
            .connection_counters()
            .num_established()
            > 0
        {
            network.swarm.select_next_some().await;
        }
    };
    if time::timeout(limits::SHUTDOWN_TIMEOUT, closed)
        .await
        .is_err()
    {
        tracing::warn!("some connections didn't close in time");
    }
}

/// Waits until what the DHT holds is on the disk, unless that fails or takes too long. What was
/// acknowledged is there already.
pub(super) async fn settle_store(mut swarm: Box<NodeSwarm>, store: Writer) {
    let written = poll_fn(|cx| {
        if swarm.poll_next_unpin(cx).is_ready() {
            // One event at a time, so that a busy swarm does not hold up the time-out.
            cx.waker().wake_by_ref();
        }
        let kad = &mut swarm.behaviour_mut().kad;
        if kad.is_unwritten() && !kad.is_stuck() {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    });
    let is_in_time = time::timeout(limits::STORE_SETTLE_TIMEOUT, written).await;
    // With the swarm goes the journal, and then the writer ends.
    drop(swarm);
    let finished = task::spawn_blocking(move || store.finish());
    let finished = time::timeout(limits::STORE_SETTLE_TIMEOUT, finished).await;
    if is_in_time.is_err() || finished.is_err() {
        tracing::warn!("the store wasn't written to the end in time");
    }
}

/// Lets go of every socket and file, after something panicked. Nothing of the swarm is used any more.
pub(super) async fn fall(swarm: Box<NodeSwarm>, mut services: Services, store: Writer) {
    services.abort();
    // What panicked may do so again.
    let dropped = catch_future(async move { drop(swarm) }).await;
    let ended = async {
        services.over().await;
        let _ = task::spawn_blocking(move || store.finish()).await;
    };
    let is_in_time = time::timeout(limits::SHUTDOWN_TIMEOUT, ended).await.is_ok();
    if dropped.is_err() || !is_in_time {
        tracing::warn!("the node that panicked did not end in order");
    }
}
