//! Connections: how they are made, how they end, and who sees it when.

use std::time::Duration;

use moim_protocol::presence::Presence;
use moim_room::{Failure, Input, RequestId};

use crate::{
    event::{Event, Hop, Index, LinkNumber, ServerIndex},
    node::Link,
    terrain::Nat,
    time::{millis, seconds},
    world::{CONNECTIONS_MAX, World},
};

/// Connections that others have opened are at most so many.
const INCOMING_MAX: usize = CONNECTIONS_MAX / 4 * 3;

/// One's own work in a handshake, on both sides together.
const HANDSHAKE: Duration = millis(2);

/// One-way trips until a direct connection is there (QUIC: a round trip).
const DIRECT_TRIPS: u32 = 2;

/// One-way trips until a relayed one is: dial, HOP, STOP, Noise and yamux.
const RELAYED_TRIPS: u32 = 8;

/// One-way trips until it has become a direct one: offer and answer, ICE, DTLS and SCTP.
const UPGRADE_TRIPS: u32 = 8;

/// A relayed connection is closed this long after a direct one is there.
const HANDOVER: Duration = seconds(1);

/// How long it takes to see that somebody is gone without a word: WebRTC some 5 s, pings 20 s at most.
const SILENCE: (Duration, Duration) = (seconds(5), seconds(20));

/// How often connections are looked through.
const PRUNE_INTERVAL: u64 = 5;

/// A connection younger than this may be about to be used.
const PRUNE_AGE: Duration = seconds(10);

/// From so many connections on, those to strangers are closed too.
const PRUNE_ABOVE: usize = 48;

impl World {
    /// A member's signed addresses are known.
    pub(crate) fn learn(&mut self, node: Index, peer: Index, presence: &Presence) {
        if presence.addresses.is_empty() {
            return;
        }
        let (me, other) = (&self.nodes[node], &self.nodes[peer]);
        let is_first = me.peer < other.peer;
        // Who can be dialled lets the other side try its direct way.
        let yields = !is_first || (other.place.nat != Nat::None && me.place.nat == Nat::None);
        let now = self.time;
        self.nodes[node].reach.member(peer, yields, now);
        self.plan_dials(node);
    }

    pub(crate) fn plan_dials(&mut self, node: Index) {
        let now = self.time;
        if let Some(next) = self.nodes[node].reach.next() {
            let next = next.max(now);
            if next < self.nodes[node].dials_at {
                self.nodes[node].dials_at = next;
                self.plan(next, Event::Dials(node));
            }
        }
    }

    pub(crate) fn dial_due(&mut self, node: Index) {
        let now = self.time;
        let it = &mut self.nodes[node];
        if it.dials_at != now {
            return;
        }
        it.dials_at = crate::time::Time::NEVER;
        if !it.is_up() {
            return;
        }
        let links = &it.links;
        for peer in it.reach.poll(now, |peer| links.contains_key(&peer)) {
            self.dial(node, peer);
        }
        self.plan_dials(node);
    }

    fn dial(&mut self, from: Index, to: Index) {
        let trips = match self.way_to(from, to) {
            Some(None) => {
                let (one, other) = (self.nodes[from].place, self.nodes[to].place);
                Some(DIRECT_TRIPS * self.config.terrain.latency(one, other, &mut self.draw))
            }
            Some(Some(relay)) => {
                let way = self.latency_to(from, relay) + self.latency_to(to, relay);
                Some(RELAYED_TRIPS * way)
            }
            None => None,
        };
        match trips {
            Some(trips) => self.after(trips + HANDSHAKE, Event::Dialled(from, to)),
            None => {
                let wait = self.config.terrain.unanswered(&mut self.draw);
                self.after(wait, Event::DialFailed(from, to));
            }
        }
    }

    /// How one can connect to another, if it can: directly, or by a relay that both are connected to.
    fn way_to(&self, from: Index, to: Index) -> Option<Option<ServerIndex>> {
        if !self.nodes[to].is_up() || self.are_apart(from, to) {
            return None;
        }
        if self.nodes[to].place.nat == Nat::None {
            return Some(None);
        }
        let is_common = |server: &ServerIndex| {
            let common = [from, to].map(|node| self.nodes[node].servers[*server]);
            self.servers[*server].is_up && common == [true, true]
        };
        // Which of them is as good as drawn: each has its part.
        let mut servers: Vec<ServerIndex> = (0..self.servers.len()).filter(is_common).collect();
        let chosen = (from + to).checked_rem(servers.len())?;
        Some(Some(servers.swap_remove(chosen)))
    }

    pub(crate) fn dialled(&mut self, from: Index, to: Index) {
        if !self.nodes[from].is_up() {
            return;
        }
        if self.link(from, to).is_some() {
            let now = self.time;
            self.nodes[from].reach.connected(to, now);
            return;
        }
        let is_full = self.nodes[to].links.len() >= INCOMING_MAX;
        let Some(relay) = self.way_to(from, to).filter(|_| !is_full) else {
            self.dial_failed(from, to);
            return;
        };
        self.connect(from, to, relay);
    }

