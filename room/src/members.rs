//! Who is in the room, under which names, and what people are told of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    time::Duration,
};

use libp2p_identity::PeerId;
use moim_protocol::{
    alike::Alike,
    presence::{Presence, SignedPresence},
    roster::{Roster, RosterError, Verdict},
    text::Name,
    topic::TopicHash,
};
use web_time::Instant;

use crate::{
    now::Now,
    output::{Event, LeaveReason, Member, Output, Outputs},
};

/// How a member was last shown.
#[derive(Clone, Debug)]
struct Shown {
    name: Name,
    looks_like: Option<PeerId>,
    /// When it joined, as far as this peer knows.
    since: Instant,
}

/// The members. See the [module](self).
#[derive(Debug)]
pub(crate) struct Members {
    me: PeerId,
    roster: Roster,
    /// Whose names look alike, ours among them.
    alike: Alike,
    /// The members as they were last shown: all of them, and for a moment those that have made room for others.
    shown: BTreeMap<PeerId, Shown>,
    /// Members whose names may look like others than when they were last shown. Told when somebody looks, and not with
    /// every change: a list brings many, and each may concern many.
    unsure: BTreeSet<PeerId>,
}

impl Members {
    pub(crate) fn new(topic: TopicHash, me: PeerId, name: &Name) -> Self {
        let mut alike = Alike::new(me);
        alike.insert(me, name);
        Self {
            me,
            roster: Roster::new(topic, me),
            alike,
            shown: BTreeMap::new(),
            unsure: BTreeSet::new(),
        }
    }

    pub(crate) fn roster(&self) -> &Roster {
        &self.roster
    }

    pub(crate) fn contains(&self, peer: &PeerId) -> bool {
        self.roster.contains(peer)
    }

