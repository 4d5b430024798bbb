//! How the node ends.

use std::{convert::Infallible, future::poll_fn, task::Poll};

use connection_guard::catch_future;
use futures::StreamExt as _;
use tokio::{
    task::{self, JoinHandle},
    time,
};

use super::Node;
use crate::{limits, supervisor};

impl Node {
    /// Waits until what the DHT holds is on the disk, unless that fails or takes too long. What was
    /// acknowledged is there already.
    async fn settle_store(mut self) {
        let written = poll_fn(|cx| {
            if self.swarm.poll_next_unpin(cx).is_ready() {
                // One event at a time, so that a busy swarm does not hold up the time-out.
                cx.waker().wake_by_ref();
            }
            let kad = &mut self.swarm.behaviour_mut().kad;
            if kad.is_unwritten() && !kad.is_stuck() {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        });
        let is_in_time = time::timeout(limits::STORE_SETTLE_TIMEOUT, written).await;
        // With the swarm goes the journal, and then the writer ends.
        drop(self.swarm);
        let finished = task::spawn_blocking(move || self.store.finish());
        let finished = time::timeout(limits::STORE_SETTLE_TIMEOUT, finished).await;
        if is_in_time.is_err() || finished.is_err() {
            tracing::warn!("the store wasn't written to the end in time");
        }
    }

    /// Takes no new connections, closes those there are, and waits for that a little.
    pub(super) async fn stop(mut self) {
        tracing::info!("stopping");
        supervisor::stopping();
        self.http.abort();
        self.turn.abort();
        self.background.abort_all();
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
        self.remember_peers();
        self.settle_store().await;
        tracing::info!("stopped");
    }

    /// Lets go of every socket and file, after something panicked. Nothing of the swarm is used any more.
    pub(super) async fn fall(self) {
        self.http.abort();
        self.turn.abort();
        let Self {
            swarm,
            http,
            turn,
            mut background,
            store,
            data,
            ..
        } = self;
        // What panicked may do so again.
        let dropped = catch_future(async move { drop(swarm) }).await;
        let ended = async {
            futures::join!(over(http), over(turn), background.shutdown());
            let _ = task::spawn_blocking(move || store.finish()).await;
        };
        let is_in_time = time::timeout(limits::SHUTDOWN_TIMEOUT, ended).await.is_ok();
        if dropped.is_err() || !is_in_time {
            tracing::warn!("the node that panicked did not end in order");
        }
        drop(data);
    }
}

/// Waits for a task that was aborted, unless it had ended and the event loop has heard of it.
async fn over(task: JoinHandle<Infallible>) {
    if !task.is_finished() {
        // It says only that it was aborted.
        let _ = task.await;
    }
}
