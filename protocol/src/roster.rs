//! Who is in one room.
//!
//! Every presence of a topic that a peer hears of, from whichever side, goes through the room's
//! [`Roster`]. It decides who is a member, until when, and what of it is passed on.
//!
//! - A life is measured on this peer's clock. `age` is how long a presence has already lived at
//!   those who passed it on, so that handing it from newcomer to newcomer does not lengthen it.
//! - Only a higher sequence number, which only the member itself can sign, lengthens a life.
//! - Who is gone is remembered with its sequence number, until nobody could show the same presence
//!   as new any more. A `left` is passed on like a member: whoever hears of somebody in one place may
//!   have missed the farewell in another.
//! - A member that its caller can't reach any more is taken off the list ([`Roster::suspend`]) before its life ends, by
//!   this peer alone and for itself: what others say does not do it, and it is back as soon as it is heard of.
//!
//! It owns no connection and reads no clock.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    ops::Bound,
    time::Duration,
};

use libp2p_identity::PeerId;
use thiserror::Error;
use web_time::Instant;

pub use self::entry::Member;
use self::{
    entry::{Entry, Suspended},
    gone::Gone,
    places::Places,
};
use crate::{
    known::Known,
    limits::{CLOCK_SKEW_MAX, MEMBERS_MAX},
    presence::{PresenceError, SignedPresence, State},
    presence_wire,
    time::{UnixMillis, after},
    topic::TopicHash,
    wire::ErrorCode,
};

mod entry;
mod gone;
mod places;
mod suspended;

/// Why a presence was not taken.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RosterError {
    /// Its dates are too far from this peer's clock.
    #[error(transparent)]
    Date(#[from] PresenceError),
    /// It has already lived its life elsewhere.
    #[error("nothing is left of its life")]
    Expired,
    /// The room has as many members as this peer keeps, and none of them gives way.
    #[error("the room is full: {MEMBERS_MAX} members")]
    Full,
    /// It is of another topic.
    #[error("it is of another topic")]
    WrongTopic,
}

impl RosterError {
    /// The code that an answer to such a presence carries.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Date(error) => error.code(),
            Self::Expired => ErrorCode::Expired,
            Self::Full => ErrorCode::Busy,
            Self::WrongTopic => ErrorCode::Invalid,
        }
    }
}

/// What a presence changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A new member.
    Joined,
    /// A member has left.
    Left,
    /// This peer's own presence came back. When its sequence number is higher than that of the last
    /// one signed here (another run with the same key, or a clock set back), the next one has to be
    /// higher still.
    Own,
    /// Nothing: the same or an older sequence number, or a `left` of nobody who was here.
    Unchanged,
    /// A member lives on, perhaps with another name or other addresses.
    Updated,
}

/// A part of the members and of those who left, in order, to be sent to another.
#[derive(Clone, Debug)]
pub struct Page {
    /// Each with its age: how long it has lived already.
    pub entries: Vec<(SignedPresence, Duration)>,
    /// Where the next page starts (after this peer), if there is one.
    pub next: Option<PeerId>,
}

/// The members of one room as one peer knows them. See the [module](self).
#[derive(Debug)]
pub struct Roster {
    topic: TopicHash,
    me: PeerId,
    own: Option<Entry>,
    members: BTreeMap<PeerId, Entry>,
    by_end: BTreeSet<(Instant, PeerId)>,
    gone: Gone,
    /// Members that can't be reached, until the end of their lives.
    suspended: BTreeMap<PeerId, Suspended>,
    places: Places,
    /// Members that made room for others; the next tick reports them.
    replaced: Vec<(Instant, PeerId)>,
}

impl Roster {
    /// An empty room of `topic`, seen by the peer `me`.
    #[must_use]
    pub fn new(topic: TopicHash, me: PeerId) -> Self {
        Self {
            topic,
            me,
            own: None,
            members: BTreeMap::new(),
            by_end: BTreeSet::new(),
            gone: Gone::default(),
            suspended: BTreeMap::new(),
            places: Places::default(),
            replaced: Vec::new(),
        }
    }

    /// The topic of the room.
    #[must_use]
    pub const fn topic(&self) -> TopicHash {
        self.topic
    }

