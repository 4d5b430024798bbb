//! What belongs to one dial, for the transports below [`Checked`](crate::Checked) to see.
//!
//! libp2p's DNS transport hands on addresses, and nothing that would say whose word the name was. It
//! dials in the future that it has returned, though, so what belongs to a dial is laid out for as long as
//! that future is polled.

use std::{
    cell::RefCell,
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll},
};

use moim_protocol::dials::Origin;

thread_local! {
    static CURRENT: RefCell<Option<Attempt>> = const { RefCell::new(None) };
}

/// A dial.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    /// Whose word its address is.
    pub(crate) origin: Origin,
    /// Its address names the host.
    pub(crate) by_name: bool,
    /// The IP address that was dialled last.
    pub(crate) ip: Option<IpAddr>,
}

impl Attempt {
    /// Runs `f` as a part of this dial.
    pub(crate) fn within<T>(&mut self, f: impl FnOnce() -> T) -> T {
        /// Puts back what was there, also when `f` panics.
        struct Before(Option<Attempt>);

        impl Drop for Before {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }

        let before = Before(CURRENT.replace(Some(*self)));
        let result = f();
        if let Some(now) = CURRENT.take() {
            *self = now;
        }
        drop(before);
        result
    }
}

/// Whose word the address of the dial is that is going on. If none is, a stranger's.
pub(crate) fn origin() -> Origin {
    CURRENT.with_borrow(|current| current.map_or(Origin::Stranger, |attempt| attempt.origin))
}

/// Whether the address of the dial that is going on names the host.
pub(crate) fn by_name() -> bool {
    CURRENT.with_borrow(|current| current.is_some_and(|attempt| attempt.by_name))
}

/// Notes that the dial goes to this address.
pub(crate) fn goes_to(ip: IpAddr) {
    CURRENT.with_borrow_mut(|current| {
        if let Some(attempt) = current {
            attempt.ip = Some(ip);
        }
    });
}

/// A future that is polled as a part of a dial, and says with its result to which address that went.
#[derive(Debug)]
pub(crate) struct Within<F> {
    pub(crate) attempt: Attempt,
    pub(crate) future: F,
}

impl<F: Future + Unpin> Future for Within<F> {
    type Output = (F::Output, Option<IpAddr>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { attempt, future } = &mut *self;
        let poll = attempt.within(|| Pin::new(future).poll(cx));
        poll.map(|output| (output, attempt.ip))
    }
}