    /// The members in the order of their peer ids' bytes.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = Member> {
        self.roster
            .members()
            .map(|member| self.member(member.presence))
    }

    /// The same, but for what they are called.
    pub(crate) fn peers(&self) -> impl ExactSizeIterator<Item = PeerId> {
        self.roster.members().map(|member| member.presence.peer)
    }

    fn member(&self, presence: &Presence) -> Member {
        Member {
            peer: presence.peer,
            name: presence.name.clone(),
            looks_like: self.alike.of(&presence.peer),
        }
    }

    /// The name of a member; `None` for who is none.
    pub(crate) fn name(&self, peer: &PeerId) -> Option<Name> {
        let member = self.roster.get(peer)?;
        Some(member.presence.name.clone())
    }

    /// When a member came.
    pub(crate) fn met(&self, peer: &PeerId) -> Option<Instant> {
        self.shown.get(peer).map(|shown| shown.since)
    }

    pub(crate) fn set_own(&mut self, own: SignedPresence, now: Instant) {
        self.roster.set_own(Some(own), now);
    }

    pub(crate) fn connected(&mut self, peer: PeerId) {
        self.roster.connected(peer);
    }

    pub(crate) fn disconnected(&mut self, peer: &PeerId) {
        self.roster.disconnected(peer);
    }

    /// There are no connections any more. Where the members are said to be is told once more.
    pub(crate) fn restarted(&mut self, out: &mut Outputs) {
        self.roster.all_disconnected();
        for member in self.roster.members() {
            out.push(Output::Met(member.presence.clone()));
        }
        out.members_changed();
    }

    /// Takes a presence, see [`Roster::handle_presence`].
    pub(crate) fn take(
        &mut self,
        signed: &SignedPresence,
        by: PeerId,
        age: Duration,
        now: Now,
        out: &mut Outputs,
    ) -> Result<Verdict, RosterError> {
        let verdict =
            self.roster
                .handle_presence(signed.clone(), by, age, now.instant, now.wall)?;
        let presence = signed.presence();
        match verdict {
            Verdict::Joined => self.joined(presence, now.instant, out),
            Verdict::Updated => {
                out.push(Output::HeardOf(presence.peer));
                out.push(Output::Met(presence.clone()));
                self.renamed(presence, out);
            }
            Verdict::Left => self.gone(&presence.peer, LeaveReason::Left, out),
            Verdict::Own | Verdict::Unchanged => {}
        }
        Ok(verdict)
    }

    /// Takes a member off the list that can't be reached, whatever it has signed with a sequence number of at most `up_to`.
    /// Returns whether it was on it.
    pub(crate) fn suspend(&mut self, peer: &PeerId, up_to: u64, out: &mut Outputs) -> bool {
        let was_here = self.roster.suspend(peer, up_to);
        if was_here {
            self.gone(peer, LeaveReason::Lost, out);
        }
        was_here
    }

    /// Something was heard of a peer. Returns whether it could not be reached, and is back.
    pub(crate) fn resume(&mut self, peer: &PeerId, now: Instant, out: &mut Outputs) -> bool {
        let Some(signed) = self.roster.resume(peer, now).cloned() else {
            return false;
        };
        self.joined(signed.presence(), now, out);
        true
    }

    /// Takes those off the list whose life has ended, and returns them.
    pub(crate) fn tick(&mut self, now: Instant, out: &mut Outputs) -> Vec<PeerId> {
        if self.poll_timeout().is_none_or(|deadline| now < deadline) {
            return Vec::new();
        }
        let ended = self.roster.tick(now);
        for peer in &ended {
            self.gone(peer, LeaveReason::Expired, out);
        }
        ended
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.roster.poll_timeout()
    }

    fn joined(&mut self, presence: &Presence, now: Instant, out: &mut Outputs) {
        out.push(Output::Met(presence.clone()));
        self.rename(presence);
        let member = self.member(presence);
        let shown = Shown {
            name: member.name.clone(),
            looks_like: member.looks_like,
            since: now,
        };
        self.shown.insert(member.peer, shown);
        out.push(Output::Event(Event::Joined(member)));
    }

    fn renamed(&mut self, presence: &Presence, out: &mut Outputs) {
        let known = self.shown.get(&presence.peer);
        if known.is_some_and(|shown| shown.name != presence.name) {
            self.rename(presence);
            self.show(presence, out);
        }
    }

    fn gone(&mut self, peer: &PeerId, reason: LeaveReason, out: &mut Outputs) {
        self.unsure.extend(self.alike.like(peer));
        self.alike.remove(peer);
        if let Some(Shown { name, .. }) = self.shown.remove(peer) {
            out.push(Output::Event(Event::Left {
                peer: *peer,
                name,
                reason,
            }));
        }
        // Who is lost is tried again until its life ends.
        if reason != LeaveReason::Lost {
            out.push(Output::Forget(*peer));
        }
    }

    /// Somebody is called otherwise, or is called anything for the first time.
    fn rename(&mut self, presence: &Presence) {
        self.unsure.extend(self.alike.like(&presence.peer));
        self.alike.insert(presence.peer, &presence.name);
        self.unsure.extend(self.alike.like(&presence.peer));
    }

    /// Tells how a member is shown now, if that is news.
    fn show(&mut self, presence: &Presence, out: &mut Outputs) {
        let member = self.member(presence);
        let Some(shown) = self.shown.get_mut(&member.peer) else {
            return;
        };
        let before = Member {
            peer: member.peer,
            name: mem::replace(&mut shown.name, member.name.clone()),
            looks_like: mem::replace(&mut shown.looks_like, member.looks_like),
        };
        if before != member {
            out.push(Output::Event(Event::Updated { member, before }));
        }
    }

    /// Tells of those whose names look like others than when they were last shown.
    pub(crate) fn review(&mut self, out: &mut Outputs) {
        for peer in mem::take(&mut self.unsure) {
            let presence = self.roster.get(&peer).map(|member| member.presence.clone());
            if let Some(presence) = presence {
                self.show(&presence, out);
            }
        }
    }

    /// The room is left: nobody is known to be in it.
    pub(crate) fn clear(&mut self, out: &mut Outputs) {
        self.roster = Roster::new(self.roster.topic(), self.me);
        self.alike = Alike::new(self.me);
        self.shown.clear();
        self.unsure.clear();
        out.members_changed();
    }

    #[cfg(test)]
    pub(crate) fn assert_bounds(&self) {
        use moim_protocol::limits::MEMBERS_MAX;

        assert!(self.roster.len() <= MEMBERS_MAX);
        assert!(self.shown.len() <= 2 * MEMBERS_MAX);
        assert!(self.unsure.len() <= 2 * MEMBERS_MAX + 1);
        assert!(self.peers().all(|peer| self.shown.contains_key(&peer)));
    }
}

#[cfg(test)]
mod tests;
