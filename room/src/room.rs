//! A joined room: what each input means to its parts.

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use libp2p_identity::{Keypair, PeerId};
use moim_protocol::{
    limits::BODY_BYTES_MAX,
    message::{self, Position},
    presence::{SignedPresence, State},
    presence_wire,
    random::Random,
    room::{RoomMessage, RoomText},
    roster::{RosterError, Verdict},
    text::Name,
    topic::Topic,
    wire::{ErrorCode, WireError},
};
use multiaddr::Multiaddr;
use web_time::Instant;

use crate::{
    Now,
    announcing::{Announcement, Announcing},
    asking::{Asked, Asking, Purpose},
    catching_up::CatchingUp,
    hearing::Hearing,
    input::{AskId, Failure, Input, RequestId},
    leaving::{Leaving, answer_as_none},
    links::Links,
    members::Members,
    neighbourhood::Neighbourhood,
    output::{Acceptance, Member, Message, Output, Outputs, Response, text_bytes},
    saying::Saying,
    search::{Search, read_list},
    talk::Talk,
    telling::Telling,
};

/// The most that one page of a list of members takes: what an answer may have.
pub const PAGE_BYTES_MAX: usize = BODY_BYTES_MAX;

/// Those who hear a room's gossip and are asked for its list at once where there is no DHT.
const LISTENERS_AT_ONCE: usize = 4;

/// How a room is joined.
#[derive(Clone, Debug)]
pub struct Config {
    /// Signs this peer's presence.
    pub keypair: Keypair,
    /// The room's topic.
    pub topic: Topic,
    /// The display name that this peer goes by in the room.
    pub name: Name,
    /// Where this peer can be dialled, best first.
    pub addresses: Vec<Multiaddr>,
    /// How long this peer is in the room for others without saying so again: at most
    /// [`PRESENCE_TTL`](moim_protocol::limits::PRESENCE_TTL).
    pub presence_lifetime: Duration,
    /// Whether there is gossip; without it, nothing is published and everybody is told directly.
    pub gossip: bool,
    /// Whether there is a DHT server to ask.
    pub in_dht: bool,
    /// Who is connected.
    pub connected: Vec<PeerId>,
    /// Who of them hears the room's gossip.
    pub listeners: Vec<PeerId>,
    /// Where jitter and choices come from. It should differ from peer to peer.
    pub seed: u64,
}

/// Where a presence comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// The member itself said it to us, who should tell the room.
    ForTheRoom,
    /// A member said it, of itself or of another, or it came by the room's gossip.
    Known,
}

/// One joined room, until it is left. See the [crate](crate) for how it is used.
#[derive(Debug)]
pub struct Room {
    me: PeerId,
    topic: Topic,
    joined: Instant,
    gossip: bool,
    in_dht: bool,
    random: Random,
    links: Links,
    neighbourhood: Neighbourhood,
    asking: Asking,
    announcing: Announcing,
    members: Members,
    search: Search,
    telling: Telling,
    hearing: Hearing,
    talk: Talk,
    catching_up: CatchingUp,
    saying: Saying,
    /// Once the room is left, nothing of the others goes on.
    leaving: Option<Leaving>,
    out: Outputs,
}

impl Room {
    /// Joins a room. There is something to do at once, see [`poll_timeout`](Self::poll_timeout).
    #[must_use]
    pub fn join(config: Config, now: Now) -> Self {
        let topic = config.topic.hash();
        let me = config.keypair.public().to_peer_id();
        let mut room = Self {
            me,
            joined: now.instant,
            gossip: config.gossip,
            in_dht: config.in_dht,
            random: Random::new(config.seed),
            links: Links::default(),
            neighbourhood: Neighbourhood::new(me),
            asking: Asking::default(),
            members: Members::new(topic, me, &config.name),
            announcing: Announcing::new(
                config.keypair,
                topic,
                config.name,
                config.addresses,
                config.presence_lifetime,
                config.seed,
                now.instant,
            ),
            search: Search::new(topic, now.instant),
            telling: Telling::new(config.gossip, config.seed),
            hearing: Hearing::new(now.instant),
            talk: Talk::default(),
            catching_up: CatchingUp::default(),
            saying: Saying::new(now),
            leaving: None,
            out: Outputs::default(),
            topic: config.topic,
        };
        for peer in config.connected {
            room.links.connected(peer);
            room.members.connected(peer);
        }
        for peer in config.listeners {
            room.listens(peer);
        }
        room
    }

