//! How the peer stops: the rooms are left, values handed over, and connections closed in order.

use std::time::Duration;

use futures::StreamExt as _;
use libp2p::PeerId;
use web_time::Instant;

use super::state::{Driver, Stopping};
use crate::{command::Reply, platform};

/// How long stopping waits for servers to take values that were put just before.
const HAND_OVER_DEADLINE: Duration = Duration::from_millis(500);

/// How long stopping takes at most, besides leaving the rooms.
const CLOSE_DEADLINE: Duration = Duration::from_millis(500);

impl Driver {
    pub(super) fn is_stopping(&self) -> bool {
        matches!(self.stopping, Stopping::Leaving(..))
    }

    pub(super) fn begin_stop(&mut self, reply: Option<Reply<()>>, now: Instant) {
        let topics = self.rooms.joined().map(|room| room.machine.topic().hash());
        for topic in topics.collect::<Vec<_>>() {
            self.leave(topic, None, now);
        }
        match &mut self.stopping {
            Stopping::No => {
                let deadline = now + HAND_OVER_DEADLINE;
                self.stopping = Stopping::Leaving(reply.into_iter().collect(), deadline);
            }
            Stopping::Leaving(replies, _) => replies.extend(reply),
        }
    }

    /// Closes every connection in order, so that the others need no time-out to notice.
    pub(super) async fn close(mut self) {
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closing = async {
            while self.swarm.network_info().num_peers() > 0 {
                self.swarm.select_next_some().await;
            }
        };
        platform::within(CLOSE_DEADLINE, closing).await;
        if let Stopping::Leaving(replies, _) = self.stopping {
            for reply in replies {
                let _ = reply.send(());
            }
        }
    }
}