    fn connect(&mut self, from: Index, to: Index, relay: Option<ServerIndex>) {
        // What is left of an earlier one, which one end has not seen to be closed, goes with it.
        if let Some(old) = self.link(to, from) {
            self.closed(to, from, old.number);
        }
        self.links += 1;
        let (number, now) = (self.links, self.time);
        for (at, who) in [(from, to), (to, from)] {
            let link = Link {
                number,
                relay,
                since: now,
                last: now,
            };
            self.nodes[at].links.insert(who, link);
            if self.nodes[at].links.len() > CONNECTIONS_MAX {
                self.faults
                    .push(format!("{at} has more than {CONNECTIONS_MAX} connections"));
            }
        }
        for (at, who) in [(from, to), (to, from)] {
            let was_out_of_reach = self.nodes[at].reach.connected(who, now);
            let peer = self.nodes[who].peer;
            if was_out_of_reach {
                self.tell(at, Input::Reachable(peer, true));
            }
            self.tell(at, Input::Connected(peer));
            self.wanted_changes(at);
        }
        for (at, who) in [(from, to), (to, from)] {
            self.say_listening(who, at, true);
        }
        if relay.is_some() {
            let (one, other) = (self.nodes[from].place, self.nodes[to].place);
            if self.config.terrain.is_direct(one, other, &mut self.draw) {
                let way = self.config.terrain.latency(one, other, &mut self.draw);
                let hop = Hop {
                    from,
                    to,
                    link: number,
                };
                self.after(UPGRADE_TRIPS * way, Event::Upgraded(hop));
            }
        }
    }

    /// Tells a connected peer whether one listens to the room's gossip.
    fn say_listening(&mut self, from: Index, to: Index, is_on: bool) {
        if let Some(link) = self.link(from, to)
            && (!is_on || self.nodes[from].is_present())
        {
            let hop = Hop {
                from,
                to,
                link: link.number,
            };
            // The stream has to be opened first.
            let (one, other) = (self.nodes[from].place, self.nodes[to].place);
            let way = self.config.terrain.latency(one, other, &mut self.draw);
            self.after(way, Event::Listens(hop, is_on));
        }
    }

    pub(crate) fn listens(&mut self, hop: Hop, is_on: bool) {
        let Hop { from, to, .. } = hop;
        if !self.arrives(hop) {
            return;
        }
        let peer = self.nodes[from].peer;
        if is_on {
            self.nodes[to].gossip.listens(from);
            self.tell(to, Input::Listens(peer));
        } else {
            self.nodes[to].gossip.listens_no_more(from);
            self.tell(to, Input::ListensNoMore(peer));
        }
    }

    /// There is a direct connection beside a relayed one, which is closed in a moment.
    pub(crate) fn upgraded(&mut self, hop: Hop) {
        let Hop { from, to, link } = hop;
        let is_same = self.link(from, to).is_some_and(|it| it.number == link);
        if !is_same || !self.arrives(hop) || !self.nodes[from].is_up() {
            return;
        }
        for (at, who) in [(from, to), (to, from)] {
            if let Some(link) = self.nodes[at].links.get_mut(&who) {
                link.relay = None;
            }
            let peer = self.nodes[who].peer;
            self.tell(at, Input::Connected(peer));
        }
        self.after(HANDOVER, Event::HandedOver(hop));
    }

    /// The relayed connection is closed, the direct one stays.
    pub(crate) fn handed_over(&mut self, hop: Hop) {
        for (at, who) in [(hop.from, hop.to), (hop.to, hop.from)] {
            if self.link(at, who).is_some_and(|it| it.number == hop.link) {
                let peer = self.nodes[who].peer;
                self.tell(at, Input::ConnectionClosed(peer));
            }
        }
    }

    pub(crate) fn dial_failed(&mut self, from: Index, to: Index) {
        let now = self.time;
        self.nodes[from].reach.failed(to, now);
        let peer = self.nodes[to].peer;
        self.tell(from, Input::Reachable(peer, false));
        self.wanted_changes(from);
        self.plan_dials(from);
    }

    /// One end sees that a connection is closed.
    pub(crate) fn closed(&mut self, at: Index, who: Index, link: LinkNumber) {
        if self.link(at, who).is_none_or(|it| it.number != link) {
            return;
        }
        let now = self.time;
        let peer = self.nodes[who].peer;
        let is_member = self.nodes[at]
            .room
            .as_ref()
            .is_some_and(|room| room.contains(&peer));
        let is_first = self.nodes[at].peer < peer;
        let node = &mut self.nodes[at];
        node.links.remove(&who);
        node.gossip.listens_no_more(who);
        node.reach.disconnected(who, is_first, is_member, now);
        let lost = node.requests.iter().filter(|(_, (_, by))| *by == link);
        let mut lost: Vec<RequestId> = lost.map(|(request, _)| *request).collect();
        lost.sort_unstable();
        for request in &lost {
            node.requests.remove(request);
        }
        self.tell(at, Input::Disconnected(peer));
        for request in lost {
            let why = Failure::ConnectionClosed;
            self.tell(at, Input::Failed { request, why });
        }
        self.wanted_changes(at);
        self.plan_dials(at);
    }

