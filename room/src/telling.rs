//! Telling the room: by gossip, and directly those whom gossip does not reach.

use std::{
    collections::{BTreeSet, VecDeque},
    mem,
    time::Duration,
};

use libp2p_identity::PeerId;
use moim_protocol::{
    after, presence::SignedPresence, presence_wire::Request, random::Random, room::RoomMessage,
};
use web_time::Instant;

use crate::{
    around::Around,
    asking::Purpose,
    output::{Output, Outputs},
};

/// How long gossip has to bring the `left` that a member told us, before we say it in the room: a page
/// that is closed does not get everything out. Each member waits for another part of it, so that few
/// say the same.
const FAREWELL_PAUSE: Duration = Duration::from_millis(300);

/// Farewells that wait; the oldest make room.
const FAREWELLS_MAX: usize = 64;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Telling {
    /// Whether there is gossip at all.
    gossip: bool,
    random: Random,
    /// Who left and told us so, to be said in the room at that instant.
    farewells: VecDeque<(Instant, SignedPresence)>,
}

impl Telling {
    pub(crate) fn new(gossip: bool, seed: u64) -> Self {
        Self {
            gossip,
            random: Random::new(seed),
            farewells: VecDeque::new(),
        }
    }

    /// Whether gossip carries anything.
    pub(crate) const fn has_gossip(&self) -> bool {
        self.gossip
    }

    /// Says something to everybody who listens.
    pub(crate) fn publish(&self, message: &RoomMessage, out: &mut Outputs) {
        if self.gossip {
            out.push(Output::Publish(message.encode()));
        }
    }

    pub(crate) fn publish_presence(&self, signed: &SignedPresence, out: &mut Outputs) {
        let presence = signed.clone();
        self.publish(&RoomMessage::Presence { presence }, out);
    }

    /// Tells connected members directly: those that gossip does not reach, all of what is no gossip, and so that a `left`
    /// of our own needs no second hop. Returns who was told.
    pub(crate) fn tell(
        &self,
        signed: &SignedPresence,
        (purpose, is_gossip): (Purpose, bool),
        around: &mut Around,
    ) -> BTreeSet<PeerId> {
        let Around {
            links,
            members,
            asking,
            out,
        } = around;
        let presence = signed.clone();
        let body = Request::Announce { presence }.encode();
        // It needs no request where gossip carries it.
        let is_told = |peer: &PeerId| is_gossip && purpose == Purpose::Told && links.hears(peer);
        members
            .peers()
            .filter(|peer| links.is_connected(peer) && !is_told(peer))
            .filter(|peer| asking.ask(*peer, purpose, body.clone(), out))
            .collect()
    }

    /// Somebody told us that it left.
    pub(crate) fn farewell(&mut self, signed: SignedPresence, now: Instant) {
        if self.farewells.len() >= FAREWELLS_MAX {
            self.farewells.pop_front();
        }
        let pause = self.random.between(Duration::ZERO, FAREWELL_PAUSE);
        self.farewells.push_back((after(now, pause), signed));
    }

    /// The farewells to be said in the room now. Gossip says nothing twice, so what it has brought in the meantime
    /// need not be looked for (see [`gossip_message_id`](moim_protocol::room::gossip_message_id)).
    pub(crate) fn farewells_due(&mut self, now: Instant) -> Vec<SignedPresence> {
        let (due, later): (VecDeque<_>, _) = mem::take(&mut self.farewells)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.farewells = later;
        due.into_iter().map(|(_, signed)| signed).collect()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.farewells.iter().map(|(at, _)| *at).min()
    }

    /// The room is left: others say who left after us.
    pub(crate) fn clear(&mut self) {
        self.farewells.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{left, start};

    #[test]
    fn farewells_wait_a_part_of_the_pause_each() {
        let start = start();
        let mut telling = Telling::new(true, 3);
        for n in 1..=20 {
            telling.farewell(left(n, 1, start), start.instant);
        }
        let mut said = Vec::new();
        let mut moments = 0;
        while let Some(next) = telling.poll_timeout() {
            assert!(next <= start.instant + FAREWELL_PAUSE);
            let due = telling.farewells_due(next);
            assert!(!due.is_empty());
            said.extend(due);
            moments += 1;
        }
        assert_eq!(said.len(), 20);
        assert!(moments > 10, "{moments}");
    }

    #[test]
    fn the_oldest_farewells_make_room() {
        let start = start();
        let mut telling = Telling::new(true, 3);
        let count = u16::try_from(FAREWELLS_MAX).unwrap() + 3;
        for n in 1..=count {
            telling.farewell(left(n, 1, start), start.instant);
        }
        let all = telling.farewells_due(start.instant + FAREWELL_PAUSE);
        assert_eq!(all.len(), FAREWELLS_MAX);
        assert!(!all.contains(&left(3, 1, start)) && all.contains(&left(4, 1, start)));
    }

    #[test]
    fn without_gossip_nothing_is_published() {
        let start = start();
        for gossip in [true, false] {
            let mut out = Outputs::default();
            Telling::new(gossip, 3).publish_presence(&left(1, 1, start), &mut out);
            assert_eq!(out.is_empty(), !gossip);
        }
    }
}
