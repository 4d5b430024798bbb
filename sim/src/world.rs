//! The simulated network: peers with the real rooms in them, connections, bootstrap nodes, and the queue of what is to
//! happen. There is no time but that of the events.

use std::{
    collections::{HashMap, VecDeque},
    rc::Rc,
    time::Duration,
};

use libp2p_identity::PeerId;
use moim_protocol::{UnixMillis, limits::MEMBERS_MAX, message::MessageId, presence, topic::Topic};
use moim_room::{Input, Now, RequestId};
use web_time::Instant;

use crate::{
    acts::Answered,
    draw::Draw,
    event::{Event, Hop, Index, LinkNumber, ServerIndex, Turn},
    gossip::HEARTBEAT,
    measure::{Kind, Ledger},
    node::{Link, Node, Server},
    queue::Queue,
    terrain::Terrain,
    time::{Time, seconds},
};

/// What the wall clocks show at the beginning.
const WALL: u64 = 1_800_000_000_000;

/// Presences that are remembered as decoded: of the largest room those of some minutes.
const MEMO: usize = 60_000;

/// Connections that a peer has at most.
pub const CONNECTIONS_MAX: usize = 256;

/// A message of the gossip.
#[derive(Clone, Debug)]
pub struct Message {
    /// Who publishes it.
    pub author: Index,
    /// What it is.
    pub data: Rc<Vec<u8>>,
}

/// How a simulation begins.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// What all is drawn from.
    pub seed: u64,
    /// What the network is like.
    pub terrain: Terrain,
    /// How many bootstrap nodes there are.
    pub servers: usize,
    /// By how much wall clocks are off at most, either way.
    pub skew: Duration,
}

/// See the [module](self).
#[derive(Debug)]
pub struct World {
    pub(crate) config: Config,
    pub(crate) draw: Draw,
    pub(crate) time: Time,
    begun: Instant,
    queue: Queue<Event>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) by_peer: HashMap<PeerId, Index>,
    pub(crate) servers: Vec<Server>,
    pub(crate) messages: Vec<Message>,
    /// The numbers of gossip's messages by their ids, and since when they go round.
    pub(crate) numbers: HashMap<[u8; 32], (u32, Time)>,
    /// The numbers of what was said.
    pub(crate) said: HashMap<MessageId, usize>,
    pub(crate) links: LinkNumber,
    pub(crate) asks: u64,
    /// Where the network has fallen into two parts, this is the share of the first.
    pub(crate) split: Option<u8>,
    /// Since when everything is measured.
    pub(crate) measured: Time,
    /// What is measured.
    pub ledger: Ledger,
    /// What must not be, and was.
    pub faults: Vec<String>,
    pub(crate) topic: Topic,
    /// Members that liars have made up, of each.
    pub(crate) made_up: HashMap<Index, Vec<Index>>,
}

impl World {
    /// A network without peers.
    #[must_use]
    #[expect(clippy::expect_used, reason = "it is a topic")]
    pub fn new(config: Config) -> Self {
        presence::remember(MEMO);
        let mut draw = Draw::new(config.seed);
        let servers = (0..config.servers)
            .map(|number| Server::new(number, config.terrain.server(&mut draw), draw.number()))
            .collect();
        Self {
            config,
            draw,
            time: Time::ZERO,
            begun: Instant::now(),
            queue: Queue::default(),
            nodes: Vec::new(),
            by_peer: HashMap::new(),
            servers,
            messages: Vec::new(),
            numbers: HashMap::new(),
            said: HashMap::new(),
            links: 0,
            asks: 0,
            split: None,
            measured: Time::ZERO,
            ledger: Ledger::new(MEMBERS_MAX),
            faults: Vec::new(),
            topic: Topic::new("global-chat").expect("it is a topic"),
            made_up: HashMap::new(),
        }
    }

    /// Adds a peer that has not joined.
    pub fn add(&mut self) -> Index {
        let index = self.nodes.len();
        let place = self.config.terrain.place(&mut self.draw);
        let mut node = Node::new(
            index,
            place,
            self.servers.len(),
            self.begun,
            self.config.seed,
        );
        let skew = self.config.skew.as_millis() as i64;
        node.skew = skew - (2.0 * skew as f64 * self.draw.unit()) as i64;
        self.by_peer.insert(node.peer, index);
        self.nodes.push(node);
        index
    }

    /// A peer will lie from when it joins.
    pub fn be_liar(&mut self, node: Index) {
        self.nodes[node].is_liar = true;
    }

