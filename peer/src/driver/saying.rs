//! What the user has written for a room, until it may be said.

use std::collections::VecDeque;

use moim_protocol::{
    allowance::Allowance,
    limits::{SAY, SAY_WAITING_MAX},
    text::Text,
};
use web_time::Instant;

use crate::{command::Reply, error::SayError, history::RoomMessage};

type Answer = Reply<Result<RoomMessage, SayError>>;

/// Bytes of a message besides its text, with the longest name: rounded up.
const FRAME_BYTES: usize = 384;

/// Holds back what others would not take, because it is more than an author's share. Nothing is
/// lost: whoever wanted it said waits, or is told that too much waits already.
#[derive(Debug)]
pub(super) struct Saying {
    left: Allowance,
    waiting: VecDeque<(Text, Answer)>,
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
    pub(super) fn new(now: Instant) -> Self {
        Self {
            left: Allowance::new(SAY, now),
            waiting: VecDeque::new(),
        }
    }

    /// Takes a text, which [`next`](Self::next) gives back when it may be said.
    pub(super) fn push(&mut self, text: Text, answer: Answer) {
        if self.waiting.len() >= SAY_WAITING_MAX {
            // A dropped answer means that nobody waits for it.
            let _ = answer.send(Err(SayError::TooFast));
            return;
        }
        self.waiting.push_back((text, answer));
    }

    /// The next text, if it may be said now.
    pub(super) fn next(&mut self, now: Instant) -> Option<(Text, Answer)> {
        let (text, _) = self.waiting.front()?;
        if !self.left.take(bytes(text.as_str()), now) {
            return None;
        }
        self.waiting.pop_front()
    }

    pub(super) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let (text, _) = self.waiting.front()?;
        let mut left = self.left;
        Some(now + left.wait(bytes(text.as_str()), now))
    }

    /// The room is left: nothing more is said.
    pub(super) fn give_up(self) {
        for (_, answer) in self.waiting {
            let _ = answer.send(Err(SayError::Left));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;
    use crate::platform;

    fn push(saying: &mut Saying, text: &str) -> oneshot::Receiver<Result<RoomMessage, SayError>> {
        let (answer, answered) = oneshot::channel();
        saying.push(Text::new(text).expect("valid"), answer);
        answered
    }

    fn said(saying: &mut Saying, now: Instant) -> Vec<String> {
        std::iter::from_fn(|| saying.next(now))
            .map(|(text, _)| text.as_str().to_owned())
            .collect()
    }

    #[test]
    fn a_pasted_page_goes_at_once_and_a_flood_in_order_at_its_rate() {
        let start = platform::now();
        let mut saying = Saying::new(start);
        let burst = SAY.things.burst as usize;
        let all: Vec<String> = (0..burst + 20).map(|n| format!("line {n}")).collect();
        let mut heard = Vec::new();
        for text in &all {
            push(&mut saying, text);
            heard.extend(said(&mut saying, start));
        }
        assert_eq!(heard, all[..burst]);
        let mut now = start;
        while let Some(next) = saying.next_deadline(now) {
            assert!(next > now, "{heard:?}");
            // Whatever is lost in rounding.
            now = next + Duration::from_millis(1);
            heard.extend(said(&mut saying, now));
        }
        assert_eq!(heard, all);
        let took = now.duration_since(start).as_secs_f64();
        assert!((2.0..4.0).contains(&took), "{took}");
    }

    #[test]
    fn what_is_too_much_is_refused_and_what_waits_when_the_room_is_left_too() {
        let start = platform::now();
        let mut saying = Saying::new(start);
        let long = "x".repeat(16_384);
        let mut answers: Vec<_> = (0..200).map(|_| push(&mut saying, &long)).collect();
        let mut refused = answers.split_off(SAY_WAITING_MAX);
        for answer in &mut refused {
            assert_eq!(answer.try_recv(), Ok(Err(SayError::TooFast)));
        }
        let at_once = said(&mut saying, start).len();
        assert_eq!(at_once, 15, "of the longest");
        saying.give_up();
        for answer in &mut answers[at_once..] {
            assert_eq!(answer.try_recv(), Ok(Err(SayError::Left)));
        }
    }
}
