//! What the other side may cost before it is known, and that it is known.

use std::time::{Duration, Instant};

use super::{
    super::{super::CloseReason, budget::processor_time, sockets::Datagram},
    Agent,
};

/// Datagrams of DTLS that may come before a pair is selected: the other side's first flight, and again.
const EARLY_MAX: usize = 32;

/// The same in bytes.
const EARLY_BYTES_MAX: usize = 16 * 1024;

impl Agent {
    /// Ends it if the other side has kept the processor busy for too long. Says when the next work begins.
    pub(super) fn spend_since(&mut self, began: Duration) -> Duration {
        let now = processor_time();
        let time = now.saturating_sub(began);
        if !self.budget.spend(time, Instant::now()) {
            tracing::debug!("the other side keeps us busy");
            self.end(CloseReason::Closed);
        }
        now
    }

    /// It is known who is at the other end.
    pub(in crate::backend::native) fn trust(&mut self) {
        self.is_trusted = true;
        self.budget.lift();
        self.sockets.trust();
        if let Some(sctp) = &mut self.sctp {
            sctp.trust();
        }
    }

    pub(super) fn keep_early(&mut self, datagram: Datagram) {
        let bytes: usize = self.early.iter().map(|early| early.data.len()).sum();
        if self.early.len() < EARLY_MAX && bytes + datagram.data.len() <= EARLY_BYTES_MAX {
            self.early.push(datagram);
        }
    }

    /// To whom how many bytes were sent so far.
    #[cfg(test)]
    pub(in crate::backend::native) fn sent(&self) -> Vec<(std::net::SocketAddr, usize)> {
        self.sockets.sent.clone()
    }
}
