//! Whom a peer dials, and when: a model of `peer/src/driver/reach.rs` and `lost.rs`, which are bound to libp2p's
//! connections.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use moim_protocol::backoff::Backoff;

use crate::{
    event::Index,
    time::{Time, millis, seconds},
};

/// Attempts under way at once.
const ATTEMPTS_MAX: usize = 24;

/// The first pause after a failed attempt, and the longest.
const RETRY: (Duration, Duration) = (seconds(2), seconds(40));

/// How long the other side has to dial first.
const YIELD: Duration = millis(1_200);

/// How long a newcomer waits for a list before it dials neighbours.
const HOLD: Duration = seconds(1);

/// A connection has lasted when it is this old.
const LASTS: Duration = seconds(10);

/// How long a lost member has to be back.
const GRACE: Duration = seconds(5);

/// How long a lost connection is a reason for anything.
const JUDGED_WITHIN: Duration = seconds(45);

/// How long what a member has said may go round before it is here.
const LATE: Duration = seconds(2);

#[derive(Debug)]
struct Target {
    /// When it is dialled next; `None` while it is.
    next: Option<Time>,
    backoff: Backoff,
    failed: bool,
    has_address: bool,
    /// It is a provider to be asked.
    urgent: bool,
    connected: Option<Time>,
}

