//! A joined room: what each input means to its parts.

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use libp2p_identity::PeerId;
use moim_protocol::{
    presence::{Presence, SignedPresence, State},
    presence_wire::{Request, Response},
    room::{Doubt, RoomMessage},
    roster::{RosterError, Verdict},
    text::Name,
    topic::Topic,
    wire::WireError,
};
use web_time::Instant;

use crate::{
    announcing::Announcing,
    around::Around,
    asking::{Asked, Purpose},
    away::Away,
    config::Config,
    conversation::Conversation,
    doubts::{Doubts, Step},
    hearing::{Hearing, within_share},
    input::{Failure, Input, RequestId},
    leaving::Leaving,
    links::Links,
    meeting::Meeting,
    members::Members,
    neighbourhood::Neighbourhood,
    now::Now,
    output::{self, Acceptance, Member, Output},
    search::{PAGE_BYTES_MAX, Search, read_list},
    telling::Telling,
};

/// One joined room, until it is left. See the [crate] for how it is used.
#[derive(Debug)]
pub struct Room {
    topic: Topic,
    around: Around,
    meeting: Meeting,
    conversation: Conversation,
    hearing: Hearing,
    doubts: Doubts,
    away: Away,
    neighbourhood: Neighbourhood,
    /// Once the room is left, nothing of the others goes on.
    leaving: Option<Leaving>,
}

impl Room {
    /// Joins a room. There is something to do at once, see [`poll_timeout`](Self::poll_timeout).
    #[must_use]
    pub fn join(config: Config, now: Now) -> Self {
        let topic = config.topic.hash();
        let me = config.keypair.public().to_peer_id();
        let members = Members::new(topic, me, &config.name);
        let conversation = Conversation::new(me, topic, config.name.clone(), now);
        let mut announcing = Announcing::new(
            config.keypair,
            topic,
            config.name,
            config.addresses,
            config.presence_lifetime,
            config.seed,
            now.instant,
        );
        announcing.came_back(config.after);
        let search = Search::new(topic, config.seed, now.instant);
        let telling = Telling::new(config.gossip, config.seed);
        let mut room = Self {
            topic: config.topic,
            around: Around::new(members),
            meeting: Meeting::new(announcing, search, telling, config.in_dht, config.seed),
            conversation,
            hearing: Hearing::new(now.instant),
            doubts: Doubts::new(config.seed),
            away: Away::default(),
            neighbourhood: Neighbourhood::new(me),
            leaving: None,
        };
        for peer in config.connected {
            room.around.links.connected(peer);
            room.around.members.connected(peer);
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
            leaving.handle(input, &mut self.around, now.instant);
            return;
        }
        let around = &mut self.around;
        match input {
            Input::Say { id, text } => {
                let telling = &self.meeting.telling;
                self.conversation.say((id, text), telling, around, now);
            }
            Input::Leave => self.leave(now),
            Input::AddressesChanged(addresses) => {
                let announcing = &mut self.meeting.announcing;
                announcing.addresses_changed(addresses, now.instant);
            }
            Input::AnnounceNow => self.meeting.announcing.announce_now(now.instant),
            Input::LookupAgain => self.meeting.search.lookup_again(now.instant),
            Input::Dht(in_dht) => self.meeting.set_in_dht(in_dht),
            Input::Providers { providers, .. } => {
                let search = &mut self.meeting.search;
                let (roster, out) = (around.members.roster(), &mut around.out);
                search.providers(providers, roster, now.instant, out);
            }
            Input::Announced { accepted: true } => self.meeting.announcing.succeeded(now.instant),
            // It is tried again in a while. The farewell is not said yet.
            Input::Announced { accepted: false } | Input::LeftHandedOver => {}
            Input::Connected(peer) => {
                around.links.connected(peer);
                self.is_back(peer, now.instant);
                if self.away.connected(&peer, now.instant) {
                    self.meeting.announcing.speak_up(now.instant);
                }
                let around = &mut self.around;
                around.members.connected(peer);
                self.meeting.greet(peer, around, now.instant);
                self.catch_up_with_member(peer, now.instant);
            }
            Input::ConnectionClosed(peer) => self.catch_up_with_member(peer, now.instant),
            Input::Disconnected(peer) => {
                if around.members.contains(&peer) {
                    self.away.lost(peer, now.instant);
                }
                around.links.disconnected(&peer);
                around.members.disconnected(&peer);
                self.meeting.search.asked(&peer);
                self.conversation.disconnected(&peer);
            }
            Input::Listens(peer) => self.listens(peer),
            Input::ListensNoMore(peer) => around.links.listens_no_more(&peer),
            Input::Reachable(peer, is_reachable) => {
                let is_reachable = is_reachable && around.members.contains(&peer);
                self.neighbourhood.set_reachable(peer, is_reachable);
            }
            Input::Lost(peer) => {
                if let Some(member) = around.members.roster().get(&peer) {
                    let (sequence, age) = (member.presence.sequence, member.age(now.instant));
                    self.suspend(peer, sequence);
                    self.doubts.lost(peer, sequence, age, now.instant);
                }
            }
            Input::NetworkChanged => self.meeting.announcing.moved(now.instant),
            Input::HeardFrom(peer) => self.is_back(peer, now.instant),
            Input::Restarted => self.begin_again(now.instant),
            Input::Asked { ask, from, request } => {
                let response = output::Response::Presence(self.answer(from, request, now));
                self.around.out.push(Output::Answer { ask, response });
            }
            Input::AskedMissed {
                ask,
                from,
                said,
                known,
                member_for,
            } => {
                let conversation = &mut self.conversation;
                let missed = conversation.answer(from, (known, member_for), around, now.instant);
                let response = output::Response::Message(missed);
                around.out.push(Output::Answer { ask, response });
                conversation.told(from, said, around, now.instant);
            }
            Input::Answered { request, body } => self.on_answered(request, &body, now),
            Input::Failed { request, why } => self.on_failed(request, why, now.instant),
            Input::Gossip {
                id,
                neighbour,
                author,
                data,
            } => {
                let acceptance = self.hear(neighbour, author, &data, now);
                self.around.out.push(Output::Verdict { id, acceptance });
            }
        }
    }

