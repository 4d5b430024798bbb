//! What time it is.

use moim_protocol::UnixMillis;
use web_time::Instant;

/// What time it is, by both clocks of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For how long: it never goes back.
    pub instant: Instant,
    /// For what is signed, and for how old what others have signed may be.
    pub wall: UnixMillis,
}
