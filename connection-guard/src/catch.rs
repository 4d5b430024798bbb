//! Catching panics, and counting them.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    fmt,
    future::{Future, poll_fn},
    panic::{self, AssertUnwindSafe},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
};

thread_local! {
    /// How many of this module's catches are around what this thread does.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Where the last panic was that one of them caught.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A panic that was caught.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panic {
    message: String,
    place: Option<String>,
}

impl Panic {
    fn new(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        Self {
            message: text.unwrap_or("no message").to_owned(),
            place: PLACE.take(),
        }
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{} at {place}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// Counts the panics that closed a connection. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Panics(Arc<AtomicU64>);

impl Panics {
    /// How many there were.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// What `act` gives, or `None` if it panics. The first panic is told in the log; whoever can cause
    /// one can cause many.
    pub(crate) fn catch<T>(&self, act: impl FnOnce() -> T) -> Option<T> {
        match catch(act) {
            Ok(value) => Some(value),
            Err(panic) => {
                if self.0.fetch_add(1, Ordering::Relaxed) == 0 {
                    tracing::error!(
                        %panic,
                        "a connection panicked and is closed; further ones are counted only"
                    );
                } else {
                    tracing::debug!(%panic, "a connection panicked and is closed");
                }
                None
            }
        }
    }
}

fn catch<T>(act: impl FnOnce() -> T) -> Result<T, Panic> {
    DEPTH.set(DEPTH.get() + 1);
    let result = panic::catch_unwind(AssertUnwindSafe(act));
    DEPTH.set(DEPTH.get() - 1);
    result.map_err(|payload| Panic::new(&*payload))
}

/// What `future` gives, or how it panicked. Whatever it held is as the panic left it.
///
/// # Errors
///
/// If it panics.
pub async fn catch_future<F: Future>(future: F) -> Result<F::Output, Panic> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch(|| future.as_mut().poll(cx)) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// From now on a panic that this crate catches writes nothing to stderr itself: the one who caught it
/// says what there is to say, with the place. For programs, once, at their start.
pub fn quiet_caught_panics() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if DEPTH.get() == 0 {
            before(info);
        } else {
            PLACE.set(info.location().map(ToString::to_string));
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_are_caught_and_counted_and_say_what_they_said() {
        let panics = Panics::default();
        assert_eq!(panics.catch(|| 1), Some(1));
        assert_eq!(panics.catch(|| -> u8 { panic!("as a protocol may") }), None);
        assert_eq!(panics.clone().total(), 1);
        let panic = catch(|| panic!("number {}", 2)).expect_err("it panics");
        assert!(panic.to_string().starts_with("number 2"), "{panic}");
        let result = futures::executor::block_on(catch_future(async { panic!("later") }));
        assert!(result.is_err());
        assert_eq!(DEPTH.get(), 0);
    }
}
