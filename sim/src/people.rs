//! What people do, and what liars do.

use moim_protocol::{
    limits::PRESENCE_TTL,
    message::MessageId,
    presence::{Presence, SignedPresence, State},
    presence_wire::Response,
    room::{Doubt, RoomMessage},
    text::Text,
};
use moim_room::{Config, Input, Room};

use crate::{
    event::{Deed, Event, Index},
    node::Node,
    time::seconds,
    world::World,
};

/// Members that one liar makes up.
const MADE_UP: usize = 10;

/// How often a liar lies.
const LIES_EVERY: std::time::Duration = seconds(10);

/// What a liar plays again of what was said in the room, each time.
const REPLAYS: usize = 3;

/// Of how many members a liar says that they may be gone, each time.
const FALSE_DOUBTS: usize = 8;

impl World {
    pub(crate) fn deed(&mut self, node: Index, deed: Deed) {
        match deed {
            Deed::Join => self.join(node),
            Deed::Say => self.say(node),
            Deed::Leave => {
                if self.nodes[node].is_present() {
                    let now = self.time;
                    self.ledger.ended(&mut self.nodes, node, now);
                    self.stop_listening(node);
                    self.tell(node, Input::Leave);
                }
            }
            Deed::Vanish => {
                if self.nodes[node].is_present() {
                    let now = self.time;
                    self.ledger.ended(&mut self.nodes, node, now);
                    self.vanishes(node);
                }
            }
            Deed::BreakConnection => {
                let links: Vec<Index> = self.nodes[node].links.keys().copied().collect();
                if let Some(&other) = links.get(self.draw.below(links.len())) {
                    self.close(node, other);
                }
            }
            Deed::Lie => self.lie(node),
        }
    }

    fn join(&mut self, node: Index) {
        self.join_servers(node);
        let now = self.time;
        self.nodes[node].joined = Some(now);
        self.ledger.joined(node, now);
        self.ledger.look_at_first(node);
        let addresses = self.nodes[node].addresses(node, &self.servers);
        let it = &mut self.nodes[node];
        it.reach.hold(now);
        #[expect(clippy::expect_used, reason = "it is a name")]
        let config = Config {
            keypair: it.keypair.clone(),
            topic: self.topic.clone(),
            name: format!("peer {node}").parse().expect("it is a name"),
            addresses,
            presence_lifetime: PRESENCE_TTL,
            gossip: true,
            in_dht: it.in_dht(),
            connected: Vec::new(),
            listeners: Vec::new(),
            after: 0,
            seed: self.draw.number(),
        };
        let is_liar = it.is_liar;
        let room = Room::join(config, self.now_of(node));
        self.nodes[node].room = Some(Box::new(room));
        self.nodes[node].timer = now;
        self.plan(now, Event::Timer(node));
        self.begin_beats(node);
        if is_liar {
            self.make_up(node);
            self.after(LIES_EVERY, Event::Deed(node, Deed::Lie));
        }
    }

    #[expect(clippy::expect_used, reason = "it is a text")]
    fn say(&mut self, node: Index) {
        if self.nodes[node].is_present() {
            let number = self.draw.number();
            let id = MessageId::from_bytes(u128::from(number).to_be_bytes());
            let text = Text::new(&format!("what {node} says, {number}")).expect("it is a text");
            self.tell(node, Input::Say { id, text });
        }
    }

    /// Members that do not exist, at addresses of nobody.
    fn make_up(&mut self, liar: Index) {
        let made_up = (0..MADE_UP).map(|_| {
            let index = self.nodes.len();
            let place = self.config.terrain.server(&mut self.draw);
            let instant = self.instant();
            let mut node = Node::new(index, place, self.servers.len(), instant, self.config.seed);
            node.is_made_up = true;
            self.by_peer.insert(node.peer, index);
            self.nodes.push(node);
            index
        });
        let made_up = made_up.collect();
        self.made_up.insert(liar, made_up);
    }

    fn sign(&self, liar: Index, index: Index) -> Option<SignedPresence> {
        let node = &self.nodes[index];
        let now = self.now_of(liar).wall;
        // Of those that stand for a while, the same is said twice: each half minute has its own number.
        let sequence = now.0 / 30_000 * 30_000;
        let presence = Presence {
            peer: node.peer,
            topic: self.topic.hash(),
            name: format!("nobody {index}").parse().ok()?,
            addresses: node.addresses(index, &self.servers),
            sequence,
            issued: moim_protocol::UnixMillis(sequence),
            expires: moim_protocol::UnixMillis(sequence).saturating_add(PRESENCE_TTL),
            state: State::Here,
        };
        presence.sign(&node.keypair).ok()
    }

    fn lies(&self, liar: Index) -> Vec<SignedPresence> {
        let made_up = self.made_up.get(&liar).into_iter().flatten();
        made_up
            .filter_map(|index| self.sign(liar, *index))
            .collect()
    }

    /// A liar's list: nobody in it exists.
    pub(crate) fn false_list(&self, liar: Index) -> Response {
        let members = self
            .lies(liar)
            .into_iter()
            .map(|signed| (signed, std::time::Duration::ZERO));
        Response::Members {
            members: members.collect(),
            next: None,
        }
    }

    /// A liar puts members into the DHT that do not exist, plays again what was said: presences of before, and farewells
    /// most of all, and says of others that they may be gone.
    fn lie(&mut self, node: Index) {
        if !self.nodes[node].is_up() {
            return;
        }
        self.after(LIES_EVERY, Event::Deed(node, Deed::Lie));
        for signed in self.lies(node) {
            self.put_made_up(node, &signed);
        }
        let is_farewell = |data: &[u8]| match RoomMessage::decode(data) {
            Ok(RoomMessage::Presence { presence }) => presence.presence().state == State::Left,
            _ => false,
        };
        let recent = self.messages.len().saturating_sub(500)..self.messages.len();
        let farewells = recent
            .clone()
            .filter(|number| is_farewell(&self.messages[*number].data));
        let farewells: Vec<usize> = farewells.collect();
        for again in 0..REPLAYS {
            let number = if again == 0 || farewells.is_empty() {
                recent.start + self.draw.below(recent.len())
            } else {
                farewells[self.draw.below(farewells.len())]
            };
            if let Some(message) = self.messages.get(number) {
                let data = message.data.to_vec();
                self.publish(node, data);
            }
        }
        for doubt in self.false_doubts(node) {
            self.publish(node, RoomMessage::Doubt(doubt).encode());
        }
    }

    fn false_doubts(&mut self, liar: Index) -> Vec<Doubt> {
        let Some(room) = &self.nodes[liar].room else {
            return Vec::new();
        };
        let doubt = |presence: &Presence| Doubt {
            peer: presence.peer,
            sequence: presence.sequence,
        };
        let mut doubts: Vec<Doubt> = room.presences().map(doubt).collect();
        while doubts.len() > FALSE_DOUBTS {
            doubts.swap_remove(self.draw.below(doubts.len()));
        }
        doubts
    }
}
