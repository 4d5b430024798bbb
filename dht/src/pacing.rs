//! How fast this peer may ask others, so that no server hangs up on it. Pure: the time comes in.

use std::collections::HashMap;

use libp2p::PeerId;
use moim_protocol::rate::Rate;
use web_time::Instant;

use crate::requests::REQUESTS_PER_PEER;

/// What puts and gets may ask one server for: nine tenths of what it answers, the rest is for rooms and the
/// routing table.
const OWN_RATE: Rate = Rate {
    per_second: REQUESTS_PER_PEER.per_second * 9 / 10,
    burst: REQUESTS_PER_PEER.burst * 9 / 10,
};

/// Servers that are remembered before those that were not asked for long are forgotten.
const REMEMBERED_MAX: usize = 1_024;

/// What a server was asked for and has not been paid back by time. Unlike a bucket of tokens it may be more than
/// there is room for: what is under way was let through before it asked.
#[derive(Debug)]
struct Asked {
    questions: f64,
    at: Instant,
}

impl Asked {
    fn at(&mut self, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.questions = (self.questions - elapsed * f64::from(OWN_RATE.per_second)).max(0.0);
        self.at = now;
        self.questions
    }

    fn has(&mut self, questions: u32, now: Instant) -> bool {
        self.at(now) + f64::from(questions) <= f64::from(OWN_RATE.burst)
    }
}

/// Counts what each server was asked for.
#[derive(Debug, Default)]
pub(crate) struct Pacing {
    servers: HashMap<PeerId, Asked>,
}

impl Pacing {
    /// A server is asked something.
    pub(crate) fn asked(&mut self, server: PeerId, now: Instant) {
        self.charged(server, 1, now);
    }

    /// A server counts so much more: its answer was long.
    pub(crate) fn charged(&mut self, server: PeerId, questions: u32, now: Instant) {
        if questions == 0 {
            return;
        }
        if self.servers.len() >= REMEMBERED_MAX && !self.servers.contains_key(&server) {
            self.servers.retain(|_, asked| asked.at(now) > 0.0);
            // Asked by hundreds of questions a second each: then it may hang up.
            if self.servers.len() >= REMEMBERED_MAX {
                return;
            }
        }
        let asked = self.servers.entry(server).or_insert(Asked {
            questions: 0.0,
            at: now,
        });
        asked.questions = asked.at(now) + f64::from(questions);
    }

    /// Whether every server answers so many more questions.
    pub(crate) fn has_everywhere(&mut self, questions: u32, now: Instant) -> bool {
        self.servers
            .values_mut()
            .all(|asked| asked.has(questions, now))
    }

    /// Whether a server answers so many more questions.
    pub(crate) fn has(&mut self, server: &PeerId, questions: u32, now: Instant) -> bool {
        self.servers
            .get_mut(server)
            .is_none_or(|asked| asked.has(questions, now))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::requests::{REQUESTS_PER_SOURCE, Requests};

    const AT_ONCE: u32 = 100;

    #[test]
    fn who_asks_within_the_pace_is_not_hung_up_on() {
        let mut now = Instant::now();
        let (mut pacing, mut server) = (
            Pacing::default(),
            Requests::new(REQUESTS_PER_PEER, REQUESTS_PER_SOURCE),
        );
        let (me, other) = (PeerId::random(), PeerId::random());
        let mut asked = 0;
        for _ in 0..60_000 {
            now += Duration::from_millis(1);
            if pacing.has(&other, 2, now) && pacing.has_everywhere(2, now) {
                // Some are let through before the first of them has asked.
                for _ in 0..AT_ONCE {
                    pacing.asked(other, now);
                    assert!(server.allows(me, None, now));
                    asked += 1;
                }
            }
        }
        let all = OWN_RATE.burst + OWN_RATE.per_second * 60;
        assert!(
            (all - AT_ONCE..=all + AT_ONCE).contains(&asked),
            "{asked} of {all}"
        );
    }
}