    /// This peer.
    #[must_use]
    pub const fn me(&self) -> PeerId {
        self.me
    }

    /// This peer's own presence, just signed: passed on with the [`entries`](Self::entries), not
    /// counted among the members. `None` once this peer has left.
    pub fn set_own(&mut self, own: Option<SignedPresence>, now: Instant) {
        self.own = own.map(|signed| {
            let expires = after(now, signed.presence().validity().ttl());
            Entry {
                signed,
                expires,
                replayable: expires,
            }
        });
    }

    /// This peer is connected to another, member or not.
    pub fn connected(&mut self, peer: PeerId) {
        self.places.connected(peer);
    }

    /// This peer is not connected to another any more.
    pub fn disconnected(&mut self, peer: &PeerId) {
        self.places.disconnected(peer);
    }

    /// This peer is connected to nobody any more.
    pub fn all_disconnected(&mut self) {
        self.places.all_disconnected();
    }

    /// Takes a presence that the peer at the other end of a connection has brought (`by`), and that has lived
    /// for `age` at those who passed it on (zero when it comes from the peer itself, or by the room's gossip). Whoever
    /// brings its own is here now, whatever its clock says: then the presence is judged by that clock.
    pub fn handle_presence(
        &mut self,
        signed: SignedPresence,
        by: PeerId,
        age: Duration,
        now: Instant,
        wall: UnixMillis,
    ) -> Result<Verdict, RosterError> {
        let presence = signed.presence();
        let (peer, sequence) = (presence.peer, presence.sequence);
        if presence.topic != self.topic {
            return Err(RosterError::WrongTopic);
        }
        if peer == self.me {
            return Ok(Verdict::Own);
        }
        let is_in_person = by == peer;
        let wall = match signed.check_time(wall) {
            Ok(()) => wall,
            Err(_) if is_in_person => presence.issued,
            Err(error) => return Err(error.into()),
        };
        self.gone.tick(now);
        // A clock that was ahead, and has been set right.
        let is_of_future = |known: u64| known > wall.saturating_add(CLOCK_SKEW_MAX).0;
        let is_old = |known| sequence <= known && !(is_in_person && is_of_future(known));
        // Others may claim to know any number of who can't be reached; what comes fresh is a sign of life all the same.
        let suspended = self.suspended.get(&peer).filter(|_| age.is_zero());
        let own = suspended.map(|suspended| suspended.entry.signed.presence().sequence);
        if own.or_else(|| self.sequence(&peer)).is_some_and(is_old) {
            return Ok(Verdict::Unchanged);
        }
        match presence.state {
            State::Left => Ok(self.leave(signed, age, now, wall)),
            State::Here => self.arrive(signed, by, age, now, wall),
        }
    }

    fn leave(
        &mut self,
        signed: SignedPresence,
        age: Duration,
        now: Instant,
        wall: UnixMillis,
    ) -> Verdict {
        let (peer, sequence) = (signed.presence().peer, signed.presence().sequence);
        let was_suspended = self.suspended.remove(&peer).is_some();
        let was_here = self.remove(&peer).is_some() || self.take_replaced(&peer) || was_suspended;
        let replayable = after(now, signed.replayable(wall));
        // A farewell needs no addresses, and one that has them would fill the pages.
        let left = signed.presence().addresses.is_empty().then(|| Entry {
            expires: after(now, signed.life(age, wall)),
            replayable,
            signed,
        });
        // Nobody of that id was here, and anybody can make up ids that leave: none of those known makes room for one.
        if was_here || !self.gone.is_full() {
            self.gone.insert(peer, sequence, replayable, left);
        }
        if was_here {
            Verdict::Left
        } else {
            Verdict::Unchanged
        }
    }

