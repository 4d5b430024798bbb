//! The loop: one command, event or deadline at a time.

use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use libp2p::PeerId;
use web_time::Instant;

use super::state::{Driver, Stopping};
use crate::platform;

/// Swarm events handled before commands and deadlines are looked at again.
const EVENTS_PER_ROUND: usize = 32;

/// Connections are made after this many rounds whatever the network has to say.
const ROUNDS_BEHIND_MAX: u32 = 32;

impl Driver {
    /// Runs until the peer is to stop.
    pub(super) async fn work(&mut self) {
        // Rounds in which there was more from the network than was handled.
        let mut behind = 0;
        loop {
            let now = platform::now();
            let deadline = self.advance(now, behind > 0 && behind < ROUNDS_BEHIND_MAX);
            self.publish();
            if let Stopping::Leaving(_, deadline) = self.stopping
                && !self.rooms.are_leaving()
                && (now >= deadline || !self.programs.are_handing_over())
            {
                return;
            }
            // The order is the policy: what the user asks for goes first, then what was fetched for
            // it, then the network, then time.
            tokio::select! {
                biased;
                command = self.commands.recv(), if !self.is_stopping() => match command {
                    Some(command) => self.on_command(command, platform::now()),
                    None => self.begin_stop(None, platform::now()),
                },
                Some(fetched) = self.fetched.recv() => self.on_fetched(fetched, platform::now()),
                event = self.swarm.select_next_some() => {
                    self.on_swarm_event(event, platform::now());
                    behind = if self.drain_swarm() { 0 } else { behind + 1 };
                }
                change = self.surroundings.changed() => self.on_change(change, platform::now()),
                () = platform::sleep_until(Some(deadline)) => behind = 0,
            }
        }
    }

    /// Handles what else the network has ready, so that a burst costs one round of everything else.
    /// Returns whether that is all it has.
    fn drain_swarm(&mut self) -> bool {
        for _ in 0..EVENTS_PER_ROUND {
            let Some(Some(event)) = self.swarm.next().now_or_never() else {
                return true;
            };
            self.on_swarm_event(event, platform::now());
        }
        false
    }

    /// Applies everything that is due, and says when something will be again. Who is `behind` with what
    /// the network says looks at no members and makes no new connections: those that wait may be there already.
    fn advance(&mut self, now: Instant, behind: bool) -> Instant {
        self.advance_liveness(now);
        self.advance_clock(now);
        self.advance_entry(now);
        self.advance_relays(now);
        #[cfg(feature = "programs")]
        self.advance_programs(now);
        self.advance_lost(now);
        self.advance_rooms(now);
        self.advance_direct(now);
        #[cfg(feature = "programs")]
        self.advance_streams(now);
        self.advance_shares(now);
        self.advance_ice(now);
        let reaching = if behind {
            Some(now)
        } else {
            if self.overview.is_due(now) {
                self.look_over_members(now)
            } else {
                self.overview.poll_timeout(now)
            }
        };
        self.advance_lifetimes(now);
        self.poll_timeout(reaching, now)
    }

    /// Renews what helps to find direct ways.
    fn advance_ice(&mut self, now: Instant) {
        let connections = &self.connections;
        let is_connected = |peer: &PeerId| connections.best_path(peer).is_some();
        let behaviour = &mut self.swarm.behaviour_mut().platform;
        self.platform.renew(behaviour, is_connected, now);
    }

    fn poll_timeout(&self, reaching: Option<Instant>, now: Instant) -> Instant {
        // Without anything to do there is still the status to look at.
        let mut next = now + Duration::from_secs(5);
        let mut consider = |deadline: Option<Instant>| {
            if let Some(deadline) = deadline {
                next = next.min(deadline);
            }
        };
        consider(self.entry.poll_timeout());
        consider(self.lifetimes.poll_timeout());
        consider(self.liveness.poll_timeout());
        consider(self.lost.poll_timeout(now));
        consider(self.relays.poll_timeout(&self.relay_candidates()));
        #[cfg(feature = "programs")]
        consider(self.programs_timeout());
        consider(self.direct.poll_timeout());
        consider(self.shares.poll_timeout());
        consider(self.platform.poll_timeout());
        consider(reaching);
        consider(self.rooms.poll_timeout());
        if let Stopping::Leaving(_, deadline) = self.stopping {
            consider(Some(deadline));
        }
        // However a deadline came to lie in the past, the loop breathes.
        next.max(now + Duration::from_millis(1))
    }
}
