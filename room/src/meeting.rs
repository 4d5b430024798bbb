//! Finding the others, and being found: the DHT, members' lists, and what this peer says of itself.

use std::collections::BTreeSet;

use libp2p_identity::PeerId;
use moim_protocol::{presence::SignedPresence, presence_wire::Request, random::Random};
use web_time::Instant;

use crate::{
    announcing::{Announcement, Announcing, News},
    around::Around,
    asking::Purpose,
    now::Now,
    output::Output,
    search::Search,
    telling::Telling,
    walk::Walk,
};

/// Those who hear a room's gossip and are asked for its list at once where there is no DHT.
const LISTENERS_AT_ONCE: usize = 4;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Meeting {
    in_dht: bool,
    random: Random,
    pub(crate) announcing: Announcing,
    pub(crate) search: Search,
    pub(crate) telling: Telling,
}

impl Meeting {
    pub(crate) fn new(
        announcing: Announcing,
        search: Search,
        telling: Telling,
        in_dht: bool,
        seed: u64,
    ) -> Self {
        Self {
            in_dht,
            random: Random::new(seed),
            announcing,
            search,
            telling,
        }
    }

    pub(crate) fn set_in_dht(&mut self, in_dht: bool) {
        self.in_dht = in_dht;
    }

    /// Does what is due in a room of so many `others`, as far as can be told. Returns who is to be asked for what was missed
    /// of its talk besides, if anybody is.
    pub(crate) fn tick(&mut self, others: usize, around: &mut Around, now: Now) -> Option<PeerId> {
        for farewell in self.telling.farewells_due(now.instant) {
            self.telling.publish_presence(&farewell, &mut around.out);
        }
        if self.announcing.is_due(now.instant) {
            self.announce(others, around, now);
        }
        let members = around.members.roster().len();
        if self.search.lookup_due(members, now.instant) {
            self.look_up(around);
        }
        let asked = if self.search.sync_due(members, now.instant) {
            self.sync_with_somebody(around)
        } else {
            None
        };
        self.ask_strangers(around, now.instant);
        asked
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let search = self.search.poll_timeout().min(self.search.next_sync());
        let parts = [
            Some(search),
            self.announcing.poll_timeout(),
            self.telling.poll_timeout(),
        ];
        parts.into_iter().flatten().min()
    }

    /// Tells the members, the room and the DHT that we are here.
    fn announce(&mut self, others: usize, around: &mut Around, now: Now) {
        let Some(Announcement { signed, news }) = self.announcing.announce(others, now) else {
            return;
        };
        around.members.set_own(signed.clone(), now.instant);
        if news == News::All {
            self.telling.publish_presence(&signed, &mut around.out);
        }
        if news != News::None {
            let is_gossip = news == News::All;
            self.telling
                .tell(&signed, (Purpose::Told, is_gossip), around);
        }
        if self.in_dht {
            let is_last = false;
            around.out.push(Output::PutPresence { signed, is_last });
        }
    }

    fn look_up(&mut self, around: &mut Around) {
        if self.in_dht {
            around.out.push(Output::FindProviders);
            return;
        }
        // Without a DHT, those are asked who are connected and hear the room's gossip: who knows one member learns of
        // the others.
        let is_asked =
            |peer: &PeerId| !around.members.contains(peer) && !self.search.is_asking(peer);
        let listeners = around.links.listeners().filter(is_asked);
        let listeners: Vec<PeerId> = listeners.take(LISTENERS_AT_ONCE).collect();
        for peer in listeners {
            self.sync_with(peer, None, around);
        }
    }

    /// Asks the providers whose turn it is.
    fn ask_strangers(&mut self, around: &mut Around, now: Instant) {
        let due = self.search.strangers_due(around.members.roster(), now);
        for (peer, addresses) in due {
            if around.links.is_connected(&peer) {
                self.greet(peer, around, now);
            } else {
                around.out.push(Output::Stranger { peer, addresses });
            }
        }
    }

    /// A connection to this peer is there: tell it who we are, and ask it who else is there.
    pub(crate) fn greet(&mut self, peer: PeerId, around: &mut Around, now: Instant) {
        if !self.search.concerns(&peer, around.members.roster()) {
            return;
        }
        if self.search.list_due(now) {
            self.sync_with(peer, None, around);
        } else if let Some(presence) = self.announcing.own().cloned() {
            let body = Request::Announce { presence }.encode();
            let Around { asking, out, .. } = around;
            asking.ask(peer, Purpose::Told, body, out);
        }
    }

    /// Asks a peer for its list of members, or for the next page of it, and tells it of ourselves.
    pub(crate) fn sync_with(
        &mut self,
        peer: PeerId,
        next: Option<(PeerId, Walk)>,
        around: &mut Around,
    ) {
        let own = self.announcing.own();
        let Around {
            members,
            asking,
            out,
            ..
        } = around;
        let (after, walk) = next.unzip();
        let walk = walk.unwrap_or_else(|| self.search.walk());
        let roster = members.roster();
        self.search
            .ask(peer, (after, walk), own, roster, asking, out);
    }

    /// Asks one connected member for its list, and returns it.
    fn sync_with_somebody(&mut self, around: &mut Around) -> Option<PeerId> {
        let mut connected = around.connected_members();
        connected.retain(|peer| !self.search.is_asking(peer));
        let index = self.random.below(connected.len());
        let peer = connected.get(index).copied()?;
        self.sync_with(peer, None, around);
        Some(peer)
    }

    /// Another swarm has taken the place of the one there was: everything that was asked is lost.
    pub(crate) fn restarted(&mut self, now: Instant) {
        self.search = Search::new(self.announcing.topic(), self.random.next(), now);
        self.announcing.announce_now(now);
    }

    /// Says that we left. Returns the farewell, unless it cannot be signed, and who was told.
    pub(crate) fn leave(
        &mut self,
        around: &mut Around,
        now: Now,
    ) -> Option<(SignedPresence, BTreeSet<PeerId>)> {
        self.search = Search::new(self.announcing.topic(), self.random.next(), now.instant);
        self.telling.clear();
        let signed = self.announcing.leave(now)?;
        self.telling.publish_presence(&signed, &mut around.out);
        let told = self.telling.tell(&signed, (Purpose::Left, true), around);
        Some((signed, told))
    }
}