    fn arrive(
        &mut self,
        signed: SignedPresence,
        by: PeerId,
        age: Duration,
        now: Instant,
        wall: UnixMillis,
    ) -> Result<Verdict, RosterError> {
        let peer = signed.presence().peer;
        let life = signed.life(age, wall);
        if life.is_zero() {
            // Not remembered: the age is the word of whoever passed it on, and must not silence a
            // peer whose presence comes fresh from elsewhere.
            return Err(RosterError::Expired);
        }
        let mut entry = Entry {
            expires: after(now, life),
            replayable: after(now, signed.replayable(wall)),
            signed,
        };
        let had_met = self.has_met(&peer);
        let verdict = if let Some(before) = self.members.remove(&peer) {
            self.by_end.remove(&(before.expires, peer));
            // For the same reason a too great age does not shorten the life that a member has.
            entry.expires = entry.expires.max(before.expires);
            Verdict::Updated
        } else {
            self.make_room(&peer, &by, now)?;
            self.gone.remove(&peer);
            self.suspended.remove(&peer);
            if self.take_replaced(&peer) {
                Verdict::Updated
            } else {
                Verdict::Joined
            }
        };
        if !had_met {
            self.places.take(peer, by);
        }
        self.by_end.insert((entry.expires, peer));
        self.members.insert(peer, entry);
        Ok(verdict)
    }

    /// In a full room somebody gives way to a newcomer, or it is turned away. A member that is still there says
    /// so before it is past half its life (at three eighths).
    fn make_room(
        &mut self,
        newcomer: &PeerId,
        by: &PeerId,
        now: Instant,
    ) -> Result<(), RosterError> {
        if self.members.len() < MEMBERS_MAX {
            return Ok(());
        }
        if self.replaced.len() >= MEMBERS_MAX {
            return Err(RosterError::Full);
        }
        let members = self.by_end.iter().map(|(_, peer)| *peer);
        let is_past_half = |peer: &PeerId| {
            let entry = self.members.get(peer);
            entry.is_some_and(|entry| entry.remaining(now) < entry.ttl().mul_f64(0.5))
        };
        let first = self
            .places
            .giving_way(newcomer, by, members, is_past_half)
            .ok_or(RosterError::Full)?;
        self.remove(&first);
        self.replaced.push((now, first));
        Ok(())
    }

    fn remove(&mut self, peer: &PeerId) -> Option<Entry> {
        let entry = self.members.remove(peer)?;
        self.by_end.remove(&(entry.expires, *peer));
        self.places.leave(peer);
        Some(entry)
    }

    fn take_replaced(&mut self, peer: &PeerId) -> bool {
        let before = self.replaced.len();
        self.replaced.retain(|(_, replaced)| replaced != peer);
        self.replaced.len() < before
    }

    /// The highest sequence number seen of a peer, here or gone. What is not higher is no news.
    #[must_use]
    pub fn sequence(&self, peer: &PeerId) -> Option<u64> {
        let own = self.own.as_ref().filter(|_| *peer == self.me);
        self.members
            .get(peer)
            .or(own)
            .map(|entry| entry.signed.presence().sequence)
            .or_else(|| self.suspended.get(peer).map(Suspended::sequence))
            .or_else(|| self.gone.sequence(peer))
    }

    /// Removes the members whose life has ended, suspended ones too. Returns them, and those that made room for
    /// others since the last tick.
    pub fn tick(&mut self, now: Instant) -> Vec<PeerId> {
        self.gone.tick(now);
        let mut ended: Vec<PeerId> = self.replaced.drain(..).map(|(_, peer)| peer).collect();
        while let Some(&(expires, peer)) = self.by_end.first()
            && expires <= now
        {
            if let Some(entry) = self.remove(&peer) {
                let sequence = entry.signed.presence().sequence;
                self.gone.insert(peer, sequence, entry.replayable, None);
            }
            ended.push(peer);
        }
        let is_over = |_: &PeerId, suspended: &mut Suspended| suspended.entry.expires <= now;
        for (peer, suspended) in self.suspended.extract_if(.., is_over) {
            let sequence = suspended.entry.signed.presence().sequence;
            let until = suspended.entry.replayable;
            self.gone.insert(peer, sequence, until, None);
            ended.push(peer);
        }
        ended
    }

