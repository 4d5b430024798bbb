//! How many HTTP connections there are, in all and of one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use moim_protocol::rate::Source;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::{
    block_list::BlockList,
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
    bounds: Bounds,
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
            bounds,
        }
    }

    /// Waits until there is room for one more.
    pub(super) async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        Arc::clone(&self.free).acquire_owned().await.ok()
    }

    /// The slot for a connection from `ip`, unless that is blocked or has too many.
    pub(super) fn take(&self, permit: OwnedSemaphorePermit, ip: IpAddr) -> Option<Slot> {
        let source = Source::from(ip);
        if self.bounds.blocked.borrow().has_ip(ip.to_canonical()) {
            self.bounds.rejections.count(Reason::Blocked, Some(source));
            return None;
        }
        if source.is_loopback() && !self.bounds.limit_loopback {
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

fn lock(open: &Mutex<HashMap<Source, usize>>) -> MutexGuard<'_, HashMap<Source, usize>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_address_has_its_part_and_gives_it_back() {
        let bounds = Bounds {
            connections: 8,
            per_source: 2,
            limit_loopback: false,
            blocked: watch::channel(Arc::new(BlockList::parse("192.0.2.3\n").0)).1,
            rejections: Rejections::default(),
        };
        let slots = Slots::new(bounds);
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
