//! What this peer signs of itself, and when it says it.

use std::time::Duration;

use libp2p_identity::{Keypair, PeerId};
use moim_protocol::{
    after,
    announcer::{self, Announcer},
    limits::FULL_MESH_MAX,
    presence::{Presence, SignedPresence, State, next_sequence},
    text::Name,
    topic::TopicHash,
};
use multiaddr::Multiaddr;
use web_time::Instant;

use crate::now::Now;

/// Members are told again of the same addresses after this part of the presence's life: with the next
/// refresh, and not with every try of the DHT before it.
const TELL_AGAIN: u32 = 6;

/// A refresh is handed from member to member, which takes a part of the life of the presence before it: of one that was
/// signed for less than this part of the new one, it would come too late.
const QUIET_FROM: f64 = 0.8;

/// Nobody speaks up more often: who has just spoken is not in doubt.
const SPEAK_UP_PAUSE: Duration = Duration::from_secs(8);

/// Who is to hear of a presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Nobody: another try with the DHT is no news to the members.
    None,
    /// The members that are connected; the others get it with their lists. In a large room a refresh is worth no gossip.
    Refresh,
    /// Everybody.
    All,
}

/// A presence that was just signed.
#[derive(Debug)]
pub(crate) struct Announcement {
    pub(crate) signed: SignedPresence,
    pub(crate) news: News,
}

/// This peer's own presence. See the [module](self).
#[derive(Debug)]
pub(crate) struct Announcing {
    me: PeerId,
    keypair: Keypair,
    topic: TopicHash,
    name: Name,
    addresses: Vec<Multiaddr>,
    /// How long a presence lives in a small room.
    least_life: Duration,
    announcer: Announcer,
    /// Of the last presence that was signed, here or in another run with the same key.
    sequence: u64,
    /// Our presence as it was signed last.
    own: Option<SignedPresence>,
    /// When the members were told last.
    told: Instant,
    /// The sequence of the last presence that was gossip: all members know one that is as new.
    known_to_all: u64,
    /// Others may take this peer for gone.
    is_urgent: bool,
}

impl Announcing {
    pub(crate) fn new(
        keypair: Keypair,
        topic: TopicHash,
        name: Name,
        addresses: Vec<Multiaddr>,
        lifetime: Duration,
        seed: u64,
        now: Instant,
    ) -> Self {
        let [first, ..] = topic.as_bytes();
        let mut announcer = Announcer::new(seed ^ u64::from(*first));
        announcer.announce_now(now);
        Self {
            me: keypair.public().to_peer_id(),
            keypair,
            topic,
            name,
            addresses,
            least_life: lifetime,
            announcer,
            sequence: 0,
            own: None,
            told: now,
            known_to_all: 0,
            is_urgent: false,
        }
    }

    pub(crate) const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The sequence of the last presence that was said to everybody.
    pub(crate) const fn known_to_all(&self) -> u64 {
        self.known_to_all
    }

    pub(crate) const fn topic(&self) -> TopicHash {
        self.topic
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) fn own(&self) -> Option<&SignedPresence> {
        self.own.as_ref()
    }

    pub(crate) fn addresses_changed(&mut self, addresses: Vec<Multiaddr>, now: Instant) {
        self.addresses = addresses;
        self.announcer.addresses_changed(now);
    }

    pub(crate) fn announce_now(&mut self, now: Instant) {
        self.announcer.announce_now(now);
    }

    /// This peer may have been away: everybody is told at once that it is here.
    pub(crate) fn moved(&mut self, now: Instant) {
        self.is_urgent = true;
        self.announcer.announce_now(now);
    }

    /// Others can't reach this peer, whose presence with this `sequence` they know. Some may know no newer one.
    pub(crate) fn doubted(&mut self, sequence: u64, now: Instant) {
        if sequence >= self.known_to_all {
            self.speak_up(now);
        }
    }

    /// Others may take this peer for gone: everybody is told in a moment that it is here.
    pub(crate) fn speak_up(&mut self, now: Instant) {
        if self.own.is_none() {
            return;
        }
        self.is_urgent = true;
        let at = after(self.told, SPEAK_UP_PAUSE).max(now);
        if self.announcer.poll_timeout().is_none_or(|due| at < due) {
            self.announcer.announce_now(at);
        }
    }