    /// When [`tick`](Self::tick) has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let ends = self.by_end.first().map(|&(expires, _)| expires);
        let replaced = self.replaced.first().map(|&(at, _)| at);
        let suspended = self.suspended.values().map(|it| it.entry.expires).min();
        ends.into_iter().chain(replaced).chain(suspended).min()
    }

    /// The members in the order of their peer ids' bytes.
    pub fn members(&self) -> impl ExactSizeIterator<Item = Member<'_>> {
        self.members.values().map(Entry::member)
    }

    /// The envelopes that would change nothing here: those of the members and of who left.
    #[must_use]
    pub fn envelopes(&self) -> HashSet<&[u8]> {
        let gone = self.gone.by_peer.values();
        self.members
            .values()
            .chain(self.suspended.values().map(|suspended| &suspended.entry))
            .chain(gone.filter_map(|departed| departed.left.as_ref()))
            .map(|entry| entry.signed.as_bytes())
            .collect()
    }

    /// What need not be sent to this peer: of the members, and then of who is gone, as much as can be said. `salt` should
    /// be drawn for each.
    #[must_use]
    pub fn known(&self, salt: u32) -> Known {
        let sequence = |entry: &Entry| entry.signed.presence().sequence;
        let members = self.members.iter().map(|(peer, it)| (*peer, sequence(it)));
        let suspended = self.suspended.iter();
        let suspended = suspended.map(|(peer, it)| (*peer, it.sequence()));
        Known::new(salt, members.chain(suspended).chain(self.gone.sequences()))
    }

    /// A member.
    #[must_use]
    pub fn get(&self, peer: &PeerId) -> Option<Member<'_>> {
        self.members.get(peer).map(Entry::member)
    }

    /// Whether a peer is a member.
    #[must_use]
    pub fn contains(&self, peer: &PeerId) -> bool {
        self.members.contains_key(peer)
    }

    /// Whether a peer is a member that this one is or was connected to while it was one; of others there is
    /// only hearsay.
    #[must_use]
    pub fn has_met(&self, peer: &PeerId) -> bool {
        self.contains(peer) && self.places.has_met(peer)
    }

    /// How many members there are, this peer not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether this peer knows of nobody else here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// This peer, if `after` is `None`, and the members after `after`, those who left and whose earlier presence
    /// may still count elsewhere among them, without those that are `known`, in the order of their peer ids' bytes: as
    /// many as fit in an answer of `bytes_max` bytes ([`Response::Members`](presence_wire::Response::Members)), and
    /// always one of these if there is one. Whoever asks is connected to this peer, and is to know it before a thousand
    /// others.
    #[must_use]
    pub fn entries(
        &self,
        after: Option<PeerId>,
        known: Option<&Known>,
        now: Instant,
        bytes_max: usize,
    ) -> Page {
        let is_known = |peer: &PeerId, entry: &Entry| {
            let sequence = entry.signed.presence().sequence;
            known.is_some_and(|known| known.contains(peer, sequence))
        };
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = (start, Bound::Unbounded);
        let left = self
            .gone
            .by_peer
            .range(range)
            .filter_map(|(peer, departed)| Some((peer, departed.left.as_ref()?)));
        let mut all: Vec<(&PeerId, &Entry)> = self.members.range(range).chain(left).collect();
        all.retain(|(_, entry)| !entry.remaining(now).is_zero());
        all.sort_unstable_by_key(|&(peer, _)| *peer);
        let mut page = Page {
            entries: Vec::new(),
            next: None,
        };
        let mut bytes = presence_wire::MEMBERS_BYTES;
        let own = self.own.as_ref().filter(|_| after.is_none());
        let is_news = |own: &&Entry| !own.remaining(now).is_zero() && !is_known(&self.me, own);
        if let Some(own) = own.filter(is_news) {
            bytes = bytes.saturating_add(presence_wire::member_bytes(&own.signed));
            page.entries.push((own.signed.clone(), own.age(now)));
        }
        let mut last = None;
        // Whether one is known takes a hash, so those behind the page are not asked about.
        for (peer, entry) in all
            .into_iter()
            .filter(|(peer, entry)| !is_known(peer, entry))
        {
            bytes = bytes.saturating_add(presence_wire::member_bytes(&entry.signed));
            if bytes > bytes_max && last.is_some() {
                page.next = last;
                break;
            }
            page.entries.push((entry.signed.clone(), entry.age(now)));
            last = Some(*peer);
        }
        page
    }
}

#[cfg(test)]
mod tests;
