//! When a peer says that it is here.
//!
//! At once when it joins, again [every 45 s](PRESENCE_REFRESH) give or take a tenth, shortly after
//! its addresses change, and sooner while nobody has confirmed the last announcement. In a large room it is less often,
//! because every member gets the presence of every other: see [`life`].

use std::time::Duration;

use web_time::Instant;

use crate::{
    backoff::doubled,
    limits::{
        ADDRESS_DEBOUNCE, ADDRESS_DEBOUNCE_MAX, ANNOUNCE_RETRY_BASE, ANNOUNCE_RETRY_MAX,
        FULL_MESH_MAX, PRESENCE_REFRESH, PRESENCE_TTL, PRESENCE_TTL_MAX,
    },
    random::Random,
    time::after,
};

/// The life of a presence in a room of so many `others`, where it is `least` in a small one. It grows with the room, so that
/// what all presences of a room cost a member stays the same.
#[must_use]
pub fn life(least: Duration, others: usize) -> Duration {
    let small = FULL_MESH_MAX as f64;
    let factor = (others as f64 / small).max(1.0);
    let most = PRESENCE_TTL_MAX.div_duration_f64(PRESENCE_TTL);
    least.mul_f64(factor.min(most)).min(PRESENCE_TTL_MAX)
}

/// When a presence of this `life` is renewed. Three eighths of it leave room for two lost announcements.
fn refresh(life: Duration) -> Duration {
    life.mul_f64(PRESENCE_REFRESH.div_duration_f64(PRESENCE_TTL))
}

/// Decides when to announce; the caller announces when [`poll`](Self::poll) says so, and reports
/// with [`succeeded`](Self::succeeded). Idle until the first [`announce_now`](Self::announce_now).
#[derive(Clone, Debug)]
pub struct Announcer {
    refresh: Duration,
    random: Random,
    /// The next announcement: a first one, a refresh, or another try.
    due: Option<Instant>,
    /// When a burst of address changes began, and when it is announced.
    change: Option<(Instant, Instant)>,
    /// Tries since the last success.
    tries: u32,
    /// Whether the last announcement was confirmed.
    is_settled: bool,
}

impl Announcer {
    /// Refreshes every [`PRESENCE_REFRESH`], until another [life](Self::signed_for) is signed; `seed` should differ from
    /// peer to peer and room to room.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            refresh: PRESENCE_REFRESH,
            random: Random::new(seed),
            due: None,
            change: None,
            tries: 0,
            is_settled: false,
        }
    }

    /// What is announced now has this life: it is refreshed in time.
    pub fn signed_for(&mut self, life: Duration) {
        self.refresh = refresh(life);
    }

    /// Announce at the next [`poll`](Self::poll), whatever was planned: on joining, and when the
    /// network is back.
    pub fn announce_now(&mut self, now: Instant) {
        self.due = Some(now);
        self.tries = 0;
        self.is_settled = false;
    }

    /// The peer's addresses have changed. Bursts of changes are announced once, [`ADDRESS_DEBOUNCE`]
    /// after the last of them and at most [`ADDRESS_DEBOUNCE_MAX`] after the first.
    pub fn addresses_changed(&mut self, now: Instant) {
        if self.due.is_none() {
            return;
        }
        let first = self.change.map_or(now, |(first, _)| first);
        let due = after(now, ADDRESS_DEBOUNCE).min(after(first, ADDRESS_DEBOUNCE_MAX));
        self.change = Some((first, due));
    }

    /// When [`poll`](Self::poll) will next say so.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let change = self.change.map(|(_, due)| due);
        self.due.into_iter().chain(change).min()
    }

    /// Whether to announce now. After a `true` the next one is a retry, until
    /// [`succeeded`](Self::succeeded) puts it off to the next refresh.
    pub fn poll(&mut self, now: Instant) -> bool {
        if self.poll_timeout().is_none_or(|deadline| now < deadline) {
            return false;
        }
        let wait = doubled(ANNOUNCE_RETRY_BASE, ANNOUNCE_RETRY_MAX, self.tries);
        self.tries = self.tries.saturating_add(1);
        self.due = Some(after(now, wait));
        self.change = None;
        self.is_settled = false;
        true
    }

    /// An announcement was confirmed: the next one is a refresh.
    pub fn succeeded(&mut self, now: Instant) {
        if self.due.is_none() {
            return;
        }
        self.tries = 0;
        self.is_settled = true;
        let tenth = self.refresh.mul_f64(0.1);
        let wait = self.random.between(
            self.refresh.saturating_sub(tenth),
            self.refresh.saturating_add(tenth),
        );
        self.due = Some(after(now, wait));
    }

    /// Whether the last announcement was confirmed.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.is_settled
    }
}

#[cfg(test)]
mod tests;
