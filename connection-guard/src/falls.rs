//! How often something may start anew.

use std::{collections::VecDeque, time::Duration};

use web_time::Instant;

/// Times that what panics is started anew within [`RESTARTS_WINDOW`]. A fault that was met by chance does
/// not come back so soon; for one that somebody uses there has to be an end, or it would start for ever.
pub const RESTARTS_MAX: usize = 5;

/// See [`RESTARTS_MAX`].
pub const RESTARTS_WINDOW: Duration = Duration::from_secs(10 * 60);

/// When something panicked lately.
#[derive(Clone, Debug, Default)]
pub struct Falls(VecDeque<Instant>);

impl Falls {
    /// It panicked now. Whether it may start once more.
    pub fn another(&mut self, now: Instant) -> bool {
        let is_old = |fall: &Instant| now.saturating_duration_since(*fall) > RESTARTS_WINDOW;
        while self.0.front().is_some_and(is_old) {
            self.0.pop_front();
        }
        self.0.push_back(now);
        self.0.len() <= RESTARTS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_panics_all_the_time_is_given_up_and_what_does_so_seldom_is_not() {
        let start = Instant::now();
        let mut falls = Falls::default();
        for _ in 0..RESTARTS_MAX {
            assert!(falls.another(start));
        }
        assert!(!falls.another(start));
        let mut falls = Falls::default();
        for n in 0..100 {
            assert!(falls.another(start + RESTARTS_WINDOW / 2 * n), "{n}");
        }
    }
}
