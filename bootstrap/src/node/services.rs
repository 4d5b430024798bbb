//! The tasks beside the event loop.

use std::convert::Infallible;

use tokio::task::{JoinHandle, JoinSet};

/// What serves others without the swarm, and what looks after the certificate.
#[derive(Debug)]
pub(super) struct Services {
    pub(super) http: JoinHandle<Infallible>,
    /// STUN and TURN.
    pub(super) turn: JoinHandle<Infallible>,
    /// What looks after the certificate.
    pub(super) background: JoinSet<Infallible>,
}

impl Services {
    /// Tells all of them to end.
    pub(super) fn abort(&mut self) {
        self.http.abort();
        self.turn.abort();
        self.background.abort_all();
    }

    /// Waits until they have, once told.
    pub(super) async fn over(mut self) {
        futures::join!(over(self.http), over(self.turn), self.background.shutdown());
    }
}

/// Waits for a task that was aborted, unless it had ended and the event loop has heard of it.
async fn over(task: JoinHandle<Infallible>) {
    if !task.is_finished() {
        // It says only that it was aborted.
        let _ = task.await;
    }
}
