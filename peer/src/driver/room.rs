//! The state of one joined room, and of a lookup that only wants to know who is there.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Weak,
    time::Duration,
};

use libp2p::{Multiaddr, PeerId, gossipsub::IdentTopic};
use moim_protocol::{
    alike::Alike,
    announcer::Announcer,
    newcomers::Newcomers,
    ordering::Ordering,
    presence::{Presence, SignedPresence},
    roster::Roster,
    said::Said,
    text::Name,
    topic::{Topic, TopicHash},
};
use tokio::sync::watch;
use web_time::Instant;

use super::{catch_up::CatchingUp, saying::Saying, shares::Hearing};
use crate::{
    command::Reply,
    error::LookupError,
    history::{Conversation, RoomMessage},
    snapshot::{Member, Profile, Reach},
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

/// Members are told again of the same addresses after this part of the presence's life: with the next
/// refresh, and not with every try of the DHT before it.
pub(super) const TELL_AGAIN: u32 = 6;

/// How often a member of a small room is asked for its list, so that what gossip lost is made good.
const SYNC_INTERVAL: Duration = Duration::from_secs(20);

/// The same in a large room, where every list is long.
const SYNC_INTERVAL_MAX: Duration = Duration::from_secs(60);

/// Up to this many members a room is small for that.
const SYNC_SMALL: usize = 25;

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

/// Finding the members of a topic: ask the DHT who announced it, ask those who else is there.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) roster: Roster,
    round: usize,
    /// Servers that named providers in the lookup under way.
    answers: u32,
    next_lookup: Instant,
    /// Providers whose list is being asked for, and members with the page asked for.
    pub(super) asking: HashMap<PeerId, usize>,
    /// Providers that are no members (yet), and not to be asked again before this.
    strangers: HashMap<PeerId, Instant>,
    /// Providers that wait for their turn to be asked, with their addresses, and when it comes.
    waiting: VecDeque<(PeerId, Vec<Multiaddr>)>,
    next_strangers: Instant,
    next_sync: Instant,
    /// Lists that may still be asked for right now, and when one more may.
    lists: u32,
    next_list: Instant,
}

impl Search {
    pub(super) fn new(topic: TopicHash, me: PeerId, now: Instant) -> Self {
        Self {
            roster: Roster::new(topic, me),
            round: 0,
            answers: 0,
            next_lookup: now,
            asking: HashMap::new(),
            strangers: HashMap::new(),
            waiting: VecDeque::new(),
            next_strangers: now,
            next_sync: now + SYNC_INTERVAL,
            lists: LISTS_AT_ONCE,
            next_list: now,
        }
    }

    /// Everything that was asked is lost; who is there is not.
    pub(super) fn begin_again(&mut self, topic: TopicHash, me: PeerId, now: Instant) {
        let begun = Self::new(topic, me, now);
        self.roster = std::mem::replace(self, begun).roster;
        self.roster.all_disconnected();
    }

    /// Whether somebody should be asked for its list now; plans the next time.
    pub(super) fn sync_due(&mut self, now: Instant) -> bool {
        if now < self.next_sync {
            return false;
        }
        let factor = u32::try_from(self.roster.len() / SYNC_SMALL).unwrap_or(u32::MAX);
        let pause = SYNC_INTERVAL
            .saturating_mul(factor.max(1))
            .min(SYNC_INTERVAL_MAX);
        self.next_sync = now + pause;
        true
    }

    /// Whether one more list is worth asking for. Every list of a large room is long and has mostly
    /// the same in it, so after the first few there is one in a while.
    pub(super) fn list_due(&mut self, now: Instant) -> bool {
        while self.lists < LISTS_AT_ONCE && self.next_list <= now {
            self.lists += 1;
            self.next_list += LIST_INTERVAL;
        }
        if self.lists == 0 {
            return false;
        }
        if self.lists == LISTS_AT_ONCE {
            self.next_list = now + LIST_INTERVAL;
        }
        self.lists -= 1;
        true
    }

    /// Whether the DHT should be asked now; plans the next time.
    pub(super) fn lookup_due(&mut self, now: Instant) -> bool {
        if now < self.next_lookup {
            return false;
        }
        let pause = LOOKUP_PAUSES
            .get(self.round)
            .or(LOOKUP_PAUSES.last())
            .copied()
            .unwrap_or(SYNC_INTERVAL);
        self.round = self.round.saturating_add(1);
        self.answers = 0;
        self.next_lookup = now + pause;
        true
    }

