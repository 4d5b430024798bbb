//! What the node tells its dashboard.

use std::time::Instant;

use super::Node;
use crate::admin::{Question, overview::Overview};

impl Node {
    /// Answers the dashboard.
    pub(super) fn tell(&mut self, question: Question) {
        let blocked = self.blocked.borrow();
        let store = self.swarm.behaviour_mut().kad.store_mut();
        let overview = Overview::new(
            &self.connections,
            &self.reservations,
            store.provider_counts(),
            &blocked,
            Instant::now(),
        );
        // Whoever asked may be gone.
        let _ = question.send(overview);
    }
}
