//! What the user has written for the room: until it may be said, and after that for those who missed it.

use std::{collections::VecDeque, time::Duration};

use moim_protocol::{
    after,
    allowance::Allowance,
    limits::{SAY, SAY_WAITING_MAX},
    message::{MessageId, Position},
    room::RoomText,
    said::Said,
    text::{Name, Text},
};
use web_time::Instant;

use crate::{
    now::Now,
    output::{NotSaid, Output, Outputs},
};

/// Bytes of a message besides its text, with the longest name: rounded up.
const FRAME_BYTES: usize = 384;

/// What is waited for at least: durations are rounded, and a wait that is too short by that would never end.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// Holds back what others would not take, because it is more than an author's share. Nothing is
/// lost: whoever wanted it said waits, or is told that too much waits already.
#[derive(Debug)]
pub(crate) struct Saying {
    left: Allowance,
    waiting: VecDeque<(MessageId, Text)>,
    /// When the first that waits may be said.
    next: Option<Instant>,
    said: Said,
}

/// What others count for a text: quotes and line ends take twice their place.
fn bytes(text: &str) -> usize {
    let escaped = text
        .bytes()
        .filter(|byte| *byte < b' ' || matches!(byte, b'"' | b'\\'));
    text.len()
        .saturating_add(escaped.count())
        .saturating_add(FRAME_BYTES)
}

impl Saying {
    pub(crate) fn new(now: Now) -> Self {
        Self {
            left: Allowance::new(SAY, now.instant),
            waiting: VecDeque::new(),
            next: None,
            // The time of the join, so that a rejoin starts the numbering anew.
            said: Said::new(now.wall.0.max(1)),
        }
    }

    /// Takes a text, which [`next`](Self::next) gives back when it may be said.
    pub(crate) fn push(&mut self, id: MessageId, text: Text, out: &mut Outputs) {
        if self.waiting.len() >= SAY_WAITING_MAX {
            let why = NotSaid::TooFast;
            out.push(Output::NotSaid { id, why });
            return;
        }
        self.waiting.push_back((id, text));
    }

    /// The next text, if it may be said now: it is said under this `name`, and kept.
    pub(crate) fn next(&mut self, name: &Name, now: Now) -> Option<RoomText> {
        self.next = None;
        let (_, text) = self.waiting.front()?;
        let bytes = bytes(text.as_str());
        if !self.left.take(bytes, now.instant) {
            let wait = self.left.wait(bytes, now.instant).max(WAIT_MIN);
            self.next = Some(after(now.instant, wait));
            return None;
        }
        let (id, text) = self.waiting.pop_front()?;
        let Position { session, sequence } = self.said.next();
        let text = RoomText {
            id,
            session,
            sequence,
            name: Some(name.clone()),
            text,
            sent: now.wall,
        };
        self.said.push(text.clone(), now.instant);
        Some(text)
    }

    /// When the next text may be said.
    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// How far our own talk goes.
    pub(crate) const fn newest(&self) -> Position {
        self.said.newest()
    }

    /// What somebody missed, see [`Said::missed`].
    pub(crate) fn missed(
        &mut self,
        known: Position,
        member_for: Duration,
        met: Option<Instant>,
        now: Instant,
    ) -> Vec<RoomText> {
        self.said.missed(known, member_for, met, now)
    }

    /// The room is left: nothing more is said.
    pub(crate) fn give_up(&mut self, out: &mut Outputs) {
        self.next = None;
        for (id, _) in self.waiting.drain(..) {
            let why = NotSaid::Left;
            out.push(Output::NotSaid { id, why });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{message_id, start};

    fn push(saying: &mut Saying, number: u64, text: &str, out: &mut Outputs) {
        let text = Text::new(text).unwrap();
        saying.push(message_id(number), text, out);
    }

    fn said(saying: &mut Saying, now: Now) -> Vec<RoomText> {
        let name: Name = "Ada".parse().unwrap();
        std::iter::from_fn(|| saying.next(&name, now)).collect()
    }

    #[test]
    fn a_pasted_page_goes_at_once_and_a_flood_in_order_at_its_rate() {
        let start = start();
        let (mut saying, mut out) = (Saying::new(start), Outputs::default());
        let burst = u64::from(SAY.things.burst);
        let mut heard = Vec::new();
        for number in 0..burst + 20 {
            push(&mut saying, number, &format!("line {number}"), &mut out);
            heard.extend(said(&mut saying, start));
        }
        assert_eq!(heard.len() as u64, burst);
        let mut now = start;
        while let Some(next) = saying.poll_timeout() {
            assert!(next > now.instant, "{heard:?}");
            now = now.after(next - now.instant);
            heard.extend(said(&mut saying, now));
        }
        let ids = heard.iter().map(|text| text.id);
        assert!(ids.eq((0..burst + 20).map(message_id)));
        let sequences = heard.iter().map(|text| text.sequence);
        assert!(sequences.eq(1..=burst + 20));
        assert!(heard.iter().all(|text| text.session == start.wall.0));
        let took = now.instant.duration_since(start.instant).as_secs_f64();
        assert!((2.0..4.0).contains(&took), "{took}");
        assert!(out.is_empty());
    }

    #[test]
    fn what_is_too_much_is_refused_and_what_waits_when_the_room_is_left_too() {
        let start = start();
        let (mut saying, mut out) = (Saying::new(start), Outputs::default());
        let long = "x".repeat(16_384);
        let waiting = SAY_WAITING_MAX as u64;
        for number in 0..200 {
            push(&mut saying, number, &long, &mut out);
        }
        let refused = |number, why| {
            let id = message_id(number);
            Some(Output::NotSaid { id, why })
        };
        for number in waiting..200 {
            assert_eq!(out.pop(), refused(number, NotSaid::TooFast));
        }
        let at_once = said(&mut saying, start).len() as u64;
        assert_eq!(at_once, 15, "of the longest");
        saying.give_up(&mut out);
        for number in at_once..waiting {
            assert_eq!(out.pop(), refused(number, NotSaid::Left));
        }
        assert!(out.is_empty());
        assert_eq!(saying.poll_timeout(), None);
    }

    #[test]
    fn what_was_said_is_kept_for_those_who_missed_it() {
        let start = start();
        let (mut saying, mut out) = (Saying::new(start), Outputs::default());
        push(&mut saying, 1, "hello", &mut out);
        let all = said(&mut saying, start);
        let forever = Duration::from_secs(60);
        let missed = saying.missed(Position::default(), forever, None, start.instant);
        assert_eq!(missed, all);
        assert_eq!(saying.newest().sequence, 1);
        let missed = saying.missed(saying.newest(), forever, None, start.instant);
        assert_eq!(missed, []);
    }
}
