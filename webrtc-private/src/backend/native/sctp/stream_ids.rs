//! The stream ids of the channels that we open.

use std::collections::VecDeque;

use super::{STREAMS_MAX, StreamId};

/// Ids that are free. The one is taken that has been free for the longest time: `sctp-proto` 0.10 resets a stream
/// again when the other side has answered a reset of ours, which would be the end of a new channel with that id.
#[derive(Debug)]
pub(super) struct StreamIds {
    is_client: bool,
    free: VecDeque<StreamId>,
}

impl StreamIds {
    /// Even ones are of the client of DTLS (RFC 8832, section 6).
    pub(super) fn new(is_client: bool) -> Self {
        let first = StreamId::from(!is_client);
        let free = (first..STREAMS_MAX).step_by(2).collect();
        Self { is_client, free }
    }

    pub(super) const fn is_ours(&self, stream: StreamId) -> bool {
        stream.is_multiple_of(2) == self.is_client
    }

    pub(super) fn left(&self) -> usize {
        self.free.len()
    }

    pub(super) fn take(&mut self) -> Option<StreamId> {
        self.free.pop_front()
    }

    /// An id is used that was not taken.
    pub(super) fn except(&mut self, stream: StreamId) {
        self.free.retain(|free| *free != stream);
    }

    /// An id can be used again.
    pub(super) fn give_back(&mut self, stream: StreamId) {
        if self.is_ours(stream) && !self.free.contains(&stream) {
            self.free.push_back(stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_is_taken() {
        let mut ids = StreamIds::new(false);
        ids.except(3);
        ids.except(4);
        assert_eq!([ids.take(), ids.take()], [Some(1), Some(5)]);
        for stream in [1, 1, 2] {
            ids.give_back(stream);
        }
        assert_eq!(ids.take(), Some(7));
        let rest: Vec<_> = std::iter::from_fn(|| ids.take()).collect();
        assert_eq!(rest.last(), Some(&1));
        assert_eq!(rest.len(), ids_of_a_side() - 3);
    }

    fn ids_of_a_side() -> usize {
        usize::from(STREAMS_MAX / 2)
    }
}
