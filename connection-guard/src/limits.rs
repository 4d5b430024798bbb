//! How long one waits for others.

use std::time::Duration;

/// How long the other end of a connection is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A connection on which nothing arrives for so long, no byte of a stream and no new stream, is
    /// ended, up to a quarter later. Whoever speaks libp2p's ping is heard several times in it.
    pub silence: Duration,
    /// A stream whose other end takes fewer than `PROGRESS_BYTES` in this time, while there is more to
    /// send, is ended. It has to be well below every time for which an answer is worth something; a relay
    /// reservation has an hour.
    pub stall: Duration,
    /// How long a connection that is being closed may take to say goodbye.
    pub close: Duration,
}

/// As much has to be taken within [`Limits::stall`]: a message of most protocols.
pub(crate) const PROGRESS_BYTES: usize = 1024;

/// Looks at a connection within [`Limits::silence`].
pub(crate) const LOOKS: u32 = 4;

impl Default for Limits {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(60),
            stall: Duration::from_secs(30),
            close: Duration::from_secs(5),
        }
    }
}
