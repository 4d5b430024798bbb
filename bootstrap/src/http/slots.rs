//! How many HTTP connections there are, in all and of one address, and how fast an address asks.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use moim_protocol::rate::{Bucket, Buckets, Source};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::{
    block_list::BlockList,
    limits,
    rejections::{Reason, Rejections},
};

/// What bounds the connections.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    pub(crate) connections: usize,
    pub(crate) per_source: usize,
    /// Whether connections from this machine are bounded by source like others.
    pub(crate) limit_loopback: bool,
    /// Who gets nothing.
    pub(crate) blocked: watch::Receiver<Arc<BlockList>>,
    pub(crate) rejections: Rejections,
}

/// The slots. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    free: Arc<Semaphore>,
    open: Open,
    rates: Arc<Mutex<Rates>>,
    bounds: Bounds,
}

/// How fast sources ask.
#[derive(Debug)]
struct Rates {
    sources: Buckets<Source>,
    loopback: Bucket,
}

type Open = Arc<Mutex<HashMap<Source, usize>>>;

/// A slot of somebody; free again when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    source: Option<(Source, Open)>,
    _permit: OwnedSemaphorePermit,
}

impl Slots {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            free: Arc::new(Semaphore::new(bounds.connections)),
            open: Open::default(),
            rates: Arc::new(Mutex::new(Rates {
                sources: Buckets::new(limits::HTTP_SOURCE_RATE, limits::HTTP_SOURCES_MAX),
                loopback: Bucket::new(limits::HTTP_LOOPBACK_RATE, Instant::now()),
            })),
            bounds,
        }
    }

    /// Waits until there is room for one more.
    pub(super) async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        Arc::clone(&self.free).acquire_owned().await.ok()
    }

    /// Whether `ip` may ask for one thing more: a connection, or what it asks for on one.
    pub(super) fn ask(&self, ip: IpAddr, now: Instant) -> bool {
        let source = Source::from(ip);
        let may = {
            let mut rates = lock(&self.rates);
            if self.is_everybodys(source) {
                rates.loopback.take(now)
            } else {
                rates.sources.take(source, now)
            }
        };
        if !may {
            self.bounds.rejections.count(Reason::HttpRate, Some(source));
        }
        may
    }

    /// Whether a reverse proxy may speak for others from there.
    fn is_everybodys(&self, source: Source) -> bool {
        source.is_loopback() && !self.bounds.limit_loopback
    }

    /// The slot for a connection from `ip`, unless that is blocked or has too many.
    pub(super) fn take(&self, permit: OwnedSemaphorePermit, ip: IpAddr) -> Option<Slot> {
        let source = Source::from(ip);
        if self.bounds.blocked.borrow().has_ip(ip.to_canonical()) {
            self.bounds.rejections.count(Reason::Blocked, Some(source));
            return None;
        }
        if self.is_everybodys(source) {
            return Some(Slot {
                source: None,
                _permit: permit,
            });
        }
        let mut open = lock(&self.open);
        let count = open.get(&source).copied().unwrap_or_default();
        if count >= self.bounds.per_source {
            self.bounds
                .rejections
                .count(Reason::HttpSource, Some(source));
            return None;
        }
        open.insert(source, count + 1);
        Some(Slot {
            source: Some((source, Arc::clone(&self.open))),
            _permit: permit,
        })
    }

    /// A connection that could not be accepted.
    pub(super) fn count_failure(&self) {
        self.bounds.rejections.count(Reason::Accept, None);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some((source, open)) = &self.source else {
            return;
        };
        let mut open = lock(open);
        if let Some(count) = open.get_mut(source) {
            *count -= 1;
            if *count == 0 {
                open.remove(source);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots() -> Slots {
        Slots::new(Bounds {
            connections: 8,
            per_source: 2,
            limit_loopback: false,
            blocked: watch::channel(Arc::new(BlockList::parse("192.0.2.3\n").0)).1,
            rejections: Rejections::default(),
        })
    }

    #[test]
    fn one_address_asks_as_fast_as_it_may_and_slows_nobody_else_down() {
        let (slots, now) = (slots(), Instant::now());
        let asked = |ip: [u8; 4], at| (0..10_000).filter(|_| slots.ask(ip.into(), at)).count();
        let burst = |rate: moim_protocol::rate::Rate| rate.burst as usize;
        let (one, here) = (limits::HTTP_SOURCE_RATE, limits::HTTP_LOOPBACK_RATE);
        assert_eq!(asked([192, 0, 2, 1], now), burst(one));
        assert_eq!(asked([192, 0, 2, 2], now), burst(one));
        assert_eq!(asked([127, 0, 0, 1], now), burst(here));
        let later = now + std::time::Duration::from_secs(1);
        assert_eq!(asked([192, 0, 2, 1], later), one.per_second as usize);
    }

    #[tokio::test]
    async fn one_address_has_its_part_and_gives_it_back() {
        let slots = slots();
        let mut held = Vec::new();
        for (ip, expected) in [
            ([192, 0, 2, 1], true),
            ([192, 0, 2, 1], true),
            ([192, 0, 2, 1], false),
            ([192, 0, 2, 2], true),
            ([192, 0, 2, 3], false),
            ([127, 0, 0, 1], true),
            ([127, 0, 0, 1], true),
            ([127, 0, 0, 1], true),
        ] {
            let slot = slots.take(slots.permit().await.unwrap(), ip.into());
            assert_eq!(slot.is_some(), expected, "{ip:?}");
            held.extend(slot);
        }
        drop(held);
        assert!(lock(&slots.open).is_empty());
        assert_eq!(slots.free.available_permits(), 8);
    }
}
