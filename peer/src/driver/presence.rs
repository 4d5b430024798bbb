//! The presence protocol: telling members that we are here or left, asking for their lists, and
//! taking what they say.

use std::{collections::HashSet, time::Duration};

use libp2p::{
    PeerId,
    request_response::{self, OutboundFailure, OutboundRequestId},
};
use moim_protocol::{
    limits,
    presence::{SignedPresence, State},
    presence_wire::{Request, Response},
    roster::{Roster, RosterError, Verdict},
    topic::TopicHash,
    wire::{ErrorCode, WireError},
};
use web_time::Instant;

use super::{
    Driver,
    room::{self},
};
use crate::{event::LeaveReason, platform};

/// Room for the rest of an answer beside the members in it.
const PAGE_BYTES_MAX: usize = limits::BODY_BYTES_MAX;

/// Requests of the presence protocol that wait for an answer.
const ASKED_MAX: usize = 512;

/// How often a request is repeated that its connection took with it: when a direct connection
/// replaces a relayed one, whatever was on its way over the relayed one goes by the other.
const REPEATS_MAX: u8 = 3;

/// A request of ours that waits for its answer, and what it was for.
#[derive(Debug)]
pub(super) struct Asked {
    topic: TopicHash,
    kind: AskedKind,
    body: Vec<u8>,
    repeats: u8,
}

