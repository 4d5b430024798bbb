//! Finding the members of a topic: ask the DHT who announced it, ask those who else is there.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use libp2p_identity::PeerId;
use moim_protocol::{
    after,
    limits::BODY_BYTES_MAX,
    presence::SignedPresence,
    presence_wire::{Request, Response},
    random::Random,
    roster::Roster,
    topic::TopicHash,
    wire::ErrorCode,
};
use multiaddr::Multiaddr;
use web_time::Instant;

use crate::{
    asking::{Asking, Purpose},
    output::{Output, Outputs},
    walk::Walk,
};

/// Pauses between lookups of a topic in the DHT. Dense at first, because an announcement made a
/// moment ago may still be under way; later only to heal a room that fell into parts.
const LOOKUP_PAUSES: [Duration; 6] = [
    Duration::from_millis(700),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(15),
    Duration::from_secs(30),
];

/// Lookups that end with the first server that names a provider.
const QUICK_LOOKUPS: usize = 2;

/// Servers that later lookups wait for.
const ANSWERS_WANTED: u32 = 3;

/// How often a member of a small room is asked for its list, so that what gossip lost is made good.
const SYNC_INTERVAL: Duration = Duration::from_secs(20);

/// The longest such interval. Refreshes go from member to member with the lists, in a large room in some fifteen of these:
/// a small part of what a presence lives there.
const SYNC_INTERVAL_MAX: Duration = Duration::from_secs(60);

/// Up to this many members a room is small for that.
const SYNC_SMALL: usize = 64;

/// Up to this many members a room is looked up as often as can be; in a larger one less often, up to
/// [`LOOKUP_PAUSE_MAX`]: so many hardly are a part that has fallen off.
const LOOKUP_SMALL: usize = 24;

/// See [`LOOKUP_SMALL`].
const LOOKUP_PAUSE_MAX: Duration = Duration::from_secs(5 * 60);

/// Lists asked for at once by a newcomer: more than one, because the first may be a liar's.
const LISTS_AT_ONCE: u32 = 4;

/// After those, one more per this.
const LIST_INTERVAL: Duration = Duration::from_secs(3);

/// Strangers of one topic that are remembered as asked or as not answering.
const ASKED_MAX: usize = 4096;

/// Providers that are no known members, asked in one [`STRANGER_PAUSE`] when there are members: they
/// heal a room that fell into parts, or are new and will be heard of anyway.
const STRANGERS_BESIDE_MEMBERS: usize = 3;

/// Providers asked at once by who knows no member yet. Most of a room's list comes from the first
/// that answers; the next ones are asked beside these when none has answered in a while, so that those
/// who are not there any more hold up nobody for long.
const STRANGERS_AT_ONCE: usize = 5;

/// How long the providers asked have before the next ones are asked beside them.
const STRANGERS_INTERVAL: Duration = Duration::from_millis(300);

/// Providers that wait for their turn; an answer of the DHT names up to twenty.
const WAITING_MAX: usize = 64;

/// How long a stranger that did not answer is left alone.
const STRANGER_PAUSE: Duration = Duration::from_secs(10);

/// The most that one page of a list of members takes: what an answer may have.
pub const PAGE_BYTES_MAX: usize = BODY_BYTES_MAX;

/// One page of somebody's list of members that holds.
#[derive(Debug)]
pub(crate) struct List {
    /// What is new here, each with its age.
    pub(crate) members: Vec<(SignedPresence, Duration)>,
    /// The page to ask for next: after whom it starts, and how it goes on from there.
    pub(crate) next: Option<(PeerId, Walk)>,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Search {
    topic: TopicHash,
    random: Random,
    round: usize,
    /// Servers that named providers in the lookup under way.
    answers: u32,
    next_lookup: Instant,
    /// Peers whose list is being asked for.
    asking: BTreeSet<PeerId>,
    /// Providers that are no members (yet), and not to be asked again before this.
    strangers: BTreeMap<PeerId, Instant>,
    /// Providers that wait for their turn to be asked, with their addresses, and when it comes.
    waiting: VecDeque<(PeerId, Vec<Multiaddr>)>,
    next_strangers: Instant,
    /// When somebody is asked for its list once more.
    next_sync: Instant,
    /// Lists that may still be asked for right now, and when one more may.
    lists: u32,
    next_list: Instant,
}

impl Search {
    pub(crate) fn new(topic: TopicHash, seed: u64, now: Instant) -> Self {
        Self {
            topic,
            random: Random::new(seed),
            round: 0,
            answers: 0,
            next_lookup: now,
            asking: BTreeSet::new(),
            strangers: BTreeMap::new(),
            waiting: VecDeque::new(),
            next_strangers: now,
            next_sync: after(now, SYNC_INTERVAL),
            lists: LISTS_AT_ONCE,
            next_list: now,
        }
    }

