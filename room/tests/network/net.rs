//! Many rooms in one process: connections with latencies from a seed, a gossip that floods, and a DHT that knows
//! everything. There is no time but the one of the events.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use libp2p_identity::PeerId;
use moim_protocol::{
    UnixMillis, limits::PRESENCE_TTL, message::MessageId, random::Random, text::Text, topic::Topic,
};
use moim_room::{Config, Failure, Input, Now, RequestId, Room};
use web_time::Instant;

use super::{
    happening::{Deed, Happening},
    node::Node,
};

/// How often everybody dials whom it wants and is not connected to.
const REDIAL: Duration = Duration::from_millis(400);

/// How long a dial takes that nobody answers.
const DIAL_FAILS: Duration = Duration::from_secs(1);

/// After so long the others notice that somebody is gone without a word.
const SILENCE: Duration = Duration::from_secs(6);

/// How long who is lost has to be back.
const GRACE: Duration = Duration::from_secs(5);

/// How many providers an answer of the DHT names.
const SAMPLE: usize = 20;

/// Which peer.
pub type Index = usize;

/// See the [module](self).
#[derive(Debug)]
pub struct Net {
    pub(super) random: Random,
    pub(super) begun: Now,
    pub time: Duration,
    pub(super) queue: BTreeMap<(Duration, u64), Happening>,
    pub(super) number: u64,
    pub nodes: Vec<Node>,
    pub(super) by_peer: HashMap<PeerId, Index>,
    /// Connections, with a number each that tells one from the next.
    pub(super) links: BTreeMap<(Index, Index), u64>,
    /// Whom the DHT knows, until when.
    pub(super) dht: BTreeMap<Index, Duration>,
    /// Those before this one and the others do not reach each other.
    pub(super) split: Option<Index>,
    pub has_dht: bool,
    pub has_gossip: bool,
    topic: Topic,
}

pub fn pair(one: Index, other: Index) -> (Index, Index) {
    (one.min(other), one.max(other))
}

impl Net {
    pub fn new(seed: u64, nodes: usize) -> Self {
        let nodes: Vec<Node> = (0..nodes).map(Node::new).collect();
        let by_peer = nodes.iter().enumerate();
        Self {
            random: Random::new(seed),
            begun: Now {
                instant: Instant::now(),
                wall: UnixMillis(1_800_000_000_000),
            },
            time: Duration::ZERO,
            queue: BTreeMap::new(),
            number: 0,
            by_peer: by_peer.map(|(index, node)| (node.peer, index)).collect(),
            nodes,
            links: BTreeMap::new(),
            dht: BTreeMap::new(),
            split: None,
            has_dht: true,
            has_gossip: true,
            topic: Topic::new("global-chat").unwrap(),
        }
    }

    /// A moment between these two.
    pub fn between(&self, from: Duration, to: Duration) -> Duration {
        self.random.between(from, to)
    }

    /// One of so many.
    pub fn one_of(&self, count: usize) -> usize {
        self.random.below(count)
    }

    pub fn at(&mut self, time: Duration, node: Index, deed: Deed) {
        self.plan(time, Happening::Do(node, deed));
    }

    pub(super) fn now(&self) -> Now {
        Now {
            instant: self.begun.instant + self.time,
            wall: self.begun.wall.saturating_add(self.time),
        }
    }

    pub(super) fn plan(&mut self, time: Duration, happening: Happening) {
        self.number += 1;
        self.queue.insert((time, self.number), happening);
    }

    pub(super) fn soon(&mut self, happening: Happening) {
        let (least, most) = (Duration::from_millis(2), Duration::from_millis(120));
        let latency = self.random.between(least, most);
        self.plan(self.time + latency, happening);
    }

    /// Lets everything happen until then.
    pub fn run_until(&mut self, end: Duration) {
        while let Some(entry) = self.queue.first_entry()
            && entry.key().0 <= end
        {
            let ((time, _), happening) = entry.remove_entry();
            self.time = self.time.max(time);
            self.happen(happening);
        }
        self.time = end;
    }

    /// Whom a node lists.
    pub fn listed(&self, node: Index) -> BTreeSet<Index> {
        let room = self.nodes[node].room.as_ref();
        let members = room.into_iter().flat_map(Room::members);
        members.map(|member| self.by_peer[&member.peer]).collect()
    }

    pub fn connections(&self, node: Index) -> usize {
        let links = self.links.keys();
        links
            .filter(|(one, other)| *one == node || *other == node)
            .count()
    }

    /// Those who are in the room.
    pub fn present(&self) -> BTreeSet<Index> {
        let nodes = self.nodes.iter().enumerate();
        nodes
            .filter(|(_, node)| node.joined.is_some() && node.ended.is_none())
            .map(|(index, _)| index)
            .collect()
    }