#[derive(Debug)]
struct Since {
    lost: Time,
    to_try: u32,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Reach {
    seed: u64,
    targets: BTreeMap<Index, Target>,
    /// When they are dialled next. What is not true any more is passed over.
    due: BTreeSet<(Time, Index)>,
    wanted: BTreeSet<Index>,
    hold: Time,
    dialling: usize,
    lost: BTreeMap<Index, Since>,
    heard: Time,
}

impl Reach {
    /// Nobody is to be dialled.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            targets: BTreeMap::new(),
            due: BTreeSet::new(),
            wanted: BTreeSet::new(),
            hold: Time::ZERO,
            dialling: 0,
            lost: BTreeMap::new(),
            heard: Time::ZERO,
        }
    }

    /// The room was joined: its list may be here in a moment.
    pub fn hold(&mut self, now: Time) {
        self.hold = now + HOLD;
    }

    /// The room's list is here.
    pub fn release(&mut self) {
        self.hold = Time::ZERO;
    }

    fn target(&mut self, peer: Index, now: Time) -> &mut Target {
        let seed = self.seed.wrapping_add(peer as u64);
        self.targets.entry(peer).or_insert_with(|| Target {
            next: Some(now),
            backoff: Backoff::new(RETRY.0, RETRY.1, seed),
            failed: false,
            has_address: false,
            urgent: false,
            connected: None,
        })
    }

    /// Where a member can be dialled is known. Who `yields` lets the other side dial first.
    pub fn member(&mut self, peer: Index, yields: bool, now: Time) {
        let target = self.target(peer, now);
        let is_first = !target.has_address;
        target.has_address = true;
        if is_first && target.next.is_some() {
            let next = if yields { now + YIELD } else { now };
            target.next = Some(next);
            self.plan(peer, next);
        }
    }

    /// The DHT names a peer, which is to be asked.
    pub fn stranger(&mut self, peer: Index, now: Time) {
        let target = self.target(peer, now);
        target.has_address = true;
        target.urgent = true;
        if let Some(next) = target.next {
            self.due.insert((next, peer));
        }
    }

    fn plan(&mut self, peer: Index, at: Time) {
        self.due.insert((at, peer));
    }

    /// Whom the room wants a connection to.
    pub fn want(&mut self, wanted: BTreeSet<Index>) {
        for peer in wanted.difference(&self.wanted) {
            if let Some(Target {
                next: Some(next), ..
            }) = self.targets.get(peer)
            {
                self.due.insert((*next, *peer));
            }
        }
        self.wanted = wanted;
    }

    /// Whether the room wants a connection to a peer.
    #[must_use]
    pub fn wants(&self, peer: Index) -> bool {
        self.wanted.contains(&peer)
    }

    /// Whether a peer names an address at which it may be reached.
    #[must_use]
    pub fn may_reach(&self, peer: Index) -> bool {
        let target = self.targets.get(&peer);
        target.is_some_and(|target| target.has_address && !target.failed)
    }

    /// Who is to be dialled now.
    pub fn poll(&mut self, now: Time, is_connected: impl Fn(Index) -> bool) -> Vec<Index> {
        let mut dials = Vec::new();
        let mut put_off = Vec::new();
        while let Some(&(at, peer)) = self.due.first()
            && at <= now
        {
            self.due.pop_first();
            let is_wanted = self.wanted.contains(&peer);
            let Some(target) = self.targets.get_mut(&peer) else {
                continue;
            };
            let is_due = target.next.is_some_and(|next| next <= now);
            if !is_due || !target.has_address || !(is_wanted || target.urgent) || is_connected(peer)
            {
                continue;
            }
            if !target.urgent && now < self.hold {
                put_off.push((self.hold, peer));
            } else if self.dialling >= ATTEMPTS_MAX {
                put_off.push((now + millis(100), peer));
            } else {
                target.next = None;
                self.dialling += 1;
                dials.push(peer);
            }
        }
        self.due.extend(put_off);
        dials
    }

    /// When somebody may have to be dialled.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| *at)
    }

    /// A peer is connected. Returns whether it could not be reached before.
    pub fn connected(&mut self, peer: Index, now: Time) -> bool {
        self.lost.remove(&peer);
        let Some(target) = self.targets.get_mut(&peer) else {
            return false;
        };
        if target.next.is_none() {
            self.dialling -= 1;
        }
        target.next = Some(now);
        target.urgent = false;
        target.connected.get_or_insert(now);
        std::mem::take(&mut target.failed)
    }

    /// The last connection to a peer is gone. Of the two, the `first` dials first.
    pub fn disconnected(&mut self, peer: Index, is_first: bool, is_member: bool, now: Time) {
        let mut wait = if is_first { millis(100) } else { YIELD };
        let mut is_dialled = false;
        if let Some(target) = self.targets.get_mut(&peer) {
            let since = target.connected.take();
            if since.is_some_and(|since| now - since >= LASTS) {
                target.backoff.reset();
            } else {
                wait = wait.max(target.backoff.next_delay());
            }
            is_dialled = target.next.is_none();
            if !is_dialled {
                target.next = Some(now + wait);
                self.plan(peer, now + wait);
            }
        }
        if is_member && self.wants(peer) {
            let to_try = 1 + u32::from(is_dialled);
            self.lost.entry(peer).or_insert(Since { lost: now, to_try });
        }
    }

    /// A dial has failed.
    pub fn failed(&mut self, peer: Index, now: Time) {
        if let Some(since) = self.lost.get_mut(&peer)
            && self.heard > since.lost
        {
            since.to_try = since.to_try.saturating_sub(1);
        }
        let Some(target) = self.targets.get_mut(&peer) else {
            return;
        };
        if target.next.is_none() {
            self.dialling -= 1;
        }
        target.failed = true;
        target.urgent = false;
        let next = now + target.backoff.next_delay();
        target.next = Some(next);
        self.plan(peer, next);
    }

    /// There may be a new way to everybody.
    pub fn try_again(&mut self, now: Time) {
        for (peer, target) in &mut self.targets {
            target.failed = false;
            if let Some(next) = &mut target.next {
                *next = now;
                self.due.insert((now, *peer));
            }
        }
    }

    /// A peer is no member any more.
    pub fn forget(&mut self, peer: Index) {
        self.lost.remove(&peer);
        if let Some(target) = self.targets.remove(&peer)
            && target.next.is_none()
        {
            self.dialling -= 1;
        }
    }

    /// Somebody has answered.
    pub fn heard(&mut self, now: Time) {
        self.heard = now;
    }

    /// Others have brought something new that a member has signed.
    pub fn heard_of(&mut self, peer: Index, now: Time) {
        if self
            .lost
            .get(&peer)
            .is_some_and(|since| now - since.lost >= LATE)
        {
            self.lost.remove(&peer);
        }
    }

    /// A member has left, or is back.
    pub fn found(&mut self, peer: Index) {
        self.lost.remove(&peer);
    }

    /// Which members are lost now.
    pub fn lost(&mut self, now: Time) -> Vec<Index> {
        self.lost
            .retain(|_, since| now - since.lost < JUDGED_WITHIN);
        let is_gone = |since: &Since| since.to_try == 0 && now - since.lost >= GRACE;
        let gone = self.lost.extract_if(.., |_, since| is_gone(since));
        gone.map(|(peer, _)| peer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody(_: Index) -> bool {
        false
    }

    #[test]
    fn a_newcomer_asks_strangers_at_once_and_dials_members_when_it_has_a_list() {
        let mut reach = Reach::new(1);
        reach.hold(Time::ZERO);
        reach.stranger(1, Time::ZERO);
        reach.member(2, false, Time::ZERO);
        reach.member(3, true, Time::ZERO);
        reach.want(BTreeSet::from([2, 3]));
        assert_eq!(reach.poll(Time::ZERO, nobody), [1]);
        reach.release();
        assert_eq!(reach.poll(Time::at(1), nobody), [2]);
        assert_eq!(reach.poll(Time::ZERO + YIELD, nobody), [3]);
    }

    #[test]
    fn who_does_not_answer_is_tried_after_growing_pauses() {
        let mut reach = Reach::new(1);
        reach.member(1, false, Time::ZERO);
        reach.want(BTreeSet::from([1]));
        let (mut now, mut pauses) = (Time::ZERO, Vec::new());
        for _ in 0..8 {
            assert_eq!(reach.poll(now, nobody), [1]);
            reach.failed(1, now);
            assert!(!reach.may_reach(1));
            let next = reach.next().unwrap();
            pauses.push(next - now);
            now = next;
        }
        assert!(
            pauses[0] <= RETRY.0 && pauses[7] > seconds(15),
            "{pauses:?}"
        );
        assert!(pauses.iter().all(|pause| *pause <= RETRY.1));
    }

    #[test]
    fn who_is_lost_is_gone_when_it_was_tried_and_others_are_heard() {
        for (is_heard, gone) in [(true, vec![1]), (false, vec![])] {
            let mut reach = Reach::new(1);
            reach.member(1, false, Time::ZERO);
            reach.want(BTreeSet::from([1]));
            reach.poll(Time::ZERO, nobody);
            reach.connected(1, Time::ZERO);
            reach.disconnected(1, true, true, Time::at(20));
            if is_heard {
                reach.heard(Time::at(21));
            }
            assert_eq!(reach.poll(Time::at(22), nobody), [1]);
            reach.failed(1, Time::at(23));
            assert!(reach.lost(Time::at(24)).is_empty(), "it has a moment");
            assert_eq!(reach.lost(Time::at(25)), gone);
        }
    }

    #[test]
    fn who_is_forgotten_is_not_dialled() {
        let mut reach = Reach::new(1);
        reach.member(1, false, Time::ZERO);
        reach.want(BTreeSet::from([1]));
        reach.forget(1);
        assert!(reach.poll(Time::at(9), nobody).is_empty());
        reach.try_again(Time::at(9));
        assert!(reach.poll(Time::at(9), nobody).is_empty());
    }
}