    /// Whether somebody should be asked for its list now; plans the next time, which comes less often in a room of
    /// more `members`.
    pub(crate) fn sync_due(&mut self, members: usize, now: Instant) -> bool {
        if now < self.next_sync {
            return false;
        }
        let pause = longer(SYNC_INTERVAL, members, SYNC_SMALL);
        self.next_sync = after(now, pause.min(SYNC_INTERVAL_MAX));
        true
    }

    /// Whether one more list is worth asking for. Every list of a large room is long and has mostly
    /// the same in it, so after the first few there is one in a while.
    pub(crate) fn list_due(&mut self, now: Instant) -> bool {
        while self.lists < LISTS_AT_ONCE && self.next_list <= now {
            self.lists = self.lists.saturating_add(1);
            self.next_list = after(self.next_list, LIST_INTERVAL);
        }
        if self.lists == 0 {
            return false;
        }
        if self.lists == LISTS_AT_ONCE {
            self.next_list = after(now, LIST_INTERVAL);
        }
        self.lists = self.lists.saturating_sub(1);
        true
    }

    /// Whether the DHT should be asked now; plans the next time, which comes less often in a room of more `members`.
    pub(crate) fn lookup_due(&mut self, members: usize, now: Instant) -> bool {
        if now < self.next_lookup {
            return false;
        }
        let is_dense = self.round < LOOKUP_PAUSES.len().saturating_sub(1);
        let pause = LOOKUP_PAUSES.get(self.round).or(LOOKUP_PAUSES.last());
        let pause = pause.copied().unwrap_or(SYNC_INTERVAL);
        // A newcomer's list may be a liar's, however long it is.
        let pause = if is_dense {
            pause
        } else {
            longer(pause, members, LOOKUP_SMALL).min(LOOKUP_PAUSE_MAX)
        };
        self.round = self.round.saturating_add(1);
        self.answers = 0;
        self.next_lookup = after(now, pause);
        true
    }

    /// A server named providers. Returns whether the lookup has enough: kad takes providers for
    /// servers and would go on to dial every one of them. The first lookups are for speed; the later
    /// ones ask more servers, so that a single one cannot hide the room.
    fn has_enough(&mut self) -> bool {
        self.answers = self.answers.saturating_add(1);
        self.answers
            >= if self.round <= QUICK_LOOKUPS {
                1
            } else {
                ANSWERS_WANTED
            }
    }

    /// Starts the dense lookups anew: the DHT is back.
    pub(crate) fn lookup_again(&mut self, now: Instant) {
        self.round = 0;
        self.next_lookup = now;
        self.strangers.clear();
        self.waiting.clear();
    }

    /// The DHT names providers. Whether they exist is to be seen. Returns whether one of them is new here.
    pub(crate) fn providers(
        &mut self,
        providers: Vec<(PeerId, Vec<Multiaddr>)>,
        roster: &Roster,
        now: Instant,
        out: &mut Outputs,
    ) -> bool {
        tracing::debug!(topic = %self.topic, providers = providers.len(), "the DHT names providers");
        // We ourselves are named first of all, by our own store.
        let me = roster.me();
        let others = providers.into_iter().filter(|(peer, _)| *peer != me);
        let others: Vec<_> = others.collect();
        if !others.is_empty() && self.has_enough() {
            out.push(Output::LookupHasEnough);
        }
        let mut is_news = false;
        for (peer, addresses) in others {
            is_news |= self.provider(peer, addresses, roster, now);
        }
        is_news
    }

    /// A provider was named, and where it is to be found. Returns whether it is new here.
    fn provider(
        &mut self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        roster: &Roster,
        now: Instant,
    ) -> bool {
        self.strangers.retain(|_, until| now < *until);
        if roster.contains(&peer)
            || self.is_asking(&peer)
            || self.is_stranger(&peer)
            || self.waiting.len() >= WAITING_MAX
        {
            return false;
        }
        self.waiting.push_back((peer, addresses));
        true
    }

