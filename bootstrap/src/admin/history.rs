//! How fast the counters grew over the last minutes. Pure: the time comes in.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::limits;

/// What counters were at times in the past.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<(Instant, BTreeMap<String, f64>)>);

/// How fast a counter grew, per second.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Rate {
    name: String,
    /// Over the last minute, or since the start where that is less.
    minute: f64,
    /// Over the last ten.
    ten_minutes: f64,
}

const MINUTE: Duration = Duration::from_secs(60);
const TEN_MINUTES: Duration = Duration::from_secs(600);

impl History {
    pub(super) fn push(&mut self, totals: BTreeMap<String, f64>, now: Instant) {
        while self.0.len() >= limits::ADMIN_SAMPLES_MAX {
            self.0.pop_front();
        }
        self.0.push_back((now, totals));
    }

    /// The rates of counters that are at these values now.
    pub(super) fn rates(&self, totals: &BTreeMap<String, f64>, now: Instant) -> Vec<Rate> {
        totals
            .iter()
            .map(|(name, value)| Rate {
                name: name.clone(),
                minute: self.rate(name, *value, MINUTE, now),
                ten_minutes: self.rate(name, *value, TEN_MINUTES, now),
            })
            .collect()
    }

    fn rate(&self, name: &str, value: f64, window: Duration, now: Instant) -> f64 {
        let first = self
            .0
            .iter()
            .find(|(at, _)| now.saturating_duration_since(*at) <= window);
        let Some((at, before)) = first else {
            return 0.0;
        };
        let seconds = now.saturating_duration_since(*at).as_secs_f64();
        // What was not there yet was zero; a counter with labels appears when it first counts.
        let grown = value - before.get(name).copied().unwrap_or_default();
        if seconds > 0.0 { grown / seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(value: f64) -> BTreeMap<String, f64> {
        [("a_total".to_owned(), value)].into()
    }

    #[test]
    fn a_rate_is_what_was_added_in_the_window() {
        let start = Instant::now();
        let mut history = History::default();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(history.rates(&totals(5.0), start)[0].minute, 0.0);
        // Ten a second for five minutes, then nothing.
        for step in 0..=84_u32 {
            let seconds = u64::from(step) * 5;
            history.push(totals(10.0 * f64::from(step * 5).min(300.0)), at(seconds));
        }
        let rate = &history.rates(&totals(3000.0), at(420))[0];
        assert_eq!(rate.minute, 0.0);
        assert!((rate.ten_minutes - 3000.0 / 420.0).abs() < 1e-9, "{rate:?}");
        let rate = &history.rates(&totals(3060.0), at(420))[0];
        assert!((rate.minute - 1.0).abs() < 1e-9, "{rate:?}");
    }

    #[test]
    fn it_remembers_ten_minutes_and_no_more() {
        let start = Instant::now();
        let mut history = History::default();
        for step in 0..1000_u32 {
            let now = start + limits::ADMIN_SAMPLE_INTERVAL * step;
            history.push(totals(0.0), now);
        }
        assert_eq!(history.0.len(), limits::ADMIN_SAMPLES_MAX);
        let (first, last) = (history.0[0].0, history.0[history.0.len() - 1].0);
        assert!(last - first >= TEN_MINUTES);
    }
}