    /// Takes an input. What it brings about is taken from [`poll_output`](Self::poll_output), all of it before the next
    /// input.
    pub fn handle(&mut self, input: Input, now: Now) {
        if let Some(leaving) = &mut self.leaving {
            handle_left(
                leaving,
                input,
                (&mut self.links, &mut self.asking),
                &mut self.out,
            );
            leaving.advance(now.instant, &mut self.out);
            return;
        }
        match input {
            Input::Say { id, text } => {
                self.saying.push(id, text, &mut self.out);
                self.say_due(now);
            }
            Input::Leave => self.leave(now),
            Input::AddressesChanged(addresses) => {
                self.announcing.addresses_changed(addresses, now.instant);
            }
            Input::AnnounceNow => self.announcing.announce_now(now.instant),
            Input::LookupAgain => self.search.lookup_again(now.instant),
            Input::Dht(in_dht) => self.in_dht = in_dht,
            Input::Providers {
                providers,
                is_answer: _,
            } => self.on_providers(providers, now.instant),
            Input::Announced { accepted } => {
                if accepted {
                    self.announcing.succeeded(now.instant);
                }
            }
            // The farewell is not said yet.
            Input::LeftHandedOver => {}
            Input::Connected(peer) => {
                self.links.connected(peer);
                self.is_back(peer, now.instant);
                self.members.connected(peer);
                self.greet(peer, now.instant);
                self.catch_up_with_member(peer, now.instant);
            }
            Input::ConnectionClosed(peer) => self.catch_up_with_member(peer, now.instant),
            Input::Disconnected(peer) => {
                self.links.disconnected(&peer);
                self.members.disconnected(&peer);
                self.search.asked(&peer);
                self.catching_up.disconnected(&peer);
            }
            Input::Listens(peer) => self.listens(peer),
            Input::ListensNoMore(peer) => self.links.listens_no_more(&peer),
            Input::Reachable(peer, is_reachable) => {
                let is_reachable = is_reachable && self.members.contains(&peer);
                self.neighbourhood.set_reachable(peer, is_reachable);
            }
            Input::Lost(peer) => {
                if self.members.suspend(&peer, &mut self.out) {
                    self.neighbourhood.set_reachable(peer, false);
                }
            }
            Input::HeardFrom(peer) => self.is_back(peer, now.instant),
            Input::Restarted => self.begin_again(now.instant),
            Input::Asked { ask, from, request } => {
                let response = self.answer(from, request, now);
                let response = Response::Presence(response);
                self.out.push(Output::Answer { ask, response });
            }
            Input::AskedMissed {
                ask,
                from,
                said,
                known,
                member_for,
            } => self.answer_missed((ask, from), said, (known, member_for), now.instant),
            Input::Answered { request, body } => self.on_answered(request, &body, now),
            Input::Failed { request, why } => self.on_failed(request, why, now.instant),
            Input::Gossip {
                id,
                neighbour,
                author,
                data,
            } => {
                let acceptance = self.hear_gossip(neighbour, author, &data, now);
                self.out.push(Output::Verdict { id, acceptance });
            }
        }
    }

    /// Does what is due. Calling too early or too often does no harm.
    pub fn handle_timeout(&mut self, now: Now) {
        if let Some(leaving) = &mut self.leaving {
            leaving.advance(now.instant, &mut self.out);
            return;
        }
        for peer in self.members.tick(now.instant, &mut self.out) {
            self.neighbourhood.set_reachable(peer, false);
        }
        for farewell in self.telling.farewells_due(now.instant) {
            self.telling.publish_presence(&farewell, &mut self.out);
        }
        if self.announcing.is_due(now.instant) {
            self.announce(now);
        }
        if self.search.lookup_due(now.instant) {
            self.look_up();
        }
        if self
            .search
            .sync_due(self.members.roster().len(), now.instant)
        {
            self.sync_with_somebody(now.instant);
        }
        self.talk.tick(&self.members, now.instant, &mut self.out);
        self.say_due(now);
        for peer in self.catching_up.due(now.instant) {
            self.catch_up(peer, now.instant);
        }
        self.ask_strangers(now.instant);
    }