    /// The providers to ask now: some at a time until there are members, who know the others, and few
    /// from then on.
    pub(crate) fn strangers_due(
        &mut self,
        roster: &Roster,
        now: Instant,
    ) -> Vec<(PeerId, Vec<Multiaddr>)> {
        if now < self.next_strangers || self.waiting.is_empty() {
            return Vec::new();
        }
        let mut count = STRANGERS_AT_ONCE.min(ASKED_MAX.saturating_sub(self.strangers.len()));
        if !roster.is_empty() {
            count = count.min(STRANGERS_BESIDE_MEMBERS.saturating_sub(self.strangers.len()));
        }
        self.waiting.retain(|(peer, _)| !roster.contains(peer));
        let due: Vec<_> = self
            .waiting
            .drain(..count.min(self.waiting.len()))
            .collect();
        if !roster.is_empty() {
            self.waiting.clear();
        }
        for (peer, _) in &due {
            self.strangers.insert(*peer, after(now, STRANGER_PAUSE));
        }
        self.next_strangers = after(now, STRANGERS_INTERVAL);
        due
    }

    /// Whether a connection to this peer is of use for the room, and it is not being asked already.
    pub(crate) fn concerns(&self, peer: &PeerId, roster: &Roster) -> bool {
        (roster.contains(peer) || self.is_stranger(peer)) && !self.is_asking(peer)
    }

    fn is_stranger(&self, peer: &PeerId) -> bool {
        self.strangers.contains_key(peer) || self.waiting.iter().any(|(waiting, _)| waiting == peer)
    }

    pub(crate) fn is_asking(&self, peer: &PeerId) -> bool {
        self.asking.contains(peer)
    }

    pub(crate) fn is_asking_anybody(&self) -> bool {
        !self.asking.is_empty()
    }

    /// When the DHT is to be asked, or providers are.
    pub(crate) fn poll_timeout(&self) -> Instant {
        if self.waiting.is_empty() {
            self.next_lookup
        } else {
            self.next_lookup.min(self.next_strangers)
        }
    }

    /// When a list is to be asked for, see [`sync_due`](Self::sync_due).
    pub(crate) const fn next_sync(&self) -> Instant {
        self.next_sync
    }

    /// Asks a peer for a page of its list of members, and tells it of ourselves (`own`) if we are one, and of whom we know.
    pub(crate) fn ask(
        &mut self,
        peer: PeerId,
        (after, walk): (Option<PeerId>, Walk),
        own: Option<&SignedPresence>,
        roster: &Roster,
        asking: &mut Asking,
        out: &mut Outputs,
    ) {
        let known = roster.known(self.salt());
        let request = Request::Sync {
            topic: self.topic,
            presence: own.cloned(),
            after,
            known: Some(known).filter(|known| !known.is_empty()),
        };
        if asking.ask(peer, Purpose::Sync(walk), request.encode(), out) {
            self.asking.insert(peer);
        }
    }

    fn salt(&self) -> u32 {
        // The upper half: Xorshift's lower bits are the weaker ones.
        (self.random.next() >> 32) as u32
    }

    /// How the next list is gone through. Lists that are asked for at once begin at different members, so that each brings
    /// another part of a large room.
    pub(crate) fn walk(&self) -> Walk {
        if self.asking.is_empty() {
            Walk::from_the_first()
        } else {
            Walk::from_somewhere(&self.random)
        }
    }

    /// A peer has answered, or will not.
    pub(crate) fn asked(&mut self, peer: &PeerId) {
        self.asking.remove(peer);
    }

    #[cfg(test)]
    pub(crate) fn assert_bounds(&self) {
        assert!(self.waiting.len() <= WAITING_MAX);
        assert!(self.strangers.len() <= ASKED_MAX);
        assert!(self.asking.len() <= crate::asking::ASKED_MAX);
    }
}

/// A pause in a room of so many `members`: as long as that of a small one, and longer as the room is larger.
fn longer(pause: Duration, members: usize, small: usize) -> Duration {
    let factor = members as f64 / small as f64;
    pause.mul_f64(factor.max(1.0))
}

/// Reads the answer to a question for a list; of a list what is new to `roster`.
pub(crate) fn read_list(
    from: PeerId,
    walk: Walk,
    body: &[u8],
    roster: &Roster,
    out: &mut Outputs,
) -> Option<List> {
    let known = roster.envelopes();
    match Response::decode_new(body, |envelope| known.contains(envelope)) {
        Ok(Response::Members { members, next }) => {
            out.push(Output::HasList);
            let next = walk.next(next);
            Some(List { members, next })
        }
        Ok(Response::Error {
            code: ErrorCode::Expired,
            ..
        }) => {
            out.push(Output::ClockDisagrees(from));
            None
        }
        Ok(Response::Accepted | Response::Error { .. }) => None,
        Err(error) => {
            tracing::debug!(peer = %from, %error, "unusable list of members");
            None
        }
    }
}

#[cfg(test)]
mod tests;
