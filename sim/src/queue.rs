//! What is to happen, in the order of its time.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::time::Time;

/// An event at its time. Of several at one time, the first that was planned comes first, so that a run can be repeated.
#[derive(Debug)]
struct Planned<E> {
    key: Reverse<(Time, u64)>,
    event: E,
}

impl<E> PartialEq for Planned<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<E> Eq for Planned<E> {}

impl<E> PartialOrd for Planned<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Planned<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

/// See the [module](self).
#[derive(Debug)]
pub struct Queue<E> {
    planned: BinaryHeap<Planned<E>>,
    /// How many were planned so far.
    number: u64,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self {
            planned: BinaryHeap::new(),
            number: 0,
        }
    }
}

impl<E> Queue<E> {
    /// Plans an event.
    pub fn plan(&mut self, at: Time, event: E) {
        self.number += 1;
        let key = Reverse((at, self.number));
        self.planned.push(Planned { key, event });
    }

    /// The next event that happens at `end` or before.
    pub fn next(&mut self, end: Time) -> Option<(Time, E)> {
        let Reverse((at, _)) = self.planned.peek()?.key;
        if at > end {
            return None;
        }
        self.planned.pop().map(|planned| (at, planned.event))
    }

    /// How many events were planned since the beginning.
    #[must_use]
    pub const fn planned(&self) -> u64 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_order_of_time_and_then_of_planning() {
        let mut queue = Queue::default();
        for (at, event) in [(3, 'd'), (1, 'a'), (2, 'b'), (2, 'c'), (9, 'e')] {
            queue.plan(Time::at(at), event);
        }
        let order: String = std::iter::from_fn(|| queue.next(Time::at(5)))
            .map(|(_, event)| event)
            .collect();
        assert_eq!(order, "abcd");
        assert_eq!(queue.planned(), 5);
    }
}
