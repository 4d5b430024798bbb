//! What Moim peers say to each other and when.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]
// Remotes choose the numbers and lengths that arrive here.
#![cfg_attr(
    not(test),
    warn(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable,
    )
)]

pub mod admission;
pub mod announcer;
pub mod backoff;
pub mod envelope;
mod json;
pub mod limits;
pub mod message;
pub mod names;
pub mod ordering;
pub mod outbox;
pub mod presence;
pub mod presence_wire;
pub mod providers;
mod random;
pub mod record;
pub mod room;
pub mod roster;
pub mod seen;
pub mod text;
mod time;
pub mod topic;
pub mod wire;

pub use self::time::UnixMillis;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod vectors;
