//! How the DTLS handshake begins.

use std::time::Instant;

use rtc::sansio::Protocol as _;

use super::{
    super::{guard::is_dtls, sockets::Datagram},
    Agent,
};
use crate::backend::CloseReason;

/// Datagrams of DTLS that may come before there is a way: the other side's first flight, and again.
const EARLY_MAX: usize = 32;

/// rtc 0.21 begins the handshake when time passes, by itself up to 200 ms after there is a way, and drops what
/// comes of the other side's before: one side would wait for that, or the other a second for its
/// first flight to be repeated.
#[derive(Debug)]
pub(super) enum Handshake {
    /// There is no way; with what has come.
    Early(Vec<Datagram>),
    /// There is one, and the handshake is to begin.
    Due(Vec<Datagram>),
    Begun,
}

impl Handshake {
    pub(super) const fn new() -> Self {
        Self::Early(Vec::new())
    }

    /// Gives a datagram back if it is time for it.
    pub(super) fn take(&mut self, datagram: Datagram) -> Option<Datagram> {
        match self {
            Self::Early(early) | Self::Due(early) if is_dtls(&datagram.data) => {
                if early.len() < EARLY_MAX {
                    early.push(datagram);
                }
                None
            }
            _ => Some(datagram),
        }
    }

    pub(super) fn there_is_a_way(&mut self) {
        if let Self::Early(early) = self {
            *self = Self::Due(std::mem::take(early));
        }
    }
}

impl Agent {
    /// Begins the handshake if it is due.
    pub(super) fn begin_handshake(&mut self, now: Instant) {
        let Handshake::Due(early) = &mut self.handshake else {
            return;
        };
        let early = std::mem::take(early);
        self.handshake = Handshake::Begun;
        if let Err(error) = self.rtc.handle_timeout(now) {
            tracing::debug!(%error, "the connection cannot go on");
            self.end(CloseReason::Closed);
            return;
        }
        for datagram in early {
            self.read(datagram, now);
        }
    }
}
