//! The state of one joined room, and of a lookup that only wants to know who is there.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use libp2p::{PeerId, gossipsub::IdentTopic};
use moim_protocol::{
    announcer::Announcer,
    message::MessageId,
    ordering::Ordering,
    presence::SignedPresence,
    roster::Roster,
    topic::{Topic, TopicHash},
};
use tokio::sync::watch;
use web_time::Instant;

use crate::{
    command::Reply,
    error::LookupError,
    history::RoomMessage,
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

/// How often a member is asked for its list, so that what gossip lost is made good.
pub(super) const SYNC_INTERVAL: Duration = Duration::from_secs(20);

/// Messages that wait for a connection to the members; a person types fewer in the time.
pub(super) const HELD_MAX: usize = 64;

/// How long a message waits for members that are being connected.
pub(super) const HOLD_FOR_CONNECTING: Duration = Duration::from_millis(2500);

/// How long a message waits for anybody at all to listen.
pub(super) const HOLD_FOR_ANYBODY: Duration = Duration::from_secs(20);

/// Strangers of one topic that are remembered as asked or as not answering.
const ASKED_MAX: usize = 4096;

/// How long a stranger that did not answer is left alone.
const STRANGER_PAUSE: Duration = Duration::from_secs(60);

/// A message on its way into the room.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) message: RoomMessage,
    pub(super) body: Vec<u8>,
    pub(super) since: Instant,
}

/// Finding the members of a topic: ask the DHT who announced it, ask those who else is there.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) roster: Roster,
    round: usize,
    next_lookup: Instant,
    /// Providers whose list is being asked for, and members with the page asked for.
    pub(super) asking: HashMap<PeerId, usize>,
    /// Providers that are no members (yet), and not to be asked again before this.
    strangers: HashMap<PeerId, Instant>,
    pub(super) next_sync: Instant,
}

impl Search {
    pub(super) fn new(topic: TopicHash, me: PeerId, now: Instant) -> Self {
        Self {
            roster: Roster::new(topic, me),
            round: 0,
            next_lookup: now,
            asking: HashMap::new(),
            strangers: HashMap::new(),
            next_sync: now + SYNC_INTERVAL,
        }
    }

    /// Whether the DHT should be asked now; plans the next time.
    pub(super) fn lookup_due(&mut self, now: Instant) -> bool {
        if now < self.next_lookup {
            return false;
        }
        let pause = LOOKUP_PAUSES.get(self.round).or(LOOKUP_PAUSES.last()).copied().unwrap_or(SYNC_INTERVAL);
        self.round = self.round.saturating_add(1);
        self.next_lookup = now + pause;
        true
    }

    /// Starts the dense lookups anew: the DHT is back.
    pub(super) fn lookup_again(&mut self, now: Instant) {
        self.round = 0;
        self.next_lookup = now;
        self.strangers.clear();
    }

    /// A provider was named. Returns whether it should be asked.
    pub(super) fn provider(&mut self, peer: PeerId, now: Instant) -> bool {
        if self.roster.contains(&peer) || self.asking.contains_key(&peer) {
            return false;
        }
        if self.strangers.get(&peer).is_some_and(|until| now < *until) {
            return false;
        }
        self.strangers.retain(|_, until| now < *until);
        if self.strangers.len() >= ASKED_MAX {
            return false;
        }
        self.strangers.insert(peer, now + STRANGER_PAUSE);
        true
    }

    pub(super) fn is_stranger(&self, peer: &PeerId) -> bool {
        self.strangers.contains_key(peer)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let mut next = self.next_lookup.min(self.next_sync);
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
    pub(super) gossip_topic: IdentTopic,
    pub(super) search: Search,
    pub(super) announcer: Announcer,
    pub(super) ordering: Ordering<RoomMessage>,
    /// The join, by our clock: a rejoin starts the numbering of messages anew.
    pub(super) session: u64,
    pub(super) sequence: u64,
    pub(super) presence_sequence: u64,
    /// Our presence as it was signed last.
    pub(super) own: Option<SignedPresence>,
    /// DHT servers that hold our presence, as of the last announcement.
    pub(super) servers: Vec<PeerId>,
    pub(super) held: VecDeque<Held>,
    pub(super) history: VecDeque<RoomMessage>,
    pub(super) members: watch::Sender<Vec<Member>>,
    pub(super) reaches: HashMap<PeerId, Reach>,
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

/// The identity of a message between peers.
pub(super) type MessageKey = (PeerId, MessageId);
