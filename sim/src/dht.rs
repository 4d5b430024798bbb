//! The DHT as rooms use it: bootstrap nodes that all keep every presence, with the real table of providers in each.
//!
//! A room of the size simulated here has few servers (at most twenty keep a presence), so that a query is a round trip
//! to those that one is connected to. How lookups go in a DHT of many servers is simulated in [`lookup`](crate::lookup).

use std::{collections::VecDeque, time::Duration};

use moim_protocol::{
    presence::{SignedPresence, State},
    rate::Source,
    shares::{Origin, Putter, Whence},
};
use moim_room::Input;

use crate::{
    event::{Event, Index, Named, Put, ServerIndex},
    measure::Kind,
    node::network,
    time::{millis, seconds},
    world::World,
};

/// Providers in an answer, and how many bytes of them.
const SAMPLE: (usize, usize) = (21, 8 * 1024);

/// What a request of the DHT takes besides what is put: key and framing, on a stream of its own.
const REQUEST_BYTES: usize = 150;

/// What an answer takes besides what is named.
const ANSWER_BYTES: usize = 120;

/// How long it takes to see that a bootstrap node is gone.
const SILENCE: (Duration, Duration) = (millis(50), seconds(20));

/// The longest pause between two dials of a bootstrap node.
const REDIAL_MAX: Duration = seconds(8);

impl World {
    /// A peer is connected to all bootstrap nodes that are there.
    pub(crate) fn join_servers(&mut self, node: Index) {
        for server in 0..self.servers.len() {
            if self.servers[server].is_up && !self.is_cut_off(node, server) {
                self.nodes[node].servers[server] = true;
                self.count_connections(server, 1);
            }
        }
    }

    fn count_connections(&mut self, server: ServerIndex, change: isize) {
        let server = &mut self.servers[server];
        server.connections = server.connections.saturating_add_signed(change);
        server.load.connections_most = server.load.connections_most.max(server.connections);
    }

    /// A peer's program has ended.
    pub(crate) fn leave_servers(&mut self, node: Index) {
        for server in 0..self.servers.len() {
            if std::mem::take(&mut self.nodes[node].servers[server]) {
                self.count_connections(server, -1);
            }
        }
    }

    /// Whether the network has fallen apart between the two. Every other bootstrap node is in the first part.
    fn is_cut_off(&self, node: Index, server: ServerIndex) -> bool {
        self.split
            .is_some_and(|share| (node % 100 < usize::from(share)) != server.is_multiple_of(2))
    }

    fn reaches(&self, node: Index, server: ServerIndex) -> bool {
        self.servers[server].is_up && !self.is_cut_off(node, server)
    }

    /// Who cannot reach a bootstrap node any more sees it after a while, and who can again comes back.
    pub(crate) fn servers_change(&mut self) {
        for node in 0..self.nodes.len() {
            if !self.nodes[node].is_up() {
                continue;
            }
            for server in 0..self.servers.len() {
                let reaches = self.reaches(node, server);
                let wait = match (self.nodes[node].servers[server], reaches) {
                    (true, false) => self.draw.between(SILENCE.0, SILENCE.1),
                    (false, true) => self.draw.between(millis(300), REDIAL_MAX + millis(500)),
                    _ => continue,
                };
                self.after(wait, Event::Server(node, server, reaches));
            }
        }
    }

    /// All bootstrap nodes are gone, or back. What they knew is in a file; it ends meanwhile.
    pub(crate) fn servers_turn(&mut self, is_up: bool) {
        let now = self.instant();
        for server in &mut self.servers {
            server.is_up = is_up;
            server.table.sweep(now);
        }
        self.servers_change();
    }

    /// A peer sees that a bootstrap node is gone, or is connected to it again.
    pub(crate) fn server_seen(&mut self, node: Index, server: ServerIndex, is_up: bool) {
        if !self.nodes[node].is_up() || self.reaches(node, server) != is_up {
            return;
        }
        let was_in_dht = self.nodes[node].in_dht();
        if self.nodes[node].servers[server] == is_up {
            return;
        }
        self.nodes[node].servers[server] = is_up;
        self.count_connections(server, if is_up { 1 } else { -1 });
        if !is_up {
            let links = self.nodes[node].links.iter();
            let relayed = links.filter(|(_, link)| link.relay == Some(server));
            let relayed: Vec<_> = relayed.map(|(who, link)| (*who, link.number)).collect();
            for (who, link) in relayed {
                self.closed(node, who, link);
            }
        }
        let addresses = self.nodes[node].addresses(node, &self.servers);
        self.tell(node, Input::AddressesChanged(addresses));
        let in_dht = self.nodes[node].in_dht();
        if in_dht != was_in_dht {
            self.tell(node, Input::Dht(in_dht));
        }
        if is_up {
            let now = self.time;
            self.nodes[node].reach.try_again(now);
            self.tell(node, Input::AnnounceNow);
            self.tell(node, Input::LookupAgain);
            self.plan_dials(node);
        }
    }

    fn connected_servers(&self, node: Index) -> Vec<ServerIndex> {
        let servers = self.nodes[node].servers.iter().enumerate();
        servers
            .filter(|(_, is_connected)| **is_connected)
            .map(|(server, _)| server)
            .collect()
    }