    /// One end closes a connection, which the other hears.
    pub(crate) fn close(&mut self, at: Index, who: Index) {
        let Some(link) = self.link(at, who) else {
            return;
        };
        let link = link.number;
        let (one, other) = (self.nodes[at].place, self.nodes[who].place);
        let way = self.config.terrain.latency(one, other, &mut self.draw);
        self.after(
            way,
            Event::Closed {
                at: who,
                who: at,
                link,
            },
        );
        self.closed(at, who, link);
    }

    /// Everybody is told that a peer has left, and its program ends.
    pub(crate) fn is_gone(&mut self, node: Index) {
        self.nodes[node].room = None;
        let links: Vec<(Index, Link)> = self.nodes[node]
            .links
            .iter()
            .map(|(who, link)| (*who, *link))
            .collect();
        for (who, link) in links {
            let (one, other) = (self.nodes[node].place, self.nodes[who].place);
            let way = self.config.terrain.latency(one, other, &mut self.draw);
            let (at, who, link) = (who, node, link.number);
            self.after(way, Event::Closed { at, who, link });
        }
        self.leave_servers(node);
        self.nodes[node].links.clear();
    }

    /// A peer is gone without a word.
    pub(crate) fn vanishes(&mut self, node: Index) {
        self.nodes[node].room = None;
        let is_killed = self.draw.chance(0.5);
        let links: Vec<(Index, Link)> = self.nodes[node]
            .links
            .iter()
            .map(|(who, link)| (*who, *link))
            .collect();
        for (who, link) in links {
            let (one, other) = (self.nodes[node].place, self.nodes[who].place);
            // Where the machine lives on, it says that nobody is there any more.
            let wait = if is_killed {
                self.config.terrain.latency(one, other, &mut self.draw)
            } else {
                self.draw.between(SILENCE.0, SILENCE.1)
            };
            let (at, who, link) = (who, node, link.number);
            self.after(wait, Event::Closed { at, who, link });
        }
        self.leave_servers(node);
        self.nodes[node].links.clear();
    }

    /// Tells everybody that a peer that leaves does not listen any more.
    pub(crate) fn stop_listening(&mut self, node: Index) {
        let others: Vec<Index> = self.nodes[node].links.keys().copied().collect();
        for other in others {
            self.say_listening(node, other, false);
        }
    }

    /// The network has fallen into two parts: connections between them are seen to be dead after a while.
    pub(crate) fn break_apart(&mut self) {
        for node in 0..self.nodes.len() {
            let links: Vec<(Index, Link)> = self.nodes[node]
                .links
                .iter()
                .map(|(who, link)| (*who, *link))
                .collect();
            for (who, link) in links {
                if self.are_apart(node, who) {
                    let wait = self.draw.between(SILENCE.0, SILENCE.1);
                    let (at, link) = (node, link.number);
                    self.after(wait, Event::Closed { at, who, link });
                }
            }
        }
    }

    /// Closes connections that nobody needs, and tells the room of members that are lost.
    pub(crate) fn housekeeping(&mut self, node: Index) {
        if !self.nodes[node].is_up() {
            return;
        }
        self.after(seconds(1), Event::Housekeeping(node));
        let now = self.time;
        for peer in self.nodes[node].reach.lost(now) {
            let it = &self.nodes[node];
            if !it.links.is_empty() && !it.links.contains_key(&peer) {
                let peer = self.nodes[peer].peer;
                self.tell(node, Input::Lost(peer));
            }
        }
        if (now.as_secs() as u64).is_multiple_of(PRUNE_INTERVAL) {
            for who in self.useless(node) {
                self.close(node, who);
            }
        }
    }

    /// With whom a connection is of no more use.
    fn useless(&self, node: Index) -> Vec<Index> {
        let it = &self.nodes[node];
        let Some(room) = &it.room else {
            return Vec::new();
        };
        let mut links: Vec<(Index, Link)> =
            it.links.iter().map(|(who, link)| (*who, *link)).collect();
        links.sort_by_key(|(_, link)| link.since);
        let longest_first: Vec<_> = links.iter().map(|(who, _)| self.nodes[*who].peer).collect();
        let kept = room.kept(&longest_first);
        let is_crowded = links.len() > PRUNE_ABOVE;
        let is_useless = |(who, link): &(Index, Link)| {
            let peer = &self.nodes[*who].peer;
            !it.reach.wants(*who)
                && !kept.contains(peer)
                && self.time - link.since >= PRUNE_AGE
                && !room.is_asking(peer)
                && (is_crowded || room.contains(peer))
        };
        links
            .iter()
            .filter(|it| is_useless(it))
            .map(|(who, _)| *who)
            .collect()
    }
}