    /// What time it is.
    #[must_use]
    pub const fn time(&self) -> Time {
        self.time
    }

    /// The peers.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The bootstrap nodes.
    #[must_use]
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// How many events there were.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.queue.planned()
    }

    /// Draws from the simulation's own seed.
    pub fn draw(&mut self) -> &mut Draw {
        &mut self.draw
    }

    /// Since when everything is measured.
    #[must_use]
    pub const fn measured(&self) -> Time {
        self.measured
    }

    /// Plans an event.
    pub fn plan(&mut self, at: Time, event: Event) {
        self.queue.plan(at.max(self.time), event);
    }

    pub(crate) fn after(&mut self, wait: Duration, event: Event) {
        self.queue.plan(self.time + wait, event);
    }

    /// Some moment of the monotonic clock.
    pub(crate) fn instant(&self) -> Instant {
        self.begun + self.time.since_start()
    }

    /// When a moment of the monotonic clock is.
    pub(crate) fn time_of(&self, instant: Instant) -> Time {
        Time::ZERO + instant.saturating_duration_since(self.begun)
    }

    /// What time a peer takes it to be.
    pub(crate) fn now_of(&self, node: Index) -> Now {
        let wall = WALL + self.time.since_start().as_millis() as u64;
        Now {
            instant: self.instant(),
            wall: UnixMillis(wall.saturating_add_signed(self.nodes[node].skew)),
        }
    }

    /// Lets everything happen until then.
    pub fn run_until(&mut self, end: Time) {
        while let Some((time, event)) = self.queue.next(end) {
            self.time = time;
            self.happen(event);
        }
        self.time = end;
        self.ledger.count(end);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Timer(node) => self.timer(node),
            Event::Dials(node) => self.dial_due(node),
            Event::Wanted(node) => self.ask_wanted(node),
            Event::Heartbeat(node) => self.heartbeat(node),
            Event::Housekeeping(node) => self.housekeeping(node),
            Event::Dialled(from, to) => self.dialled(from, to),
            Event::DialFailed(from, to) => self.dial_failed(from, to),
            Event::Upgraded(hop) => self.upgraded(hop),
            Event::HandedOver(hop) => self.handed_over(hop),
            Event::Closed { at, who, link } => self.closed(at, who, link),
            Event::Listens(hop, is_on) => self.listens(hop, is_on),
            Event::Asks(question) => self.asks(*question),
            Event::Answers(reply) => self.answers(*reply),
            Event::NoAnswer(node, request, why) => {
                if self.nodes[node].requests.remove(&request).is_some() {
                    self.tell(node, Input::Failed { request, why });
                }
            }
            Event::Gossip(hop, message) => self.gossip_arrives(hop, message),
            Event::Control(hop, control) => self.control_arrives(hop, *control),
            Event::Put(put) => self.put_arrives(*put),
            Event::PutDone(node, is_last) => {
                let input = if is_last {
                    Input::LeftHandedOver
                } else {
                    Input::Announced { accepted: true }
                };
                self.tell(node, input);
            }
            Event::Finds(node, server, query) => self.finds(node, server, query),
            Event::Named(named) => self.named(*named),
            Event::QueryEnds(node, query) => {
                let under_way = &mut self.nodes[node].query.0;
                under_way.take_if(|it| *it == query);
            }
            Event::Server(node, server, is_up) => self.server_seen(node, server, is_up),
            Event::Deed(node, deed) => self.deed(node, deed),
            Event::Turn(turn) => self.turn(turn),
            Event::Check => self.check(),
        }
    }

    fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Split(split) => {
                self.split = split;
                self.break_apart();
                self.servers_change();
                let now = self.time;
                for node in &mut self.nodes {
                    node.reach.try_again(now);
                }
            }
            Turn::Servers(is_up) => self.servers_turn(is_up),
            Turn::Measure => {
                self.measured = self.time;
                self.ledger.begin(self.time);
                for node in &mut self.nodes {
                    node.traffic = Default::default();
                }
                for server in &mut self.servers {
                    let connections_most = server.connections;
                    server.load = crate::node::Load {
                        connections_most,
                        ..Default::default()
                    };
                }
            }
        }
    }

    /// Whether two do not reach each other.
    pub(crate) fn are_apart(&self, one: Index, other: Index) -> bool {
        let Some(share) = self.split else {
            return false;
        };
        let is_first = |index: Index| index % 100 < usize::from(share);
        is_first(one) != is_first(other)
    }

    /// Tells a peer's room something, and does what it wants done.
    pub(crate) fn tell(&mut self, node: Index, input: Input) -> Answered {
        let mut answered = Answered::default();
        let Some(mut room) = self.nodes[node].room.take() else {
            return answered;
        };
        let now = self.now_of(node);
        let mut inputs = VecDeque::from([input]);
        let mut is_over = false;
        while let Some(input) = inputs.pop_front() {
            room.handle(input, now);
            is_over |= self.drain(node, &mut room, &mut inputs, &mut answered);
        }
        if is_over {
            self.is_gone(node);
        } else {
            self.plan_timer(node, room.poll_timeout());
            self.nodes[node].room = Some(room);
        }
        answered
    }

    fn timer(&mut self, node: Index) {
        if self.nodes[node].timer != self.time {
            return;
        }
        self.nodes[node].timer = Time::NEVER;
        let Some(mut room) = self.nodes[node].room.take() else {
            return;
        };
        room.handle_timeout(self.now_of(node));
        let mut inputs = VecDeque::new();
        let mut answered = Answered::default();
        let mut is_over = self.drain(node, &mut room, &mut inputs, &mut answered);
        let now = self.now_of(node);
        while let Some(input) = inputs.pop_front() {
            room.handle(input, now);
            is_over |= self.drain(node, &mut room, &mut inputs, &mut answered);
        }
        if is_over {
            self.is_gone(node);
        } else {
            self.plan_timer(node, room.poll_timeout());
            self.nodes[node].room = Some(room);
        }
    }

    fn plan_timer(&mut self, node: Index, next: Option<Instant>) {
        let Some(next) = next else { return };
        // Moments between two microseconds are seen at the second.
        let next = self.time_of(next) + Duration::from_micros(1);
        let next = next.max(self.time);
        if next < self.nodes[node].timer {
            self.nodes[node].timer = next;
            self.plan(next, Event::Timer(node));
        }
    }

    /// What a peer does all the time begins.
    pub(crate) fn begin_beats(&mut self, node: Index) {
        let first = self.draw.between(Duration::ZERO, HEARTBEAT);
        self.after(first, Event::Heartbeat(node));
        let first = self.draw.between(Duration::ZERO, seconds(1));
        self.after(first, Event::Housekeeping(node));
    }

    /// The connection by which something goes that one end sees.
    pub(crate) fn link(&self, from: Index, to: Index) -> Option<Link> {
        self.nodes[from].links.get(&to).copied()
    }

    /// Whether what was sent arrives: the same connection is there, and somebody at its end.
    pub(crate) fn arrives(&self, hop: Hop) -> bool {
        let Hop { from, to, link } = hop;
        self.nodes[to].is_up()
            && !self.are_apart(from, to)
            && self.nodes[to]
                .links
                .get(&from)
                .is_some_and(|it| it.number == link)
    }

    /// Sends something over a connection. Returns when it arrives: after what was sent before.
    pub(crate) fn send(&mut self, hop: Hop, kind: Kind, bytes: usize) -> Time {
        let Hop { from, to, .. } = hop;
        self.nodes[from].traffic.sent[kind as usize] += bytes;
        let start = self.nodes[from].line_free.max(self.time);
        let free = start + self.config.terrain.sending(bytes);
        self.nodes[from].line_free = free;
        let relay = self.link(from, to).and_then(|link| link.relay);
        let latency = match relay {
            Some(server) => {
                self.servers[server].load.relayed += bytes as u64;
                self.latency_to(from, server) + self.latency_to(to, server)
            }
            None => {
                let (one, other) = (self.nodes[from].place, self.nodes[to].place);
                self.config.terrain.latency(one, other, &mut self.draw)
            }
        };
        let mut arrival = free + latency;
        if let Some(link) = self.nodes[from].links.get_mut(&to) {
            arrival = arrival.max(link.last);
            link.last = arrival;
        }
        arrival
    }

    pub(crate) fn latency_to(&mut self, node: Index, server: ServerIndex) -> Duration {
        let (one, other) = (self.nodes[node].place, self.servers[server].place);
        self.config.terrain.latency(one, other, &mut self.draw)
    }

    /// A request has no answer, which its room is to hear in a while.
    pub(crate) fn fail_later(
        &mut self,
        node: Index,
        request: RequestId,
        why: moim_room::Failure,
        wait: Duration,
    ) {
        self.after(wait, Event::NoAnswer(node, request, why));
    }
}
