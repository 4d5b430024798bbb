//! Many seeds, on as many threads as there are cores.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use crate::mixed::{self, Trouble};

/// A run in which something did not hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failed {
    /// Its seed.
    pub seed: u64,
    /// What did not hold.
    pub faults: Vec<String>,
}

/// Runs the seeds from the first up to the last, the last not included. Returns those that failed, in order.
#[must_use]
pub fn run(first: u64, last: u64) -> Vec<Failed> {
    let (next, failed) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= last {
                        return;
                    }
                    let (faults, _) = mixed::run(seed, Trouble::of_seed(seed));
                    if !faults.is_empty()
                        && let Ok(mut failed) = failed.lock()
                    {
                        failed.push(Failed { seed, faults });
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap_or_default();
    failed.sort_unstable();
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_seeds_are_run() {
        assert_eq!(run(3, 3), []);
        assert_eq!(run(0, 5), []);
    }
}