    /// Does what is due. Calling too early or too often does no harm.
    pub fn handle_timeout(&mut self, now: Now) {
        let around = &mut self.around;
        if let Some(leaving) = &mut self.leaving {
            leaving.advance(now.instant, &mut around.out);
            return;
        }
        for peer in around.members.tick(now.instant, &mut around.out) {
            self.neighbourhood.set_reachable(peer, false);
            self.away.forget(&peer);
        }
        self.doubt(now.instant);
        let (around, others) = (&mut self.around, self.neighbourhood.likely());
        if let Some(peer) = self.meeting.tick(others, around, now) {
            self.conversation.catch_up(peer, around, now.instant);
        }
        let (me, said) = (
            around.members.roster().me(),
            self.meeting.announcing.known_to_all(),
        );
        self.doubts.found(&me, said, now.instant);
        let telling = &self.meeting.telling;
        self.conversation.tick(telling, around, now);
    }

    /// The next output, if there is one.
    pub fn poll_output(&mut self) -> Option<Output> {
        let Around { members, out, .. } = &mut self.around;
        if out.is_empty() {
            members.review(out);
        }
        out.pop()
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do; a time that is past means now. `None` when
    /// the machine is done. An input may change it.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if let Some(leaving) = &self.leaving {
            return leaving.poll_timeout();
        }
        let parts = [
            self.around.members.poll_timeout(),
            self.meeting.poll_timeout(),
            self.conversation.poll_timeout(),
            self.doubts.poll_timeout(),
        ];
        parts.into_iter().flatten().min()
    }

    /// The room's topic.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The display name that this peer goes by.
    #[must_use]
    pub fn name(&self) -> &Name {
        self.meeting.announcing.name()
    }

    /// This peer's presence as it was signed last.
    #[must_use]
    pub fn own(&self) -> Option<&SignedPresence> {
        self.meeting.announcing.own()
    }

    /// The sequence of the last presence that this peer has signed for the room.
    pub fn sequence(&self) -> u64 {
        self.meeting.announcing.sequence()
    }

    /// The members in the order of their peer ids' bytes, this peer not among them.
    pub fn members(&self) -> impl ExactSizeIterator<Item = Member> {
        self.around.members.iter()
    }

    /// Who they are, without what they are called.
    pub fn peers(&self) -> impl ExactSizeIterator<Item = PeerId> {
        self.around.members.peers()
    }

    /// What the members have signed last.
    pub fn presences(&self) -> impl Iterator<Item = &Presence> {
        let members = self.around.members.roster().members();
        members.map(|member| member.presence)
    }

    /// Whether a peer is a member. Nobody is once the room is left.
    #[must_use]
    pub fn contains(&self, peer: &PeerId) -> bool {
        self.around.members.contains(peer)
    }

    /// Whether a member was said to be [within reach](Input::Reachable).
    #[must_use]
    pub fn is_reachable(&self, peer: &PeerId) -> bool {
        self.neighbourhood.is_reachable(peer)
    }

    /// Whether a peer is being asked for its list, so that its connection is of use.
    #[must_use]
    pub fn is_asking(&self, peer: &PeerId) -> bool {
        self.meeting.search.is_asking(peer)
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
        let Around { members, links, .. } = &self.around;
        self.neighbourhood.wanted(members.roster(), links)
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
        if self.meeting.telling.has_gossip() {
            self.around.links.listens(peer);
        }
    }

    /// Takes a member off the list that can't be reached.
    fn suspend(&mut self, peer: PeerId, up_to: u64) {
        let around = &mut self.around;
        if around.members.suspend(&peer, up_to, &mut around.out) {
            self.neighbourhood.set_reachable(peer, false);
        }
    }

    /// Does what doubts about members come to.
    fn doubt(&mut self, now: Instant) {
        for step in self.doubts.due(&self.around.links, now) {
            let around = &mut self.around;
            match step {
                Step::Say(doubt) => {
                    let message = RoomMessage::Doubt(doubt);
                    self.meeting.telling.publish(&message, &mut around.out);
                }
                Step::TakeOff(Doubt { peer, sequence }) => self.suspend(peer, sequence),
            }
        }
    }

    /// Somebody can't reach a member. If that is this peer, it says that it is here. Returns whether others are to hear it.
    fn hear_doubt(&mut self, author: PeerId, doubt: Doubt, now: Instant) -> bool {
        let (roster, others) = (self.around.members.roster(), self.neighbourhood.likely());
        let is_believed = (self.doubts).is_believed(author, doubt, roster, others, now);
        if is_believed {
            self.doubts.hear(author, doubt, roster, now);
            if doubt.peer == roster.me() {
                self.meeting.announcing.doubted(doubt.sequence, now);
            }
        }
        is_believed
    }

    /// A peer is connected, or has said something: if it was lost, it is back.
    fn is_back(&mut self, peer: PeerId, now: Instant) {
        self.doubts.is_here(&peer);
        let around = &mut self.around;
        if around.members.resume(&peer, now, &mut around.out) {
            self.conversation.joined(peer, around, now);
        }
    }

    fn catch_up_with_member(&mut self, peer: PeerId, now: Instant) {
        if self.contains(&peer) {
            self.conversation.catch_up(peer, &mut self.around, now);
        }
    }

    /// Takes a presence of this `age` that was brought `by` the peer at the other end of a connection. If it
    /// `is_for_the_room`, that peer relies on us to tell the others.
    fn take_presence(
        &mut self,
        signed: SignedPresence,
        (by, age): (PeerId, Duration),
        is_for_the_room: bool,
        now: Now,
    ) -> Result<(), RosterError> {
        let peer = signed.presence().peer;
        let around = &mut self.around;
        // It was signed now, whatever the clock there says.
        if peer == by {
            around.out.push(match signed.check_time(now.wall) {
                Ok(()) => Output::ClockAgrees,
                Err(_) => Output::ClockDisagrees(peer),
            });
        }
        let telling = &mut self.meeting.telling;
        let verdict = around
            .members
            .take(&signed, by, age, now, &mut around.out)?;
        if age.is_zero() {
            let sequence = signed.presence().sequence;
            self.doubts.found(&peer, sequence, now.instant);
        }
        match verdict {
            Verdict::Joined => {
                self.conversation.joined(peer, around, now.instant);
                // Once: it is no news the next time.
                if is_for_the_room {
                    telling.publish_presence(&signed, &mut around.out);
                }
            }
            Verdict::Left => {
                self.neighbourhood.set_reachable(peer, false);
                self.away.forget(&peer);
                // Whoever came a moment ago may know the member, and not hear gossip yet.
                telling.tell(&signed, (Purpose::Told, true), around);
                if is_for_the_room {
                    telling.farewell(signed, now.instant);
                }
            }
            Verdict::Own => {
                let announcing = &mut self.meeting.announcing;
                announcing.came_back(signed.presence().sequence);
            }
            Verdict::Updated | Verdict::Unchanged => {}
        }
        Ok(())
    }

    /// Answers a request of the presence protocol.
    fn answer(&mut self, from: PeerId, request: Request, now: Now) -> Response {
        if let Err(error) = request.check_sender(&from) {
            return Response::from(&error);
        }
        if request.topic() != self.around.members.roster().topic() {
            return Response::from(&WireError::WrongTopic);
        }
        // A newcomer asks a few members for their lists and announces itself to all it meets: those
        // few tell the room. Everybody sees to it that the room hears who left.
        let is_for_the_room = match &request {
            Request::Announce { presence } => presence.presence().state == State::Left,
            Request::Sync { .. } => true,
        };
        if let Some(presence) = request.presence().cloned() {
            let by = (from, Duration::ZERO);
            if let Err(error) = self.take_presence(presence, by, is_for_the_room, now) {
                return Response::error(error.code(), &error.to_string());
            }
        }
        match request {
            Request::Sync { after, known, .. } => {
                let roster = self.around.members.roster();
                let page = roster.entries(after, known.as_ref(), now.instant, PAGE_BYTES_MAX);
                Response::Members {
                    members: page.entries,
                    next: page.next,
                }
            }
            Request::Announce { .. } => Response::Accepted,
        }
    }

    fn on_answered(&mut self, request: RequestId, body: &[u8], now: Now) {
        let around = &mut self.around;
        let Some(Asked { to, purpose, .. }) = around.asking.answered(request) else {
            return;
        };
        match purpose {
            Purpose::Told | Purpose::Left => {}
            Purpose::Missed => self.conversation.caught_up(to, body, around, now),
            Purpose::Sync(walk) => {
                self.meeting.search.asked(&to);
                let roster = around.members.roster();
                let Some(list) = read_list(to, walk, body, roster, &mut around.out) else {
                    return;
                };
                for (presence, age) in list.members {
                    // What one list has wrong, another has right.
                    if let Err(error) = self.take_presence(presence, (to, age), false, now) {
                        tracing::debug!(from = %to, %error, "presence not taken");
                    }
                }
                let around = &mut self.around;
                if list.next.is_some() && around.links.is_connected(&to) {
                    self.meeting.sync_with(to, list.next, around);
                }
            }
        }
    }

    fn on_failed(&mut self, request: RequestId, why: Failure, now: Instant) {
        let around = &mut self.around;
        let is_connected = |peer: &PeerId| around.links.is_connected(peer);
        let out = &mut around.out;
        let failed = around.asking.failed(request, why, is_connected, out);
        let Some(Asked { to, purpose, .. }) = failed else {
            return;
        };
        match purpose {
            Purpose::Told | Purpose::Left => {}
            Purpose::Sync(_) => self.meeting.search.asked(&to),
            Purpose::Missed => self.conversation.not_caught_up(to, why, around, now),
        }
    }

    /// Checks and takes what a neighbour has brought by gossip.
    fn hear(&mut self, neighbour: PeerId, author: PeerId, data: &[u8], now: Now) -> Acceptance {
        let (conversation, around) = (&mut self.conversation, &mut self.around);
        let from = (neighbour, author);
        match self.hearing.judge(from, data, conversation, around, now) {
            Err(acceptance) => acceptance,
            Ok(RoomMessage::Presence { presence }) => {
                let by = (neighbour, Duration::ZERO);
                within_share(self.take_presence(presence, by, false, now).is_ok())
            }
            Ok(RoomMessage::Text(text)) => {
                around.out.push(Output::Spoke(author));
                self.is_back(author, now.instant);
                let around = &mut self.around;
                self.conversation.hear(author, text, around, now.instant);
                Acceptance::Accept
            }
            Ok(RoomMessage::Doubt(doubt)) => {
                self.is_back(author, now.instant);
                within_share(self.hear_doubt(author, doubt, now.instant))
            }
        }
    }

    /// Another swarm has taken the place of the one there was.
    fn begin_again(&mut self, now: Instant) {
        let around = &mut self.around;
        around.links = Links::default();
        around.asking.clear();
        around.members.restarted(&mut around.out);
        self.neighbourhood.clear();
        self.doubts.clear();
        self.away = Away::default();
        self.meeting.restarted(now);
        self.conversation.restarted();
    }

    /// Leaves the room, and says so if that can be signed: whoever is not told sees our presence end.
    fn leave(&mut self, now: Now) {
        let around = &mut self.around;
        // Of what is under way, the farewells alone are to go on.
        around.asking.clear();
        let farewell = self.meeting.leave(around, now);
        self.conversation.leave(around);
        self.neighbourhood.clear();
        self.doubts.clear();
        around.members.clear(&mut around.out);
        let is_handed_over = farewell.is_none();
        let mut told = BTreeSet::new();
        if let Some((signed, members)) = farewell {
            told = members;
            let is_last = true;
            around.out.push(Output::PutPresence { signed, is_last });
        }
        let out = &mut around.out;
        self.leaving = Some(Leaving::new(told, is_handed_over, now.instant, out));
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