    /// A DHT server has the presence.
    pub(crate) fn succeeded(&mut self, now: Instant) {
        self.announcer.succeeded(now);
    }

    /// A presence of ours came back, perhaps of another run with the same key: the next one has to be newer.
    pub(crate) fn came_back(&mut self, sequence: u64) {
        self.sequence = self.sequence.max(sequence);
    }

    /// Whether to [`announce`](Self::announce) now.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        self.announcer.poll(now)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.announcer.poll_timeout()
    }

    /// Says that we are here, in a room of so many `others`.
    pub(crate) fn announce(&mut self, others: usize, now: Now) -> Option<Announcement> {
        let life = announcer::life(self.least_life, others);
        let signed = self.sign(State::Here, life, now)?;
        self.announcer.signed_for(life);
        let news = self.news(&signed, others, now.instant);
        if news == News::All {
            self.known_to_all = self.sequence;
        }
        if news != News::None {
            self.told = now.instant;
            self.is_urgent = false;
        }
        self.own = Some(signed.clone());
        Some(Announcement { signed, news })
    }

    fn news(&self, signed: &SignedPresence, others: usize, now: Instant) -> News {
        let presence = signed.presence();
        let Some(before) = self.own.as_ref().map(SignedPresence::presence) else {
            return News::All;
        };
        if self.is_urgent || before.addresses != presence.addresses {
            return News::All;
        }
        let again = before.life().checked_div(TELL_AGAIN).unwrap_or_default();
        if now.saturating_duration_since(self.told) < again {
            return News::None;
        }
        let is_in_time = before.life() >= presence.life().mul_f64(QUIET_FROM);
        if others > FULL_MESH_MAX && is_in_time {
            News::Refresh
        } else {
            News::All
        }
    }

    /// Says that we left.
    pub(crate) fn leave(&mut self, now: Now) -> Option<SignedPresence> {
        let life = self.own.take().map(|own| own.presence().life());
        self.sign(State::Left, life.unwrap_or(self.least_life), now)
    }

    /// Signs our presence. `None` when it cannot be signed, which is logged.
    fn sign(&mut self, state: State, life: Duration, now: Now) -> Option<SignedPresence> {
        let addresses = match state {
            State::Here => self.addresses.clone(),
            State::Left => Vec::new(),
        };
        self.sequence = next_sequence(self.sequence, now.wall);
        let presence = Presence {
            peer: self.me,
            topic: self.topic,
            name: self.name.clone(),
            addresses,
            sequence: self.sequence,
            issued: now.wall,
            expires: now.wall.saturating_add(life),
            state,
        };
        match presence.sign_fitting(&self.keypair) {
            Ok(signed) => Some(signed),
            Err(error) => {
                tracing::error!(%error, "cannot sign presence");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use moim_protocol::limits::PRESENCE_TTL;

    use super::*;
    use crate::testing::{address, keypair, start, topic};

    fn announcing(now: Now) -> Announcing {
        let name = "Ada".parse().unwrap();
        let addresses = vec![address(1)];
        Announcing::new(
            keypair(1),
            topic().hash(),
            name,
            addresses,
            PRESENCE_TTL,
            7,
            now.instant,
        )
    }

    #[test]
    fn members_are_told_of_what_is_news_and_the_dht_of_every_try() {
        let start = start();
        let mut announcing = announcing(start);
        assert_eq!(announcing.poll_timeout(), Some(start.instant));
        assert!(announcing.is_due(start.instant));
        let first = announcing.announce(0, start).unwrap();
        assert_eq!(first.news, News::All);
        let again = announcing.poll_timeout().unwrap();
        let later = start.after(again.duration_since(start.instant));
        assert!(announcing.is_due(later.instant), "nobody has confirmed it");
        let second = announcing.announce(0, later).unwrap();
        assert_eq!(second.news, News::None);
        assert!(second.signed.presence().sequence > first.signed.presence().sequence);
        announcing.addresses_changed(vec![address(2)], later.instant);
        let moved = announcing.announce(0, later).unwrap();
        assert_eq!(moved.news, News::All, "another address");
        let refreshed = later.after(PRESENCE_TTL / TELL_AGAIN);
        let again = announcing.announce(0, refreshed).unwrap();
        assert_eq!(again.news, News::All);
        assert_eq!(announcing.own().unwrap().presence().addresses, [address(2)]);
    }

    #[test]
    fn whatever_was_signed_elsewhere_the_next_is_newer() {
        let now = start();
        let mut announcing = announcing(now);
        let elsewhere = now.wall.0 + 1_000_000;
        announcing.came_back(elsewhere);
        announcing.came_back(5);
        let signed = announcing.announce(0, now).unwrap().signed;
        assert_eq!(signed.presence().sequence, elsewhere + 1);
        let left = announcing.leave(now).unwrap();
        assert_eq!(left.presence().sequence, elsewhere + 2);
        assert_eq!(left.presence().addresses, []);
        assert_eq!(left.presence().state, State::Left);
    }

    #[test]
    fn what_is_confirmed_is_said_again_in_time() {
        let start = start();
        let mut announcing = announcing(start);
        assert!(announcing.is_due(start.instant));
        announcing.succeeded(start.instant);
        let next = announcing.poll_timeout().unwrap();
        let pause = next.duration_since(start.instant);
        assert!(
            pause > PRESENCE_TTL / 4 && pause < PRESENCE_TTL / 2,
            "{pause:?}"
        );
    }

    #[test]
    fn in_a_large_room_a_refresh_is_no_gossip_once_the_presence_lives_long_enough() {
        let start = start();
        let mut announcing = announcing(start);
        let mut now = start;
        let mut news = |announcing: &mut Announcing, others| {
            let news = announcing.announce(others, now).unwrap().news;
            announcing.succeeded(now.instant);
            let next = announcing.poll_timeout().unwrap();
            now = now.after(next.duration_since(now.instant));
            news
        };
        assert_eq!(news(&mut announcing, 0), News::All, "it has just come");
        assert_eq!(news(&mut announcing, 1_000), News::All, "a longer life");
        assert_eq!(news(&mut announcing, 1_000), News::Refresh);
        assert_eq!(news(&mut announcing, 1_020), News::Refresh);
        assert_eq!(
            news(&mut announcing, 20),
            News::All,
            "everybody is connected"
        );
    }

    #[test]
    fn who_is_doubted_speaks_up_and_not_too_often() {
        let start = start();
        let mut announcing = announcing(start);
        announcing.speak_up(start.instant);
        announcing.announce(1_000, start).unwrap();
        announcing.succeeded(start.instant);
        let soon = start.after(Duration::from_secs(2));
        announcing.speak_up(soon.instant);
        let next = announcing.poll_timeout().unwrap();
        assert_eq!(next, start.instant + SPEAK_UP_PAUSE);
        let then = start.after(SPEAK_UP_PAUSE);
        assert!(announcing.is_due(then.instant));
        assert_eq!(announcing.announce(1_000, then).unwrap().news, News::All);
        let later = then.after(Duration::from_secs(60));
        announcing.succeeded(then.instant);
        announcing.speak_up(later.instant);
        assert!(announcing.is_due(later.instant));
    }

    #[test]
    fn a_doubt_of_what_some_know_last_is_answered() {
        let start = start();
        let mut announcing = announcing(start);
        let mut now = start;
        let mut sequences = Vec::new();
        for _ in 0..4 {
            let signed = announcing.announce(1_000, now).unwrap().signed;
            sequences.push(signed.presence().sequence);
            announcing.succeeded(now.instant);
            now = now.after(Duration::from_secs(900));
        }
        let due = announcing.poll_timeout();
        announcing.doubted(sequences[0] - 1, now.instant);
        assert_eq!(
            announcing.poll_timeout(),
            due,
            "everybody knows a newer one"
        );
        announcing.doubted(sequences[0], now.instant);
        assert!(announcing.is_due(now.instant));
        assert_eq!(announcing.announce(1_000, now).unwrap().news, News::All);
    }
}