impl Asked {
    pub(super) fn new(topic: TopicHash, kind: AskedKind, request: &Request) -> Self {
        Self {
            topic,
            kind,
            body: request.encode(),
            repeats: 0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AskedKind {
    /// Somebody's list of members; which page.
    Sync(usize),
    /// Told a member what others hear by gossip: that we are here, or that somebody left.
    Told,
    /// Told a member that we left.
    Left,
}

/// Where a list of members goes.
#[derive(Clone, Copy)]
pub(super) enum Origin {
    /// The member itself said it to us, who should tell the room.
    ForTheRoom,
    /// A member said it, of itself or of another.
    Another,
    /// It came by the room's gossip.
    Gossip,
}

impl Driver {
    /// Tells connected members directly: those that gossip does not reach, and so that a `left`
    /// needs no second hop.
    pub(super) fn tell_members(
        &mut self,
        topic: TopicHash,
        signed: &SignedPresence,
        kind: AskedKind,
    ) -> HashSet<PeerId> {
        let Some(room) = self.rooms.get(&topic) else {
            return HashSet::new();
        };
        let listeners: HashSet<PeerId> = match kind {
            // It needs no request where gossip carries it.
            AskedKind::Told if self.gossip => self
                .swarm
                .behaviour()
                .gossip_listeners(&room.gossip_topic.hash())
                .into_iter()
                .collect(),
            _ => HashSet::new(),
        };
        let told: HashSet<PeerId> = room
            .search
            .roster
            .members()
            .map(|member| member.presence.peer)
            .filter(|peer| self.connections.is_connected(peer) && !listeners.contains(peer))
            .collect();
        let request = Request::Announce {
            presence: signed.clone(),
        };
        for peer in &told {
            self.ask(*peer, Asked::new(topic, kind, &request));
        }
        told
    }

    pub(super) fn ask(&mut self, peer: PeerId, asked: Asked) {
        if self.asked.len() >= ASKED_MAX {
            tracing::debug!("too many presence requests under way");
            return;
        }
        let id = self
            .swarm
            .behaviour_mut()
            .presence
            .send_request(&peer, asked.body.clone());
        self.asked.insert(id, asked);
    }

    pub(super) fn on_presence(&mut self, event: moim_rpc::Event, now: Instant) {
        match event {
            request_response::Event::Message {
                peer,
                message:
                    request_response::Message::Request {
                        request, channel, ..
                    },
                ..
            } => {
                let answer = self.answer_presence_within(peer, &request, now);
                // The asker may be gone already.
                let presence = &mut self.swarm.behaviour_mut().presence;
                let _ = presence.send_response(channel, answer);
            }
            request_response::Event::Message {
                peer,
                message:
                    request_response::Message::Response {
                        request_id,
                        response,
                    },
                ..
            } => self.on_presence_answer(peer, request_id, &response, now),
            request_response::Event::OutboundFailure {
                peer,
                request_id,
                error,
                ..
            } => {
                self.on_presence_failure(peer, request_id, &error, now);
            }
            request_response::Event::InboundFailure { .. }
            | request_response::Event::ResponseSent { .. } => {}
        }
    }

    /// An answer may have a thousand times the bytes of the question.
    fn answer_presence_within(&mut self, peer: PeerId, body: &[u8], now: Instant) -> Vec<u8> {
        let is_member = self.is_member(&peer);
        if !self
            .shares
            .lists
            .has(peer, is_member, 1, PAGE_BYTES_MAX, now)
        {
            return Response::error(ErrorCode::Busy, "asked for too much at once").encode();
        }
        let answer = self.answer_presence(peer, body, now).encode();
        self.shares.lists.spend(peer, 1, answer.len(), now);
        answer
    }

    pub(super) fn answer_presence(&mut self, peer: PeerId, body: &[u8], now: Instant) -> Response {
        let request = match Request::decode(body).and_then(|request| {
            request.check_sender(&peer)?;
            Ok(request)
        }) {
            Ok(request) => request,
            Err(error) => return Response::from(&error),
        };
        let topic = request.topic();
        if !self.rooms.contains_key(&topic) {
            return Response::error(ErrorCode::NotAMember, "this peer is not in that room");
        }
        // A newcomer asks a few members for their lists and announces itself to all it meets: those
        // few tell the room. Everybody sees to it that the room hears who left.
        let origin = match &request {
            Request::Announce { presence } if presence.presence().state == State::Here => {
                Origin::Another
            }
            Request::Announce { .. } | Request::Sync { .. } => Origin::ForTheRoom,
        };
        if let Some(presence) = request.presence()
            && let Err(error) =
                self.take_presence(topic, presence.clone(), peer, Duration::ZERO, origin, now)
        {
            return Response::error(error.code(), &error.to_string());
        }
        match (request, self.rooms.get(&topic)) {
            (Request::Sync { after, .. }, Some(room)) => {
                let page = room.search.roster.entries(after, now, PAGE_BYTES_MAX);
                Response::Members {
                    members: page.entries,
                    next: page.next,
                }
            }
            _ => Response::Accepted,
        }
    }

    pub(super) fn on_presence_answer(
        &mut self,
        peer: PeerId,
        id: OutboundRequestId,
        body: &[u8],
        now: Instant,
    ) {
        let Some(Asked { topic, kind, .. }) = self.asked.remove(&id) else {
            return;
        };
        match kind {
            AskedKind::Told => {}
            AskedKind::Left => self.told_left(topic, &peer),
            AskedKind::Sync(page) => {
                self.asked_done(topic, &peer, now);
                match self.decode_list(topic, body) {
                    Ok(Response::Members { members, next }) => {
                        self.take_members(topic, peer, members, next, page, now);
                    }
                    Ok(Response::Error {
                        code: ErrorCode::Expired,
                        ..
                    }) => self.clock.disagrees(peer),
                    Ok(Response::Accepted | Response::Error { .. }) => {}
                    Err(error) => tracing::debug!(%peer, %error, "unusable list of members"),
                }
            }
        }
    }

    /// Reads an answer; of a list what is new to somebody here who looks for the topic's members.
    fn decode_list(&self, topic: TopicHash, body: &[u8]) -> Result<Response, WireError> {
        let room = self.rooms.get(&topic).map(|room| &room.search.roster);
        let lookups = self.lookups.iter().map(|lookup| &lookup.search.roster);
        let known: Vec<HashSet<&[u8]>> = room
            .into_iter()
            .chain(lookups.filter(|roster| roster.topic() == topic))
            .map(Roster::envelopes)
            .collect();
        Response::decode_new(body, |envelope| {
            known.iter().all(|known| known.contains(envelope))
        })
    }

    pub(super) fn on_presence_failure(
        &mut self,
        peer: PeerId,
        id: OutboundRequestId,
        error: &OutboundFailure,
        now: Instant,
    ) {
        let Some(mut asked) = self.asked.remove(&id) else {
            return;
        };
        tracing::debug!(%peer, %error, "presence request failed");
        if matches!(error, OutboundFailure::Timeout) {
            self.doubt_peer(&peer, now);
        }
        let lost_with_connection = matches!(
            error,
            OutboundFailure::ConnectionClosed | OutboundFailure::Io(_)
        );
        if lost_with_connection
            && asked.repeats < REPEATS_MAX
            && self.connections.is_connected(&peer)
        {
            asked.repeats += 1;
            self.ask(peer, asked);
            return;
        }
        let Asked { topic, kind, .. } = asked;
        match kind {
            AskedKind::Told => {}
            AskedKind::Left => self.told_left(topic, &peer),
            AskedKind::Sync(_) => self.asked_done(topic, &peer, now),
        }
    }

    pub(super) fn told_left(&mut self, topic: TopicHash, peer: &PeerId) {
        for leaving in self
            .leavings
            .iter_mut()
            .filter(|leaving| leaving.topic == topic)
        {
            leaving.told.remove(peer);
        }
    }

    pub(super) fn asked_done(&mut self, topic: TopicHash, peer: &PeerId, now: Instant) {
        if let Some(room) = self.rooms.get_mut(&topic) {
            room.search.asking.remove(peer);
        }
        for lookup in self.lookups_of(topic) {
            lookup.search.asking.remove(peer);
            lookup.quiet = now + room::LOOKUP_QUIET;
        }
    }

    pub(super) fn take_members(
        &mut self,
        topic: TopicHash,
        from: PeerId,
        members: Vec<(SignedPresence, Duration)>,
        next: Option<PeerId>,
        page: usize,
        now: Instant,
    ) {
        self.reaching.release();
        for (presence, age) in members {
            for lookup in self.lookups_of(topic) {
                // What one list has wrong, another has right.
                let _ = lookup.search.roster.handle_presence(
                    presence.clone(),
                    from,
                    age,
                    now,
                    platform::wall(),
                );
            }
            if self.rooms.contains_key(&topic)
                && let Err(error) =
                    self.take_presence(topic, presence, from, age, Origin::Another, now)
            {
                tracing::debug!(%from, %error, "presence not taken");
            }
        }
        // The last id of a page is behind the one that was asked for, so this ends.
        if next.is_some() && page < limits::SYNC_PAGES_MAX {
            self.sync_with(topic, from, next, page + 1);
        }
    }

    /// A member's presence that a neighbour has brought by gossip. Returns whether it is worth passing on.
    pub(super) fn on_gossiped_presence(
        &mut self,
        topic: TopicHash,
        presence: SignedPresence,
        by: PeerId,
        now: Instant,
    ) -> bool {
        self.take_presence(topic, presence, by, Duration::ZERO, Origin::Gossip, now)
            .is_ok()
    }

    pub(super) fn take_presence(
        &mut self,
        topic: TopicHash,
        signed: SignedPresence,
        by: PeerId,
        age: Duration,
        origin: Origin,
        now: Instant,
    ) -> Result<(), RosterError> {
        let Some(room) = self.rooms.get_mut(&topic) else {
            return Ok(());
        };
        let peer = signed.presence().peer;
        if peer == by {
            match signed.check_time(platform::wall()) {
                Ok(()) => self.clock.agrees(),
                Err(_) => self.clock.disagrees(peer),
            }
        }
        let shown = room.shown.get(&peer);
        let is_renamed = shown.is_some_and(|shown| shown.name != signed.presence().name);
        let verdict =
            room.search
                .roster
                .handle_presence(signed.clone(), by, age, now, platform::wall())?;
        match verdict {
            Verdict::Joined => {
                self.lost.found(&peer);
                self.learn_addresses(signed.presence(), now);
                self.member_joined(topic, &signed, now);
            }
            Verdict::Updated => {
                self.lost.heard_of(&peer, now);
                self.learn_addresses(signed.presence(), now);
                if is_renamed {
                    self.member_renamed(topic, &signed);
                }
            }
            Verdict::Left => {
                self.member_gone(topic, peer, LeaveReason::Left);
                // Whoever came a moment ago may know the member, and not hear gossip yet.
                self.tell_members(topic, &signed, AskedKind::Told);
            }
            Verdict::Own => {
                room.presence_sequence = room.presence_sequence.max(signed.presence().sequence);
            }
            Verdict::Unchanged => {}
        }
        // Once: it is no news the next time.
        match (origin, verdict) {
            (Origin::ForTheRoom, Verdict::Joined) => self.gossip_presence(topic, &signed),
            (Origin::ForTheRoom, Verdict::Left) => {
                if let Some(room) = self.rooms.get_mut(&topic) {
                    room.farewell(signed, now);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
