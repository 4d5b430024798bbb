//! Channels that are closed for us and not for the other side yet.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::StreamId;

/// How long the other side may leave a channel open that it has opened and that is over. js-libp2p closes it
/// when both sides have said so, or 5 s after it has; where packets get lost it takes longer.
pub(super) const LEFT_FOR: Duration = Duration::from_secs(60);

/// Channels that the other side may leave open so.
const LEFT_MAX: usize = 1024;

/// How long nothing has to have come on a channel of ours until it is closed: what comes after that counts
/// against the window of the whole association until the other side closes it too.
const QUIET_FOR: Duration = Duration::from_millis(250);

type Due = VecDeque<(Instant, StreamId)>;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Closing {
    /// The other side's to close, until when.
    left: Due,
    /// Ours, as soon as nothing more comes.
    quiet: Due,
}

impl Closing {
    /// Leaves it to the other side to close a channel. `false` when there are too many.
    pub(super) fn leave(&mut self, stream: StreamId, now: Instant) -> bool {
        let fits = self.left.len() < LEFT_MAX;
        if fits {
            self.left.push_back((now + LEFT_FOR, stream));
        }
        fits
    }

    /// Waits until nothing more comes on a channel.
    pub(super) fn wait(&mut self, stream: StreamId, now: Instant) {
        self.quiet.push_back((now + QUIET_FOR, stream));
    }

    /// Something has come on a channel.
    pub(super) fn on_data(&mut self, stream: StreamId, now: Instant) {
        let at = self.quiet.iter().position(|(_, one)| *one == stream);
        if let Some(at) = at {
            self.quiet.remove(at);
            self.wait(stream, now);
        }
    }

    /// The other side has closed a channel.
    pub(super) fn forget(&mut self, stream: StreamId) {
        for waiting in [&mut self.left, &mut self.quiet] {
            waiting.retain(|(_, one)| *one != stream);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let first = [self.left.front(), self.quiet.front()];
        first.into_iter().flatten().map(|(due, _)| *due).min()
    }

    /// A channel whose time has come.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<StreamId> {
        let mut waiting = [&mut self.left, &mut self.quiet].into_iter();
        let due = waiting.find_map(|waiting| waiting.pop_front_if(|(due, _)| *due <= now));
        due.map(|(_, stream)| stream)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.left.is_empty() && self.quiet.is_empty()
    }
}