    /// A request of the DHT, or its answer.
    fn count_dht(&mut self, node: Index, server: ServerIndex, sent: usize, got: usize) {
        let traffic = &mut self.nodes[node].traffic;
        traffic.sent[Kind::Dht as usize] += sent;
        traffic.got[Kind::Dht as usize] += got;
        let load = &mut self.servers[server].load;
        load.requests += 1;
        load.got += sent as u64;
        load.sent += got as u64;
    }

    /// Puts a presence: finds the servers, and hands it to each.
    pub(crate) fn put(
        &mut self,
        node: Index,
        signed: &SignedPresence,
        is_last: bool,
        inputs: &mut VecDeque<Input>,
    ) {
        let servers = self.connected_servers(node);
        if servers.is_empty() && is_last {
            inputs.push_back(Input::LeftHandedOver);
        }
        for server in servers {
            let trips = 3 * self.latency_to(node, server);
            let signed = signed.clone();
            self.after(
                trips,
                Event::Put(Box::new(Put {
                    node,
                    server,
                    signed,
                    is_last,
                })),
            );
        }
    }

    pub(crate) fn put_arrives(&mut self, put: Put) {
        let Put {
            node,
            server,
            signed,
            is_last,
        } = put;
        if !self.reaches(node, server) {
            return;
        }
        let bytes = signed.as_bytes().len() + REQUEST_BYTES;
        // FIND_NODE before it, and ADD_PROVIDER beside it.
        self.count_dht(node, server, REQUEST_BYTES, ANSWER_BYTES);
        self.count_dht(node, server, bytes, bytes);
        if !is_last {
            self.count_dht(node, server, REQUEST_BYTES, 0);
        }
        self.keep(node, server, &signed);
        let back = self.latency_to(node, server);
        self.after(back, Event::PutDone(node, is_last));
    }

    /// A bootstrap node keeps a presence: whoever is here provides the topic.
    fn keep(&mut self, node: Index, server: ServerIndex, signed: &SignedPresence) {
        let now = self.instant();
        let wall = moim_protocol::UnixMillis(
            self.now_of(node)
                .wall
                .0
                .saturating_add_signed(-self.nodes[node].skew),
        );
        let presence = signed.presence();
        let key = self.topic.hash().provider_key();
        let table = &mut self.servers[server].table;
        if signed.check_time(wall).is_err() {
            return;
        }
        match presence.state {
            State::Here if !presence.addresses.is_empty() => {
                let source = Source::from(network(node));
                let putter = Putter {
                    origin: Origin::new(7, Whence::Network(source), &self.nodes[node].peer),
                    is_held: presence.peer == self.nodes[node].peer,
                };
                let expires = now + signed.life(Duration::ZERO, wall);
                let added = table.add(
                    &key,
                    presence.peer,
                    &presence.addresses,
                    expires,
                    putter,
                    now,
                );
                // A full table is what a simulation may show; it counts as not found.
                drop(added);
            }
            State::Here => {}
            State::Left => {
                table.remove(&key, &presence.peer);
            }
        }
    }

    /// A liar puts what it has made up.
    pub(crate) fn put_made_up(&mut self, node: Index, signed: &SignedPresence) {
        for server in self.connected_servers(node) {
            if self.reaches(node, server) {
                self.keep(node, server, signed);
            }
        }
    }

    /// Asks the bootstrap nodes who provides the topic, unless they are being asked.
    pub(crate) fn find_providers(&mut self, node: Index) {
        let servers = self.connected_servers(node);
        if servers.is_empty() || self.nodes[node].query.0.is_some() {
            return;
        }
        let query = self.nodes[node].query.1 + 1;
        self.nodes[node].query = (Some(query), query);
        let mut longest = Duration::ZERO;
        for server in servers {
            let way = self.latency_to(node, server);
            longest = longest.max(way);
            self.after(way, Event::Finds(node, server, query));
        }
        // A server that is silent holds a query up for its time-out.
        self.after(2 * longest + seconds(1), Event::QueryEnds(node, query));
    }

    pub(crate) fn finds(&mut self, node: Index, server: ServerIndex, query: u64) {
        if !self.reaches(node, server) {
            return;
        }
        let (now, me) = (self.instant(), self.nodes[node].peer);
        let key = self.topic.hash().provider_key();
        let table = &mut self.servers[server].table;
        table.sweep(now);
        let sample = table.sample(&key, SAMPLE.0, SAMPLE.1, now);
        let providers: Vec<_> = sample
            .into_iter()
            .filter(|provider| provider.peer != me)
            .take(SAMPLE.0 - 1)
            .map(|provider| (provider.peer, provider.addresses))
            .collect();
        let named: usize = providers
            .iter()
            .map(|(_, addresses)| 44 + addresses.iter().map(|it| it.len() + 2).sum::<usize>())
            .sum();
        self.count_dht(node, server, REQUEST_BYTES, ANSWER_BYTES + named);
        let back = self.latency_to(node, server);
        self.after(
            back,
            Event::Named(Box::new(Named {
                node,
                query,
                providers,
            })),
        );
    }

    pub(crate) fn named(&mut self, named: Named) {
        let Named {
            node,
            query,
            providers,
        } = named;
        // A query that has enough hears no further answers.
        if self.nodes[node].query.0 == Some(query) {
            let is_answer = true;
            self.tell(
                node,
                Input::Providers {
                    providers,
                    is_answer,
                },
            );
        }
    }
}