    /// A server named providers. Returns whether the lookup has enough: kad takes providers for
    /// servers and would go on to dial every one of them. The first lookups are for speed; the later
    /// ones ask more servers, so that a single one cannot hide the room.
    pub(super) fn has_enough(&mut self) -> bool {
        self.answers = self.answers.saturating_add(1);
        self.answers
            >= if self.round <= QUICK_LOOKUPS {
                1
            } else {
                ANSWERS_WANTED
            }
    }

    /// Starts the dense lookups anew: the DHT is back.
    pub(super) fn lookup_again(&mut self, now: Instant) {
        self.round = 0;
        self.next_lookup = now;
        self.strangers.clear();
        self.waiting.clear();
    }

    /// A provider was named, and where it is to be found. Returns whether it is new here.
    pub(super) fn provider(
        &mut self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        now: Instant,
    ) -> bool {
        self.strangers.retain(|_, until| now < *until);
        if self.roster.contains(&peer)
            || self.asking.contains_key(&peer)
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
    pub(super) fn strangers_due(&mut self, now: Instant) -> Vec<(PeerId, Vec<Multiaddr>)> {
        if now < self.next_strangers || self.waiting.is_empty() {
            return Vec::new();
        }
        let mut count = STRANGERS_AT_ONCE.min(ASKED_MAX.saturating_sub(self.strangers.len()));
        if !self.roster.is_empty() {
            count = count.min(STRANGERS_BESIDE_MEMBERS.saturating_sub(self.strangers.len()));
        }
        let roster = &self.roster;
        self.waiting.retain(|(peer, _)| !roster.contains(peer));
        let due: Vec<_> = self
            .waiting
            .drain(..count.min(self.waiting.len()))
            .collect();
        if !self.roster.is_empty() {
            self.waiting.clear();
        }
        for (peer, _) in &due {
            self.strangers.insert(*peer, now + STRANGER_PAUSE);
        }
        self.next_strangers = now + STRANGERS_INTERVAL;
        due
    }

    /// Whether a connection to this peer is of use for the room, and it is not being asked already.
    pub(super) fn concerns(&self, peer: &PeerId) -> bool {
        (self.roster.contains(peer) || self.is_stranger(peer)) && !self.asking.contains_key(peer)
    }

    pub(super) fn is_stranger(&self, peer: &PeerId) -> bool {
        self.strangers.contains_key(peer) || self.waiting.iter().any(|(waiting, _)| waiting == peer)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let mut next = self.next_lookup.min(self.next_sync);
        if !self.waiting.is_empty() {
            next = next.min(self.next_strangers);
        }
        if let Some(expiry) = self.roster.next_deadline() {
            next = next.min(expiry);
        }
        Some(next)
    }
}

/// A joined room.
#[derive(Debug)]
pub(super) struct RoomState {
    pub(super) topic: Topic,
    pub(super) profile: Profile,
    /// The user's handle of the room.
    pub(super) handle: Weak<()>,
    pub(super) gossip_topic: IdentTopic,
    pub(super) search: Search,
    /// How many members there are to choose neighbours among: those that there are, as far as can be told.
    pub(super) likely: usize,
    pub(super) announcer: Announcer,
    pub(super) ordering: Ordering<RoomMessage>,
    /// What is in order and waits for its author's presence.
    pub(super) newcomers: Newcomers<RoomMessage>,
    /// Whose names look alike, ours among them.
    pub(super) alike: Alike,
    pub(super) joined: Instant,
    /// What we said, and how it is numbered.
    pub(super) said: Said,
    /// What of ours waits to be said.
    pub(super) saying: Saying,
    pub(super) hearing: Hearing,
    pub(super) catching_up: CatchingUp,
    pub(super) presence_sequence: u64,
    /// Our presence as it was signed last.
    pub(super) own: Option<SignedPresence>,
    /// When the members were told last.
    pub(super) told: Instant,
    /// Who left and told us so, to be said in the room at that instant.
    pub(super) farewells: VecDeque<(Instant, SignedPresence)>,
    /// DHT servers that hold our presence, as of the last announcement.
    pub(super) servers: Vec<PeerId>,
    pub(super) history: Conversation<RoomMessage>,
    pub(super) members: watch::Sender<Vec<Member>>,
    /// The members as they were last shown.
    pub(super) shown: HashMap<PeerId, Shown>,
}

/// How a member was last shown.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) name: Name,
    pub(super) reach: Reach,
    pub(super) looks_like: Option<PeerId>,
    /// When it joined, as far as this peer knows.
    pub(super) since: Instant,
}

