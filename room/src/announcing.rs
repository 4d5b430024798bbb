//! What this peer signs of itself, and when it says it.

use std::time::Duration;

use libp2p_identity::{Keypair, PeerId};
use moim_protocol::{
    announcer::Announcer,
    limits::{PRESENCE_REFRESH, PRESENCE_TTL},
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

/// A presence that was just signed.
#[derive(Debug)]
pub(crate) struct Announcement {
    pub(crate) signed: SignedPresence,
    /// The members are to be told. Another try with the DHT is no news to them.
    pub(crate) is_news: bool,
}

/// This peer's own presence. See the [module](self).
#[derive(Debug)]
pub(crate) struct Announcing {
    me: PeerId,
    keypair: Keypair,
    topic: TopicHash,
    name: Name,
    addresses: Vec<Multiaddr>,
    lifetime: Duration,
    announcer: Announcer,
    /// Of the last presence that was signed, here or in another run with the same key.
    sequence: u64,
    /// Our presence as it was signed last.
    own: Option<SignedPresence>,
    /// When the members were told last.
    told: Instant,
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
        let refresh = lifetime.mul_f64(PRESENCE_REFRESH.div_duration_f64(PRESENCE_TTL));
        let [first, ..] = topic.as_bytes();
        let mut announcer = Announcer::with_refresh(refresh, seed ^ u64::from(*first));
        announcer.announce_now(now);
        Self {
            me: keypair.public().to_peer_id(),
            keypair,
            topic,
            name,
            addresses,
            lifetime,
            announcer,
            sequence: 0,
            own: None,
            told: now,
        }
    }

    pub(crate) const fn sequence(&self) -> u64 {
        self.sequence
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

    /// Says that we are here.
    pub(crate) fn announce(&mut self, now: Now) -> Option<Announcement> {
        let signed = self.sign(State::Here, now)?;
        let again = self.lifetime.checked_div(TELL_AGAIN).unwrap_or_default();
        let is_known = self.own.as_ref().is_some_and(|own| {
            own.presence().addresses == signed.presence().addresses
                && now.instant.saturating_duration_since(self.told) < again
        });
        if !is_known {
            self.told = now.instant;
        }
        self.own = Some(signed.clone());
        Some(Announcement {
            signed,
            is_news: !is_known,
        })
    }

    /// Says that we left.
    pub(crate) fn leave(&mut self, now: Now) -> Option<SignedPresence> {
        self.own = None;
        self.sign(State::Left, now)
    }

    /// Signs our presence. `None` when it cannot be signed, which is logged.
    fn sign(&mut self, state: State, now: Now) -> Option<SignedPresence> {
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
            expires: now.wall.saturating_add(self.lifetime),
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
        let first = announcing.announce(start).unwrap();
        assert!(first.is_news);
        let again = announcing.poll_timeout().unwrap();
        let later = start.after(again.duration_since(start.instant));
        assert!(announcing.is_due(later.instant), "nobody has confirmed it");
        let second = announcing.announce(later).unwrap();
        assert!(!second.is_news);
        assert!(second.signed.presence().sequence > first.signed.presence().sequence);
        announcing.addresses_changed(vec![address(2)], later.instant);
        assert!(
            announcing.announce(later).unwrap().is_news,
            "another address"
        );
        let refreshed = later.after(PRESENCE_TTL / TELL_AGAIN);
        assert!(announcing.announce(refreshed).unwrap().is_news);
        assert_eq!(announcing.own().unwrap().presence().addresses, [address(2)]);
    }

    #[test]
    fn whatever_was_signed_elsewhere_the_next_is_newer() {
        let now = start();
        let mut announcing = announcing(now);
        let elsewhere = now.wall.0 + 1_000_000;
        announcing.came_back(elsewhere);
        announcing.came_back(5);
        let signed = announcing.announce(now).unwrap().signed;
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
}