    pub(super) fn is_up(&self, node: Index) -> bool {
        self.nodes[node].room.is_some()
    }

    /// From now on two parts of the network do not reach each other, or all of it is one again.
    pub fn split(&mut self, at: Option<Index>) {
        self.split = at;
        let links: Vec<_> = self
            .links
            .iter()
            .map(|(ends, link)| (*ends, *link))
            .collect();
        for ((one, other), link) in links {
            if self.are_apart(one, other) {
                self.happen(Happening::Closed { one, other, link });
            }
        }
    }

    fn are_apart(&self, one: Index, other: Index) -> bool {
        self.split.is_some_and(|at| (one < at) != (other < at))
    }

    pub(super) fn link(&self, one: Index, other: Index) -> Option<u64> {
        self.links.get(&pair(one, other)).copied()
    }

    pub(super) fn peer(&self, node: Index) -> PeerId {
        self.nodes[node].peer
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Do(node, deed) => self.act(node, deed),
            Happening::Timer(node) => {
                let now = self.now();
                let it = &mut self.nodes[node];
                if it.timer != Some(self.time) {
                    return;
                }
                it.timer = None;
                if let Some(room) = &mut it.room {
                    room.handle_timeout(now);
                    self.drain(node);
                }
            }
            Happening::Redial(node) => {
                if self.is_up(node) {
                    self.dial_wanted(node);
                    self.plan(self.time + REDIAL, Happening::Redial(node));
                }
            }
            Happening::Dialled { from, to } => {
                self.nodes[from].dialling.remove(&to);
                if self.is_up(from)
                    && self.is_up(to)
                    && !self.are_apart(from, to)
                    && self.link(from, to).is_none()
                {
                    self.connect(from, to);
                }
            }
            Happening::DialFailed { from, to } => {
                self.nodes[from].dialling.remove(&to);
                self.nodes[from].dial_failed.insert(to);
                let peer = self.peer(to);
                self.tell(from, Input::Reachable(peer, false));
            }
            Happening::Closed { one, other, link } => {
                if self.link(one, other) == Some(link) {
                    self.links.remove(&pair(one, other));
                    self.closed(one, other, link);
                    self.closed(other, one, link);
                }
            }
            Happening::Listens { at, who, is_on } => {
                if self.link(at, who).is_none() {
                    return;
                }
                let peer = self.peer(who);
                if is_on {
                    self.nodes[at].hears.insert(who);
                    self.tell(at, Input::Listens(peer));
                } else {
                    self.nodes[at].hears.remove(&who);
                    self.tell(at, Input::ListensNoMore(peer));
                }
            }
            Happening::Request {
                from,
                to,
                link,
                protocol,
                request,
                body,
            } => {
                if self.link(from, to) == Some(link) && self.is_up(to) {
                    self.request((from, to, link), protocol, request, &body);
                }
            }
            Happening::Unreached { node, request } => {
                let why = Failure::Other;
                self.tell(node, Input::Failed { request, why });
            }
            Happening::Response {
                to,
                link,
                request,
                body,
            } => {
                if let Some((from, _)) = self.nodes[to].requests.get(&request).copied()
                    && self.link(from, to) == Some(link)
                {
                    self.nodes[to].requests.remove(&request);
                    self.tell(to, Input::Answered { request, body });
                }
            }
            Happening::Gossip {
                from,
                to,
                link,
                author,
                data,
            } => {
                if self.link(from, to) == Some(link) {
                    self.gossip(from, to, author, data);
                }
            }
            Happening::Providers(node) => {
                let known = self.dht.iter().filter(|(_, until)| **until > self.time);
                let mut known: Vec<Index> = known.map(|(node, _)| *node).collect();
                let mut providers = Vec::new();
                while providers.len() < SAMPLE && !known.is_empty() {
                    let chosen = known.swap_remove(self.random.below(known.len()));
                    providers.push((self.peer(chosen), Vec::new()));
                }
                let is_answer = true;
                self.tell(
                    node,
                    Input::Providers {
                        providers,
                        is_answer,
                    },
                );
            }
            Happening::Put { node, is_last } => {
                if is_last {
                    self.dht.remove(&node);
                    self.tell(node, Input::LeftHandedOver);
                } else {
                    self.dht.insert(node, self.time + PRESENCE_TTL);
                    self.tell(node, Input::Announced { accepted: true });
                }
            }
            Happening::Lost { at, who } => {
                let is_cut_off = self.connections(at) == 0;
                let it = &self.nodes[at];
                if !is_cut_off && self.link(at, who).is_none() && it.dial_failed.contains(&who) {
                    let peer = self.peer(who);
                    self.tell(at, Input::Lost(peer));
                }
            }
        }
    }

    fn act(&mut self, node: Index, deed: Deed) {
        match deed {
            Deed::Join => self.join(node),
            Deed::Say => {
                if self.nodes[node].ended.is_some() {
                    return;
                }
                self.number += 1;
                let id = MessageId::from_bytes(u128::from(self.number).to_be_bytes());
                let text = Text::new(&format!("message {}", self.number)).unwrap();
                self.tell(node, Input::Say { id, text });
            }
            Deed::Leave => {
                self.nodes[node].ended = Some(self.time);
                self.tell(node, Input::Leave);
                for other in 0..self.nodes.len() {
                    if self.link(node, other).is_some() {
                        let is_on = false;
                        self.soon(Happening::Listens {
                            at: other,
                            who: node,
                            is_on,
                        });
                    }
                }
            }
            Deed::Die => {
                let it = &mut self.nodes[node];
                it.ended = Some(self.time);
                it.room = None;
                for other in 0..self.nodes.len() {
                    if let Some(link) = self.link(node, other) {
                        let (one, other) = pair(node, other);
                        let closed = Happening::Closed { one, other, link };
                        self.plan(self.time + SILENCE, closed);
                    }
                }
            }
            Deed::BreakConnection => {
                let others: Vec<Index> = (0..self.nodes.len())
                    .filter(|other| self.is_up(*other) && self.link(node, *other).is_some())
                    .collect();
                if let Some(&other) = others.get(self.random.below(others.len()))
                    && let Some(link) = self.link(node, other)
                {
                    self.happen(Happening::Closed {
                        one: node,
                        other,
                        link,
                    });
                }
            }
        }
    }

    fn join(&mut self, node: Index) {
        let now = self.now();
        let it = &mut self.nodes[node];
        it.joined = Some(self.time);
        let config = Config {
            keypair: it.keypair.clone(),
            topic: self.topic.clone(),
            name: format!("peer {node}").parse().unwrap(),
            addresses: vec!["/ip4/192.0.2.1/tcp/8000".parse().unwrap()],
            presence_lifetime: PRESENCE_TTL,
            gossip: self.has_gossip,
            in_dht: self.has_dht,
            connected: Vec::new(),
            listeners: Vec::new(),
            after: 0,
            seed: self.random.next(),
        };
        it.room = Some(Room::join(config, now));
        self.drain(node);
        self.plan(self.time + REDIAL, Happening::Redial(node));
    }

    /// Two are connected whatever their rooms want: a page and its bootstrap node, say.
    pub fn connect(&mut self, one: Index, other: Index) {
        self.number += 1;
        self.links.insert(pair(one, other), self.number);
        for (at, who) in [(one, other), (other, one)] {
            self.nodes[at].dial_failed.remove(&who);
            let peer = self.peer(who);
            self.tell(at, Input::Connected(peer));
            if self.has_gossip && self.nodes[who].ended.is_none() {
                let is_on = true;
                self.soon(Happening::Listens { at, who, is_on });
            }
        }
    }

    /// A connection is gone for one of its ends.
    fn closed(&mut self, at: Index, who: Index, link: u64) {
        self.nodes[at].hears.remove(&who);
        let lost = self.nodes[at].requests.iter();
        let lost = lost.filter(|(_, (_, by))| *by == link);
        let lost: Vec<RequestId> = lost.map(|(request, _)| *request).collect();
        let peer = self.peer(who);
        let is_noticed_first = self.random.below(2) == 0;
        if is_noticed_first {
            self.tell(at, Input::Disconnected(peer));
        }
        for request in lost {
            self.nodes[at].requests.remove(&request);
            let why = Failure::ConnectionClosed;
            self.tell(at, Input::Failed { request, why });
        }
        if !is_noticed_first {
            self.tell(at, Input::Disconnected(peer));
        }
        self.plan(self.time + GRACE, Happening::Lost { at, who });
    }

    pub(super) fn dial(&mut self, from: Index, to: Index) {
        if from == to || self.link(from, to).is_some() || !self.nodes[from].dialling.insert(to) {
            return;
        }
        if self.is_up(to) && !self.are_apart(from, to) {
            self.soon(Happening::Dialled { from, to });
        } else {
            self.plan(self.time + DIAL_FAILS, Happening::DialFailed { from, to });
        }
    }

    pub(super) fn dial_wanted(&mut self, node: Index) {
        let Some(room) = &mut self.nodes[node].room else {
            return;
        };
        for peer in room.wanted() {
            self.dial(node, self.by_peer[&peer]);
        }
    }
}
