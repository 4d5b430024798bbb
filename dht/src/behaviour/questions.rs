//! What others may know of the servers that are asked.

use libp2p::{PeerId, kad};
use web_time::Instant;

use super::Behaviour;

impl Behaviour {
    /// Whether the `count` servers closest to this key, as far as they are known here, answer so many more
    /// questions. A server hangs up on who asks for more than [`REQUESTS_PER_PEER`](crate::REQUESTS_PER_PEER).
    pub fn has_room(&mut self, key: &kad::RecordKey, count: usize, questions: u32) -> bool {
        let now = Instant::now();
        // Nearly always, and a walk through the table is the dearest part of a get.
        if self.pacing.has_everywhere(questions, now) {
            return true;
        }
        let key = kad::KBucketKey::new(key.clone());
        let closest: Vec<_> = self.kad.get_closest_local_peers(&key).take(count).collect();
        closest
            .iter()
            .all(|server| self.pacing.has(server.preimage(), questions, now))
    }

    /// The servers closest to a key, as far as they are known here, without those that keep silent.
    pub fn closest_known(&mut self, key: &kad::RecordKey) -> Vec<PeerId> {
        let key = kad::KBucketKey::new(key.clone());
        let closest = self.kad.get_closest_local_peers(&key);
        closest
            .map(kad::KBucketKey::into_preimage)
            .filter(|server| !self.silence.is_silent(server))
            .take(kad::K_VALUE.get())
            .collect()
    }

    /// Whether a server was asked something, by whichever query, and keeps silent so far.
    #[must_use]
    pub fn keeps_silent(&self, server: &PeerId) -> bool {
        self.silence.keeps_silent(server)
    }
}