/// How long gossip has to bring the `left` that a member told us, before we say it in the room: a page
/// that is closed does not get everything out. Each member waits for another part of it, so that few
/// say the same.
const FAREWELL_PAUSE: Duration = Duration::from_millis(300);

/// Farewells that wait; the oldest make room.
const FAREWELLS_MAX: usize = 64;

impl RoomState {
    /// A member as it is shown.
    pub(super) fn member(&self, presence: &Presence, reach: Reach) -> Member {
        Member {
            peer: presence.peer,
            name: presence.name.clone(),
            reach,
            looks_like: self.alike.of(&presence.peer),
        }
    }

    /// Somebody told us that it left.
    pub(super) fn farewell(&mut self, signed: SignedPresence, now: Instant) {
        if self.farewells.len() >= FAREWELLS_MAX {
            self.farewells.pop_front();
        }
        let pause = FAREWELL_PAUSE.mul_f64(rand::random());
        self.farewells.push_back((now + pause, signed));
    }

    /// The farewells to be said in the room now.
    pub(super) fn farewells_due(&mut self, now: Instant) -> Vec<SignedPresence> {
        let (due, later) = std::mem::take(&mut self.farewells)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.farewells = later;
        due.into_iter().map(|(_, signed)| signed).collect()
    }

    /// When there is something to do here.
    pub(super) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        [
            self.search.next_deadline(),
            self.announcer.next_deadline(),
            self.ordering.next_deadline(),
            self.newcomers.next_deadline(),
            self.farewells.iter().map(|(at, _)| *at).min(),
            self.saying.next_deadline(now),
            self.catching_up.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

/// A room that was left and of which not everybody is told yet.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) topic: TopicHash,
    pub(super) told: HashSet<PeerId>,
    pub(super) deadline: Instant,
    pub(super) reply: Option<Reply<()>>,
}

/// A lookup of who is in a topic, without being in it.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) search: Search,
    pub(super) deadline: Instant,
    /// Nothing new until this: done.
    pub(super) quiet: Instant,
    /// Whether a DHT server has said who is there, be it nobody.
    pub(super) answered: bool,
    pub(super) reply: Reply<Result<Vec<Member>, LookupError>>,
}

/// How long a lookup waits for something new before it is done.
pub(super) const LOOKUP_QUIET: Duration = Duration::from_millis(1500);

/// Lookups under way at once.
pub(super) const LOOKUPS_MAX: usize = 16;

/// Rooms a peer may be in at once; gossipsub takes 100 topics.
pub(super) const ROOMS_MAX: usize = 32;

/// How long leaving takes at most.
pub(super) const LEAVE_DEADLINE: Duration = Duration::from_millis(1500);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform;

    fn search(now: Instant) -> Search {
        let topic = Topic::new("global-chat").expect("valid");
        Search::new(topic.hash(), PeerId::random(), now)
    }

    fn due(search: &mut Search, now: Instant) -> Vec<PeerId> {
        let due = search.strangers_due(now);
        due.into_iter().map(|(peer, _)| peer).collect()
    }

    #[test]
    fn providers_are_asked_some_at_a_time() {
        let start = platform::now();
        let mut search = search(start);
        let providers: Vec<PeerId> = (0..7).map(|_| PeerId::random()).collect();
        for provider in &providers {
            assert!(search.provider(*provider, Vec::new(), start));
            assert!(!search.provider(*provider, Vec::new(), start), "twice");
        }
        assert_eq!(due(&mut search, start), providers[..STRANGERS_AT_ONCE]);
        assert_eq!(due(&mut search, start), []);
        let later = start + STRANGERS_INTERVAL;
        assert_eq!(due(&mut search, later), providers[STRANGERS_AT_ONCE..]);
    }

    #[test]
    fn who_did_not_answer_is_asked_again_after_a_pause() {
        let start = platform::now();
        let mut search = search(start);
        let provider = PeerId::random();
        assert!(search.provider(provider, Vec::new(), start));
        assert_eq!(due(&mut search, start), [provider]);
        let soon = start + STRANGER_PAUSE / 2;
        assert!(!search.provider(provider, Vec::new(), soon));
        let later = start + STRANGER_PAUSE;
        assert!(search.provider(provider, Vec::new(), later));
        assert_eq!(due(&mut search, later), [provider]);
    }
}
