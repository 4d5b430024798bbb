//! The running node: its event loop, which owns everything that the node does.
//!
//! Handlers are plain functions; the loop awaits nothing but its `select!`. What others may know is
//! published as a [`Status`].

use std::{future::Future, pin::pin, sync::Arc, time::Instant};

use futures::StreamExt as _;
use moim_connection_guard::catch_future;
use tokio::{
    sync::{mpsc, watch},
    time::{self, MissedTickBehavior},
};

pub(crate) use self::past::Past;
use self::{network::Network, reload::InForce, services::Services};
use crate::{
    admin::Question,
    block_list::BlockList,
    config::Config,
    data_dir::DataDir,
    error::RunError,
    limits,
    status::{Heartbeat, Status},
    store::Writer,
    supervisor,
};

mod answers;
mod listeners;
mod named;
mod network;
mod past;
mod relaying;
mod reload;
mod remember;
mod services;
mod start;
mod stop;

/// A node that listens. [`Node::run`] makes it work.
#[allow(missing_debug_implementations, reason = "the swarm has no Debug")]
pub struct Node {
    network: Network,
    services: Services,
    in_force: InForce,
    heartbeat: Heartbeat,
    /// Of the dashboard.
    questions: mpsc::Receiver<Question>,
    store: Writer,
    #[cfg(test)]
    sabotage: crate::restart::tests::Sabotage,
    /// Held as long as the node runs.
    data: DataDir,
}

impl Node {
    /// What the node tells about itself, now and later. Ends when the node does.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.network.status.subscribe()
    }

    /// Who gets nothing, as it changes.
    pub(crate) fn blocked(&self) -> watch::Receiver<Arc<BlockList>> {
        self.network.blocked.clone()
    }

    /// Works until `shutdown` is ready, then closes all connections and returns within 5 s. Of the
    /// configurations that come later it takes up what a running node can.
    ///
    /// # Errors
    ///
    /// If there is nothing left to listen on, the HTTP server or the store's thread is gone, or something panics.
    pub async fn run(
        mut self,
        configs: watch::Receiver<Config>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), RunError> {
        let result = catch_future(self.work(configs, shutdown)).await;
        match result.unwrap_or_else(|panic| Err(RunError::Panicked(panic))) {
            Err(error) if error.is_panic() => {
                self.fall().await;
                Err(error)
            }
            result => {
                self.stop().await;
                result
            }
        }
    }

    /// Once set, the thread that writes the store panics.
    #[cfg(test)]
    pub(crate) fn store_sabotage(&self) -> Arc<std::sync::atomic::AtomicBool> {
        self.store.sabotage()
    }

    async fn work(
        &mut self,
        mut configs: watch::Receiver<Config>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), RunError> {
        let mut shutdown = pin!(shutdown);
        let mut status_tick = ticker(limits::STATUS_INTERVAL);
        let mut join_tick = ticker(limits::JOIN_INTERVAL);
        let mut sweep_tick = ticker(limits::SWEEP_INTERVAL);
        let mut remember_tick = ticker(limits::REMEMBER_INTERVAL);
        loop {
            #[cfg(test)]
            self.sabotage.spring();
            let ready_at = self.network.listeners.ready_at();
            // In this order, so that a flood of network events delays neither the stop nor the
            // housekeeping, both of which are rare and short.
            tokio::select! {
                biased;
                () = &mut shutdown => return Ok(()),
                Err(error) = &mut self.services.http => return Err(RunError::Http(error)),
                Err(error) = &mut self.services.turn => return Err(RunError::Stun(error)),
                Some(Err(error)) = self.services.background.join_next() => {
                    return Err(RunError::Certificate(error));
                }
                _ = status_tick.tick() => self.tick(),
                _ = join_tick.tick() => self.network.join(),
                _ = sweep_tick.tick() => self.network.swarm.behaviour_mut().kad.store_mut().sweep(),
                _ = remember_tick.tick() => self.remember_peers(),
                Ok(()) = self.network.blocked.changed() => self.network.block(),
                Ok(()) = configs.changed() => {
                    self.in_force.reload(&configs.borrow_and_update(), &mut self.network);
                }
                Some(question) = self.questions.recv() => {
                    // Whoever asked may be gone.
                    let _ = question.send(self.network.overview());
                }
                () = sleep_until(ready_at) => self.network.ready(),
                event = self.network.swarm.select_next_some() => self.network.on_event(event),
            }
            if self.network.listeners.is_empty() && self.network.status.borrow().tls.is_empty() {
                return Err(RunError::Unreachable);
            }
            // Looked at with every tick at the latest.
            if self.store.is_gone() {
                return Err(RunError::Store);
            }
        }
    }

    /// Says that the loop goes round, and publishes the numbers.
    fn tick(&mut self) {
        self.heartbeat.beat(Instant::now());
        supervisor::alive();
        self.network.publish_numbers();
    }

    /// Writes down the peers by which the node comes back.
    fn remember_peers(&mut self) {
        let kad = &mut self.network.swarm.behaviour_mut().kad;
        self.store.remember(remember::peers(kad));
    }

    /// Ends in order.
    async fn stop(mut self) {
        tracing::info!("stopping");
        supervisor::stopping();
        self.services.abort();
        stop::close(&mut self.network).await;
        self.remember_peers();
        stop::settle_store(self.network.swarm, self.store).await;
        tracing::info!("stopped");
    }

    /// Ends after something panicked.
    async fn fall(self) {
        stop::fall(self.network.swarm, self.services, self.store).await;
        drop(self.data);
    }
}

fn ticker(interval: time::Duration) -> time::Interval {
    let mut ticker = time::interval(interval);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticker
}

async fn sleep_until(instant: Option<time::Instant>) {
    match instant {
        Some(instant) => time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
