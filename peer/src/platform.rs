//! What differs between a native program and a browser page: tasks, time, randomness, HTTP, and how
//! one hears what becomes of the device and the page.
//! Nothing else in this crate may name tokio's runtime or the browser's.

use std::{future::Future, time::Duration};

use moim_protocol::{UnixMillis, message::MessageId};
use web_time::{Instant, SystemTime, UNIX_EPOCH};

#[cfg(not(target_arch = "wasm32"))]
#[path = "platform/native.rs"]
mod imp;

#[cfg(target_arch = "wasm32")]
#[path = "platform/browser.rs"]
mod imp;

pub(crate) use self::imp::{Surroundings, fetch, spawn};

/// What becomes of the device, or of the page, from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(dead_code, reason = "each platform tells a part of these")]
pub(crate) enum Change {
    /// The device has an address more or less.
    Addresses,
    /// The device has lost its network (`false`), has one again, or has woken up.
    Network(bool),
    /// The page is closed, put away or frozen: nobody can be answered any more.
    PutAway,
    /// The page is there again as it was.
    Back,
}

/// The monotonic clock. It may stand still while a device sleeps.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The wall clock.
pub(crate) fn wall() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixMillis::from_epoch(since.unwrap_or_default())
}

/// Resolves at `deadline`, never when there is none.
pub(crate) async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep(deadline.saturating_duration_since(now())).await,
        None => futures::future::pending().await,
    }
}

/// Resolves after `duration`.
pub(crate) async fn sleep(duration: Duration) {
    n0_future::time::sleep(duration).await;
}

/// `future`, or `None` when it takes longer than `limit`.
pub(crate) async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    futures::pin_mut!(future);
    let timer = sleep(limit);
    futures::pin_mut!(timer);
    match futures::future::select(future, timer).await {
        futures::future::Either::Left((value, _)) => Some(value),
        futures::future::Either::Right(((), _)) => None,
    }
}

/// A seed for the small generators of the pure machines.
pub(crate) fn seed() -> u64 {
    rand::random()
}

/// A fresh message id: 128 random bits.
pub(crate) fn message_id() -> MessageId {
    MessageId::from_bytes(rand::random())
}