    /// The next output, if there is one.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.out.is_empty() {
            self.members.review(&mut self.out);
        }
        self.out.pop()
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do; a time that is past means now. `None` when
    /// the machine is done. An input may change it.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if let Some(leaving) = &self.leaving {
            return leaving.next_deadline();
        }
        [
            Some(self.search.next_deadline()),
            Some(self.search.next_sync()),
            self.members.next_deadline(),
            self.announcing.next_deadline(),
            self.talk.next_deadline(),
            self.telling.next_deadline(),
            self.saying.next_deadline(),
            self.catching_up.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The room's topic.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The display name that this peer goes by.
    #[must_use]
    pub fn name(&self) -> &Name {
        self.announcing.name()
    }

    /// This peer's presence as it was signed last.
    #[must_use]
    pub fn own(&self) -> Option<&SignedPresence> {
        self.announcing.own()
    }

    /// The members in the order of their peer ids' bytes, this peer not among them.
    pub fn members(&self) -> impl ExactSizeIterator<Item = Member> {
        self.members.iter()
    }

    /// Whether a peer is a member. Nobody is once the room is left.
    #[must_use]
    pub fn contains(&self, peer: &PeerId) -> bool {
        self.members.contains(peer)
    }

    /// Whether this is a member that we are connected to: of those there are no more than connections.
    #[must_use]
    pub fn is_near(&self, peer: &PeerId) -> bool {
        self.links.is_connected(peer) && self.members.contains(peer)
    }

    /// Whether a member was said to be [within reach](Input::Reachable).
    #[must_use]
    pub fn is_reachable(&self, peer: &PeerId) -> bool {
        self.neighbourhood.is_reachable(peer)
    }

    /// Whether a peer is being asked for its list, so that its connection is of use.
    #[must_use]
    pub fn is_asking(&self, peer: &PeerId) -> bool {
        self.search.is_asking(peer)
    }

    /// How many members there are to choose neighbours among, when [`wanted`](Self::wanted) was asked last: those that
    /// there are, as far as can be told.
    #[must_use]
    pub fn likely(&self) -> usize {
        self.neighbourhood.likely()
    }

    /// Whether the room is left, though perhaps not everybody is told yet.
    #[must_use]
    pub fn is_left(&self) -> bool {
        self.leaving.is_some()
    }

    /// Everybody whom the room wants a connection to: to be asked again when the members have changed, when a
    /// connection has come or gone, and when a member has come within reach or out of it.
    pub fn wanted(&mut self) -> BTreeSet<PeerId> {
        self.neighbourhood
            .wanted(self.members.roster(), &self.links)
    }

    /// Whose connections are kept for the room's sake, of those peers that are connected. Peers that are no members do
    /// not count.
    #[must_use]
    pub fn kept(&self, connected_longest_first: &[PeerId]) -> HashSet<PeerId> {
        let connected = connected_longest_first.iter().copied();
        let members: Vec<PeerId> = connected.filter(|peer| self.contains(peer)).collect();
        self.neighbourhood.kept(&members)
    }

    fn listens(&mut self, peer: PeerId) {
        if self.gossip {
            self.links.listens(peer);
        }
    }

    fn connected_members(&self) -> Vec<PeerId> {
        let members = self.members.peers();
        members
            .filter(|peer| self.links.is_connected(peer))
            .collect()
    }

    /// Tells the members, the room and the DHT that we are here.
    fn announce(&mut self, now: Now) {
        let Some(Announcement { signed, is_news }) = self.announcing.announce(now) else {
            return;
        };
        self.members.set_own(signed.clone(), now.instant);
        if is_news {
            self.telling.publish_presence(&signed, &mut self.out);
            self.tell(&signed, Purpose::Told);
        }
        if self.in_dht {
            let is_last = false;
            self.out.push(Output::PutPresence { signed, is_last });
        }
    }

    fn tell(&mut self, signed: &SignedPresence, purpose: Purpose) -> BTreeSet<PeerId> {
        let by = (&self.links, &mut self.asking);
        self.telling
            .tell(signed, purpose, &self.members, by, &mut self.out)
    }

    fn look_up(&mut self) {
        if self.in_dht {
            self.out.push(Output::FindProviders);
            return;
        }
        // Without a DHT, those are asked who are connected and hear the room's gossip: who knows one member learns of
        // the others.
        let listeners: Vec<PeerId> = self
            .links
            .listeners()
            .filter(|peer| !self.members.contains(peer) && !self.search.is_asking(peer))
            .take(LISTENERS_AT_ONCE)
            .collect();
        for peer in listeners {
            self.sync_with(peer, None, 0);
        }
    }

    /// The DHT names providers. Whether they exist is to be seen.
    fn on_providers(&mut self, providers: Vec<(PeerId, Vec<Multiaddr>)>, now: Instant) {
        tracing::debug!(topic = %self.topic, providers = providers.len(), "the DHT names providers");
        // We ourselves are named first of all, by our own store.
        let me = self.me;
        let others: Vec<_> = providers
            .into_iter()
            .filter(|(peer, _)| *peer != me)
            .collect();
        if !others.is_empty() && self.search.has_enough() {
            self.out.push(Output::LookupHasEnough);
        }
        for (peer, addresses) in others {
            self.search
                .provider(peer, addresses, self.members.roster(), now);
        }
    }

    /// Asks the providers whose turn it is.
    fn ask_strangers(&mut self, now: Instant) {
        let due = self.search.strangers_due(self.members.roster(), now);
        for (peer, addresses) in due {
            if self.links.is_connected(&peer) {
                self.greet(peer, now);
            } else {
                self.out.push(Output::Stranger { peer, addresses });
            }
        }
    }

    /// A connection to this peer is there: tell it who we are, and ask it who else is there.
    fn greet(&mut self, peer: PeerId, now: Instant) {
        if !self.search.concerns(&peer, self.members.roster()) {
            return;
        }
        if self.search.list_due(now) {
            self.sync_with(peer, None, 0);
        } else if let Some(presence) = self.announcing.own().cloned() {
            let body = presence_wire::Request::Announce { presence }.encode();
            self.asking.ask(peer, Purpose::Told, body, &mut self.out);
        }
    }

    /// Asks a peer for its list of members and tells it of ourselves.
    fn sync_with(&mut self, peer: PeerId, after: Option<PeerId>, page: usize) {
        let own = self.announcing.own();
        let asking = &mut self.asking;
        self.search
            .ask(peer, (after, page), own, asking, &mut self.out);
    }

    /// Asks one connected member for its list, and for what of its talk was missed.
    fn sync_with_somebody(&mut self, now: Instant) {
        let mut connected = self.connected_members();
        connected.retain(|peer| !self.search.is_asking(peer));
        let index = self.random.below(connected.len());
        if let Some(&peer) = connected.get(index) {
            self.sync_with(peer, None, 0);
            self.catch_up(peer, now);
        }
    }

    /// A peer is connected, or has said something: if it was lost, it is back.
    fn is_back(&mut self, peer: PeerId, now: Instant) {
        if self.members.resume(&peer, now, &mut self.out) {
            self.on_joined(peer, now);
        }
    }

    fn on_joined(&mut self, peer: PeerId, now: Instant) {
        self.talk.joined(&peer, &self.members, &mut self.out);
        self.catch_up(peer, now);
    }

    fn take_presence(
        &mut self,
        signed: SignedPresence,
        (by, age): (PeerId, Duration),
        origin: Origin,
        now: Now,
    ) -> Result<(), RosterError> {
        let peer = signed.presence().peer;
        let verdict = self.members.take(&signed, by, age, now, &mut self.out)?;
        match verdict {
            Verdict::Joined => self.on_joined(peer, now.instant),
            Verdict::Left => {
                self.neighbourhood.set_reachable(peer, false);
                // Whoever came a moment ago may know the member, and not hear gossip yet.
                self.tell(&signed, Purpose::Told);
            }
            Verdict::Own => self.announcing.came_back(signed.presence().sequence),
            Verdict::Updated | Verdict::Unchanged => {}
        }
        // Once: it is no news the next time.
        match (origin, verdict) {
            (Origin::ForTheRoom, Verdict::Joined) => {
                self.telling.publish_presence(&signed, &mut self.out);
            }
            (Origin::ForTheRoom, Verdict::Left) => self.telling.farewell(signed, now.instant),
            _ => {}
        }
        Ok(())
    }

    fn answer(
        &mut self,
        from: PeerId,
        request: presence_wire::Request,
        now: Now,
    ) -> presence_wire::Response {
        if let Err(error) = request.check_sender(&from) {
            return presence_wire::Response::from(&error);
        }
        if request.topic() != self.members.roster().topic() {
            let error = WireError::WrongTopic;
            return presence_wire::Response::from(&error);
        }
        // A newcomer asks a few members for their lists and announces itself to all it meets: those
        // few tell the room. Everybody sees to it that the room hears who left.
        let origin = match &request {
            presence_wire::Request::Announce { presence }
                if presence.presence().state == State::Here =>
            {
                Origin::Known
            }
            presence_wire::Request::Announce { .. } | presence_wire::Request::Sync { .. } => {
                Origin::ForTheRoom
            }
        };
        if let Some(presence) = request.presence()
            && let Err(error) =
                self.take_presence(presence.clone(), (from, Duration::ZERO), origin, now)
        {
            if error.code() == ErrorCode::Expired && presence.presence().peer == from {
                self.out.push(Output::ClockDisagrees(from));
            }
            return presence_wire::Response::error(error.code(), &error.to_string());
        }
        match request {
            presence_wire::Request::Sync { after, .. } => {
                let roster = self.members.roster();
                let page = roster.entries(after, now.instant, PAGE_BYTES_MAX);
                presence_wire::Response::Members {
                    members: page.entries,
                    next: page.next,
                }
            }
            presence_wire::Request::Announce { .. } => presence_wire::Response::Accepted,
        }
    }

    fn answer_missed(
        &mut self,
        (ask, from): (AskId, PeerId),
        said: Position,
        (known, member_for): (Position, Duration),
        now: Instant,
    ) {
        let met = self.members.met(&from);
        let messages = self.saying.missed(known, member_for, met, now);
        let response = Response::Message(message::Response::Missed {
            said: self.saying.newest(),
            messages,
        });
        self.out.push(Output::Answer { ask, response });
        if self
            .catching_up
            .has_news(&from, said, self.talk.known(&from))
        {
            self.catch_up(from, now);
        }
    }

    fn on_answered(&mut self, request: RequestId, body: &[u8], now: Now) {
        let Some(Asked { to, purpose, .. }) = self.asking.answered(request) else {
            return;
        };
        match purpose {
            Purpose::Told | Purpose::Left => {}
            Purpose::Sync { page } => {
                self.search.asked(&to);
                let roster = self.members.roster();
                let Some(list) = read_list(to, page, body, roster, &mut self.out) else {
                    return;
                };
                for (presence, age) in list.members {
                    // What one list has wrong, another has right.
                    if let Err(error) = self.take_presence(presence, (to, age), Origin::Known, now)
                    {
                        tracing::debug!(from = %to, %error, "presence not taken");
                    }
                }
                if let Some((next, page)) = list.next {
                    self.sync_with(to, Some(next), page);
                }
            }
            Purpose::Missed => self.on_caught_up(to, message::Response::decode(body), now),
        }
    }

    fn on_failed(&mut self, request: RequestId, why: Failure, now: Instant) {
        let links = &self.links;
        let is_connected = |peer: &PeerId| links.is_connected(peer);
        let failed = self
            .asking
            .failed(request, why, is_connected, &mut self.out);
        let Some(Asked { to, purpose, .. }) = failed else {
            return;
        };
        match purpose {
            Purpose::Told | Purpose::Left => {}
            Purpose::Sync { .. } => self.search.asked(&to),
            Purpose::Missed => {
                // A connection broke or hangs; another may be there.
                let another = matches!(why, Failure::ConnectionClosed | Failure::Timeout);
                if self.catching_up.failed(&to) || another {
                    self.catch_up(to, now);
                }
            }
        }
    }

    /// Says what waited for its turn.
    fn say_due(&mut self, now: Now) {
        while let Some(text) = self.saying.next(self.announcing.name(), now) {
            let (id, name) = (text.id, text.name.clone());
            let mut message = Message::new(self.me, text.clone());
            message.name = name;
            self.telling
                .publish(&RoomMessage::Text(text), &mut self.out);
            // Those whom gossip does not reach (yet) are told that there is something to ask for.
            for peer in self.connected_members() {
                if !self.links.hears(&peer) {
                    self.catch_up(peer, now.instant);
                }
            }
            self.out.push(Output::Said { id, message });
        }
    }

    /// Checks and takes what a neighbour has brought by gossip.
    fn hear_gossip(
        &mut self,
        neighbour: PeerId,
        author: PeerId,
        data: &[u8],
        now: Now,
    ) -> Acceptance {
        let bytes = data.len();
        if !self.hearing.listens_to(neighbour, bytes, now.instant) {
            self.out.push(Output::Deafen(neighbour));
            return Acceptance::Ignore;
        }
        let message = match RoomMessage::decode(data) {
            Ok(message) => message,
            // Others may know it, and must be able to say it through this peer.
            Err(error) if error.code().is_of_later_version() => {
                tracing::debug!(%author, %error, "room message not for this version");
                let is_near = self.is_near(&author);
                let is_within = self
                    .hearing
                    .takes_talk(author, is_near, bytes, now.instant);
                return within_share(is_within);
            }
            Err(error) => {
                tracing::debug!(%author, %error, "room message refused");
                return if error.is_forwarders_fault() {
                    Acceptance::Reject
                } else {
                    Acceptance::Ignore
                };
            }
        };
        // Old messages may come again from anybody; whoever passes them on need not know better.
        if let Err(error) = message.check_time(now.wall) {
            tracing::debug!(%author, %error, "room message ignored");
            return Acceptance::Ignore;
        }
        match message {
            RoomMessage::Presence { presence } => {
                if presence.presence().topic != self.members.roster().topic() {
                    return Acceptance::Reject;
                }
                let by = (neighbour, Duration::ZERO);
                let is_taken = self.takes_presence(&presence, author, bytes, now.instant)
                    && self.take_presence(presence, by, Origin::Known, now).is_ok();
                within_share(is_taken)
            }
            RoomMessage::Text(text) => {
                if !self.takes_text(author, &text, bytes, now.instant) {
                    tracing::debug!(%author, "says more than its share");
                    return Acceptance::Ignore;
                }
                self.out.push(Output::Spoke(author));
                self.is_back(author, now.instant);
                let (members, out) = (&self.members, &mut self.out);
                if self.talk.hear(author, text, members, now.instant, out) {
                    self.catch_up(author, now.instant);
                }
                Acceptance::Accept
            }
        }
    }

    /// Whether a text is within the shares.
    fn takes_text(&mut self, author: PeerId, text: &RoomText, bytes: usize, now: Instant) -> bool {
        if self.talk.has(&author, text) {
            return self.hearing.takes_talk_again(bytes, now);
        }
        let is_near = self.is_near(&author);
        self.hearing.takes_talk(author, is_near, bytes, now)
    }

    /// Whether a presence is within the shares.
    fn takes_presence(
        &mut self,
        signed: &SignedPresence,
        author: PeerId,
        bytes: usize,
        now: Instant,
    ) -> bool {
        let presence = signed.presence();
        let known = self.members.roster().sequence(&presence.peer);
        if known.is_none_or(|known| known < presence.sequence) {
            let is_near = self.is_near(&presence.peer);
            self.hearing
                .takes_presence(presence.peer, is_near, bytes, now)
        } else {
            self.hearing.takes_presence_again(author, bytes, now)
        }
    }

    fn catch_up_with_member(&mut self, peer: PeerId, now: Instant) {
        if self.members.contains(&peer) {
            self.catch_up(peer, now);
        }
    }

    /// Asks a peer for what was missed of its talk, and tells it how far ours goes.
    fn catch_up(&mut self, peer: PeerId, now: Instant) {
        if !self.links.is_connected(&peer) {
            return;
        }
        let is_near = self.is_near(&peer);
        if !self.hearing.may_catch_up(peer, is_near, now) {
            self.catching_up.put_off(peer, now);
            return;
        }
        let known = self.talk.known(&peer);
        let request = message::Request::CatchUp {
            topic: self.members.roster().topic(),
            said: self.saying.newest(),
            known,
            member_for: now.saturating_duration_since(self.joined),
        };
        let asking = &mut self.asking;
        self.catching_up
            .ask(peer, known, &request, asking, &mut self.out);
    }

    fn on_caught_up(
        &mut self,
        peer: PeerId,
        response: Result<message::Response, WireError>,
        now: Now,
    ) {
        let Ok(message::Response::Missed { said, messages }) = response else {
            tracing::debug!(%peer, ?response, "cannot be asked for what was missed");
            if self.catching_up.failed(&peer) {
                self.catch_up(peer, now.instant);
            }
            return;
        };
        let (count, bytes) = (messages.len(), text_bytes(&messages));
        self.hearing.caught_up(peer, count, bytes, now.instant);
        let (members, out) = (&self.members, &mut self.out);
        // What comes before the first, or is not among them, is not to be had: nothing waits for it.
        if messages.is_empty() {
            self.talk.settle(peer, said, members, now.instant, out);
        }
        for text in messages {
            let before = Position {
                session: text.session,
                sequence: text.sequence.saturating_sub(1),
            };
            self.talk.settle(peer, before, members, now.instant, out);
            match text.check_time(now.wall) {
                Ok(()) => {
                    self.talk.hear(peer, text, members, now.instant, out);
                }
                Err(error) => tracing::debug!(%peer, %error, "room message ignored"),
            }
        }
        let known = self.talk.known(&peer);
        if self.catching_up.answered(peer, said, known) {
            self.catch_up(peer, now.instant);
        }
    }

    /// Another swarm has taken the place of the one there was.
    fn begin_again(&mut self, now: Instant) {
        let topic = self.members.roster().topic();
        self.links = Links::default();
        self.neighbourhood.clear();
        self.asking.clear();
        self.catching_up = CatchingUp::default();
        self.search = Search::new(topic, now);
        self.announcing.announce_now(now);
        self.members.restarted(&mut self.out);
    }

    /// Leaves the room, and says so if that can be signed: whoever is not told sees our presence end.
    fn leave(&mut self, now: Now) {
        let signed = self.announcing.leave(now);
        // Of what is under way, the farewells alone are to go on.
        self.asking.clear();
        let mut told = BTreeSet::new();
        if let Some(signed) = &signed {
            self.telling.publish_presence(signed, &mut self.out);
            told = self.tell(signed, Purpose::Left);
        }
        self.saying.give_up(&mut self.out);
        let is_handed_over = signed.is_none();
        if let Some(signed) = signed {
            let is_last = true;
            self.out.push(Output::PutPresence { signed, is_last });
        }
        self.neighbourhood.clear();
        self.search = Search::new(self.members.roster().topic(), now.instant);
        self.catching_up = CatchingUp::default();
        self.talk = Talk::default();
        self.telling.clear();
        self.members.clear(&mut self.out);
        self.leaving = Some(Leaving::new(
            told,
            is_handed_over,
            now.instant,
            &mut self.out,
        ));
    }
}

/// What is too much is not passed on, and not held against whoever brought it: that peer counts by
/// another clock.
const fn within_share(is_within: bool) -> Acceptance {
    if is_within {
        Acceptance::Accept
    } else {
        Acceptance::Ignore
    }
}

/// Takes an input for a room that is left.
fn handle_left(
    leaving: &mut Leaving,
    input: Input,
    (links, asking): (&mut Links, &mut Asking),
    out: &mut Outputs,
) {
    match input {
        Input::LeftHandedOver => leaving.handed_over(),
        Input::Connected(peer) => links.connected(peer),
        Input::Disconnected(peer) => {
            links.disconnected(&peer);
            leaving.told(&peer);
        }
        Input::Restarted => leaving.give_up(),
        Input::Answered { request, .. } => {
            if let Some(asked) = asking.answered(request) {
                leaving.told(&asked.to);
            }
        }
        Input::Failed { request, why } => {
            let is_connected = |peer: &PeerId| links.is_connected(peer);
            if let Some(asked) = asking.failed(request, why, is_connected, out) {
                leaving.told(&asked.to);
            }
        }
        other => answer_as_none(other, out),
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
